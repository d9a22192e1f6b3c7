/* SPDX-License-Identifier: PostgreSQL */
/*
 * Times on a command line: read as people write them, shown in their own zone; UTC for programs.
 *
 * Inside, a time is microseconds since 1970 UTC, as Postgres counts them. The zone of people is
 * that of the C library (TZ, /etc/localtime), or UTC after when_use_utc().
 */
#ifndef ATHENA_CLI_WHEN_H
#define ATHENA_CLI_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* From here on, what people read and write is UTC as well; of --utc. */
void when_use_utc(void);

/* Room for any text that these functions write. */
enum { WHEN_TEXT = 40 };

/* A point in time, or a distance from the moment that Postgres calls now. */
struct when {
	bool is_relative;
	int64_t us; /* since 1970, or from now; microseconds */
};

/*
 * Reads "+5m" (as durations: ms, s, m, h, d), "now", "14:30" (today), "2026-01-31", and ISO 8601
 * with "T" or a blank, seconds and fraction optional, and an optional zone: "Z", "+02:00", else
 * the local one. ERR_CONFIG otherwise.
 */
MUSTCHECK bool when_parse(const char *text, struct when *ret_when, struct err *e);

/* A timestamptz as Postgres sends it with DateStyle ISO and TimeZone UTC; asserted. */
int64_t when_from_postgres(const char *text);

/* 2026-01-31T12:00:00.123456Z, without a fraction of zero. Returns `text`. */
const char *when_utc(int64_t us, char text[WHEN_TEXT]);

/* 2026-01-31 13:00:00 in the local zone; only 13:00:00 when it is on the same day as `now_us`. */
const char *when_local(int64_t us, int64_t now_us, char text[WHEN_TEXT]);

/* 13:00:00.123 in the local zone. */
const char *when_clock(int64_t us, char text[WHEN_TEXT]);

/* The two greatest units: "350 ms", "4.2 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". */
const char *when_length(int64_t us, char text[WHEN_TEXT]);

/* "4.2 s ago", "in 3 min 20 s". */
const char *when_ago(int64_t us, int64_t now_us, char text[WHEN_TEXT]);

/* The local clock, for showing how long ago something was, never for deciding. */
int64_t when_now(void);

#endif
