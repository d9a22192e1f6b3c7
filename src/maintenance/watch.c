/* SPDX-License-Identifier: PostgreSQL */
/* What was seen of each worker, and for how long. */
#include "maintenance/watch.h"

#include <string.h>

#include "base/mem.h"

struct watched {
	char worker_id[40];
	char heartbeat[64];
	int64_t since_ms; /* when the look was answered that first showed this heartbeat */
	int64_t gone_ms; /* when the look was answered that first showed its process gone; 0: not */
	int64_t seen_ms; /* when the last look was answered that showed it */
};

/* The answer of the last look until that of this one: the longest time that went unseen. */
void watch_begin(
	struct watch *watch, int64_t sent_ms, int64_t answered_ms, int64_t shortest_lease_ms)
{
	if (answered_ms - watch->answered_ms > shortest_lease_ms / 3)
		for (size_t i = 0; i < watch->count; i++)
			watch->workers[i].since_ms = answered_ms;
	watch->sent_ms = sent_ms;
	watch->answered_ms = answered_ms;
	watch->shortest_lease_ms = shortest_lease_ms;
}

static struct watched *watch_get(struct watch *watch, const struct sight *sight)
{
	struct watched *watched;

	for (size_t i = 0; i < watch->count; i++)
		if (strcmp(watch->workers[i].worker_id, sight->worker_id) == 0)
			return &watch->workers[i];
	watch->workers = xreallocarray(watch->workers, watch->count + 1, sizeof(*watched));
	watched = &watch->workers[watch->count++];
	*watched = (struct watched){0};
	snprintf(watched->worker_id, sizeof(watched->worker_id), "%s", sight->worker_id);
	return watched;
}

enum verdict watch_see(struct watch *watch, const struct sight *sight, int64_t *ret_watched_ms)
{
	struct watched *watched = watch_get(watch, sight);

	if (strcmp(watched->heartbeat, sight->heartbeat) != 0) {
		snprintf(watched->heartbeat, sizeof(watched->heartbeat), "%s", sight->heartbeat);
		watched->since_ms = watch->answered_ms;
	}
	if (!sight->is_gone)
		watched->gone_ms = 0;
	else if (watched->gone_ms == 0)
		watched->gone_ms = watch->answered_ms;
	watched->seen_ms = watch->answered_ms;
	*ret_watched_ms =
		watch->sent_ms > watched->since_ms ? watch->sent_ms - watched->since_ms : 0;
	if (watched->gone_ms != 0 && watch->answered_ms - watched->gone_ms >= WATCH_DEAD_AGAIN_MS)
		return VERDICT_DEAD;
	return *ret_watched_ms >= watch->shortest_lease_ms ? VERDICT_SILENT : VERDICT_LEAVE;
}

void watch_end(struct watch *watch)
{
	size_t kept = 0;

	for (size_t i = 0; i < watch->count; i++)
		if (watch->workers[i].seen_ms == watch->answered_ms)
			watch->workers[kept++] = watch->workers[i];
	watch->count = kept;
}

void watch_clear(struct watch *watch)
{
	free(watch->workers);
	*watch = (struct watch){0};
}
