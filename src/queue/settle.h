/* SPDX-License-Identifier: PostgreSQL */
/*
 * Settling: how results get into Postgres, each exactly once or known to be too late.
 *
 * A lease with a result is given to the settler, which sends it with the next flush: succeeded
 * ones together in one statement (and together with a claim, if the caller adds one to the group),
 * chunks that have succeeded whole in another one, all others one by one; a chunk whose jobs ended
 * each in its own way, with the results of all. The answer decides:
 *
 *   settled, or settled before by us (after a lost COMMIT answer): done;
 *   lost: somebody rescued it; its result is dropped with a warning;
 *   connection lost: unknown; it is sent again once the connection is back;
 *   another error: a batch is sent again one by one, and what still fails is settled as failed
 *   for good ("unreportable result"), so that no poison blocks a worker for ever.
 *
 * If we die with results unsent, the leases run out and the jobs run again: at least once.
 * Runs on the worker's loop, never blocks.
 */
#ifndef ATHENA_QUEUE_SETTLE_H
#define ATHENA_QUEUE_SETTLE_H

#include "db/session.h"
#include "queue/lease.h"

struct settler {
	struct session *session;
	const char *worker_id;
	struct lease_table *leases;
	struct lease *queue; /* results that wait to be sent */
	int queued;
	int flying;	       /* statements whose answer is awaited */
	int64_t wait_until_ms; /* boot clock: an error that may pass, such as a full disk */
	void *context;
	/*
	 * A lease's story has ended; it is freed right after. `answer` is settled, already or lost.
	 * Of a chunk it is that of all its jobs, or there is a call for each of them.
	 */
	void (*ended)(void *context, const struct lease *lease, int64_t job_id, const char *answer,
		const char *state, const char *run_at);
};

/* The statements that the settler's session has to know. */
#define SETTLE_STATEMENTS                                                          \
	&sql_settle_succeeded, &sql_settle, &sql_settle_chunks, &sql_settle_chunk, \
		&sql_settle_recall

/* Takes a lease whose result is set. */
void settler_add(struct settler *settler, struct lease *lease);

/*
 * Sends what waits: the lone ones in groups of their own, then the batch of succeeded ones without
 * the sync, so that the caller may add a claim to its group. True when a sync is still owed.
 */
bool settler_flush(struct settler *settler);

/* Nothing waits and nothing is under way. */
bool settler_is_idle(const struct settler *settler);

#endif
