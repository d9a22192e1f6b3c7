/* SPDX-License-Identifier: PostgreSQL */
/* The pump between pg_dump and pg_restore. */
#include "families/clone/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/fault.h"
#include "families/clone/left_out.h"
#include "families/clone/progress.h"
#include "families/clone/tool.h"

enum { CHUNK_BYTES = 256 * 1024, PIPE_BYTES = 1024 * 1024 };

struct pipeline {
	struct clone *clone;
	struct tool dump, restore;
	char *chunk;
	size_t filled, sent; /* of the chunk */
	bool is_part;	     /* large objects only, others have brought the rest */
};

static void pipeline_clear(struct pipeline *pipeline)
{
	tool_clear(&pipeline->dump);
	tool_clear(&pipeline->restore);
	free(pipeline->chunk);
}

/* The list of options ends early unless only large objects are wanted. */
static bool start_dump(struct pipeline *pipeline, struct err *e)
{
	struct clone *clone = pipeline->clone;
	char *from CLEANUP(free_ptr) = xasprintf("--snapshot=%s", clone->snapshot);
	const char *const argv[] = {clone->pg_dump, "-Fc", "-Z0", from, "--no-password",
		"--lock-wait-timeout=60000", "--no-publications", "--no-subscriptions",
		pipeline->is_part ? "--section=data" : NULL, "--exclude-table-data=*.*", NULL};

	if (!tool_start(&pipeline->dump, clone->attempt, left_out_argv(clone, argv),
		    &(struct tool_target){
			    &clone->source.conn, clone->source.database, clone->application},
		    PROC_NULL, PROC_PIPE, e))
		return false;
	/* A larger pipe means fewer turns; the kernel may refuse it. */
	fcntl(pipeline->dump.proc.out, F_SETPIPE_SZ, PIPE_BYTES);
	return true;
}

static bool start_restore(struct pipeline *pipeline, struct err *e)
{
	struct clone *clone = pipeline->clone;
	const char *const argv[] = {clone->pg_restore, "--exit-on-error", "--no-password",
		clone->skips_owners ? "--no-owner" : NULL, "--no-privileges", NULL};

	if (!tool_start(&pipeline->restore, clone->attempt, argv,
		    &(struct tool_target){&clone->target.conn, clone->staging, clone->application},
		    PROC_PIPE, PROC_NULL, e))
		return false;
	fcntl(pipeline->restore.proc.in, F_SETPIPE_SZ, PIPE_BYTES);
	return true;
}

/* Moves what can be moved. A pg_restore that stops reading will say why when it ends. */
static void pump(struct pipeline *pipeline)
{
	struct proc *dump = &pipeline->dump.proc, *restore = &pipeline->restore.proc;
	ssize_t n;

	if (dump->out >= 0 && pipeline->sent == pipeline->filled) {
		n = read(dump->out, pipeline->chunk, CHUNK_BYTES);
		pipeline->sent = 0;
		pipeline->filled = n > 0 ? (size_t)n : 0;
		if (n == 0)
			proc_close(&dump->out);
	}
	while (restore->in >= 0 && pipeline->sent < pipeline->filled) {
		n = write(restore->in, pipeline->chunk + pipeline->sent,
			pipeline->filled - pipeline->sent);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			proc_close(&restore->in);
		if (n < 0)
			return;
		pipeline->sent += (size_t)n;
		pipeline->clone->piped_bytes += n;
	}
}

static void watch(struct pollfd *fds, int *count, int fd, short events)
{
	if (fd >= 0)
		fds[(*count)++] = (struct pollfd){.fd = fd, .events = events};
}

static bool wait_for_any(struct pipeline *pipeline, struct err *e)
{
	struct proc *dump = &pipeline->dump.proc, *restore = &pipeline->restore.proc;
	struct pollfd fds[8];
	int count = 0, ready;

	watch(fds, &count, dump->err, POLLIN);
	watch(fds, &count, restore->err, POLLIN);
	watch(fds, &count, dump->pidfd, POLLIN);
	watch(fds, &count, restore->pidfd, POLLIN);
	if (pipeline->sent == pipeline->filled)
		watch(fds, &count, dump->out, POLLIN);
	else
		watch(fds, &count, restore->in, POLLOUT);
	watch(fds, &count, PQsocket(pipeline->clone->source.conn.pg), POLLIN);
	return attempt_wait(pipeline->clone->attempt, fds, count, PROGRESS_LOOK_MS, &ready, e);
}

/* False when one end has failed. */
static bool ends_are_well(struct pipeline *pipeline, struct err *e)
{
	struct tool *tools[] = {&pipeline->dump, &pipeline->restore};

	for (int i = 0; i < 2; i++) {
		if (!proc_reap(&tools[i]->proc) || proc_succeeded(&tools[i]->proc))
			continue;
		tool_read_stderr(tools[i]);
		return tool_failed(tools[i], e);
	}
	if (pipeline->restore.proc.ended && pipeline->sent < pipeline->filled)
		return err_code(e, ERR_TRANSIENT, "dump_cut",
			"pg_restore ended before it had read all of the dump");
	return true;
}

/* All that pg_dump wrote has been passed on, and it has ended well. */
static bool is_dumped(const struct pipeline *pipeline)
{
	return pipeline->dump.proc.ended && pipeline->dump.proc.out < 0 &&
		pipeline->sent == pipeline->filled;
}

static bool run(struct pipeline *pipeline, struct err *e)
{
	struct clone *clone = pipeline->clone;

	while (!pipeline->restore.proc.ended || !is_dumped(pipeline)) {
		if (!wait_for_any(pipeline, e))
			return false;
		tool_read_stderr(&pipeline->dump);
		tool_read_stderr(&pipeline->restore);
		pump(pipeline);
		progress_piped(clone);
		if (!ends_are_well(pipeline, e) || !endpoint_is_there(&clone->source, e) ||
			!progress_look(clone, e))
			return false;
		if (is_dumped(pipeline) && pipeline->restore.proc.in >= 0) {
			proc_close(&pipeline->restore.proc.in);
			if (!pipeline->is_part)
				attempt_phase(clone->attempt, "restore_target");
		}
	}
	return true;
}

static bool run_pipeline(struct clone *clone, bool is_part, struct err *e)
{
	struct pipeline pipeline CLEANUP(pipeline_clear) = {.clone = clone,
		.dump.proc = PROC_NONE,
		.restore.proc = PROC_NONE,
		.is_part = is_part};
	int64_t before = clone->piped_bytes;
	bool ok;

	pipeline.chunk = xmalloc(CHUNK_BYTES);
	if (!start_dump(&pipeline, e) || !start_restore(&pipeline, e))
		return false;
	ok = run(&pipeline, e) &&
		!FAULT_FAILS("clone", "piped", PQsocket(clone->target.conn.pg), e);
	tool_report(&pipeline.dump, clone->piped_bytes - before);
	tool_report(&pipeline.restore, clone->piped_bytes - before);
	return ok;
}

bool pipeline_run(struct clone *clone, struct err *e)
{
	clone->piped_bytes = 0;
	return run_pipeline(clone, false, e);
}

bool pipeline_large_objects(struct clone *clone, struct err *e)
{
	return run_pipeline(clone, true, e);
}
