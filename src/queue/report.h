/* SPDX-License-Identifier: PostgreSQL */
/*
 * Events and progress of running attempts, on their way into Postgres.
 *
 * Executors send them faster than one would want transactions; the reporter collects, and writes
 * all events in one statement and the latest progress of each attempt in one each. While Postgres
 * is away events wait in memory, REPORT_EVENTS_MAX of them; what comes beyond is dropped, and a
 * warning says how many. An event whose insert was never answered may be written twice: it is
 * worth less to lose one. Runs on the worker's loop, never blocks.
 */
#ifndef ATHENA_QUEUE_REPORT_H
#define ATHENA_QUEUE_REPORT_H

#include <jansson.h>

#include "db/session.h"
#include "queue/lease.h"

enum { REPORT_EVENTS_MAX = 10000 };

struct reporter {
	struct session *session;
	const char *worker_id;
	json_t *events;	  /* waiting */
	json_t *flying;	  /* being inserted, or NULL */
	json_t *progress; /* by ticket: the latest, not yet sent */
	size_t alone;	  /* so many of the first events are sent one by one */
	int dropped;
	int64_t wait_until_ms; /* boot clock: an error that may pass, such as a full disk */
	struct err error;      /* as logged last */
};

#define REPORT_STATEMENTS &sql_event_insert, &sql_progress_set

void reporter_init(struct reporter *reporter);

/* body: what the executor sent (worker/message.h), of the job of the lease that runs. */
void reporter_event(struct reporter *reporter, const struct lease *lease, const char *body);
void reporter_progress(struct reporter *reporter, const struct lease *lease, const char *body);

/* Sends what waits, if the session is up and the last batch was answered. Once per turn. */
void reporter_flush(struct reporter *reporter);

/* Nothing waits and nothing is under way. */
bool reporter_is_idle(const struct reporter *reporter);

void reporter_clear(struct reporter *reporter);

#endif
