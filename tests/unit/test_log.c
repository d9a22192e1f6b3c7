/* SPDX-License-Identifier: PostgreSQL */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/redact.h"
#include "suite.h"

/* Standard error into a packet pipe: each write(2) of ours is one read(2). */
static int packets;

static void capture(enum log_level least, enum log_format format)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_DIRECT | O_NONBLOCK), 0);
	packets = ends[0];
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	log_setup(least, format);
}

/* The next packet, or "" when there is none. */
static const char *packet(void)
{
	static char text[4096];
	ssize_t n = read(packets, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* The packet without its time, which is checked for its form. */
static const char *timeless(void)
{
	static const char form[] = "0000-00-00T00:00:00.000Z ";
	const char *line = packet();

	for (size_t i = 0; form[i]; i++)
		if (form[i] == '0')
			ck_assert(line[i] >= '0' && line[i] <= '9');
		else
			ck_assert_int_eq(line[i], form[i]);
	return line + strlen(form);
}

START_TEST(a_line_is_one_write)
{
	capture(LOG_INFO, LOG_LOGFMT);
	log_info("job_claimed", LOG_I("job", 42), LOG_S("family", "clone"), LOG_I("ms", -1));
	log_warn("alone");
	ck_assert_str_eq(timeless(), "info job_claimed job=42 family=clone ms=-1\n");
	ck_assert_str_eq(timeless(), "warn alone\n");
	ck_assert_str_eq(packet(), "");
}
END_TEST

START_TEST(lower_levels_are_left_out)
{
	capture(LOG_WARN, LOG_LOGFMT);
	log_debug("a");
	log_info("b");
	log_warn("c");
	log_error("d");
	ck_assert_str_eq(timeless(), "warn c\n");
	ck_assert_str_eq(timeless(), "error d\n");
	ck_assert_str_eq(packet(), "");
}
END_TEST

START_TEST(logfmt_quotes_what_needs_it)
{
	static const struct {
		const char *value, *shown;
	} values[] = {
		{"plain/x:1", "plain/x:1"},
		{"", "\"\""},
		{"two words", "\"two words\""},
		{"a=b", "\"a=b\""},
		{"say \"x\" \\", "\"say \\\"x\\\" \\\\\""},
		{"a\nb\tc\r", "\"a\\nb\\tc\\r\""},
		{"\x01\x7f", "\"\\u0001\\u007f\""},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"caf\xc3", "\"caf?\""},
		{"\xed\xa0\x80", "\"???\""},
	};

	capture(LOG_DEBUG, LOG_LOGFMT);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char expected[100];

		log_debug("e", LOG_S("k", values[i].value));
		snprintf(expected, sizeof(expected), "debug e k=%s\n", values[i].shown);
		ck_assert_str_eq(timeless(), expected);
	}
}
END_TEST

START_TEST(json_lines_are_json)
{
	json_error_t error;
	json_t *line;

	capture(LOG_INFO, LOG_JSON);
	log_error("job_failed", LOG_I("job", INT64_MAX),
		LOG_S("error", "a \"b\"\\\n\x02 caf\xc3\xa9 \xff"), LOG_S("empty", ""));
	line = json_loads(packet(), JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(line, "%s", error.text);
	ck_assert_uint_eq(json_object_size(line), 6);
	ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "error");
	ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "job_failed");
	ck_assert_int_eq(json_integer_value(json_object_get(line, "job")), INT64_MAX);
	ck_assert_str_eq(
		json_string_value(json_object_get(line, "error")), "a \"b\"\\\n\x02 caf\xc3\xa9 ?");
	ck_assert_str_eq(json_string_value(json_object_get(line, "empty")), "");
	ck_assert_uint_eq(json_string_length(json_object_get(line, "ts")), 24);
	json_decref(line);
}
END_TEST

START_TEST(text_is_redacted)
{
	capture(LOG_INFO, LOG_LOGFMT);
	redact_learn("hunter2");
	log_info("e", LOG_S("url", "postgresql://u:x@h/db"), LOG_S("said", "my hunter2!"));
	ck_assert_str_eq(timeless(), "info e url=postgresql://u:***@h/db said=\"my ***!\"\n");
}
END_TEST

START_TEST(errno_survives)
{
	capture(LOG_INFO, LOG_LOGFMT);
	close(STDERR_FILENO);
	errno = ENOTDIR;
	log_info("e");
	ck_assert_int_eq(errno, ENOTDIR);
}
END_TEST

START_TEST(levels_have_words)
{
	enum log_level level = LOG_ERROR;

	ck_assert(log_level_find("debug", &level));
	ck_assert_int_eq(level, LOG_DEBUG);
	ck_assert(!log_level_find("loud", &level));
	ck_assert_int_eq(level, LOG_DEBUG);
}
END_TEST

Suite *suite_log(void)
{
	const TTest *const tests[] = {
		a_line_is_one_write,
		lower_levels_are_left_out,
		logfmt_quotes_what_needs_it,
		json_lines_are_json,
		text_is_redacted,
		errno_survives,
		levels_have_words,
		NULL,
	};

	return suite_of("log", tests);
}
