/* SPDX-License-Identifier: PostgreSQL */
/* From an empty database to the finished target, and back to nothing after a failure. */
#include "families/clone/staging.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/fault.h"
#include "db/query.h"
#include "families/clone/ddl.h"

enum {
	RENAME_WITHIN_MS = 60000,
	RENAME_AGAIN_MS = 500,
	ABANDON_WITHIN_MS = 8000, /* less than the grace that a cancelled attempt has */
	ABANDON_AGAIN_MS = 250,
};

/* Majors before 15 know no LOCALE_PROVIDER; preflight has refused what they cannot hold. */
static bool add_locale(struct buf *sql, const struct clone *clone, struct err *e)
{
	const struct conn *conn = &clone->target.conn;
	const PGresult *facts = clone->facts;
	const char *provider = row_text(facts, 0, "provider");
	const char *locale = row_text(facts, 0, "locale");
	const char *rules = row_text(facts, 0, "rules");

	if (!ddl_add(sql, conn, e, " TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L",
		    row_text(facts, 0, "encoding"), row_text(facts, 0, "collate"),
		    row_text(facts, 0, "ctype")))
		return false;
	if (provider[0] == 'i')
		return ddl_add(sql, conn, e, " LOCALE_PROVIDER icu ICU_LOCALE %L", locale) &&
			(!rules || ddl_add(sql, conn, e, " ICU_RULES %L", rules));
	if (provider[0] == 'b')
		return ddl_add(sql, conn, e, " LOCALE_PROVIDER builtin BUILTIN_LOCALE %L", locale);
	return conn_major(conn) < 15 || ddl_add(sql, conn, e, " LOCALE_PROVIDER libc");
}

/* pg_dump does not say that the source has lost its schema public; template0 has one. */
static bool drop_public(struct clone *clone, struct err *e)
{
	struct conn conn CLEANUP(conn_close) = {0};

	return endpoint_open(&clone->target, clone->attempt, clone->staging, clone->application,
		       &conn, e) &&
		attempt_command(clone->attempt, &conn, "DROP SCHEMA public", e);
}

bool staging_create(struct clone *clone, struct err *e)
{
	struct buf sql CLEANUP(buf_clear) = {0};

	if (!ddl_add(&sql, &clone->target.conn, e, "CREATE DATABASE %I", clone->staging) ||
		!add_locale(&sql, clone, e) ||
		FAULT_FAILS("clone", "create", PQsocket(clone->target.conn.pg), e) ||
		!attempt_command(clone->attempt, &clone->target.conn, sql.bytes, e) ||
		FAULT_FAILS("clone", "created", PQsocket(clone->target.conn.pg), e))
		return err_in(e, "creating %s", clone->staging);
	attempt_event(clone->attempt, EVENT_INFO, "staging_created",
		json_pack("{s:s}", "name", clone->staging), "created %s", clone->staging);
	if (row_bool(clone->facts, 0, "lacks_public") && !drop_public(clone, e))
		return err_in(e, "dropping schema public in %s", clone->staging);
	return true;
}

bool staging_drop(struct clone *clone, const char *name, struct err *e)
{
	return (!FAULT_FAILS("clone_drop", "send", PQsocket(clone->target.conn.pg), e) &&
		       ddl_run(clone->attempt, &clone->target.conn, e,
			       "DROP DATABASE IF EXISTS %I WITH (FORCE)", name) &&
		       !FAULT_FAILS(
			       "clone_drop", "answered", PQsocket(clone->target.conn.pg), e)) ||
		err_in(e, "dropping %s", name);
}

static bool drop_own(struct clone *clone, struct err *e)
{
	if (PQstatus(clone->target.conn.pg) != CONNECTION_OK) {
		conn_close(&clone->target.conn);
		if (!endpoint_open(&clone->target, clone->attempt, clone->target.maintenance,
			    clone->application, &clone->target.conn, e))
			return false;
	}
	return staging_drop(clone, clone->staging, e);
}

void staging_abandon(struct clone *clone)
{
	int64_t deadline_ms = clock_boot_ms() + ABANDON_WITHIN_MS;
	struct err why;
	int ready;

	while (!drop_own(clone, &why)) {
		if (!err_is_retryable(&why) || clock_boot_ms() > deadline_ms ||
			!attempt_wait(clone->attempt, NULL, 0, ABANDON_AGAIN_MS, &ready, &why)) {
			attempt_event(clone->attempt, EVENT_WARN, "left_behind",
				json_pack("{s:s, s:s}", "what", "database", "name", clone->staging),
				"%s could not be dropped: %s", clone->staging, why.text);
			return;
		}
	}
	attempt_event(clone->attempt, EVENT_INFO, "cleanup_done",
		json_pack("{s:s, s:s}", "what", "database", "name", clone->staging), "dropped %s",
		clone->staging);
}

static char *mark_text(const struct clone *clone)
{
	return arena_printf(&clone->attempt->arena,
		"queue=%s job=%" PRId64 " ticket=%" PRId64 " verified", clone->attempt->queue_id,
		clone->attempt->job_id, clone->attempt->ticket);
}

static bool mark_by_comment(struct clone *clone, const char *mark, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *database CLEANUP(clear_result) = NULL;
	struct buf text CLEANUP(buf_clear) = {0};

	params_text(&params, clone->staging);
	if (!attempt_query(clone->attempt, &clone->target.conn, &sql_clone_database, &params,
		    &database, e))
		return false;
	if (PQntuples(database) > 0 && !row_is_null(database, 0, "comment"))
		buf_printf(&text, "%s\n", row_text(database, 0, "comment"));
	buf_printf(&text, "athena.clone=%s", mark);
	return ddl_run(clone->attempt, &clone->target.conn, e, "COMMENT ON DATABASE %I IS %L",
		clone->staging, text.bytes);
}

bool staging_mark(struct clone *clone, struct err *e)
{
	const char *mark = mark_text(clone);
	bool ok;

	if (FAULT_FAILS("clone_name", "mark", PQsocket(clone->target.conn.pg), e))
		return false;
	if (conn_is_superuser(&clone->target.conn))
		ok = ddl_run(clone->attempt, &clone->target.conn, e,
			"ALTER DATABASE %I SET athena.clone = %L", clone->staging, mark);
	else
		ok = mark_by_comment(clone, mark, e);
	return (ok && !FAULT_FAILS("clone_name", "marked", PQsocket(clone->target.conn.pg), e)) ||
		err_in(e, "marking %s as verified", clone->staging);
}

bool staging_rename(struct clone *clone, struct err *e)
{
	int64_t deadline_ms = clock_boot_ms() + RENAME_WITHIN_MS;
	int ready;

	if (FAULT_FAILS("clone_name", "rename", PQsocket(clone->target.conn.pg), e))
		return false;
	while (!ddl_run(clone->attempt, &clone->target.conn, e, "ALTER DATABASE %I RENAME TO %I",
		clone->staging, clone->target.database)) {
		if (strcmp(e->sqlstate, "42P04") == 0)
			return err_code(e, ERR_PERMANENT, "target_exists",
				"database %s was created by somebody else in the meantime",
				clone->target.database);
		if (strcmp(e->sqlstate, "55006") != 0 || clock_boot_ms() > deadline_ms)
			return err_in(
				e, "renaming %s to %s", clone->staging, clone->target.database);
		if (!attempt_wait(clone->attempt, NULL, 0, RENAME_AGAIN_MS, &ready, e))
			return false;
	}
	return !FAULT_FAILS("clone_name", "renamed", PQsocket(clone->target.conn.pg), e);
}
