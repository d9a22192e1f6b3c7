/* SPDX-License-Identifier: PostgreSQL */
/*
 * Who may be rescued: pure logic over what was seen, without a clock or a connection of its own.
 *
 * That a heartbeat is old by Postgres' clock proves nothing: after an outage, a failover or a step
 * of that clock all of them are old, and the rescue may be served before the heartbeats that were
 * queued. So a worker counts as silent only after we ourselves have seen one and the same heartbeat
 * for the whole lease, in observations that were never more than a third of the shortest lease
 * apart. A longer gap means that nobody could have beaten, or that we could not have seen it: the
 * watch of everybody begins anew. A worker counts as dead when its process was seen to be gone
 * twice, a while apart.
 *
 * Times are clock_boot_ms(), given by the caller: when a look was sent, and when it was answered.
 * What the answer shows was true at some moment in between.
 */
#ifndef ATHENA_MAINTENANCE_WATCH_H
#define ATHENA_MAINTENANCE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_DEAD_AGAIN_MS = 1000 };

/* Zero-initialise; release with watch_clear(). */
struct watch {
	struct watched *workers;
	size_t count;
	int64_t sent_ms, answered_ms; /* of the last look; 0: none yet */
	int64_t shortest_lease_ms;
};

/* One worker in one look. */
struct sight {
	const char *worker_id;
	const char *heartbeat; /* as text, only compared; is kept by copy */
	bool is_gone;	       /* its process ran on this host and does not any more */
};

enum verdict { VERDICT_LEAVE, VERDICT_SILENT, VERDICT_DEAD };

/* A look begins to be evaluated; then come watch_see() for each worker and watch_end(). */
void watch_begin(
	struct watch *watch, int64_t sent_ms, int64_t answered_ms, int64_t shortest_lease_ms);

/*
 * What to do about a worker. *ret_watched_ms (always written): for how long at least its heartbeat
 * has not changed. SILENT from the shortest lease on; which of its leases are old enough is for
 * athena.rescue() to say.
 */
enum verdict watch_see(struct watch *watch, const struct sight *sight, int64_t *ret_watched_ms);

/* Forgets whom this look did not show. */
void watch_end(struct watch *watch);

/* Forgets everything: after the connection was lost, the next look may be at another server. */
void watch_clear(struct watch *watch);

#endif
