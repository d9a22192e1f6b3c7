/* SPDX-License-Identifier: PostgreSQL */
/*
 * Kind backup: snapshot, dump, globals, census, read back, manifest, done.
 *
 * The catalog's row says `running` from before the first byte until all is read back; one update
 * makes it `completed`. What a failure or a death leaves is under the row's stem.
 */
#include <inttypes.h>
#include <time.h>

#include "base/fault.h"
#include "base/redact.h"
#include "db/query.h"
#include "families/backup/backup.h"
#include "families/backup/census.h"
#include "families/backup/pump.h"
#include "families/clone/endpoint.h"
#include "families/clone/tools.h"

enum { OLDEST_MAJOR = 14, CLIENT_BYTES_MAX = 100, MANIFEST_FORMAT = 1 };

/* What the manifest says of one object. */
struct stored {
	const char *key;
	int64_t bytes, stored_bytes;
	char sha256[65], stored_sha256[65];
};

struct create {
	struct attempt *attempt;
	struct place place;
	const struct seal_key *key; /* NULL: not encrypted */
	const char *client, *label, *level, *stem, *snapshot;
	char application[64];
	struct endpoint source; /* its session holds the snapshot */
	PGresult *facts, *where, *needs;
	struct sequences before;
	struct tools_found pg_dump, pg_dumpall, pg_restore;
	struct stored dump, globals; /* globals.key NULL: there are none */
	struct gauge gauge;
	time_t started, dumped;
	bool may_be_complete; /* the catalog was asked to say so */
	json_t *census, *manifest;
};

static void create_clear(struct create *create)
{
	place_clear(&create->place);
	endpoint_clear(&create->source);
	PQclear(create->facts);
	PQclear(create->where);
	PQclear(create->needs);
	sequences_clear(&create->before);
	gauge_clear(&create->gauge);
	json_decref(create->census);
	json_decref(create->manifest);
}

static bool ask_source(struct create *create, const struct sql_statement *statement,
	PGresult **ret_rows, struct err *e)
{
	return attempt_query(create->attempt, &create->source.conn, statement, NULL, ret_rows, e) ||
		err_in(e, "%s", statement->name);
}

/* --- Names */

/* A client's name as a part of keys; one that had to be changed gets a digest of what it was. */
static const char *plain_name(struct attempt *attempt, const char *client)
{
	struct buf name CLEANUP(buf_clear) = {0};
	struct digest digest CLEANUP(digest_clear) = {0};
	bool is_changed = strlen(client) > CLIENT_BYTES_MAX;

	for (const char *c = client; *c && name.length < CLIENT_BYTES_MAX; c++) {
		char part[2] = {*c, '\0'};
		bool is_good = *c != '/' && !(*c == '.' && name.length == 0) &&
			(*c == '.' || store_key_is_valid(part));

		buf_char(&name, is_good ? *c : '_');
		is_changed = is_changed || !is_good;
	}
	if (!is_changed)
		return arena_strdup(&attempt->arena, name.bytes ? name.bytes : "_");
	digest_begin(&digest);
	digest_add(&digest, client, strlen(client));
	digest_end(&digest);
	return arena_printf(
		&attempt->arena, "%s-%.8s", name.bytes ? name.bytes : "", digest.sha256);
}

static void name_objects(struct create *create)
{
	struct attempt *attempt = create->attempt;
	char day[16], moment[24];
	struct tm utc;

	gmtime_r(&create->started, &utc);
	strftime(day, sizeof(day), "%Y/%m/%d", &utc);
	strftime(moment, sizeof(moment), "%Y%m%dT%H%M%SZ", &utc);
	create->stem = arena_printf(&attempt->arena, "%s%s%s/%s/%s-%" PRId64 "-t%" PRId64,
		create->place.prefix ? create->place.prefix : "", create->place.prefix ? "/" : "",
		plain_name(attempt, create->client), day, moment, attempt->job_id, attempt->ticket);
}

/* --- Before the first byte */

/* *ret_is_done: an earlier attempt has completed the backup, and died before it could say so. */
static bool look_at_earlier(struct create *create, bool *ret_is_done, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *earlier CLEANUP(clear_result) = NULL;

	*ret_is_done = false;
	params_i64(&params, create->attempt->job_id);
	if (!catalog_ask(create->attempt, &sql_backup_earlier, &params, &earlier, e))
		return false;
	if (PQntuples(earlier) == 0)
		return true;
	if (!row_bool(earlier, 0, "is_ours"))
		return err_code(e, ERR_PERMANENT, "id_taken",
			"the catalog has a backup %" PRId64 " of a job that was there before this "
			"one",
			create->attempt->job_id);
	if (row_i64(earlier, 0, "ticket") > create->attempt->ticket)
		return err_code(e, ERR_TRANSIENT, "newer_ticket",
			"ticket %" PRId64 " of this job is already at work",
			row_i64(earlier, 0, "ticket"));
	*ret_is_done = strcmp(row_text(earlier, 0, "state"), "running") != 0;
	return *ret_is_done || !place_holds(&create->place, earlier, e) ||
		place_sweep(&create->place, create->attempt, row_text(earlier, 0, "stem"), e);
}

/* The transaction's first statement takes the snapshot; everything is seen in it. */
static bool take_snapshot(struct create *create, struct err *e)
{
	struct endpoint *source = &create->source;
	PGresult *exported CLEANUP(clear_result) = NULL;

	if (!endpoint_open(source, create->attempt, NULL, create->application, &source->conn, e))
		return false;
	if (conn_major(&source->conn) < OLDEST_MAJOR)
		return err_code(e, ERR_PERMANENT, "version_unsupported",
			"the server runs Postgres %d, and the oldest that can be backed up is %d",
			conn_major(&source->conn), OLDEST_MAJOR);
	if (!attempt_command(create->attempt, &source->conn,
		    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e) ||
		!ask_source(create, &sql_clone_source_facts, &create->facts, e) ||
		!ask_source(create, &sql_backup_source, &create->where, e) ||
		!ask_source(create, &sql_clone_source_needs, &create->needs, e) ||
		!endpoint_lock_tables(source, create->attempt, e) ||
		!sequences_read(create->attempt, &source->conn, &create->before, e) ||
		!gauge_begin(
			&create->gauge, create->attempt, &source->conn, create->application, e) ||
		!ask_source(create, &sql_clone_snapshot, &exported, e))
		return false;
	create->snapshot = arena_strdup(&create->attempt->arena, row_text(exported, 0, "snapshot"));
	return !FAULT_FAILS("backup", "snapshot", PQsocket(source->conn.pg), e);
}

/* pg_dumpall stands beside the pg_dump that it calls. */
static bool find_tools(struct create *create, struct err *e)
{
	const struct config *config = create->attempt->config;
	int major = conn_major(&create->source.conn);
	const char *folder;
	char *beside;

	if (!tools_find_one(
		    create->attempt, "pg_dump", config->pg_dump_path, major, &create->pg_dump, e) ||
		!tools_find_one(create->attempt, "pg_restore", config->pg_restore_path,
			create->pg_dump.major, &create->pg_restore, e))
		return false;
	if (create->pg_dump.major < major)
		return err_code(e, ERR_PERMANENT, "source_newer_than_pg_dump",
			"the server runs Postgres %d, and %s is of version %d only", major,
			create->pg_dump.path, create->pg_dump.major);
	folder = strrchr(create->pg_dump.path, '/');
	beside = arena_printf(&create->attempt->arena, "%.*s/pg_dumpall",
		(int)(folder ? folder - create->pg_dump.path : 0), create->pg_dump.path);
	return tools_find_one(create->attempt, "pg_dumpall", beside, major, &create->pg_dumpall, e);
}

static bool begin(struct create *create, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_i64(&params, create->attempt->job_id);
	params_i64(&params, create->attempt->ticket);
	params_text(&params, create->client);
	params_text(&params, create->label);
	params_text(&params, create->place.store->driver->name);
	params_text(&params, create->place.store->place);
	params_text(&params, create->stem);
	params_text(&params, create->key ? create->key->id : NULL);
	if (!catalog_ask(create->attempt, &sql_backup_begin, &params, &rows, e))
		return false;
	return PQntuples(rows) > 0 ||
		err_code(e, ERR_TRANSIENT, "lease_lost", "the job has been given to somebody else");
}

/* --- The objects */

static void note_stored(struct stored *stored, const struct flow *flow, const char *key)
{
	*stored = (struct stored){
		.key = key, .bytes = flow->plain.bytes, .stored_bytes = flow->stored.bytes};
	memcpy(stored->sha256, flow->plain.sha256, sizeof(stored->sha256));
	memcpy(stored->stored_sha256, flow->stored.sha256, sizeof(stored->stored_sha256));
}

/* Nothing is completed before the tool has ended well. */
static bool store_output(struct create *create, const char *const *argv, struct gauge *gauge,
	const char *kind, struct stored *ret_stored, struct err *e)
{
	struct tool_target target = {
		&create->source.conn, create->source.database, create->application};
	const char *key = backup_key(create->attempt, create->stem, kind);
	struct flow flow CLEANUP(flow_clear) = {0};

	if (!flow_begin(&flow, create->place.store, key, create->key, e) ||
		FAULT_FAILS("backup", "begun", PQsocket(create->source.conn.pg), e) ||
		!pump_from_tool(
			create->attempt, argv, &target, &create->source.conn, &flow, gauge, e) ||
		FAULT_FAILS("backup", "written", PQsocket(create->source.conn.pg), e) ||
		!flow_end(&flow, e) ||
		FAULT_FAILS("backup", "stored", PQsocket(create->source.conn.pg), e))
		return err_in(e, "%s", key);
	note_stored(ret_stored, &flow, key);
	return true;
}

static bool dump(struct create *create, struct err *e)
{
	char *from CLEANUP(free_ptr) = xasprintf("--snapshot=%s", create->snapshot);
	const char *const argv[] = {create->pg_dump.path, "-Fc", from, "--no-password",
		"--lock-wait-timeout=60000", "--no-publications", "--no-subscriptions", NULL};

	attempt_phase(create->attempt, "dumping");
	if (!store_output(create, argv, &create->gauge, "dump", &create->dump, e))
		return false;
	create->dumped = time(NULL);
	attempt_progress(create->attempt, create->gauge.total, 2 * create->gauge.total, "bytes");
	return true;
}

/* Roles and tablespaces are the server's: whoever may not read them has a backup all the same. */
static bool dump_globals(struct create *create, struct err *e)
{
	const char *const argv[] = {create->pg_dumpall.path, "--globals-only",
		"--no-role-passwords", "--no-password", NULL};

	if (store_output(create, argv, NULL, "globals.sql", &create->globals, e))
		return true;
	if (e->kind != ERR_PERMANENT)
		return false;
	create->globals = (struct stored){0};
	attempt_event(create->attempt, EVENT_WARN, "globals_skipped", NULL,
		"roles and tablespaces could not be dumped: %s", e->text);
	return true;
}

/* --- Read back */

static bool differs(const struct stored *stored, const struct flow *flow, struct err *e)
{
	if (strcmp(stored->stored_sha256, flow->stored.sha256) != 0)
		return err_code(e, ERR_TRANSIENT, "damaged",
			"%s: %" PRId64
			" bytes were read back, with another digest than the %" PRId64
			" that were written",
			stored->key, flow->stored.bytes, stored->stored_bytes);
	return strcmp(stored->sha256, flow->plain.sha256) == 0 ||
		err_code(e, ERR_TRANSIENT, "damaged",
			"%s: what was decrypted is not what was encrypted", stored->key);
}

static bool forget(void *context, const void *bytes, size_t length, struct err *e)
{
	(void)context, (void)bytes, (void)length, (void)e;
	return true;
}

static bool read_back(struct create *create, struct err *e)
{
	const char *const argv[] = {create->pg_restore.path, "-f", "/dev/null", NULL};
	struct flow dump CLEANUP(flow_clear) = {0}, globals CLEANUP(flow_clear) = {0};
	struct feed feed CLEANUP(feed_clear) = {.is_lenient = true,
		.total = create->dump.bytes,
		.before = create->gauge.total,
		.weight = create->gauge.total};

	attempt_phase(create->attempt, "verifying");
	if (!feed_begin(&feed, create->attempt, argv, NULL, e) ||
		!flow_read(&dump, create->place.store, create->dump.key, create->key,
			&create->place.keys, feed_take, &feed, e) ||
		!differs(&create->dump, &dump, e) || !feed_end(&feed, e))
		return err_in(e, "reading it back");
	if (create->globals.key &&
		(!flow_read(&globals, create->place.store, create->globals.key, create->key,
			 &create->place.keys, forget, NULL, e) ||
			!differs(&create->globals, &globals, e)))
		return err_in(e, "reading it back");
	return !FAULT_FAILS("backup", "verified", PQsocket(create->source.conn.pg), e);
}

/* --- Manifest */

static json_t *describe_object(const struct stored *stored)
{
	if (!stored->key)
		return json_null();
	return json_pack("{s:s, s:I, s:s, s:I, s:s}", "key", stored->key, "bytes",
		(json_int_t)stored->bytes, "sha256", stored->sha256, "stored_bytes",
		(json_int_t)stored->stored_bytes, "stored_sha256", stored->stored_sha256);
}

/* A row as an object of texts. */
static json_t *describe_row(const PGresult *rows, int row)
{
	json_t *object = json_object();

	for (int column = 0; column < PQnfields(rows); column++)
		json_object_set_new(object, PQfname(rows, column),
			PQgetisnull(rows, row, column)
				? json_null()
				: json_string(PQgetvalue(rows, row, column)));
	return object;
}

static json_t *describe_needs(const PGresult *needs)
{
	json_t *list = json_array();

	for (int row = 0; row < PQntuples(needs); row++)
		json_array_append_new(list, describe_row(needs, row));
	return list;
}

static json_t *describe_time(time_t at)
{
	char text[32];
	struct tm utc;

	gmtime_r(&at, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_string(text);
}

static void make_manifest(struct create *create)
{
	const struct attempt *attempt = create->attempt;

	create->manifest = json_pack(
		"{s:i, s:I, s:I, s:i, s:s, s:s, s:s?, s:s, s:o, s:s, s:s, s:i, "
		"s:o, s:o, s:s, s:i, s:o, s:o, s:o, s:o, s:O}",
		"format", MANIFEST_FORMAT, "job", (json_int_t)attempt->job_id, "ticket",
		(json_int_t)attempt->ticket, "attempt", attempt->number, "queue", attempt->queue_id,
		"client", create->client, "label", create->label, "name", create->source.database,
		"database", describe_row(create->facts, 0), "server_version",
		row_text(create->where, 0, "server_version"), "lsn",
		row_text(create->where, 0, "lsn"), "pg_dump_version", create->pg_dump.major,
		"dump_started", describe_time(create->started), "dump_ended",
		describe_time(create->dumped), "flags", "-Fc --no-publications --no-subscriptions",
		"tool_exit_status", 0, "needs", describe_needs(create->needs), "dump",
		describe_object(&create->dump), "globals", describe_object(&create->globals),
		"encryption",
		create->key
			? json_pack("{s:s, s:s}", "cipher", "ATHSEAL1", "key_id", create->key->id)
			: json_null(),
		"census", create->census);
}

static bool store_manifest(struct create *create, struct err *e)
{
	const char *key = backup_key(create->attempt, create->stem, "manifest.json");
	char *text CLEANUP(free_ptr) = json_dumps(create->manifest, JSON_INDENT(1));
	struct flow flow CLEANUP(flow_clear) = {0};

	if (!flow_begin(&flow, create->place.store, key, NULL, e) ||
		!flow_write(&flow, text, strlen(text), e) || !flow_end(&flow, e))
		return err_in(e, "%s", key);
	return !FAULT_FAILS("backup", "manifested", PQsocket(create->source.conn.pg), e);
}

/* --- Together */

static bool complete(struct create *create, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	char *manifest CLEANUP(free_ptr) = json_dumps(create->manifest, JSON_COMPACT);

	attempt_phase(create->attempt, "completing");
	create->may_be_complete = true;
	params_i64(&params, create->attempt->job_id);
	params_i64(&params, create->attempt->ticket);
	params_i64(&params, create->dump.bytes);
	params_text(&params, create->dump.sha256);
	params_i64(&params, create->dump.stored_bytes);
	params_text(&params, create->dump.stored_sha256);
	params_text(&params, manifest);
	if (!catalog_ask(create->attempt, &sql_backup_complete, &params, &rows, e))
		return false;
	if (PQntuples(rows) == 0)
		return err_code(
			e, ERR_TRANSIENT, "lease_lost", "the job has been given to somebody else");
	attempt_event(create->attempt, EVENT_INFO, "backup_completed",
		json_pack("{s:s, s:I, s:I, s:s, s:I}", "key", create->dump.key, "bytes",
			(json_int_t)create->dump.bytes, "stored_bytes",
			(json_int_t)create->dump.stored_bytes, "sha256", create->dump.sha256,
			"rows", (json_int_t)census_rows(create->census)),
		"%s: %" PRId64 " bytes in %s, read back and found right", create->client,
		create->dump.stored_bytes, create->place.store->place);
	attempt_progress(
		create->attempt, 2 * create->gauge.total, 2 * create->gauge.total, "bytes");
	return true;
}

static bool census(struct create *create, struct err *e)
{
	attempt_phase(create->attempt, "counting");
	return census_take(create->attempt, &create->source.conn, create->level, &create->before,
		       &create->census, e) ||
		err_in(e, "counting what the backup holds");
}

static bool run(struct create *create, struct err *e)
{
	return dump(create, e) && dump_globals(create, e) && census(create, e) &&
		read_back(create, e) && (make_manifest(create), store_manifest(create, e)) &&
		complete(create, e);
}

/* As well as it can: what stays is found by the next attempt. */
static void abandon(struct create *create)
{
	struct err why;

	if (!place_sweep(&create->place, create->attempt, create->stem, &why))
		attempt_event(create->attempt, EVENT_WARN, "left_behind",
			json_pack("{s:s, s:s}", "what", "objects", "name", create->stem), "%s",
			why.text);
}

static bool prepare(struct create *create, struct err *e)
{
	struct attempt *attempt = create->attempt;
	const char *named;

	if (!backup_need(attempt, "database", &named, e) ||
		!backup_client(attempt, &create->client, e) ||
		!endpoint_init(&create->source, attempt, "database", named, e) ||
		!place_open(attempt, &create->place, e))
		return false;
	create->label = option_text(backup_payload, attempt->payload, "label");
	create->level = option_text(backup_payload, attempt->payload, "verify");
	create->key = create->place.keys.count > 0 ? &create->place.keys.keys[0] : NULL;
	create->started = time(NULL);
	snprintf(create->application, sizeof(create->application),
		"athena:backup:%" PRId64 ":%" PRId64, attempt->job_id, attempt->ticket);
	name_objects(create);
	return true;
}

static bool make(struct attempt *attempt, struct err *e)
{
	struct create create CLEANUP(create_clear) = {.attempt = attempt};
	bool is_done;

	if (!prepare(&create, e) || !look_at_earlier(&create, &is_done, e))
		return false;
	if (is_done) {
		attempt_event(attempt, EVENT_INFO, "already_complete", NULL,
			"an earlier attempt of this job has made the backup");
		return true;
	}
	attempt_phase(attempt, "snapshot");
	if (!take_snapshot(&create, e) || !find_tools(&create, e) || !begin(&create, e))
		return false;
	if (run(&create, e))
		return true;
	if (!create.may_be_complete)
		abandon(&create);
	return false;
}

/* An attempt that died between the two finds its backup, and goes on with the second. */
bool backup_create(struct attempt *attempt, struct err *e)
{
	return make(attempt, e) && backup_expire_if_asked(attempt, e);
}
