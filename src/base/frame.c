/* SPDX-License-Identifier: PostgreSQL */
/* Frames on a stream socket. */
#include "base/frame.h"

#include <string.h>

struct frame_head {
	uint32_t length;
	uint32_t type;
	int64_t id;
};

void frame_begin(struct buf *out, uint32_t type, int64_t id, size_t length)
{
	struct frame_head head = {.length = (uint32_t)length, .type = type, .id = id};

	buf_add(out, &head, sizeof(head));
}

void frame_add(struct buf *out, uint32_t type, int64_t id, const char *body, size_t length)
{
	frame_begin(out, type, id, length);
	buf_add(out, body, length);
}

/* Gives back the byte that the NUL of the last body stands on. */
static void uncut(struct frame_reader *reader)
{
	if (reader->cut)
		reader->bytes.bytes[reader->at] = reader->saved;
	reader->cut = false;
}

char *frame_room(struct frame_reader *reader, size_t length)
{
	uncut(reader);
	buf_drop(&reader->bytes, reader->at);
	reader->at = 0;
	return buf_reserve(&reader->bytes, length);
}

void frame_fed(struct frame_reader *reader, size_t length)
{
	buf_added(&reader->bytes, length);
}

enum frame_got frame_next(struct frame_reader *reader, struct frame *ret_frame)
{
	struct frame_head head;
	size_t left;

	uncut(reader);
	left = reader->bytes.length - reader->at;
	if (left < sizeof(head))
		return FRAME_NONE;
	memcpy(&head, reader->bytes.bytes + reader->at, sizeof(head));
	if (head.length > FRAME_BODY_MAX)
		return FRAME_BROKEN;
	if (left - sizeof(head) < head.length)
		return FRAME_NONE;
	*ret_frame = (struct frame){
		.type = head.type,
		.id = head.id,
		.body = reader->bytes.bytes + reader->at + sizeof(head),
		.length = head.length,
	};
	reader->at += sizeof(head) + head.length;
	reader->saved = reader->bytes.bytes[reader->at];
	reader->bytes.bytes[reader->at] = '\0';
	reader->cut = true;
	return FRAME_WHOLE;
}

void frame_reader_clear(struct frame_reader *reader)
{
	buf_clear(&reader->bytes);
	*reader = (struct frame_reader){0};
}
