/* SPDX-License-Identifier: PostgreSQL */
/*
 * Kinds restore and drill: the second half of a clone, whose first half was made before.
 *
 * All happens to a staging database with the names that a clone's has, so that what an attempt
 * leaves is found and removed in the same way. It gets the target's name when it has been compared
 * with the census that was taken of the source; a drill drops it then. A target that is replaced
 * keeps its data under another name: both renames are one transaction.
 */
#include <inttypes.h>
#include <time.h>

#include "base/fault.h"
#include "db/query.h"
#include "families/backup/backup.h"
#include "families/backup/census.h"
#include "families/backup/pump.h"
#include "families/clone/clone.h"
#include "families/clone/ddl.h"
#include "families/clone/leftovers.h"
#include "families/clone/staging.h"
#include "families/clone/tools.h"

struct restore {
	struct attempt *attempt;
	bool is_drill;
	struct place place;
	PGresult *backup;
	json_t *manifest;
	struct clone clone; /* names, target and facts */
	bool replaces;
};

static void restore_clear(struct restore *restore)
{
	place_clear(&restore->place);
	PQclear(restore->backup);
	json_decref(restore->manifest);
	endpoint_clear(&restore->clone.target);
	PQclear(restore->clone.facts);
}

static const json_t *manifest(const struct restore *restore, const char *name)
{
	return json_object_get(restore->manifest, name);
}

/* --- What it is to be */

/* The row that clone_source_facts.sql gave for the source, again. */
static PGresult *make_facts(const struct conn *conn, const json_t *database)
{
	PGresult *facts = PQmakeEmptyPGresult(conn->pg, PGRES_TUPLES_OK);
	int count = (int)json_object_size(database), column = 0;
	PGresAttDesc *attributes CLEANUP(free_ptr) =
		xcalloc((size_t)count + 1, sizeof(*attributes));
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)database, name, value)
		attributes[column++] = (PGresAttDesc){.name = (char *)(uintptr_t)name};
	PQsetResultAttrs(facts, count, attributes);
	column = 0;
	json_object_foreach ((json_t *)(uintptr_t)database, name, value) {
		char *text CLEANUP(free_ptr) =
			json_is_string(value) ? xstrdup(json_string_value(value)) : NULL;

		PQsetvalue(facts, 0, column++, text, text ? (int)strlen(text) : -1);
	}
	return facts;
}

static bool open_maintenance(struct restore *restore, struct err *e)
{
	static const char *const databases[] = {"postgres", "template1", NULL};
	struct endpoint *target = &restore->clone.target;

	for (int i = 0; databases[i]; i++) {
		target->maintenance = databases[i];
		if (endpoint_open(target, restore->attempt, target->maintenance,
			    restore->clone.application, &target->conn, e))
			return true;
		if (!strstr(e->text, "does not exist"))
			return false;
	}
	return false;
}

static bool judge_target(struct restore *restore, const PGresult *facts, struct err *e)
{
	const char *name = restore->clone.target.database;
	const char *replace = option_text(backup_payload, restore->attempt->payload, "replace");
	int major = (int)strtol(json_string_value(manifest(restore, "server_version")), NULL, 10);

	if (row_bool(facts, 0, "is_standby"))
		return err_code(e, ERR_TRANSIENT, "target_standby",
			"the target's server is a standby and takes no writes");
	if (!row_bool(facts, 0, "may_create"))
		return err_code(e, ERR_PERMANENT, "no_createdb",
			"role %s may not create databases in the target",
			PQuser(restore->clone.target.conn.pg));
	if (conn_major(&restore->clone.target.conn) < major)
		return err_code(e, ERR_PERMANENT, "target_older_than_source",
			"the target runs Postgres %d, older than the %d of the backup",
			conn_major(&restore->clone.target.conn), major);
	if (restore->is_drill)
		return true;
	if (replace && strcmp(replace, name) != 0)
		return err_code(e, ERR_PERMANENT, "replace_differs",
			"\"replace\" says %s, and the target is %s: nothing is replaced", replace,
			name);
	restore->replaces = replace && row_bool(facts, 0, "exists");
	return !row_bool(facts, 0, "exists") || replace ||
		err_code(e, ERR_PERMANENT, "target_exists",
			"database %s exists in the target; to replace it, say its name again as "
			"\"replace\"",
			name);
}

/* Who may act as an owner can restore what is his; roles that are missing are in the globals. */
static void tell_lack(const PGresult *lacks, int row, const char *user, struct buf *text)
{
	const char *code = row_text(lacks, row, "code");
	const char *name = row_text(lacks, row, "name");

	if (strcmp(code, "extension_version") == 0)
		return;
	if (text->length)
		buf_text(text, ", ");
	if (strcmp(code, "not_member") == 0)
		buf_printf(text, "role %s must be a member of %s, who owns some of it", user, name);
	else
		buf_printf(text, "%s %s%s", row_text(lacks, row, "what"), name,
			strcmp(code, "missing_extension") == 0
				? ""
				: " (see the backup's .globals.sql)");
}

/* Roles, extensions and tablespaces that the dump will ask for. */
static bool check_needs(struct restore *restore, struct err *e)
{
	static const char *const columns[] = {"what", "name", "version"};
	struct params params CLEANUP(params_clear) = {0};
	PGresult *lacks CLEANUP(clear_result) = NULL;
	struct buf text CLEANUP(buf_clear) = {0};
	const json_t *needs = manifest(restore, "needs");
	size_t count = json_array_size(needs);
	const char **texts CLEANUP(free_ptr) = xcalloc(count + 1, sizeof(*texts));

	for (int column = 0; column < 3; column++) {
		for (size_t i = 0; i < count; i++)
			texts[i] = json_string_value(
				json_object_get(json_array_get(needs, i), columns[column]));
		params_texts(&params, texts, count);
	}
	if (!attempt_query(restore->attempt, &restore->clone.target.conn, &sql_clone_target_lacks,
		    &params, &lacks, e))
		return err_in(e, "asking what the target lacks");
	for (int row = 0; row < PQntuples(lacks); row++)
		tell_lack(lacks, row, PQuser(restore->clone.target.conn.pg), &text);
	return text.length == 0 ||
		err_code(e, ERR_PERMANENT, "target_lacks",
			"the target lacks what the backup needs: %s", text.bytes);
}

/* *ret_is_done: an earlier attempt has finished the target, and died before it could say so. */
static bool prepare_target(struct restore *restore, bool *ret_is_done, struct err *e)
{
	struct clone *clone = &restore->clone;
	struct params params CLEANUP(params_clear) = {0};
	PGresult *facts CLEANUP(clear_result) = NULL;

	attempt_phase(restore->attempt, "prepare_target");
	if (!open_maintenance(restore, e) ||
		!leftovers_end_sessions(clone, "target", &clone->target.conn, e) ||
		!leftovers_drop_stagings(clone, e))
		return false;
	params_text(&params, clone->target.database);
	params_i64(&params, restore->attempt->job_id);
	params_text(&params, restore->attempt->queue_id);
	if (!attempt_query(restore->attempt, &clone->target.conn, &sql_clone_target_facts, &params,
		    &facts, e))
		return err_in(e, "looking at the target");
	*ret_is_done = !restore->is_drill && row_bool(facts, 0, "is_ours");
	if (*ret_is_done)
		return true;
	clone->facts = make_facts(&clone->target.conn, manifest(restore, "database"));
	return judge_target(restore, facts, e) && check_needs(restore, e);
}

/* --- Making it */

static bool check_digests(const struct restore *restore, const struct flow *flow, struct err *e)
{
	if (strcmp(flow->stored.sha256, row_text(restore->backup, 0, "stored_sha256")) == 0 &&
		strcmp(flow->plain.sha256, row_text(restore->backup, 0, "sha256")) == 0)
		return true;
	return err_code(e, ERR_PERMANENT, "damaged",
		"the backup is damaged: its bytes are not those that were written");
}

/*
 * Through the staging database or not at all: that the bytes were right is known after the last one
 * has been restored. So a tool that fails is believed only if they were.
 */
static bool fill(struct restore *restore, struct err *e)
{
	struct clone *clone = &restore->clone;
	struct tool_target target = {&clone->target.conn, clone->staging, clone->application};
	const char *key =
		backup_key(restore->attempt, row_text(restore->backup, 0, "stem"), "dump");
	struct tools_found pg_restore;
	struct flow flow CLEANUP(flow_clear) = {0};
	struct feed feed CLEANUP(feed_clear) = {.is_lenient = true,
		.total = row_i64(restore->backup, 0, "bytes"),
		.weight = row_i64(restore->backup, 0, "bytes")};

	if (!tools_find_one(restore->attempt, "pg_restore",
		    restore->attempt->config->pg_restore_path,
		    (int)json_integer_value(manifest(restore, "pg_dump_version")), &pg_restore, e))
		return false;
	const char *const argv[] = {pg_restore.path, "--exit-on-error", "--no-password", NULL};

	attempt_phase(restore->attempt, "restoring");
	return feed_begin(&feed, restore->attempt, argv, &target, e) &&
		flow_read(&flow, restore->place.store, key,
			!row_is_null(restore->backup, 0, "key_id"), &restore->place.keys, feed_take,
			&feed, e) &&
		check_digests(restore, &flow, e) && feed_end(&feed, e) &&
		!FAULT_FAILS("backup_restore", "filled", PQsocket(clone->target.conn.pg), e);
}

static bool compare(struct restore *restore, struct err *e)
{
	const json_t *expected = manifest(restore, "census");
	const char *level = json_string_value(json_object_get(expected, "level"));
	struct conn staging CLEANUP(conn_close) = {0};
	struct buf text CLEANUP(buf_clear) = {0};
	json_auto_t *found = NULL;
	int differences;

	attempt_phase(restore->attempt, "verify_target");
	if (!endpoint_open(&restore->clone.target, restore->attempt, restore->clone.staging,
		    restore->clone.application, &staging, e) ||
		!census_take(restore->attempt, &staging, level ? level : "none", NULL, &found, e))
		return err_in(e, "comparing with the manifest");
	differences = census_compare(expected, found, &text);
	attempt_event(restore->attempt, differences ? EVENT_ERROR : EVENT_INFO,
		"verification_result",
		json_pack("{s:b, s:s?, s:i, s:I, s:I}", "passed", differences == 0, "level", level,
			"differences", differences, "tables",
			(json_int_t)json_array_size(json_object_get(found, "tables")), "rows",
			(json_int_t)census_rows(found)),
		"%d differences to what was backed up%s%s", differences, differences ? ": " : "",
		differences ? text.bytes : "");
	if (differences > 0)
		return err_code(e, ERR_PERMANENT, "verification_failed",
			"what was restored is not what was backed up: %s", text.bytes);
	return !FAULT_FAILS(
		"backup_restore", "compared", PQsocket(restore->clone.target.conn.pg), e);
}

/* --- Its name */

static bool swap_names(struct restore *restore, const char *kept, struct err *e)
{
	struct clone *clone = &restore->clone;
	struct conn *conn = &clone->target.conn;
	struct err ignored;

	if (attempt_command(restore->attempt, conn, "BEGIN", e) &&
		ddl_run(restore->attempt, conn, e, "ALTER DATABASE %I RENAME TO %I",
			clone->target.database, kept) &&
		ddl_run(restore->attempt, conn, e, "ALTER DATABASE %I RENAME TO %I", clone->staging,
			clone->target.database) &&
		!FAULT_FAILS("backup_restore", "swap", PQsocket(conn->pg), e) &&
		attempt_command(restore->attempt, conn, "COMMIT", e))
		return !FAULT_FAILS("backup_restore", "swapped", PQsocket(conn->pg), e);
	err_ignored(attempt_command(restore->attempt, conn, "ROLLBACK", &ignored),
		"the first error counts");
	if (strcmp(e->sqlstate, "55006") == 0)
		return err_code(e, ERR_TRANSIENT, "target_in_use",
			"database %s has sessions, and cannot be renamed before they end",
			clone->target.database);
	return err_in(e, "replacing %s", clone->target.database);
}

static const char *name_kept(struct restore *restore)
{
	time_t now = time(NULL);
	char moment[24];
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(moment, sizeof(moment), "%Y%m%d%H%M%S", &utc);
	return arena_printf(&restore->attempt->arena, "%.*s_before_%s",
		CLONE_NAME_MAX - 1 - (int)strlen("_before_") - (int)strlen(moment),
		restore->clone.target.database, moment);
}

static bool publish(struct restore *restore, struct err *e)
{
	struct clone *clone = &restore->clone;
	const char *kept = restore->replaces ? name_kept(restore) : NULL;

	attempt_phase(restore->attempt, "complete");
	if (!staging_mark(clone, e) ||
		!(kept ? swap_names(restore, kept, e) : staging_rename(clone, e)))
		return false;
	attempt_event(restore->attempt, EVENT_INFO, "target_created",
		json_pack("{s:s, s:s?}", "name", clone->target.database, "kept", kept),
		"%s is restored%s%s", clone->target.database, kept ? "; what was there is " : "",
		kept ? kept : "");
	return true;
}

/* --- Together */

static bool record_drill(struct restore *restore, const char *problem, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_i64(&params, row_i64(restore->backup, 0, "job_id"));
	params_text(&params, problem);
	return catalog_ask(restore->attempt, &sql_backup_drilled, &params, &rows, e);
}

static bool end_drill(struct restore *restore, struct err *e)
{
	attempt_phase(restore->attempt, "complete");
	if (!staging_drop(&restore->clone, restore->clone.staging, e) ||
		!record_drill(restore, NULL, e))
		return false;
	attempt_event(restore->attempt, EVENT_INFO, "drilled",
		json_pack("{s:I}", "backup", (json_int_t)row_i64(restore->backup, 0, "job_id")),
		"backup %" PRId64 " was restored, compared and dropped again",
		row_i64(restore->backup, 0, "job_id"));
	return true;
}

static bool run(struct restore *restore, struct err *e)
{
	bool is_done = false;

	if (!prepare_target(restore, &is_done, e))
		return false;
	if (is_done) {
		attempt_event(restore->attempt, EVENT_INFO, "already_complete", NULL,
			"an earlier attempt of this job has made %s",
			restore->clone.target.database);
		return true;
	}
	if (staging_create(&restore->clone, e) && fill(restore, e) && compare(restore, e) &&
		(restore->is_drill ? end_drill(restore, e) : publish(restore, e))) {
		attempt_progress(restore->attempt, row_i64(restore->backup, 0, "bytes"),
			row_i64(restore->backup, 0, "bytes"), "bytes");
		return true;
	}
	staging_abandon(&restore->clone);
	return false;
}

/* Where a drill is told no server, it uses that of the database that was backed up. */
static const char *target_of(struct restore *restore)
{
	const json_t *payload = restore->attempt->payload;
	const char *target = option_text(backup_payload, payload, "target");
	const char *database = option_text(backup_payload, payload, "database");

	if (target || !restore->is_drill)
		return target;
	return database ? database : row_text(restore->backup, 0, "client");
}

static bool prepare(struct restore *restore, struct err *e)
{
	struct attempt *attempt = restore->attempt;
	const char *target;

	if (!place_open(attempt, &restore->place, e) ||
		!catalog_find(attempt, &restore->backup, e) ||
		!place_holds(&restore->place, restore->backup, e))
		return false;
	restore->manifest = json_loads(row_text(restore->backup, 0, "manifest"), 0, NULL);
	restore->clone.attempt = attempt;
	clone_name_traces(&restore->clone, attempt);
	target = target_of(restore);
	return (target || backup_need(attempt, "target", &target, e)) &&
		endpoint_init(&restore->clone.target, attempt, "target", target, e);
}

bool backup_restore(struct attempt *attempt, struct err *e)
{
	struct restore restore CLEANUP(restore_clear) = {.attempt = attempt};

	return prepare(&restore, e) && run(&restore, e);
}

bool backup_drill(struct attempt *attempt, struct err *e)
{
	struct restore restore CLEANUP(restore_clear) = {.attempt = attempt, .is_drill = true};
	struct err ignored;

	if (!prepare(&restore, e))
		return false;
	if (run(&restore, e))
		return true;
	if (!err_is_retryable(e) && e->kind == ERR_PERMANENT)
		err_ignored(record_drill(&restore, e->text, &ignored), "the job fails in any case");
	return false;
}
