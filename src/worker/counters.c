/* SPDX-License-Identifier: PostgreSQL */
/* Counting what a worker does. */
#include "worker/counters.h"

#include <string.h>

const char *const outcome_names[OUTCOMES] = {
	[OUTCOME_SUCCEEDED] = "succeeded",
	[OUTCOME_DEAD] = "dead",
	[OUTCOME_CANCELLED] = "cancelled",
};

/* Postgres knows how long it waited for the claim, and we for how long since. */
void counters_ran(
	struct counters *counters, const struct lease *lease, int attempts, int64_t ended_ns)
{
	uint64_t times = (uint64_t)attempts;
	double run_s = (double)(ended_ns - lease->started_ns) / 1e9;

	if (lease->started_ns == 0) /* there was no process to run it */
		return;
	histogram_observe(&counters->runs, run_s / attempts, times);
	if (lease->waited_s >= 0)
		histogram_observe(&counters->waits,
			lease->waited_s + (double)(lease->started_ns - lease->asked_ns) / 1e9,
			times);
}

void counters_settled(struct counters *counters, bool has_failed, const char *state, int jobs)
{
	if (has_failed)
		counters->failed += (uint64_t)jobs;
	for (int i = 0; state && i < OUTCOMES; i++)
		if (strcmp(state, outcome_names[i]) == 0)
			counters->finished[i] += (uint64_t)jobs;
}
