/* SPDX-License-Identifier: PostgreSQL */
/* base/frame.h: the same frames come out however the bytes arrive. The first byte says how. */
#include "base/frame.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"

/* Adds what came out to `out`; the answer is the reader's last one. */
static enum frame_got drain(struct frame_reader *reader, struct buf *out)
{
	enum frame_got got;
	struct frame frame;

	while ((got = frame_next(reader, &frame)) == FRAME_WHOLE) {
		assert(frame.length <= FRAME_BODY_MAX && frame.body[frame.length] == '\0');
		frame_add(out, frame.type, frame.id, frame.body, frame.length);
	}
	return got;
}

static enum frame_got read_by(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct frame_reader reader = {0};
	enum frame_got got = FRAME_NONE;

	for (size_t at = 0; at < size && got != FRAME_BROKEN; at += step) {
		size_t length = size - at < step ? size - at : step;

		memcpy(frame_room(&reader, length), data + at, length);
		frame_fed(&reader, length);
		got = drain(&reader, out);
	}
	frame_reader_clear(&reader);
	return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole CLEANUP(buf_clear) = {0}, pieces CLEANUP(buf_clear) = {0};
	size_t step = size > 0 ? data[0] % 64 + 1 : 1;

	if (size < 2)
		return 0;
	assert(read_by(data + 1, size - 1, size, &whole) ==
		read_by(data + 1, size - 1, step, &pieces));
	assert(whole.length == pieces.length && whole.length <= size - 1);
	assert(whole.length == 0 || memcmp(whole.bytes, pieces.bytes, whole.length) == 0);
	/* What came out, put together again, is what went in. */
	assert(whole.length == 0 || memcmp(whole.bytes, data + 1, whole.length) == 0);
	return 0;
}
