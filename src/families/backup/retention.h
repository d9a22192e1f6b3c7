/* SPDX-License-Identifier: PostgreSQL */
/*
 * Which backups of one database may go: pure arithmetic on its history.
 *
 * Kept are the last N, and of each of the last N hours, days, weeks, months and years that have one
 * (in UTC; weeks begin on Monday) the newest in it; whatever is pinned; whatever is younger than
 * min_age. Only backups that are verified count as good ones: what is not verified takes no place,
 * and goes only when it is older than the oldest verified one that stays.
 *
 * Two rules stand above all others: the newest verified backup never goes; and while the newest
 * attempt of all is not verified, nothing goes, since something may be wrong with backups.
 */
#ifndef ATHENA_FAMILIES_BACKUP_RETENTION_H
#define ATHENA_FAMILIES_BACKUP_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum retention_span {
	RETENTION_HOUR,
	RETENTION_DAY,
	RETENTION_WEEK,
	RETENTION_MONTH,
	RETENTION_YEAR,
	RETENTION_SPANS,
};

struct retention_policy {
	int64_t last;
	int64_t spans[RETENTION_SPANS];
	int64_t min_age_s;
};

/* A policy that names nothing keeps everything. */
bool retention_is_empty(const struct retention_policy *policy);

struct retention_backup {
	int64_t at_s; /* since 1970 */
	bool is_complete, is_verified, is_pinned;

	/* Answers. */
	bool goes;
	const char *reason; /* "last", "daily", "pinned", ...; why it stays or goes */
};

/*
 * Judges all of them. `backups` are in order, newest first. Those that are not complete belong to
 * an attempt that runs or has failed; they never go.
 */
void retention_judge(const struct retention_policy *policy, int64_t now_s,
	struct retention_backup *backups, size_t count);

#endif
