/* SPDX-License-Identifier: PostgreSQL */
/*
 * Kind verify: reads and hashes every byte of a backup, and restores it to /dev/null.
 *
 * What is found goes into the catalog: a backup that is damaged is no longer verified, and
 * retention stops counting on it. What prevents reading for the moment changes nothing there.
 */
#include <inttypes.h>

#include "db/query.h"
#include "families/backup/backup.h"
#include "families/backup/pump.h"
#include "families/clone/tools.h"

struct verify {
	struct attempt *attempt;
	struct place place;
	PGresult *backup;
	json_t *manifest;
};

static void verify_clear(struct verify *verify)
{
	place_clear(&verify->place);
	PQclear(verify->backup);
	json_decref(verify->manifest);
}

static bool damaged(struct err *e, const char *key, const char *what)
{
	return err_code(e, ERR_PERMANENT, "damaged", "%s: %s", key, what);
}

static bool check(const json_t *object, const struct flow *flow, struct err *e)
{
	const char *key = json_string_value(json_object_get(object, "key"));
	const char *stored = json_string_value(json_object_get(object, "stored_sha256"));
	const char *plain = json_string_value(json_object_get(object, "sha256"));

	if (flow->stored.bytes != json_integer_value(json_object_get(object, "stored_bytes")))
		return damaged(e, key, "it has another size than was written");
	if (!stored || strcmp(flow->stored.sha256, stored) != 0)
		return damaged(e, key, "its bytes are not those that were written");
	return (plain && strcmp(flow->plain.sha256, plain) == 0) ||
		damaged(e, key, "it decrypts to other bytes than were encrypted");
}

static bool is_sealed(const struct verify *verify)
{
	return !row_is_null(verify->backup, 0, "key_id");
}

/* The digest judges first: what pg_restore says of bytes that are wrong anyway helps nobody. */
static bool verify_dump(struct verify *verify, struct err *e)
{
	const json_t *object = json_object_get(verify->manifest, "dump");
	const char *key = json_string_value(json_object_get(object, "key"));
	struct tools_found pg_restore;
	struct flow flow CLEANUP(flow_clear) = {0};
	struct feed feed CLEANUP(feed_clear) = {.is_lenient = true,
		.total = row_i64(verify->backup, 0, "bytes"),
		.weight = row_i64(verify->backup, 0, "bytes")};

	if (!tools_find_one(verify->attempt, "pg_restore", verify->attempt->config->pg_restore_path,
		    (int)json_integer_value(json_object_get(verify->manifest, "pg_dump_version")),
		    &pg_restore, e))
		return false;
	const char *const argv[] = {pg_restore.path, "-f", "/dev/null", NULL};

	if (!feed_begin(&feed, verify->attempt, argv, NULL, e) ||
		!flow_read(&flow, verify->place.store, key, is_sealed(verify), &verify->place.keys,
			feed_take, &feed, e) ||
		!check(object, &flow, e))
		return false;
	if (feed_end(&feed, e))
		return true;
	if (e->kind != ERR_CANCELLED)
		err_code(e, ERR_PERMANENT, "unrestorable", "%s: pg_restore cannot read it", key);
	return false;
}

static bool forget(void *context, const void *bytes, size_t length, struct err *e)
{
	(void)context, (void)bytes, (void)length, (void)e;
	return true;
}

static bool verify_globals(struct verify *verify, struct err *e)
{
	const json_t *object = json_object_get(verify->manifest, "globals");
	const char *key = json_string_value(json_object_get(object, "key"));
	struct flow flow CLEANUP(flow_clear) = {0};

	return !key ||
		(flow_read(&flow, verify->place.store, key, is_sealed(verify), &verify->place.keys,
			 forget, NULL, e) &&
			check(object, &flow, e));
}

static bool collect(void *context, const void *bytes, size_t length, struct err *e)
{
	(void)e;
	buf_add(context, bytes, length);
	return true;
}

/* The object beside the dump must say what the catalog says. */
static bool verify_manifest(struct verify *verify, struct err *e)
{
	const char *key =
		backup_key(verify->attempt, row_text(verify->backup, 0, "stem"), "manifest.json");
	struct buf text CLEANUP(buf_clear) = {0};
	struct flow flow CLEANUP(flow_clear) = {0};
	json_auto_t *manifest = NULL;

	if (!flow_read(
		    &flow, verify->place.store, key, false, &verify->place.keys, collect, &text, e))
		return false;
	manifest = json_loadb(text.bytes ? text.bytes : "", text.length, 0, NULL);
	return (manifest && json_equal(manifest, verify->manifest)) ||
		damaged(e, key, "it does not say what the catalog says");
}

/* What a verdict is about: the backup, and not a connection, a missing key, or a cancellation. */
static bool is_verdict(const struct err *e)
{
	return strcmp(e->code, "damaged") == 0 || strcmp(e->code, "unrestorable") == 0 ||
		strcmp(e->code, "no_object") == 0;
}

static bool record(struct verify *verify, const char *problem, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_i64(&params, row_i64(verify->backup, 0, "job_id"));
	params_text(&params, problem);
	return catalog_ask(verify->attempt, &sql_backup_verified, &params, &rows, e);
}

static bool run(struct verify *verify, struct err *e)
{
	struct err ignored;

	attempt_phase(verify->attempt, "verifying");
	if (verify_dump(verify, e) && verify_globals(verify, e) && verify_manifest(verify, e))
		return record(verify, NULL, e);
	if (is_verdict(e)) {
		e->kind = ERR_PERMANENT;
		err_ignored(record(verify, e->text, &ignored), "the job fails in any case");
	}
	return false;
}

bool backup_verify(struct attempt *attempt, struct err *e)
{
	struct verify verify CLEANUP(verify_clear) = {.attempt = attempt};

	if (!place_open(attempt, &verify.place, e) || !catalog_find(attempt, &verify.backup, e) ||
		!place_holds(&verify.place, verify.backup, e))
		return false;
	verify.manifest = json_loads(row_text(verify.backup, 0, "manifest"), 0, NULL);
	if (!run(&verify, e))
		return err_in(e, "backup %" PRId64, row_i64(verify.backup, 0, "job_id"));
	attempt_progress(attempt, row_i64(verify.backup, 0, "bytes"),
		row_i64(verify.backup, 0, "bytes"), "bytes");
	attempt_event(attempt, EVENT_INFO, "backup_verified",
		json_pack("{s:I, s:I}", "backup", (json_int_t)row_i64(verify.backup, 0, "job_id"),
			"bytes", (json_int_t)row_i64(verify.backup, 0, "stored_bytes")),
		"backup %" PRId64 " is as it was written: %" PRId64 " bytes",
		row_i64(verify.backup, 0, "job_id"), row_i64(verify.backup, 0, "stored_bytes"));
	return true;
}
