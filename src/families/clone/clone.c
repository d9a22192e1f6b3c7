/* SPDX-License-Identifier: PostgreSQL */
/*
 * clone: copies a database with pg_dump and pg_restore, and proves that the copy is one.
 *
 * Everything that can fail happens to a staging database whose name carries job and ticket; the
 * target appears by one rename, complete and verified, or not at all. An attempt may be killed at
 * any instruction. What is left then is found again by its name, and removed by the next attempt
 * before it starts:
 *
 *   killed in ...                    what is left                     the next attempt ...
 *   validate_source .. resolve_tools two sessions                     ends them
 *   dump_source, restore_target      sessions, a partial staging,     ends them, drops it,
 *                                    a folder of files                removes it
 *   verify_target                    sessions, a whole staging        ends them, drops it: nobody
 *                                                                     knows how far the proof was
 *   complete, before the rename      the same, marked                 the same
 *   complete, after the rename       the target, marked as this job's  is done
 */
#include "families/clone/clone.h"

#include <inttypes.h>

#include "base/fault.h"
#include "base/log.h"
#include "db/query.h"
#include "families/clone/database.h"
#include "families/clone/lanes.h"
#include "families/clone/parallel.h"
#include "families/clone/pipeline.h"
#include "families/clone/preflight.h"
#include "families/clone/progress.h"
#include "families/clone/spool.h"
#include "families/clone/staged.h"
#include "families/clone/staging.h"
#include "families/clone/tool_error.h"
#include "families/clone/verify.h"
#include "families/family.h"

static const struct option_row clone_payload[] = {
	{"source", OPTION_TEXT, OPTION_REQUIRED,
		.help = "database to copy: a URI, a key=value string or a name under "
			"postgres_clients"},
	{"target", OPTION_TEXT, OPTION_REQUIRED,
		.help = "database to make, in the same ways; it must not exist"},
	{"verify", OPTION_WORD, .fallback = "full", .words = "full|sample|counts|none",
		.help = "how the copy is compared: with all rows, with some, with their number, or "
			"not at all"},
	{"sample_percent", OPTION_INT, .fallback = "10", .min = 1, .max = 99,
		.help = "how many rows verify: sample compares"},
	{"exclude_data", OPTION_LIST,
		.help = "tables, as schema.table, of which no rows are copied"},
	{"owner_policy", OPTION_WORD, .fallback = "strict", .words = "strict|skip",
		.help = "whether owners and rights are those of the source, or all belongs to the "
			"target's role"},
	{"mode", OPTION_WORD, .fallback = "auto", .words = CLONE_MODES,
		.help = "how rows travel: in one stream, through files, by several COPYs, or as "
			"their size suggests"},
	{"jobs", OPTION_INT, .fallback = "4", .min = 1, .max = 64,
		.help = "how much is done at a time, in the modes staged and parallel"},
	{"dry_run", OPTION_BOOL, .fallback = "false",
		.help = "look at everything that could be in the way, tell the plan, copy nothing"},
	{0},
};

static enum clone_verify verify_level(const char *word)
{
	if (strcmp(word, "none") == 0)
		return CLONE_VERIFY_NONE;
	if (strcmp(word, "counts") == 0)
		return CLONE_VERIFY_COUNTS;
	return strcmp(word, "sample") == 0 ? CLONE_VERIFY_SAMPLE : CLONE_VERIFY_FULL;
}

/* Job and ticket are numbers of one queue; several queues may clone to one server. FNV-1a. */
void clone_name_traces(struct clone *clone, const struct attempt *attempt)
{
	uint32_t digest = 0x811c9dc5u;

	for (const char *c = attempt->queue_id; *c; c++)
		digest = (digest ^ (unsigned char)*c) * 0x01000193u;
	snprintf(clone->tag, sizeof(clone->tag), "%08" PRIx32, digest);
	snprintf(clone->application, sizeof(clone->application),
		"athena:clone:%" PRId64 ":%" PRId64 ":%s", attempt->job_id, attempt->ticket,
		clone->tag);
	snprintf(clone->staging, sizeof(clone->staging), "athena_stg_%" PRId64 "_%" PRId64 "_%s",
		attempt->job_id, attempt->ticket, clone->tag);
}

static bool clone_init(struct clone *clone, struct attempt *attempt, struct err *e)
{
	const json_t *payload = attempt->payload;

	clone->attempt = attempt;
	clone->verify = verify_level(option_text(clone_payload, payload, "verify"));
	clone->sample_percent = (int)option_int(clone_payload, payload, "sample_percent");
	clone->skips_owners =
		strcmp(option_text(clone_payload, payload, "owner_policy"), "skip") == 0;
	clone->exclude_data = json_object_get(payload, "exclude_data");
	clone->mode = mode_from_word(option_text(clone_payload, payload, "mode"));
	clone->jobs = (int)option_int(clone_payload, payload, "jobs");
	clone->is_dry = option_bool(clone_payload, payload, "dry_run");
	clone_name_traces(clone, attempt);
	return endpoint_init(&clone->source, attempt, "source",
		       option_text(clone_payload, payload, "source"), e) &&
		endpoint_init(&clone->target, attempt, "target",
			option_text(clone_payload, payload, "target"), e);
}

static void clone_clear(struct clone *clone)
{
	endpoint_clear(&clone->source);
	endpoint_clear(&clone->target);
	PQclear(clone->facts);
	source_state_free(clone->before);
	buf_clear(&clone->findings.text);
}

static void report_mode(struct clone *clone)
{
	if (clone->mode == CLONE_PIPE)
		clone->jobs = 1;
	attempt_event(clone->attempt, EVENT_INFO, "mode_chosen",
		json_pack("{s:s, s:s, s:i, s:I}", "mode", mode_word(clone->mode), "why",
			clone->mode_why, "jobs", clone->jobs, "table_bytes",
			(json_int_t)clone->table_bytes),
		"mode %s: %s", mode_word(clone->mode), clone->mode_why);
}

static bool copy(struct clone *clone, struct err *e)
{
	PGresult *snapshot CLEANUP(clear_result) = NULL;

	attempt_phase(clone->attempt, "dump_source");
	report_mode(clone);
	if (clone->verify != CLONE_VERIFY_NONE && !verify_remember(clone, e))
		return false;
	if (!attempt_query(
		    clone->attempt, &clone->source.conn, &sql_clone_snapshot, NULL, &snapshot, e))
		return err_in(e, "exporting the snapshot");
	clone->snapshot = arena_strdup(&clone->attempt->arena, row_text(snapshot, 0, "snapshot"));
	if (clone->mode == CLONE_PARALLEL)
		return parallel_run(clone, e);
	return clone->mode == CLONE_STAGED ? staged_run(clone, e) : pipeline_run(clone, e);
}

/* All sessions are opened before rights are copied that may keep us out. */
static bool verify(struct clone *clone, struct err *e)
{
	struct conn staging CLEANUP(conn_close) = {0};
	struct lanes lanes CLEANUP(lanes_close) = {0};

	attempt_phase(clone->attempt, "verify_target");
	if (!endpoint_open(&clone->target, clone->attempt, clone->staging, clone->application,
		    &staging, e) ||
		!lanes_open(
			&lanes, clone, clone->verify == CLONE_VERIFY_NONE ? 0 : clone->jobs - 1, e))
		return false;
	if (!database_copy(clone, e) ||
		FAULT_FAILS("clone", "described", PQsocket(clone->target.conn.pg), e))
		return false;
	return (clone->verify == CLONE_VERIFY_NONE || verify_run(clone, &staging, &lanes, e)) &&
		!FAULT_FAILS("clone", "verified", PQsocket(clone->target.conn.pg), e);
}

static bool complete(struct clone *clone, struct err *e)
{
	attempt_phase(clone->attempt, "complete");
	if (!staging_mark(clone, e) || !staging_rename(clone, e))
		return false;
	progress_complete(clone);
	attempt_event(clone->attempt, EVENT_INFO, "target_created",
		json_pack("{s:s}", "name", clone->target.database), "%s is complete",
		clone->target.database);
	return true;
}

static void report_plan(struct clone *clone)
{
	const char *mode = mode_word(clone->mode);
	json_int_t tables = row_i64(clone->facts, 0, "tables");
	json_int_t bytes = row_i64(clone->facts, 0, "database_bytes");

	attempt_event(clone->attempt, EVENT_INFO, "plan",
		json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I}", "mode", mode, "why",
			clone->mode_why, "jobs", clone->mode == CLONE_PIPE ? 1 : clone->jobs,
			"tables", tables, "table_bytes", (json_int_t)clone->table_bytes,
			"database_bytes", bytes, "large_objects",
			(json_int_t)row_i64(clone->facts, 0, "large_objects")),
		"would copy %" JSON_INTEGER_FORMAT " tables with %" PRId64
		" bytes, of a database of %" JSON_INTEGER_FORMAT ", in the mode %s: %s",
		tables, clone->table_bytes, bytes, mode, clone->mode_why);
}

static void report_removed(void *context, const char *path)
{
	struct clone *clone = context;

	attempt_event(clone->attempt, EVENT_INFO, "cleanup_done",
		json_pack("{s:s, s:s%}", "what", "folder", "name", path, strlen(path)),
		"removed %s, which an earlier attempt left", path);
}

static bool run(struct clone *clone, struct err *e)
{
	bool is_done;

	spool_sweep(report_removed, clone);
	if (!preflight(clone, &is_done, e))
		return false;
	if (is_done) {
		attempt_phase(clone->attempt, "complete");
		attempt_event(clone->attempt, EVENT_INFO, "already_complete", NULL,
			"an earlier attempt of this job has made %s", clone->target.database);
		return true;
	}
	if (clone->is_dry) {
		report_plan(clone);
		return true;
	}
	if (staging_create(clone, e) && copy(clone, e) && verify(clone, e) && complete(clone, e))
		return true;
	staging_abandon(clone);
	return false;
}

static bool clone_execute(struct attempt *attempt, struct err *e)
{
	struct clone clone CLEANUP(clone_clear) = {0};

	if (clone_init(&clone, attempt, e) && run(&clone, e))
		return true;
	tool_error_name(e);
	return false;
}

static void log_removed(void *context, const char *path)
{
	(void)context;
	log_info("folder_removed", LOG_S("family", "clone"), LOG_S("path", path));
}

static void clone_tidy(void)
{
	spool_sweep(log_removed, NULL);
}

/* What a connection string says can be known without a configuration; names cannot. */
static bool clone_check(const json_t *payload, struct err *e)
{
	static const char *const keys[] = {"source", "target"};

	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		if (!endpoint_check(
			    keys[i], json_string_value(json_object_get(payload, keys[i])), e))
			return false;
	return true;
}

const struct family clone_family = {
	.name = "clone",
	.summary = "copies a whole database, verified row by row",
	.payload = clone_payload,
	.lease_s = 120,
	.max_attempts = 5,
	.prefetch = 0,
	.check = clone_check,
	.execute = clone_execute,
	.tidy = clone_tidy,
};
