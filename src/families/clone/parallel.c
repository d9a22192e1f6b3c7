/* SPDX-License-Identifier: PostgreSQL */
/* Definitions, rows, the rest. */
#include "families/clone/parallel.h"

#include <sys/mman.h>

#include "base/fault.h"
#include "db/query.h"
#include "families/clone/copy.h"
#include "families/clone/pipeline.h"
#include "families/clone/restore.h"
#include "families/clone/sequences.h"
#include "families/clone/tool.h"

enum { SEQUENCES_AT_ONCE = 1000 };

static bool dump_definitions(struct clone *clone, int archive, struct err *e)
{
	char *from CLEANUP(free_ptr) = xasprintf("--snapshot=%s", clone->snapshot);
	const char *const argv[] = {clone->pg_dump, "-Fc", "-Z0", from, "--section=pre-data",
		"--section=post-data", "--no-password", "--lock-wait-timeout=60000",
		"--no-publications", "--no-subscriptions", NULL};

	return tool_run(clone, argv,
		&(struct tool_target){
			&clone->source.conn, clone->source.database, clone->application},
		archive, e);
}

static bool set_some(struct clone *clone, struct conn *staging, const struct sequence *rows,
	size_t count, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *ignored CLEANUP(clear_result) = NULL;
	const char *names[SEQUENCES_AT_ONCE], *called[SEQUENCES_AT_ONCE];
	int64_t last[SEQUENCES_AT_ONCE];

	for (size_t i = 0; i < count; i++) {
		names[i] = rows[i].name;
		last[i] = rows[i].last;
		called[i] = rows[i].is_called ? "true" : "false";
	}
	params_texts(&params, names, count);
	params_i64s(&params, last, count);
	params_texts(&params, called, count);
	return attempt_query(
		clone->attempt, staging, &sql_clone_sequences_set, &params, &ignored, e);
}

static bool set_sequences(struct clone *clone, struct conn *staging, struct err *e)
{
	struct sequences sequences CLEANUP(sequences_clear) = {0};

	if (!sequences_read(clone->attempt, &clone->source.conn, &sequences, e))
		return err_in(e, "reading the source's sequences");
	for (size_t at = 0; at < sequences.count; at += SEQUENCES_AT_ONCE) {
		size_t left = sequences.count - at;

		if (!set_some(clone, staging, sequences.rows + at,
			    left < SEQUENCES_AT_ONCE ? left : SEQUENCES_AT_ONCE, e))
			return err_in(e, "setting sequences");
	}
	return true;
}

/* Rows, sequences, and what large objects hold; all tables are there. */
static bool copy_contents(struct clone *clone, struct err *e)
{
	struct lanes lanes CLEANUP(lanes_close) = {0};

	if (!lanes_open(&lanes, clone, clone->jobs, e) || !copy_tables(clone, &lanes, e) ||
		!set_sequences(clone, &lanes.rows[0].staging, e))
		return false;
	return row_i64(clone->facts, 0, "large_objects") == 0 || pipeline_large_objects(clone, e);
}

bool parallel_run(struct clone *clone, struct err *e)
{
	int archive CLEANUP(close_fd) = memfd_create("definitions", MFD_CLOEXEC);
	char *path CLEANUP(free_ptr) = xasprintf("/proc/%d/fd/%d", getpid(), archive);

	clone->piped_bytes = 0;
	if (archive < 0)
		return err_errno(e, ERR_TRANSIENT, "making a file for definitions");
	if (!dump_definitions(clone, archive, e) ||
		!restore_section(clone, path, "pre-data", NULL, 1, e) ||
		FAULT_FAILS("clone_parallel", "made", PQsocket(clone->target.conn.pg), e) ||
		!copy_contents(clone, e) ||
		FAULT_FAILS("clone_parallel", "copied", PQsocket(clone->target.conn.pg), e))
		return false;
	attempt_phase(clone->attempt, "restore_target");
	return restore_after_rows(clone, path, e) &&
		!FAULT_FAILS("clone_parallel", "restored", PQsocket(clone->target.conn.pg), e);
}
