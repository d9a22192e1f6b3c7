/* SPDX-License-Identifier: PostgreSQL */
/*
 * The story of a job: moments out of its state, its failures and its events, told in order.
 *
 * The queue writes no history on the ordinary path, so it is put together from what is there. A
 * phase lasts until the next one begins, or until its attempt ended. The story owns its texts;
 * zero-initialise, release with story_clear().
 */
#ifndef ATHENA_CLI_STORY_H
#define ATHENA_CLI_STORY_H

#include <libpq-fe.h>
#include <stdint.h>

#include "cli/terminal.h"

enum moment_rank { MOMENT_BEGIN, MOMENT_INSIDE, MOMENT_END }; /* order within one microsecond */

struct moment {
	int64_t at_us;
	int64_t length_us; /* of a phase; < 0: none, or not known */
	enum moment_rank rank;
	int depth; /* indentation: 0 the job, 1 an attempt's phases, 2 what they say */
	enum style style;
	char *text;
};

struct story {
	struct moment *moments;
	size_t count;
	int64_t quiet;		/* events that are not told */
	int64_t failed_last_us; /* the end of a job is told after its last failure */
};

/* Rows of job_failures.sql, of job_show.sql, and of job_events.sql; failures before the job. */
void story_add_failures(struct story *story, const PGresult *failures);
void story_add_job(struct story *story, const PGresult *job);
void story_add_events(struct story *story, const PGresult *events);

/* Sorts, measures the phases, prints. */
void story_print(struct story *story, const struct terminal *terminal);

void story_clear(struct story *story);

#endif
