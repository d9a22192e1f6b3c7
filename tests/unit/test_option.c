/* SPDX-License-Identifier: PostgreSQL */
#include "config/option.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "suite.h"

static const struct option_row table[] = {
	{"source", OPTION_TEXT, OPTION_REQUIRED, .help = "h"},
	{"jobs", OPTION_INT, 0, "2", 1, 64, .help = "h"},
	{"ratio", OPTION_INT, .help = "h"},
	{"verify", OPTION_WORD, 0, "full", .words = "none|counts|full", .help = "h"},
	{"wait", OPTION_DURATION, 0, "90s", 0, 3600000, .help = "h"},
	{"force", OPTION_BOOL, 0, "true", .help = "h"},
	{"schemas", OPTION_LIST, .help = "h"},
	{"exits", OPTION_INTS, 0, NULL, 1, 255, .help = "h"},
	{"extra", OPTION_OBJECT, .help = "h"},
	{"password", OPTION_INT, OPTION_SECRET, .help = "h"},
	{0},
};

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *value = json_loads(text, JSON_DECODE_ANY, &error);

	ck_assert_msg(value, "%s: %s", text, error.text);
	return value;
}

START_TEST(good_objects_pass)
{
	static const char *const texts[] = {
		"{\"source\": \"\"}",
		"{\"source\": \"x\", \"jobs\": 1, \"ratio\": -7, \"verify\": \"counts\"}",
		"{\"source\": \"x\", \"jobs\": 64.0, \"wait\": 3600, \"force\": false}",
		"{\"source\": \"x\", \"wait\": \"250ms\", \"schemas\": [], \"extra\": {}}",
		"{\"source\": \"x\", \"wait\": 0.5, \"schemas\": [\"a\"], \"exits\": [1, 255]}",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		json_auto_t *object = parse(texts[i]);
		struct err e;

		ck_assert_msg(option_check_object(table, object, "payload", &e), "%s: %s", texts[i],
			e.text);
	}
}
END_TEST

START_TEST(bad_objects_are_explained)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"[]", "payload must be an object"},
		{"{}", "payload: missing key \"source\""},
		{"{\"source\": 1}", "payload: \"source\" must be a string, not 1"},
		{"{\"source\": null}", "payload: \"source\" must be a string, not null"},
		{"{\"source\": \"x\", \"jobs\": 0}",
			"payload: \"jobs\" must be a whole number from 1 to 64, not 0"},
		{"{\"source\": \"x\", \"jobs\": 65}",
			"payload: \"jobs\" must be a whole number from 1 to 64, not 65"},
		{"{\"source\": \"x\", \"jobs\": 1.5}",
			"payload: \"jobs\" must be a whole number from 1 to 64, not 1.5"},
		{"{\"source\": \"x\", \"jobs\": \"2\"}",
			"payload: \"jobs\" must be a whole number from 1 to 64, not \"2\""},
		{"{\"source\": \"x\", \"ratio\": 1e300}",
			"payload: \"ratio\" must be a whole number, not 1e300"},
		{"{\"source\": \"x\", \"verify\": \"cou\"}",
			"payload: \"verify\" must be one of none, counts, full, not \"cou\""},
		{"{\"source\": \"x\", \"verify\": \"\"}",
			"payload: \"verify\" must be one of none, counts, full, not \"\""},
		{"{\"source\": \"x\", \"wait\": \"soon\"}",
			"payload: \"wait\" must be a duration (90s, 5m, 250ms) from 0s to 1h, "
			"not \"soon\""},
		{"{\"source\": \"x\", \"wait\": 3601}",
			"payload: \"wait\" must be a duration (90s, 5m, 250ms) from 0s to 1h, "
			"not 3601"},
		{"{\"source\": \"x\", \"wait\": -1}",
			"payload: \"wait\" must be a duration (90s, 5m, 250ms) from 0s to 1h, "
			"not -1"},
		{"{\"source\": \"x\", \"force\": \"true\"}",
			"payload: \"force\" must be true or false, not \"true\""},
		{"{\"source\": \"x\", \"schemas\": \"a\"}",
			"payload: \"schemas\" must be a list of strings, not \"a\""},
		{"{\"source\": \"x\", \"schemas\": [1]}",
			"payload: \"schemas\" must be a list of strings, not a list"},
		{"{\"source\": \"x\", \"exits\": [0]}",
			"payload: \"exits\" must be a list of whole numbers from 1 to 255, not a "
			"list"},
		{"{\"source\": \"x\", \"extra\": []}",
			"payload: \"extra\" must be an object, not a list"},
		{"{\"source\": \"x\", \"password\": \"hunter2\"}",
			"payload: \"password\" must be a whole number, not a string"},
		{"{\"source\": {\"long\": 1}}",
			"payload: \"source\" must be a string, not an object"},
		{"{\"source\": \"x\", \"force\": \"0123456789012345678901234567890123456789\"}",
			"payload: \"force\" must be true or false, not a string"},
		{"{\"source\": \"x\", \"job\": 1}",
			"payload: unknown key \"job\" (known: source, jobs, ratio, verify, wait, "
			"force, schemas, exits, extra, password), did you mean \"jobs\"?"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_auto_t *object = parse(cases[i].text);
		struct err e = {0};

		ck_assert(!option_check_object(table, object, "payload", &e));
		ck_assert_str_eq(e.text, cases[i].error);
		ck_assert_int_eq(e.kind, ERR_PERMANENT);
	}
}
END_TEST

START_TEST(values_fall_back)
{
	json_auto_t *given = parse("{\"source\": \"x\", \"jobs\": 3, \"wait\": \"2m\", "
				   "\"force\": false}");

	ck_assert_str_eq(option_text(table, given, "source"), "x");
	ck_assert_str_eq(option_text(table, given, "verify"), "full");
	ck_assert_ptr_null(option_text(table, NULL, "source"));
	ck_assert_int_eq(option_int(table, given, "jobs"), 3);
	ck_assert_int_eq(option_int(table, NULL, "jobs"), 2);
	ck_assert_int_eq(option_int(table, NULL, "ratio"), 0);
	ck_assert_int_eq(option_int(table, given, "wait"), 120000);
	ck_assert_int_eq(option_int(table, NULL, "wait"), 90000);
	ck_assert(!option_bool(table, given, "force"));
	ck_assert(option_bool(table, NULL, "force"));
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		int64_t ms;
		const char *shown;
	} cases[] = {
		{"0", 0, "0s"},
		{"90", 90000, "90s"},
		{"90s", 90000, "90s"},
		{"250ms", 250, "250ms"},
		{"1000ms", 1000, "1s"},
		{"5m", 300000, "5m"},
		{"120m", 7200000, "2h"},
		{"7d", 604800000, "7d"},
		{"106751991167d", INT64_C(9223372036828800000), "106751991167d"},
	};
	static const char *const bad[] = {"", "s", "-1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1w",
		"1h30m", "0x10", "106751991168d", "99999999999999999999s", "9223372036854775808ms"};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf shown CLEANUP(buf_clear) = {0};
		int64_t ms = -1;
		struct err e;

		ck_assert(option_duration_ms(cases[i].text, &ms, &e));
		ck_assert_int_eq(ms, cases[i].ms);
		option_duration_text(ms, &shown);
		ck_assert_str_eq(shown.bytes, cases[i].shown);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		int64_t ms = -1;
		struct err e;

		ck_assert_msg(!option_duration_ms(bad[i], &ms, &e), "%s", bad[i]);
		ck_assert_int_eq(ms, -1);
	}
}
END_TEST

START_TEST(text_becomes_typed)
{
	static const struct {
		const char *name, *text, *json;
	} cases[] = {
		{"jobs", "12", "12"},
		{"jobs", "-3", "-3"},
		{"jobs", "12x", "\"12x\""},
		{"jobs", "1-2", "\"1-2\""},
		{"jobs", "", "\"\""},
		{"jobs", "99999999999999999999", "\"99999999999999999999\""},
		{"force", "TRUE", "true"},
		{"force", "no", "false"},
		{"force", "1", "true"},
		{"force", "maybe", "\"maybe\""},
		{"source", "12", "\"12\""},
		{"wait", "90", "\"90\""},
		{"schemas", "a,b", "[\"a\", \"b\"]"},
		{"schemas", "", "[]"},
		{"exits", "3,x", "[3, \"x\"]"},
		{"source", "\xff", "null"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_auto_t *value =
			option_from_text(option_find(table, cases[i].name), cases[i].text);
		char *dumped CLEANUP(free_ptr) = json_dumps(value, JSON_ENCODE_ANY);

		ck_assert_str_eq(dumped, cases[i].json);
	}
	ck_assert_ptr_null(option_find(table, "nothing"));
}
END_TEST

START_TEST(keys_for_the_schema)
{
	json_auto_t *keys = option_keys_json(table);
	char *dumped CLEANUP(free_ptr) = json_dumps(keys, JSON_COMPACT);

	ck_assert_str_eq(dumped,
		"{\"source\":{\"type\":\"string\",\"required\":true},"
		"\"jobs\":{\"type\":\"integer\",\"min\":1,\"max\":64},"
		"\"ratio\":{\"type\":\"integer\"},"
		"\"verify\":{\"type\":\"string\",\"enum\":[\"none\",\"counts\",\"full\"]},"
		"\"wait\":{\"type\":\"duration\"},\"force\":{\"type\":\"boolean\"},"
		"\"schemas\":{\"type\":\"array\"},\"exits\":{\"type\":\"array\"},"
		"\"extra\":{\"type\":\"object\"},\"password\":{\"type\":\"integer\"}}");
}
END_TEST

Suite *suite_option(void)
{
	const TTest *const tests[] = {
		good_objects_pass,
		bad_objects_are_explained,
		values_fall_back,
		durations,
		text_becomes_typed,
		keys_for_the_schema,
		NULL,
	};

	return suite_of("option", tests);
}
