/* SPDX-License-Identifier: PostgreSQL */
#include "families/clone/mode.h"

#include "base/buf.h"
#include "base/mem.h"
#include "suite.h"

START_TEST(the_way_is_chosen_by_what_there_is)
{
	static const struct {
		enum clone_mode asked;
		int jobs;
		int64_t bytes;
		enum clone_mode wanted;
		const char *why;
	} cases[] = {
		{CLONE_AUTO, 4, 0, CLONE_PIPE, "there is little to copy"},
		{CLONE_AUTO, 4, CLONE_PARALLEL_BYTES - 1, CLONE_PIPE, "there is little to copy"},
		{CLONE_AUTO, 4, CLONE_PARALLEL_BYTES, CLONE_PARALLEL, "there is much to copy"},
		{CLONE_AUTO, 2, INT64_MAX, CLONE_PARALLEL, "there is much to copy"},
		{CLONE_AUTO, 1, INT64_MAX, CLONE_PIPE, "one job works alone"},
		{CLONE_PIPE, 4, INT64_MAX, CLONE_PIPE, "as the payload asks"},
		{CLONE_STAGED, 1, 0, CLONE_STAGED, "as the payload asks"},
		{CLONE_PARALLEL, 1, 0, CLONE_PARALLEL, "as the payload asks"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *why = NULL;

		ck_assert_int_eq(mode_choose(cases[i].asked, cases[i].jobs, cases[i].bytes, &why),
			cases[i].wanted);
		ck_assert_str_eq(why, cases[i].why);
	}
}
END_TEST

START_TEST(words_and_modes_are_one)
{
	static const enum clone_mode modes[] = {
		CLONE_AUTO, CLONE_PIPE, CLONE_STAGED, CLONE_PARALLEL};
	struct buf words CLEANUP(buf_clear) = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
		ck_assert_int_eq(mode_from_word(mode_word(modes[i])), modes[i]);
		buf_printf(&words, "%s%s", i ? "|" : "", mode_word(modes[i]));
	}
	ck_assert_str_eq(words.bytes, CLONE_MODES);
}
END_TEST

Suite *suite_clone_mode(void)
{
	const TTest *const tests[] = {
		the_way_is_chosen_by_what_there_is, words_and_modes_are_one, NULL};

	return suite_of("clone_mode", tests);
}
