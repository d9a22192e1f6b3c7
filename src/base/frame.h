/* SPDX-License-Identifier: PostgreSQL */
/*
 * Frames on a stream socket: {length, type, id} and that many bytes of body.
 *
 * Both ends are this program on one machine, so numbers are in host order. A reader is fed
 * whatever arrived and hands out whole frames; a length that nobody would send means that the
 * stream is broken, since nothing after it can be trusted.
 */
#ifndef ATHENA_BASE_FRAME_H
#define ATHENA_BASE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { FRAME_BODY_MAX = 16 * 1024 * 1024 };

struct frame {
	uint32_t type;
	int64_t id;
	const char *body; /* followed by a NUL; valid until the reader is fed or read again */
	size_t length;
};

enum frame_got { FRAME_NONE, FRAME_WHOLE, FRAME_BROKEN };

struct frame_reader {
	struct buf bytes;
	size_t at;  /* what was handed out already */
	char saved; /* the byte that the NUL after the last body replaced */
	bool cut;
};

/* Appends the head of a frame, whose body of that length the caller appends next. */
void frame_begin(struct buf *out, uint32_t type, int64_t id, size_t length);

/* Appends a frame to what will be written. */
void frame_add(struct buf *out, uint32_t type, int64_t id, const char *body, size_t length);

/* Room for `length` more bytes; then frame_fed() tells how many came. */
char *frame_room(struct frame_reader *reader, size_t length);
void frame_fed(struct frame_reader *reader, size_t length);

enum frame_got frame_next(struct frame_reader *reader, struct frame *ret_frame);
void frame_reader_clear(struct frame_reader *reader);

#endif
