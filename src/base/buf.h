/* SPDX-License-Identifier: PostgreSQL */
/*
 * A growable byte string, and the only string builder.
 *
 * `bytes` is always followed by a NUL that `length` does not count, so a buffer without NULs
 * inside is also a C string; before the first addition `bytes` is NULL. Zero-initialise it, and
 * release it with buf_clear() or CLEANUP(buf_clear).
 */
#ifndef ATHENA_BASE_BUF_H
#define ATHENA_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
	char *bytes;
	size_t length;
	size_t size; /* allocated */
};

void buf_add(struct buf *buf, const void *bytes, size_t length);
void buf_text(struct buf *buf, const char *text);
void buf_char(struct buf *buf, char c);
void buf_i64(struct buf *buf, int64_t number); /* in decimal */
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Makes room for `length` more bytes and returns where they go; count them with buf_added(). */
char *buf_reserve(struct buf *buf, size_t length) __attribute__((returns_nonnull));
void buf_added(struct buf *buf, size_t length);

/* Drops the first `length` bytes, keeping the memory. */
void buf_drop(struct buf *buf, size_t length);

/* Empties without releasing. */
void buf_reset(struct buf *buf);
void buf_clear(struct buf *buf);

/* Hands the string to the caller, who frees it; "" when nothing was added. */
char *buf_take(struct buf *buf) __attribute__((returns_nonnull));

#endif
