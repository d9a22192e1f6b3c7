/* SPDX-License-Identifier: PostgreSQL */
/* What earlier attempts left on the servers. */
#include "families/clone/leftovers.h"

#include <inttypes.h>

#include "base/clock.h"
#include "db/query.h"
#include "families/clone/staging.h"

enum {
	GONE_WITHIN_MS = 30000,
	LOOK_AGAIN_MS = 100,
};

static bool newer_ticket(int64_t ticket, struct err *e)
{
	return err_code(e, ERR_TRANSIENT, "newer_ticket",
		"ticket %" PRId64 " of this job is already at work", ticket);
}

static void report_session(
	struct clone *clone, const char *label, const PGresult *sessions, int row)
{
	attempt_event(clone->attempt, EVENT_INFO, "cleanup_done",
		json_pack("{s:s, s:s, s:I, s:I}", "what", "session", "where", label, "ticket",
			(json_int_t)row_i64(sessions, row, "ticket"), "pid",
			(json_int_t)row_i64(sessions, row, "pid")),
		"ended session %" PRId64 " of ticket %" PRId64 " on the %s",
		row_i64(sessions, row, "pid"), row_i64(sessions, row, "ticket"), label);
}

/* One look: tells those that are left to end, and counts them. Reported at the first look. */
static bool end_sessions(struct clone *clone, const char *label, struct conn *conn, bool is_first,
	int *ret_left, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *sessions CLEANUP(clear_result) = NULL;

	params_i64(&params, clone->attempt->job_id);
	params_i64(&params, clone->attempt->ticket);
	params_text(&params, clone->tag);
	if (!attempt_query(clone->attempt, conn, &sql_clone_sessions, &params, &sessions, e))
		return err_in(e, "ending sessions of earlier attempts on the %s", label);
	for (int row = 0; row < PQntuples(sessions); row++) {
		if (!row_bool(sessions, row, "is_older"))
			return newer_ticket(row_i64(sessions, row, "ticket"), e);
		if (is_first)
			report_session(clone, label, sessions, row);
	}
	*ret_left = PQntuples(sessions);
	return true;
}

bool leftovers_end_sessions(
	struct clone *clone, const char *label, struct conn *conn, struct err *e)
{
	int64_t deadline_ms = clock_boot_ms() + GONE_WITHIN_MS;
	int left, ready;

	if (!end_sessions(clone, label, conn, true, &left, e))
		return false;
	while (left > 0) {
		if (clock_boot_ms() > deadline_ms)
			return err_code(e, ERR_TRANSIENT, "leftover_sessions",
				"%d sessions of earlier attempts do not end on the %s", left,
				label);
		if (!attempt_wait(clone->attempt, NULL, 0, LOOK_AGAIN_MS, &ready, e) ||
			!end_sessions(clone, label, conn, false, &left, e))
			return false;
	}
	return true;
}

static void report_dropped(struct clone *clone, const char *name, const char *who)
{
	attempt_event(clone->attempt, EVENT_INFO, "cleanup_done",
		json_pack("{s:s, s:s}", "what", "database", "name", name),
		"dropped %s, which %s left", name, who);
}

bool leftovers_drop_stagings(struct clone *clone, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *found CLEANUP(clear_result) = NULL;

	params_i64(&params, clone->attempt->job_id);
	params_text(&params, clone->tag);
	if (!attempt_query(
		    clone->attempt, &clone->target.conn, &sql_clone_stagings, &params, &found, e))
		return err_in(e, "looking for staging databases of earlier attempts");
	for (int row = 0; row < PQntuples(found); row++)
		if (row_i64(found, row, "ticket") > clone->attempt->ticket)
			return newer_ticket(row_i64(found, row, "ticket"), e);
	for (int row = 0; row < PQntuples(found); row++) {
		const char *name = row_text(found, row, "datname");

		if (!staging_drop(clone, name, e))
			return false;
		report_dropped(clone, name, "an earlier attempt");
	}
	return true;
}

bool leftovers_drop_orphans(struct clone *clone, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *found CLEANUP(clear_result) = NULL;

	params_i64(&params, clone->attempt->job_id);
	params_text(&params, clone->tag);
	if (!attempt_query(
		    clone->attempt, &clone->target.conn, &sql_clone_orphans, &params, &found, e))
		return err_in(e, "looking for staging databases that nobody holds");
	for (int row = 0; row < PQntuples(found); row++) {
		const char *name = row_text(found, row, "datname");

		if (staging_drop(clone, name, e))
			report_dropped(clone, name, "another job");
		else if (e->kind == ERR_CANCELLED || e->kind == ERR_LEASE_LOST ||
			PQstatus(clone->target.conn.pg) != CONNECTION_OK)
			return false;
	}
	return true;
}
