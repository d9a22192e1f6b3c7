/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a worker has done for one family since it started, for whoever asks (http/metrics.h).
 *
 * They only grow, are lost with the process, and count what Postgres has acknowledged. Each line
 * has its own. Jobs that end without a worker (cancelled while they were waiting) are in nobody's.
 */
#ifndef ATHENA_WORKER_COUNTERS_H
#define ATHENA_WORKER_COUNTERS_H

#include "base/histogram.h"
#include "queue/lease.h"

enum outcome { OUTCOME_SUCCEEDED, OUTCOME_DEAD, OUTCOME_CANCELLED, OUTCOMES };

/* As in athena.outcomes.state. */
extern const char *const outcome_names[OUTCOMES];

struct counters {
	uint64_t claimed;
	uint64_t finished[OUTCOMES];
	uint64_t failed;	/* attempts, whether the job is tried again or not */
	struct histogram waits; /* from when a job fell due until its first attempt began */
	struct histogram runs;	/* of attempts, however they ended */
};

/* So many attempts of a lease have ended by that time of the boot clock, and share it evenly. */
void counters_ran(
	struct counters *counters, const struct lease *lease, int attempts, int64_t ended_ns);

/*
 * Postgres has taken the result of so many jobs, which are now in that state; NULL: nobody knows.
 */
void counters_settled(struct counters *counters, bool has_failed, const char *state, int jobs);

#endif
