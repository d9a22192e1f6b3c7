/* SPDX-License-Identifier: PostgreSQL */
/* Looks before the leap. */
#include "families/clone/preflight.h"

#include <inttypes.h>

#include "base/fault.h"
#include "db/query.h"
#include "families/clone/left_out.h"
#include "families/clone/leftovers.h"
#include "families/clone/room.h"
#include "families/clone/tools.h"

enum { OLDEST_MAJOR = 14, LONG_TRANSACTION_S = 3600 };

static bool query(struct clone *clone, struct conn *conn, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e)
{
	return attempt_query(clone->attempt, conn, statement, params, ret_rows, e) ||
		err_in(e, "%s", statement->name);
}

static void find(struct clone *clone, const char *code, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void find(struct clone *clone, const char *code, const char *fmt, ...)
{
	char *text CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	findings_add(&clone->findings, clone->attempt, ERR_PERMANENT, code, "%s", text);
}

static bool check_readable(struct clone *clone, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!query(clone, &clone->source.conn, &sql_clone_source_unreadable, NULL, &rows, e))
		return false;
	for (int row = 0; row < PQntuples(rows); row++) {
		const char *code = row_text(rows, row, "code");
		const char *name = row_text(rows, row, "name");

		if (strcmp(code, "row_security") == 0)
			find(clone, code, "row security hides rows of %s from role %s", name,
				PQuser(clone->source.conn.pg));
		else
			find(clone, code, "role %s has no right to %s %s",
				PQuser(clone->source.conn.pg),
				strcmp(code, "no_usage") == 0 ? "use schema" : "read", name);
	}
	return true;
}

static void note_what_may_happen(struct clone *clone)
{
	int64_t oldest_s = row_is_null(clone->facts, 0, "oldest_transaction_s")
		? 0
		: row_i64(clone->facts, 0, "oldest_transaction_s");

	if (row_bool(clone->facts, 0, "may_be_interrupted"))
		findings_note(clone->attempt, "standby",
			"the source is a standby that ends queries in the way of its replay: "
			"hot_standby_feedback or max_standby_streaming_delay = -1 prevents that");
	if (oldest_s > LONG_TRANSACTION_S)
		findings_note(clone->attempt, "long_transaction",
			"a transaction of the source is %" PRId64
			" s old; changes of definitions that wait for it make the clone wait",
			oldest_s);
}

static void note_what_stays(struct clone *clone)
{
	int64_t user_mappings = row_i64(clone->facts, 0, "user_mappings");
	int64_t publications = row_i64(clone->facts, 0, "publications");
	int64_t foreign_tables = row_i64(clone->facts, 0, "foreign_tables");
	int64_t unreadable_tables = row_i64(clone->facts, 0, "unreadable_tables");

	if (publications > 0)
		findings_note(clone->attempt, "publications",
			"publications are not copied (%" PRId64 "), nor are subscriptions",
			publications);
	if (foreign_tables > 0)
		findings_note(clone->attempt, "foreign_tables",
			"foreign tables (%" PRId64 ") are copied without rows, which are elsewhere",
			foreign_tables);
	if (user_mappings > 0)
		findings_note(clone->attempt, "user_mappings",
			"user mappings (%" PRId64 ") are copied with the passwords in them",
			user_mappings);
	if (unreadable_tables > 0)
		findings_note(clone->attempt, "unlogged_tables",
			"unlogged tables (%" PRId64 ") have no rows on a standby",
			unreadable_tables);
}

/* The transaction's first statement takes the snapshot; everything on the source is seen in it. */
static bool open_source(struct clone *clone, PGresult **ret_needs, struct err *e)
{
	struct endpoint *source = &clone->source;

	if (!endpoint_open(source, clone->attempt, NULL, clone->application, &source->conn, e))
		return false;
	if (conn_major(&source->conn) < OLDEST_MAJOR)
		return err_code(e, ERR_PERMANENT, "version_unsupported",
			"the source runs Postgres %d, and the oldest that can be cloned is %d",
			conn_major(&source->conn), OLDEST_MAJOR);
	if (!leftovers_end_sessions(clone, "source", &source->conn, e))
		return false;
	if (!attempt_command(clone->attempt, &source->conn,
		    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e) ||
		!query(clone, &source->conn, &sql_clone_source_facts, NULL, &clone->facts, e))
		return false;
	if (!left_out_read(clone, e))
		return false;
	clone->table_bytes = row_i64(clone->facts, 0, "bytes");
	clone->mode = mode_choose(clone->mode, clone->jobs, clone->table_bytes, &clone->mode_why);
	note_what_stays(clone);
	note_what_may_happen(clone);
	room_check_source(clone);
	return query(clone, &source->conn, &sql_clone_source_needs, NULL, ret_needs, e) &&
		check_readable(clone, e);
}

/* A session that is on no database that anybody clones to. */
static bool open_maintenance(struct clone *clone, struct err *e)
{
	static const char *const databases[] = {"postgres", "template1", NULL};
	struct endpoint *target = &clone->target;

	for (int i = 0; databases[i]; i++) {
		target->maintenance = databases[i];
		if (endpoint_open(target, clone->attempt, target->maintenance, clone->application,
			    &target->conn, e))
			return true;
		if (!strstr(e->text, "does not exist"))
			return false;
	}
	return false;
}

static void judge_target(struct clone *clone, const PGresult *facts)
{
	const char *name = clone->target.database;

	if (row_bool(facts, 0, "exists")) {
		if (clone->facts && strcmp(name, clone->source.database) == 0 &&
			row_i64(facts, 0, "system_identifier") ==
				row_i64(clone->facts, 0, "system_identifier"))
			find(clone, "same_database", "source and target are the same database, %s",
				name);
		else
			find(clone, "target_exists", "database %s exists in the target", name);
	}
	if (row_bool(facts, 0, "is_standby"))
		findings_add(&clone->findings, clone->attempt, ERR_TRANSIENT, "target_standby",
			"the target's server is a standby and takes no writes");
	if (!row_bool(facts, 0, "may_create"))
		find(clone, "no_createdb", "role %s may not create databases in the target",
			PQuser(clone->target.conn.pg));
}

static void judge_versions(struct clone *clone)
{
	int source = conn_major(&clone->source.conn), target = conn_major(&clone->target.conn);
	const char *provider = row_text(clone->facts, 0, "provider");

	if (target < source)
		find(clone, "target_older_than_source",
			"the target runs Postgres %d, older than the source's %d", target, source);
	else if ((provider[0] == 'i' && target < 15) || (provider[0] == 'b' && target < 17))
		find(clone, "locale_provider",
			"Postgres %d of the target does not know the source's locale provider",
			target);
}

static bool open_target(struct clone *clone, bool *ret_is_done, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *facts CLEANUP(clear_result) = NULL;
	struct conn *conn = &clone->target.conn;

	if (!open_maintenance(clone, e) || !leftovers_end_sessions(clone, "target", conn, e) ||
		!leftovers_drop_stagings(clone, e) || !leftovers_drop_orphans(clone, e))
		return false;
	params_text(&params, clone->target.database);
	params_i64(&params, clone->attempt->job_id);
	params_text(&params, clone->attempt->queue_id);
	if (!query(clone, conn, &sql_clone_target_facts, &params, &facts, e))
		return false;
	*ret_is_done = row_bool(facts, 0, "is_ours");
	if (*ret_is_done)
		return true;
	judge_target(clone, facts);
	if (!clone->facts)
		return true;
	judge_versions(clone);
	room_check_target(clone, facts);
	return true;
}

static void judge_lack(struct clone *clone, const char *code, const char *what, const char *name,
	const char *detail)
{
	bool is_policy = strcmp(what, "policy") == 0, is_owner = strcmp(what, "owner") == 0;

	if (clone->skips_owners ? is_owner || strcmp(what, "role") == 0 : is_policy)
		return;
	if (strcmp(code, "missing_role") == 0)
		find(clone, code, "role %s, which %s, does not exist in the target", name,
			is_policy	   ? "policies name"
				: is_owner ? "owns objects"
					   : "has rights");
	else if (strcmp(code, "not_member") == 0)
		find(clone, code, "role %s of the target cannot give objects to %s",
			PQuser(clone->target.conn.pg), name);
	else if (strcmp(code, "extension_version") == 0)
		findings_note(clone->attempt, code,
			"extension %s will be of version %s, the target's default", name, detail);
	else
		find(clone, code, "%s %s is not available in the target", what, name);
}

static bool check_needs(struct clone *clone, const PGresult *needs, struct err *e)
{
	static const char *const columns[] = {"what", "name", "version"};
	struct params params CLEANUP(params_clear) = {0};
	PGresult *lacks CLEANUP(clear_result) = NULL;
	int count = PQntuples(needs);
	const char **texts CLEANUP(free_ptr) = xcalloc((size_t)count, sizeof(*texts));

	for (int column = 0; column < 3; column++) {
		for (int row = 0; row < count; row++)
			texts[row] = row_text(needs, row, columns[column]);
		params_texts(&params, texts, (size_t)count);
	}
	if (!query(clone, &clone->target.conn, &sql_clone_target_lacks, &params, &lacks, e))
		return false;
	for (int row = 0; row < PQntuples(lacks); row++)
		judge_lack(clone, row_text(lacks, row, "code"), row_text(lacks, row, "what"),
			row_text(lacks, row, "name"), row_text(lacks, row, "detail"));
	return true;
}

static void report_passed(struct clone *clone)
{
	attempt_event(clone->attempt, EVENT_INFO, "preflight_check",
		json_pack("{s:s, s:b, s:i, s:i, s:I}", "check", "all", "passed", 1,
			"source_version", conn_major(&clone->source.conn), "target_version",
			conn_major(&clone->target.conn), "table_bytes",
			(json_int_t)clone->table_bytes),
		"nothing in the way: Postgres %d to %d, %" PRId64 " bytes in tables",
		conn_major(&clone->source.conn), conn_major(&clone->target.conn),
		clone->table_bytes);
}

bool preflight(struct clone *clone, bool *ret_is_done, struct err *e)
{
	PGresult *needs CLEANUP(clear_result) = NULL;
	bool source_ok, target_ok, is_done = false;

	attempt_phase(clone->attempt, "validate_source");
	source_ok = open_source(clone, &needs, e);
	if (!source_ok && !findings_take(&clone->findings, clone->attempt, e))
		return false;
	if (FAULT_FAILS("clone", "validated", PQsocket(clone->source.conn.pg), e))
		return false;
	attempt_phase(clone->attempt, "prepare_target");
	target_ok = open_target(clone, &is_done, e);
	if (target_ok && !is_done && needs)
		target_ok = check_needs(clone, needs, e);
	if (!target_ok && !findings_take(&clone->findings, clone->attempt, e))
		return false;
	if (FAULT_FAILS("clone", "prepared", PQsocket(clone->target.conn.pg), e))
		return false;
	*ret_is_done = is_done;
	if (is_done)
		return true;
	attempt_phase(clone->attempt, "resolve_tools");
	if (!tools_find(clone, e) && !findings_take(&clone->findings, clone->attempt, e))
		return false;
	if (!findings_none(&clone->findings, e) ||
		!endpoint_lock_tables(&clone->source, clone->attempt, e))
		return false;
	report_passed(clone);
	return true;
}
