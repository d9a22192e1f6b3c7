/* SPDX-License-Identifier: PostgreSQL */
#include "cli/when.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "suite.h"

/* Two hours ahead of UTC in summer, one in winter, by a rule that needs no zone files. */
static void live_in_berlin(void)
{
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
}

static const char *utc_of(const char *text)
{
	static char utc[WHEN_TEXT];
	struct when when;
	struct err e;

	if (!when_parse(text, &when, &e))
		return "refused";
	ck_assert(!when.is_relative);
	return when_utc(when.us, utc);
}

START_TEST(iso_times_are_read)
{
	static const struct {
		const char *text, *utc;
	} rows[] = {
		{"2026-01-31T12:30:00Z", "2026-01-31T12:30:00Z"},
		{"2026-01-31 12:30:00Z", "2026-01-31T12:30:00Z"},
		{"2026-01-31T12:30Z", "2026-01-31T12:30:00Z"},
		{"2026-01-31T12:30:00.5Z", "2026-01-31T12:30:00.500000Z"},
		{"2026-01-31T12:30:00.1234567Z", "2026-01-31T12:30:00.123456Z"},
		{"2026-01-31T12:30:00+02:00", "2026-01-31T10:30:00Z"},
		{"2026-01-31T12:30:00-0330", "2026-01-31T16:00:00Z"},
		{"2026-01-31T12:30:00+02", "2026-01-31T10:30:00Z"},
		{"2026-01-31T12:30", "2026-01-31T11:30:00Z"}, /* local, winter */
		{"2026-07-31T12:30", "2026-07-31T10:30:00Z"}, /* local, summer */
		{"2026-01-31", "2026-01-30T23:00:00Z"},
		{"2028-02-29", "2028-02-28T23:00:00Z"},
		{"2026-02-03 04:05:06.789012+00", "2026-02-03T04:05:06.789012Z"},
	};

	live_in_berlin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(utc_of(rows[i].text), rows[i].utc);
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
	static const char *const texts[] = {"", "tomorrow", "2026", "2026-13-01", "2026-02-30",
		"2026-01-31T25:00", "2026-01-31T12:60", "2026-01-31T12", "2026-01-31T12:30+",
		"2026-01-31T12:30Zx", "2026-01-31T12:30 UTC", "12:3", "24:00", "+", "+5x", "+ 5m",
		"-5m", "1900-01-01"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct when when = {.us = 42};
		struct err e = {0};

		ck_assert_msg(!when_parse(texts[i], &when, &e), "'%s' was read", texts[i]);
		ck_assert_int_eq(e.kind, ERR_CONFIG);
		ck_assert_int_eq(when.us, 42);
	}
}
END_TEST

START_TEST(distances_are_relative)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {{"now", 0}, {"+90s", 90000000}, {"+5m", 300000000}, {"+2h", 7200000000},
		{"+1d", 86400000000}, {"+250ms", 250000}, {"+3", 3000000}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct when when;
		struct err e;

		ck_assert(when_parse(rows[i].text, &when, &e));
		ck_assert(when.is_relative);
		ck_assert_int_eq(when.us, rows[i].us);
	}
}
END_TEST

START_TEST(a_clock_time_is_today)
{
	struct when when;
	struct err e;
	char text[WHEN_TEXT];

	live_in_berlin();
	ck_assert(when_parse("00:00", &when, &e));
	ck_assert_int_le(when.us, when_now());
	ck_assert_str_eq(when_local(when.us, when.us, text), "00:00:00");
}
END_TEST

START_TEST(lengths_have_two_units_at_most)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {{0, "0 ms"}, {999, "0 ms"}, {350000, "350 ms"}, {999999, "999 ms"},
		{1000000, "1 s"}, {4250000, "4.2 s"}, {59999999, "59.9 s"}, {60000000, "1 min"},
		{200000000, "3 min 20 s"}, {3600000000, "1 h"}, {7500000000, "2 h 5 min"},
		{86400000000, "1 d"}, {273600000000, "3 d 4 h"}};
	char text[WHEN_TEXT];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(when_length(rows[i].us, text), rows[i].text);
}
END_TEST

START_TEST(past_and_future_are_told_apart)
{
	char text[WHEN_TEXT];

	ck_assert_str_eq(when_ago(1000000, 6000000, text), "5 s ago");
	ck_assert_str_eq(when_ago(6000000, 1000000, text), "in 5 s");
	ck_assert_str_eq(when_ago(6000000, 6000000, text), "0 ms ago");
}
END_TEST

START_TEST(another_day_shows_its_date)
{
	const int64_t noon_us = when_from_postgres("2026-01-31 12:00:00+00");
	char text[WHEN_TEXT];

	live_in_berlin();
	ck_assert_str_eq(when_local(noon_us, noon_us + 1000000, text), "13:00:00");
	ck_assert_str_eq(when_local(noon_us, noon_us + 86400000000, text), "2026-01-31 13:00:00");
	ck_assert_str_eq(when_clock(noon_us + 7000, text), "13:00:00.007");
}
END_TEST

Suite *suite_when(void)
{
	const TTest *const tests[] = {iso_times_are_read, what_is_no_time_is_refused,
		distances_are_relative, a_clock_time_is_today, lengths_have_two_units_at_most,
		past_and_future_are_told_apart, another_day_shows_its_date, NULL};

	return suite_of("when", tests);
}
