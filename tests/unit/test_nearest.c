/* SPDX-License-Identifier: PostgreSQL */
#include "base/nearest.h"

#include <string.h>

#include "base/mem.h"
#include "suite.h"

START_TEST(the_nearest_word)
{
	static const struct {
		const char *typed, *word;
	} cases[] = {
		{"retenton", "retention"},
		{"worker", "worker"},
		{"wroker", "worker"},
		{"Worker", "worker"},
		{"log", "log"},
		{"lgo", "log"},
		{"x", ""},
		{"", ""},
		{"entirely_different", ""},
		{"0123456789012345678901234567890123456789012345678901234567890123", ""},
	};
	static const char *const words[] = {"worker", "retention", "log", "database",
		"0123456789012345678901234567890123456789012345678901234567890123"};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct nearest nearest = {.typed = cases[i].typed};

		for (size_t j = 0; j < ARRAY_LENGTH(words); j++)
			nearest_try(&nearest, words[j]);
		ck_assert_str_eq(nearest.word, cases[i].word);
	}
}
END_TEST

START_TEST(the_first_of_equals_wins)
{
	struct nearest nearest = {.typed = "cat"};
	struct buf hint CLEANUP(buf_clear) = {0};

	nearest_hint(&nearest, &hint);
	ck_assert_uint_eq(hint.length, 0);
	nearest_try(&nearest, "bat");
	nearest_try(&nearest, "car");
	ck_assert_uint_eq(nearest.distance, 1);
	nearest_hint(&nearest, &hint);
	ck_assert_str_eq(hint.bytes, ", did you mean \"bat\"?");
	nearest_try(&nearest, "cat");
	ck_assert_str_eq(nearest.word, "cat");
	ck_assert_uint_eq(nearest.distance, 0);
}
END_TEST

Suite *suite_nearest(void)
{
	const TTest *const tests[] = {the_nearest_word, the_first_of_equals_wins, NULL};

	return suite_of("nearest", tests);
}
