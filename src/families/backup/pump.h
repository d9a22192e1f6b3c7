/* SPDX-License-Identifier: PostgreSQL */
/*
 * A tool on one end and a flow on the other: pg_dump into the store, the store into pg_restore.
 *
 * Both wait in attempt_wait() only. A tool that fails is reported as an event and as the error.
 */
#ifndef ATHENA_FAMILIES_BACKUP_PUMP_H
#define ATHENA_FAMILIES_BACKUP_PUMP_H

#include "families/backup/flow.h"
#include "families/backup/gauge.h"
#include "families/clone/tool.h"

/*
 * Runs a tool and takes all that it writes. `holder` (or NULL) is the session whose snapshot it
 * uses: if that ends, so does this, as ERR_TRANSIENT "source_lost". `gauge` (or NULL) reports.
 */
MUSTCHECK bool pump_from_tool(struct attempt *attempt, const char *const *argv,
	const struct tool_target *target, const struct conn *holder, struct flow *flow,
	struct gauge *gauge, struct err *e);

/*
 * A pg_restore that is fed. Zero-initialise but for what says how its progress is reported; release
 * with feed_clear(). feed_take() is a store_take. With `is_lenient` it never fails for the tool's
 * sake, but feed_end() does: so that all is read, whatever pg_restore thinks of it.
 */
struct feed {
	struct attempt *attempt;
	struct tool tool;
	bool is_started, is_lenient, has_failed;
	int64_t fed, total;
	int64_t before, weight; /* what was done before, and what all of this counts as */
};

MUSTCHECK bool feed_begin(struct feed *feed, struct attempt *attempt, const char *const *argv,
	const struct tool_target *target, struct err *e);
bool feed_take(void *feed, const void *bytes, size_t length, struct err *e);

/* Its input ends; waits until it has, and says whether it ended well. */
MUSTCHECK bool feed_end(struct feed *feed, struct err *e);
void feed_clear(struct feed *feed);

#endif
