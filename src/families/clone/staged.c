/* SPDX-License-Identifier: PostgreSQL */
/* A dump into a folder, and out of it. */
#include "families/clone/staged.h"

#include "base/fault.h"
#include "families/clone/left_out.h"
#include "families/clone/progress.h"
#include "families/clone/restore.h"
#include "families/clone/spool.h"
#include "families/clone/tool.h"

static bool dump(struct clone *clone, const struct spool *spool, struct err *e)
{
	char *from CLEANUP(free_ptr) = xasprintf("--snapshot=%s", clone->snapshot);
	char *jobs CLEANUP(free_ptr) = xasprintf("--jobs=%d", clone->jobs);
	const char *const argv[] = {clone->pg_dump, "-Fd", "-Z0", "--no-sync", from, jobs, "-f",
		spool->path, "--no-password", "--lock-wait-timeout=60000", "--no-publications",
		"--no-subscriptions", NULL};

	return tool_run(clone, left_out_argv(clone, argv),
		&(struct tool_target){
			&clone->source.conn, clone->source.database, clone->application},
		PROC_NULL, e);
}

static bool restore(struct clone *clone, const char *path, struct err *e)
{
	return restore_section(clone, path, "pre-data", NULL, 1, e) &&
		restore_section(clone, path, "data", NULL, clone->jobs, e) &&
		restore_after_rows(clone, path, e);
}

bool staged_run(struct clone *clone, struct err *e)
{
	struct spool spool CLEANUP(spool_remove) = {0};

	if (!spool_make(&spool, clone, e) || !dump(clone, &spool, e) ||
		FAULT_FAILS("clone_staged", "dumped", PQsocket(clone->target.conn.pg), e))
		return false;
	clone->piped_bytes = spool_bytes(&spool);
	progress_piped(clone);
	attempt_phase(clone->attempt, "restore_target");
	return restore(clone, spool.path, e) &&
		!FAULT_FAILS("clone_staged", "restored", PQsocket(clone->target.conn.pg), e);
}
