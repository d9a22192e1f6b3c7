/* SPDX-License-Identifier: PostgreSQL */
#include "base/frame.h"

#include <string.h>

#include "base/mem.h"
#include "suite.h"

/* Gives the reader `bytes` in pieces of `step`; returns how many whole frames came out. */
static int feed(struct frame_reader *reader, const struct buf *bytes, size_t step,
	struct frame *ret_frames, int most)
{
	int count = 0;

	for (size_t at = 0; at < bytes->length; at += step) {
		size_t length = bytes->length - at < step ? bytes->length - at : step;

		memcpy(frame_room(reader, length), bytes->bytes + at, length);
		frame_fed(reader, length);
		while (count < most && frame_next(reader, &ret_frames[count]) == FRAME_WHOLE) {
			ck_assert_uint_eq(ret_frames[count].type, (uint32_t)count + 1);
			ck_assert_int_eq(ret_frames[count].id, -5 + count);
			ck_assert_int_eq(ret_frames[count].body[ret_frames[count].length], '\0');
			count++;
		}
	}
	return count;
}

START_TEST(frames_come_out_whole_however_they_arrive)
{
	static const char *const bodies[] = {"", "one", "another one that is longer", ""};

	for (size_t step = 1; step < 100; step++) {
		struct frame_reader reader = {0};
		struct buf bytes CLEANUP(buf_clear) = {0};
		struct frame frames[4];

		for (int i = 0; i < 4; i++)
			frame_add(&bytes, (uint32_t)i + 1, -5 + i, bodies[i], strlen(bodies[i]));
		ck_assert_int_eq(feed(&reader, &bytes, step, frames, 4), 4);
		for (int i = 0; i < 4; i++)
			ck_assert_uint_eq(frames[i].length, strlen(bodies[i]));
		ck_assert_int_eq(frame_next(&reader, &frames[0]), FRAME_NONE);
		frame_reader_clear(&reader);
	}
}
END_TEST

/* The NUL after a body stands on the first byte of the next frame, which must come back. */
START_TEST(bodies_end_with_a_nul_and_spoil_nothing)
{
	struct frame_reader reader = {0};
	struct buf bytes CLEANUP(buf_clear) = {0};
	struct frame frame;

	frame_add(&bytes, 1, 1, "first", 5);
	frame_add(&bytes, 2, 2, "second", 6);
	memcpy(frame_room(&reader, bytes.length), bytes.bytes, bytes.length);
	frame_fed(&reader, bytes.length);
	ck_assert_int_eq(frame_next(&reader, &frame), FRAME_WHOLE);
	ck_assert_str_eq(frame.body, "first");
	ck_assert_int_eq(frame_next(&reader, &frame), FRAME_WHOLE);
	ck_assert_str_eq(frame.body, "second");
	ck_assert_int_eq(frame.id, 2);
	frame_reader_clear(&reader);
}
END_TEST

START_TEST(bodies_may_hold_nuls)
{
	struct frame_reader reader = {0};
	struct buf bytes CLEANUP(buf_clear) = {0};
	struct frame frame;

	frame_add(&bytes, 1, 1, "a\0b", 3);
	memcpy(frame_room(&reader, bytes.length), bytes.bytes, bytes.length);
	frame_fed(&reader, bytes.length);
	ck_assert_int_eq(frame_next(&reader, &frame), FRAME_WHOLE);
	ck_assert_uint_eq(frame.length, 3);
	ck_assert_mem_eq(frame.body, "a\0b", 4);
	frame_reader_clear(&reader);
}
END_TEST

START_TEST(a_length_that_nobody_sends_is_broken)
{
	struct frame_reader reader = {0};
	struct frame frame;
	uint32_t length = FRAME_BODY_MAX + 1;
	char *room = frame_room(&reader, 16);

	memset(room, 0, 16);
	memcpy(room, &length, sizeof(length));
	frame_fed(&reader, 16);
	ck_assert_int_eq(frame_next(&reader, &frame), FRAME_BROKEN);
	ck_assert_int_eq(frame_next(&reader, &frame), FRAME_BROKEN);
	frame_reader_clear(&reader);
}
END_TEST

Suite *suite_frame(void)
{
	const TTest *const tests[] = {
		frames_come_out_whole_however_they_arrive,
		bodies_end_with_a_nul_and_spoil_nothing,
		bodies_may_hold_nuls,
		a_length_that_nobody_sends_is_broken,
		NULL,
	};

	return suite_of("frame", tests);
}
