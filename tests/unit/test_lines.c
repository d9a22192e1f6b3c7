/* SPDX-License-Identifier: PostgreSQL */
#include "base/lines.h"

#include <string.h>

#include "base/mem.h"
#include "suite.h"

/* Lines are collected as "one|two|". */
static void collect(void *context, const char *line)
{
	buf_printf(context, "%s|", line);
}

static void add(struct lines *lines, const char *text)
{
	lines_add(lines, text, strlen(text));
}

START_TEST(lines_come_whole_however_the_bytes_come)
{
	static const char text[] = "one\n\ntwo\nthree";
	struct buf got CLEANUP(buf_clear) = {0};
	struct lines lines CLEANUP(lines_clear) = {.longest = 10, .take = collect, .context = &got};

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		lines_add(&lines, text + i, 1);
	ck_assert_str_eq(got.bytes, "one||two|");
	lines_end(&lines);
	lines_end(&lines);
	ck_assert_str_eq(got.bytes, "one||two|three|");
}
END_TEST

START_TEST(a_long_line_is_cut_once)
{
	struct buf got CLEANUP(buf_clear) = {0};
	struct lines lines CLEANUP(lines_clear) = {.longest = 5, .take = collect, .context = &got};

	add(&lines, "12345\n123456\n123");
	add(&lines, "4567");
	add(&lines, "89\nnext\n");
	ck_assert_str_eq(got.bytes, "12345|12345...|12345...|next|");
}
END_TEST

START_TEST(what_is_no_text_becomes_a_question_mark)
{
	static const char bytes[] = "a\0b\xff\xc3\xa4\xc3\n\xe2\x82\n";
	struct buf got CLEANUP(buf_clear) = {0};
	struct lines lines CLEANUP(lines_clear) = {.longest = 50, .take = collect, .context = &got};

	lines_add(&lines, bytes, sizeof(bytes) - 1);
	ck_assert_str_eq(got.bytes, "a?b?\xc3\xa4?|??|");
}
END_TEST

Suite *suite_lines(void)
{
	const TTest *const tests[] = {lines_come_whole_however_the_bytes_come,
		a_long_line_is_cut_once, what_is_no_text_becomes_a_question_mark, NULL};

	return suite_of("lines", tests);
}
