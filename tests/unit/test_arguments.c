/* SPDX-License-Identifier: PostgreSQL */
#include "cli/arguments.h"

#include <string.h>

#include "suite.h"

static const struct option_row own[] = {
	{.name = "run_at", .type = OPTION_TEXT, .help = "when"},
	{.name = "limit", .type = OPTION_INT, .min = 1, .max = 9, .help = "how many"},
	{.name = "wait", .type = OPTION_BOOL, .help = "wait"},
	{.name = "timeout", .type = OPTION_DURATION, .help = "how long"},
	{0},
};

static const struct option_row global[] = {
	{.name = "config", .type = OPTION_TEXT, .help = "file"},
	{.name = "json", .type = OPTION_BOOL, .help = "JSON"},
	{.name = "help", .type = OPTION_BOOL, .help = "help"},
	{0},
};

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})

static struct err error;

static const char *refusal(char **argv)
{
	struct arguments arguments = {.word_count = 99};

	ck_assert(!arguments_parse(&arguments, argv, own, global, &error));
	ck_assert_int_eq(error.kind, ERR_CONFIG);
	ck_assert_uint_eq(arguments.word_count, 99);
	return error.text;
}

START_TEST(options_stand_anywhere)
{
	char *argv[] = {(char[]){"--run-at=+5m"}, (char[]){"noop"}, (char[]){"--limit"},
		(char[]){"3"}, (char[]){"--wait"}, (char[]){"-"}, (char[]){"--json"}, NULL};
	struct arguments arguments;

	ck_assert(arguments_parse(&arguments, argv, own, global, &error));
	ck_assert_uint_eq(arguments.word_count, 2);
	ck_assert_str_eq(arguments.words[0], "noop");
	ck_assert_str_eq(arguments.words[1], "-");
	ck_assert_ptr_null(arguments.words[2]);
	ck_assert_str_eq(option_text(own, arguments.options, "run_at"), "+5m");
	ck_assert_int_eq(option_int(own, arguments.options, "limit"), 3);
	ck_assert(option_bool(own, arguments.options, "wait"));
	ck_assert(option_bool(global, arguments.options, "json"));
	arguments_clear(&arguments);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
	char *argv[] = {
		(char[]){"dev"}, (char[]){"--"}, (char[]){"make"}, (char[]){"--wait"}, NULL};
	struct arguments arguments;

	ck_assert(arguments_parse(&arguments, argv, own, global, &error));
	ck_assert_uint_eq(arguments.word_count, 3);
	ck_assert_uint_eq(arguments.words_before_dashes, 1);
	ck_assert_str_eq(arguments.words[2], "--wait");
	ck_assert(!option_bool(own, arguments.options, "wait"));
	arguments_clear(&arguments);
}
END_TEST

START_TEST(a_value_may_begin_with_a_dash)
{
	char *argv[] = {(char[]){"--run-at"}, (char[]){"-5m"}, NULL};
	struct arguments arguments;

	ck_assert(arguments_parse(&arguments, argv, own, global, &error));
	ck_assert_str_eq(option_text(own, arguments.options, "run_at"), "-5m");
	arguments_clear(&arguments);
}
END_TEST

START_TEST(mistakes_are_named)
{
	ck_assert_str_eq(refusal(ARGV((char[]){"--run_at=1"})),
		"unknown option --run_at; did you mean --run-at?");
	ck_assert_str_eq(
		refusal(ARGV((char[]){"--jsn"})), "unknown option --jsn; did you mean --json?");
	ck_assert_str_eq(refusal(ARGV((char[]){"--nonsense"})), "unknown option --nonsense");
	ck_assert_str_eq(refusal(ARGV((char[]){"-x"})), "unknown option -x");
	ck_assert_str_eq(refusal(ARGV((char[]){"--run-at"})), "option --run-at needs a value");
	ck_assert_str_eq(refusal(ARGV((char[]){"--wait=yes"})), "option --wait takes no value");
	ck_assert_ptr_nonnull(strstr(refusal(ARGV((char[]){"--limit=10"})), "from 1 to 9"));
	ck_assert_ptr_nonnull(strstr(refusal(ARGV((char[]){"--limit=1x"})), "whole number"));
	ck_assert_ptr_nonnull(strstr(refusal(ARGV((char[]){"--timeout=soon"})), "duration"));
}
END_TEST

START_TEST(the_command_is_found_behind_global_options)
{
	char *argv[] = {(char[]){"--config"}, (char[]){"x.yaml"}, (char[]){"--json"},
		(char[]){"job"}, (char[]){"--limit"}, (char[]){"list"}, NULL};
	const char *words[3];

	arguments_peek(argv, global, words, 3);
	ck_assert_str_eq(words[0], "job");
	ck_assert_str_eq(words[1], "list");
	ck_assert_ptr_null(words[2]);
}
END_TEST

START_TEST(words_are_counted_by_their_description)
{
	static const struct {
		const char *args, *words[4], *refusal;
	} rows[] = {
		{"", {NULL}, NULL},
		{"", {"x"}, "'x' is one argument too many"},
		{"FAMILY [JSON|-|@FILE]", {"a"}, NULL},
		{"FAMILY [JSON|-|@FILE]", {"a", "b"}, NULL},
		{"FAMILY [JSON|-|@FILE]", {NULL}, "FAMILY is missing"},
		{"FAMILY [JSON|-|@FILE]", {"a", "b", "c"}, "'c' is one argument too many"},
		{"JOB...", {NULL}, "JOB... is missing"},
		{"JOB...", {"1"}, NULL},
		{"JOB...", {"1", "2", "3"}, NULL},
		{"[-- COMMAND...]", {NULL}, NULL},
		{"[-- COMMAND...]", {"a", "b"}, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool ok = arguments_count(rows[i].args, rows[i].words, &error);

		ck_assert_int_eq(ok, rows[i].refusal == NULL);
		if (!ok)
			ck_assert_str_eq(error.text, rows[i].refusal);
	}
}
END_TEST

Suite *suite_arguments(void)
{
	const TTest *const tests[] = {options_stand_anywhere, two_dashes_end_the_options,
		a_value_may_begin_with_a_dash, mistakes_are_named,
		the_command_is_found_behind_global_options, words_are_counted_by_their_description,
		NULL};

	return suite_of("arguments", tests);
}
