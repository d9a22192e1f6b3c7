/* SPDX-License-Identifier: PostgreSQL */
/* Opening and closing many sessions. */
#include "families/clone/lanes.h"

#include "db/query.h"
#include "families/clone/ddl.h"

static bool open_source(struct lane *lane, struct clone *clone, struct err *e)
{
	struct attempt *attempt = clone->attempt;

	return endpoint_open(&clone->source, attempt, NULL, clone->application, &lane->source, e) &&
		attempt_command(attempt, &lane->source,
			"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e) &&
		ddl_run(attempt, &lane->source, e, "SET TRANSACTION SNAPSHOT %L", clone->snapshot);
}

/* Whoever copies takes any word from the staging database for the end of the copy. */
static bool open_staging(struct lane *lane, struct clone *clone, struct err *e)
{
	struct attempt *attempt = clone->attempt;

	return endpoint_open(&clone->target, attempt, clone->staging, clone->application,
		       &lane->staging, e) &&
		attempt_command(attempt, &lane->staging, "SET client_min_messages TO error", e) &&
		attempt_command(attempt, &lane->staging, "SET synchronous_commit TO off", e);
}

bool lanes_open(struct lanes *lanes, struct clone *clone, int count, struct err *e)
{
	lanes->rows = xcalloc((size_t)count + 1, sizeof(*lanes->rows));
	for (; lanes->count < count; lanes->count++) {
		struct lane *lane = &lanes->rows[lanes->count];

		if (!open_source(lane, clone, e) || !open_staging(lane, clone, e)) {
			conn_close(&lane->source);
			return err_in(e, "opening session %d of %d", lanes->count + 1, count);
		}
	}
	return true;
}

void lanes_close(struct lanes *lanes)
{
	for (int i = 0; i < lanes->count; i++) {
		conn_close(&lanes->rows[i].source);
		conn_close(&lanes->rows[i].staging);
	}
	free(lanes->rows);
	*lanes = (struct lanes){0};
}
