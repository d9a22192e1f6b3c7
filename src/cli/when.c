/* SPDX-License-Identifier: PostgreSQL */
/* Reading and writing times. */
#include "cli/when.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/option.h"

static const int64_t second_us = 1000000;

void when_use_utc(void)
{
	setenv("TZ", "UTC0", 1);
	tzset();
}

/* What is left of the text while it is read; every reader moves `at` only when it succeeds. */
struct reader {
	const char *at;
};

static bool read_char(struct reader *reader, char c)
{
	if (*reader->at != c)
		return false;
	reader->at++;
	return true;
}

/* Exactly `digits` digits, within bounds. */
static bool read_number(struct reader *reader, int digits, int min, int max, int *ret_number)
{
	int number = 0;

	for (int i = 0; i < digits; i++) {
		if (!isdigit((unsigned char)reader->at[i]))
			return false;
		number = number * 10 + (reader->at[i] - '0');
	}
	if (number < min || number > max)
		return false;
	reader->at += digits;
	*ret_number = number;
	return true;
}

static int64_t read_fraction_us(struct reader *reader)
{
	int64_t us = 0;
	int64_t unit = second_us / 10;

	for (; isdigit((unsigned char)*reader->at); reader->at++, unit /= 10)
		us += (*reader->at - '0') * unit;
	return us;
}

static bool read_date(struct reader *reader, struct tm *tm)
{
	int year, month;

	if (!read_number(reader, 4, 1970, 9999, &year) || !read_char(reader, '-') ||
		!read_number(reader, 2, 1, 12, &month) || !read_char(reader, '-') ||
		!read_number(reader, 2, 1, 31, &tm->tm_mday))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	return true;
}

static bool read_clock(struct reader *reader, struct tm *tm, int64_t *ret_fraction_us)
{
	*ret_fraction_us = 0;
	if (!read_number(reader, 2, 0, 23, &tm->tm_hour) || !read_char(reader, ':') ||
		!read_number(reader, 2, 0, 59, &tm->tm_min))
		return false;
	if (!read_char(reader, ':'))
		return true;
	if (!read_number(reader, 2, 0, 59, &tm->tm_sec))
		return false;
	if (read_char(reader, '.'))
		*ret_fraction_us = read_fraction_us(reader);
	return true;
}

/* "Z", "+02", "+0200", "-03:30"; *ret_offset_s is what the zone is ahead of UTC. */
static bool read_zone(struct reader *reader, int *ret_offset_s)
{
	int sign = *reader->at == '-' ? -1 : 1;
	int hours, minutes = 0;

	*ret_offset_s = 0;
	if (read_char(reader, 'Z'))
		return true;
	if (!read_char(reader, '+') && !read_char(reader, '-'))
		return false;
	if (!read_number(reader, 2, 0, 15, &hours))
		return false;
	if (read_char(reader, ':') || isdigit((unsigned char)*reader->at))
		if (!read_number(reader, 2, 0, 59, &minutes))
			return false;
	*ret_offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* The 31st of February would become a day in March: it is refused instead. */
static bool day_exists(const struct tm *tm)
{
	struct tm copy = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};

	return timegm(&copy) != -1 && copy.tm_mday == tm->tm_mday;
}

static bool read_time(const char *text, int64_t *ret_us)
{
	struct reader reader = {text};
	struct tm tm = {.tm_isdst = -1};
	int64_t fraction_us = 0;
	int offset_s;

	if (strlen(text) >= 5 && text[2] == ':') {
		time_t today = time(NULL);

		localtime_r(&today, &tm);
		tm.tm_sec = 0;
		tm.tm_isdst = -1;
		if (!read_clock(&reader, &tm, &fraction_us))
			return false;
	} else {
		if (!read_date(&reader, &tm) || !day_exists(&tm))
			return false;
		if ((read_char(&reader, 'T') || read_char(&reader, ' ')) &&
			!read_clock(&reader, &tm, &fraction_us))
			return false;
	}
	if (*reader.at == '\0') {
		*ret_us = (int64_t)mktime(&tm) * second_us + fraction_us;
		return true;
	}
	if (!read_zone(&reader, &offset_s) || *reader.at != '\0')
		return false;
	*ret_us = (int64_t)(timegm(&tm) - offset_s) * second_us + fraction_us;
	return true;
}

bool when_parse(const char *text, struct when *ret_when, struct err *e)
{
	struct when when = {0};
	int64_t ms;

	if (strcmp(text, "now") == 0) {
		*ret_when = (struct when){.is_relative = true};
		return true;
	}
	if (text[0] == '+') {
		if (!option_duration_ms(text + 1, &ms, e))
			return err_set(e, ERR_CONFIG,
				"'%s' is no distance from now, such as +90s, +5m, +2h or +1d",
				text);
		*ret_when = (struct when){.is_relative = true, .us = ms * 1000};
		return true;
	}
	if (!read_time(text, &when.us))
		return err_set(e, ERR_CONFIG,
			"'%s' is no time, such as 14:30, 2026-01-31T14:30, 2026-01-31T12:30:00Z or "
			"+5m",
			text);
	*ret_when = when;
	return true;
}

int64_t when_from_postgres(const char *text)
{
	int64_t us = 0;
	bool ok = read_time(text, &us);

	assert(ok);
	return us;
}

const char *when_utc(int64_t us, char text[WHEN_TEXT])
{
	time_t seconds = us / second_us;
	struct tm tm;
	size_t used;

	gmtime_r(&seconds, &tm);
	used = strftime(text, WHEN_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	if (us % second_us)
		snprintf(text + used, WHEN_TEXT - used, ".%06" PRId64 "Z", us % second_us);
	else
		snprintf(text + used, WHEN_TEXT - used, "Z");
	return text;
}

const char *when_local(int64_t us, int64_t now_us, char text[WHEN_TEXT])
{
	time_t seconds = us / second_us, now = now_us / second_us;
	struct tm tm, today;

	localtime_r(&seconds, &tm);
	localtime_r(&now, &today);
	if (tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday)
		strftime(text, WHEN_TEXT, "%H:%M:%S", &tm);
	else
		strftime(text, WHEN_TEXT, "%Y-%m-%d %H:%M:%S", &tm);
	return text;
}

const char *when_clock(int64_t us, char text[WHEN_TEXT])
{
	time_t seconds = us / second_us;
	struct tm tm;
	size_t used;

	localtime_r(&seconds, &tm);
	used = strftime(text, WHEN_TEXT, "%H:%M:%S", &tm);
	snprintf(text + used, WHEN_TEXT - used, ".%03" PRId64, us % second_us / 1000);
	return text;
}

const char *when_length(int64_t us, char text[WHEN_TEXT])
{
	static const struct {
		int64_t seconds;
		const char *name;
		int64_t part_seconds;
		const char *part_name;
	} units[] = {
		{86400, "d", 3600, "h"},
		{3600, "h", 60, "min"},
		{60, "min", 1, "s"},
	};
	int64_t seconds = us / second_us;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		int64_t part = seconds % units[i].seconds / units[i].part_seconds;

		if (seconds < units[i].seconds)
			continue;
		if (part)
			snprintf(text, WHEN_TEXT, "%" PRId64 " %s %" PRId64 " %s",
				seconds / units[i].seconds, units[i].name, part,
				units[i].part_name);
		else
			snprintf(text, WHEN_TEXT, "%" PRId64 " %s", seconds / units[i].seconds,
				units[i].name);
		return text;
	}
	if (us % second_us / 100000 && seconds >= 1)
		snprintf(text, WHEN_TEXT, "%" PRId64 ".%" PRId64 " s", seconds,
			us % second_us / 100000);
	else if (seconds >= 1)
		snprintf(text, WHEN_TEXT, "%" PRId64 " s", seconds);
	else
		snprintf(text, WHEN_TEXT, "%" PRId64 " ms", us / 1000);
	return text;
}

const char *when_ago(int64_t us, int64_t now_us, char text[WHEN_TEXT])
{
	char length[WHEN_TEXT];

	if (us > now_us)
		snprintf(text, WHEN_TEXT, "in %.30s", when_length(us - now_us, length));
	else
		snprintf(text, WHEN_TEXT, "%.30s ago", when_length(now_us - us, length));
	return text;
}

int64_t when_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * second_us + now.tv_nsec / 1000;
}
