/* SPDX-License-Identifier: PostgreSQL */
#include "base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "suite.h"

START_TEST(nothing_is_allocated_before_the_first_addition)
{
	struct buf buf CLEANUP(buf_clear) = {0};

	buf_reset(&buf);
	buf_drop(&buf, 0);
	ck_assert_ptr_null(buf.bytes);
}
END_TEST

START_TEST(additions_append_and_end_with_nul)
{
	struct buf buf CLEANUP(buf_clear) = {0};

	buf_text(&buf, "job ");
	buf_printf(&buf, "%d", 42);
	buf_char(&buf, '!');
	buf_add(&buf, NULL, 0);
	ck_assert_str_eq(buf.bytes, "job 42!");
	ck_assert_uint_eq(buf.length, 7);
}
END_TEST

START_TEST(nul_bytes_count)
{
	struct buf buf CLEANUP(buf_clear) = {0};

	buf_add(&buf, "a\0b", 3);
	ck_assert_uint_eq(buf.length, 3);
	ck_assert_mem_eq(buf.bytes, "a\0b", 4);
}
END_TEST

/* Each byte alone and the whole at once, so that growth happens at every length. */
START_TEST(growing_keeps_the_bytes)
{
	struct buf buf CLEANUP(buf_clear) = {0};

	for (int i = 0; i < 10000; i++)
		buf_char(&buf, (char)('a' + i % 26));
	ck_assert_uint_eq(buf.length, 10000);
	ck_assert_uint_eq(strlen(buf.bytes), 10000);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(buf.bytes[i], 'a' + i % 26);
}
END_TEST

START_TEST(reserved_room_is_filled_by_the_caller)
{
	struct buf buf CLEANUP(buf_clear) = {0};

	buf_text(&buf, "ab");
	memcpy(buf_reserve(&buf, 1000), "cdef", 4);
	buf_added(&buf, 2);
	ck_assert_str_eq(buf.bytes, "abcd");
	ck_assert_uint_ge(buf.size, 1003);
}
END_TEST

START_TEST(numbers_are_written_in_decimal)
{
	static const int64_t numbers[] = {0, 7, -7, 10, 1234567890, INT64_MAX, INT64_MIN};
	struct buf buf CLEANUP(buf_clear) = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
		char expected[24];

		snprintf(expected, sizeof(expected), "%" PRId64, numbers[i]);
		buf_reset(&buf);
		buf_i64(&buf, numbers[i]);
		ck_assert_str_eq(buf.bytes, expected);
	}
}
END_TEST

START_TEST(dropping_moves_the_rest_to_the_front)
{
	struct buf buf CLEANUP(buf_clear) = {0};

	buf_text(&buf, "line one\nline two");
	buf_drop(&buf, 9);
	ck_assert_str_eq(buf.bytes, "line two");
	buf_drop(&buf, 8);
	ck_assert_uint_eq(buf.length, 0);
	ck_assert_str_eq(buf.bytes, "");
}
END_TEST

START_TEST(resetting_keeps_the_memory)
{
	struct buf buf CLEANUP(buf_clear) = {0};
	size_t size;

	buf_text(&buf, "something");
	size = buf.size;
	buf_reset(&buf);
	ck_assert_str_eq(buf.bytes, "");
	ck_assert_uint_eq(buf.length, 0);
	ck_assert_uint_eq(buf.size, size);
}
END_TEST

START_TEST(taking_leaves_an_empty_buffer)
{
	struct buf buf CLEANUP(buf_clear) = {0};
	char *none CLEANUP(free_ptr) = buf_take(&buf);
	char *text CLEANUP(free_ptr) = NULL;

	buf_text(&buf, "mine");
	text = buf_take(&buf);
	ck_assert_str_eq(none, "");
	ck_assert_str_eq(text, "mine");
	ck_assert_ptr_null(buf.bytes);
	ck_assert_uint_eq(buf.size, 0);
}
END_TEST

Suite *suite_buf(void)
{
	const TTest *const tests[] = {
		nothing_is_allocated_before_the_first_addition,
		additions_append_and_end_with_nul,
		nul_bytes_count,
		growing_keeps_the_bytes,
		reserved_room_is_filled_by_the_caller,
		numbers_are_written_in_decimal,
		dropping_moves_the_rest_to_the_front,
		resetting_keeps_the_memory,
		taking_leaves_an_empty_buffer,
		NULL,
	};

	return suite_of("buf", tests);
}
