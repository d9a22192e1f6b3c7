/* SPDX-License-Identifier: PostgreSQL */
/*
 * What Postgres knows about the whole queue, asked for when somebody wants it.
 *
 * It has a session of its own, so that a slow answer delays nothing but itself. Questions are sent
 * together, each a transaction with limits of its own; whoever comes while they are under way
 * waits for the same answers. Nobody waits longer than SURVEY_WAIT_MS: then what has been answered
 * so far is what there is. If all were answered, they serve again for 20 times as long as that
 * took, so that asking takes a twentieth of the server's time at most, however often pages are
 * asked for.
 *
 * No question counts a table: depth is summed from deltas. For ages the first ticket of each lane
 * is looked up in an index, which is cheap unless somebody holds back vacuum and dead tickets pile
 * up in front of it. So a look begins at the floors that this process's worker has proved, and when
 * looks are dear, most begin where the last one found something: that is a hint only, since
 * somebody who drew a lower number may commit later; a look from the floors comes at the latest
 * after 20 times what the last one took.
 */
#ifndef ATHENA_HTTP_SURVEY_H
#define ATHENA_HTTP_SURVEY_H

#include "config/config.h"
#include "http/metrics.h"

enum { SURVEY_WAIT_MS = 800 };

struct survey;

/* Somebody who waits for answers. `done` is called once; the struct is the caller's again then. */
struct survey_wait {
	void (*done)(struct survey_wait *wait);
	int64_t until_ms;
	struct survey_wait *prev, *next;
};

/* Starts connecting; config and program must outlive it. */
struct survey *survey_new(
	uv_loop_t *loop, const struct config *config, const struct program *program);

/* Calls done() now when there is nothing to wait for, because it is known or Postgres is away. */
void survey_wait(struct survey *survey, struct survey_wait *wait);

/* Every question has been answered lately. */
bool survey_is_complete(const struct survey *survey);

/* The samples of metrics[i]; NULL when its question was not answered. */
const struct buf *survey_samples(const struct survey *survey, size_t i);

/* The schema is right, and Postgres answers. Else adds a line to `reasons` that says why not. */
bool survey_is_ready(const struct survey *survey, struct buf *reasons);

/* Calls done() of all who wait. NULL is fine. */
void survey_free(struct survey *survey);

#endif
