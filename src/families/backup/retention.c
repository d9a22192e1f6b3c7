/* SPDX-License-Identifier: PostgreSQL */
/* Grandfather, father, son. */
#include "families/backup/retention.h"

#include <time.h>

enum { HOUR_S = 3600, DAY_S = 86400, DAYS_TO_MONDAY = 3 /* 1970-01-01 was a Thursday */ };

static const char *const kept_as[] = {
	[RETENTION_HOUR] = "hourly",
	[RETENTION_DAY] = "daily",
	[RETENTION_WEEK] = "weekly",
	[RETENTION_MONTH] = "monthly",
	[RETENTION_YEAR] = "yearly",
};

bool retention_is_empty(const struct retention_policy *policy)
{
	int64_t sum = policy->last;

	for (int span = 0; span < RETENTION_SPANS; span++)
		sum += policy->spans[span];
	return sum == 0;
}

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* A number that is the same for all moments of an hour, a day, ... and for no others. */
static int64_t span_of(enum retention_span span, int64_t at_s)
{
	int64_t days = floor_divide(at_s, DAY_S);
	time_t at = (time_t)at_s;
	struct tm utc;

	switch (span) {
	case RETENTION_HOUR:
		return floor_divide(at_s, HOUR_S);
	case RETENTION_DAY:
		return days;
	case RETENTION_WEEK:
		return floor_divide(days + DAYS_TO_MONDAY, 7);
	case RETENTION_MONTH:
		gmtime_r(&at, &utc);
		return (int64_t)utc.tm_year * 12 + utc.tm_mon;
	default:
		gmtime_r(&at, &utc);
		return utc.tm_year;
	}
}

static bool counts(const struct retention_backup *backup)
{
	return backup->is_complete && backup->is_verified;
}

static void keep(struct retention_backup *backup, const char *reason)
{
	if (backup->goes)
		backup->reason = reason;
	backup->goes = false;
}

static void keep_last(struct retention_backup *backups, size_t count, int64_t left)
{
	for (size_t i = 0; i < count && left > 0; i++)
		if (counts(&backups[i])) {
			keep(&backups[i], "last");
			left--;
		}
}

/* Newest first, so the first one of a span is its newest. */
static void keep_span(
	struct retention_backup *backups, size_t count, enum retention_span span, int64_t left)
{
	int64_t seen = INT64_MIN;

	for (size_t i = 0; i < count && left > 0; i++) {
		int64_t number = span_of(span, backups[i].at_s);

		if (!counts(&backups[i]) || number == seen)
			continue;
		seen = number;
		keep(&backups[i], kept_as[span]);
		left--;
	}
}

static void keep_all(struct retention_backup *backups, size_t count, const char *reason)
{
	for (size_t i = 0; i < count; i++)
		keep(&backups[i], reason);
}

/* What was never verified may be all that is left of its time, until something older is good. */
static void keep_unverified(struct retention_backup *backups, size_t count)
{
	size_t oldest = 0;

	for (size_t i = 0; i < count; i++)
		if (counts(&backups[i]) && !backups[i].goes)
			oldest = i;
	for (size_t i = 0; i < oldest; i++)
		if (!counts(&backups[i]))
			keep(&backups[i], "unverified");
}

void retention_judge(const struct retention_policy *policy, int64_t now_s,
	struct retention_backup *backups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		backups[i].goes = true;
		backups[i].reason = "expired";
		if (!backups[i].is_complete)
			keep(&backups[i], "incomplete");
		else if (backups[i].is_pinned)
			keep(&backups[i], "pinned");
		else if (now_s - backups[i].at_s < policy->min_age_s)
			keep(&backups[i], "young");
	}
	if (retention_is_empty(policy))
		keep_all(backups, count, "no_policy");
	if (count > 0 && !counts(&backups[0]))
		keep_all(backups, count, "newest_unverified");
	keep_last(backups, count, policy->last);
	for (int span = 0; span < RETENTION_SPANS; span++)
		keep_span(backups, count, (enum retention_span)span, policy->spans[span]);
	for (size_t i = 0; i < count; i++)
		if (counts(&backups[i])) {
			keep(&backups[i], "newest");
			break;
		}
	keep_unverified(backups, count);
}
