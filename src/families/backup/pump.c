/* SPDX-License-Identifier: PostgreSQL */
/* Moving bytes between tools and flows. */
#include "families/backup/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

enum { CHUNK_BYTES = 256 * 1024, PIPE_BYTES = 1024 * 1024 };

static void watch(struct pollfd *fds, int *count, int fd, short events)
{
	if (fd >= 0)
		fds[(*count)++] = (struct pollfd){.fd = fd, .events = events};
}

/* The session that holds the snapshot is idle: whatever comes from it is its end. */
static bool holder_is_there(const struct conn *holder, struct err *e)
{
	if (!holder || (PQconsumeInput(holder->pg) && PQstatus(holder->pg) == CONNECTION_OK))
		return true;
	return err_code(e, ERR_TRANSIENT, "source_lost",
		"the server ended the session that held the snapshot: %.*s",
		(int)strcspn(PQerrorMessage(holder->pg), "\n"), PQerrorMessage(holder->pg));
}

/* `store`, or NULL, goes on with what it was given meanwhile. */
static bool wait_for_tool(struct tool *tool, const struct conn *holder, struct store *store,
	int in_events, int timeout_ms, struct err *e)
{
	struct pollfd fds[5];
	int count = 0, ready;

	watch(fds, &count, tool->proc.err, POLLIN);
	watch(fds, &count, tool->proc.pidfd, POLLIN);
	watch(fds, &count, tool->proc.out, POLLIN);
	if (in_events)
		watch(fds, &count, tool->proc.in, POLLOUT);
	if (holder)
		watch(fds, &count, PQsocket(holder->pg), POLLIN);
	return store ? store_wait(store, fds, count, timeout_ms, &ready, e)
		     : attempt_wait(tool->attempt, fds, count, timeout_ms, &ready, e);
}

/* Whether the tool has failed by now; its last words are read first. */
static bool tool_is_well(struct tool *tool, struct err *e)
{
	tool_read_stderr(tool);
	if (!proc_reap(&tool->proc) || proc_succeeded(&tool->proc))
		return true;
	tool_read_stderr(tool);
	return tool_failed(tool, e);
}

static bool take_output(struct tool *tool, char *chunk, struct flow *flow, struct err *e)
{
	ssize_t n = tool->proc.out < 0 ? -1 : read(tool->proc.out, chunk, CHUNK_BYTES);

	if (n == 0)
		proc_close(&tool->proc.out);
	return n <= 0 || flow_write(flow, chunk, (size_t)n, e);
}

static bool pump_out(struct tool *tool, const struct conn *holder, struct flow *flow,
	struct gauge *gauge, struct err *e)
{
	char *chunk CLEANUP(free_ptr) = xmalloc(CHUNK_BYTES);

	while (!tool->proc.ended || tool->proc.out >= 0)
		if (!wait_for_tool(tool, holder, flow->upload->store, 0, gauge_wait_ms(gauge), e) ||
			!take_output(tool, chunk, flow, e) || !tool_is_well(tool, e) ||
			!holder_is_there(holder, e) || !gauge_look(gauge, e))
			return false;
	return true;
}

bool pump_from_tool(struct attempt *attempt, const char *const *argv,
	const struct tool_target *target, const struct conn *holder, struct flow *flow,
	struct gauge *gauge, struct err *e)
{
	struct tool tool CLEANUP(tool_clear) = {.proc = PROC_NONE};
	bool ok;

	if (!tool_start(&tool, attempt, argv, target, PROC_NULL, PROC_PIPE, e))
		return false;
	/* A larger pipe means fewer turns; the kernel may refuse it. */
	fcntl(tool.proc.out, F_SETPIPE_SZ, PIPE_BYTES);
	ok = pump_out(&tool, holder, flow, gauge, e);
	tool_report(&tool, flow->plain.bytes);
	return ok;
}

bool feed_begin(struct feed *feed, struct attempt *attempt, const char *const *argv,
	const struct tool_target *target, struct err *e)
{
	feed->attempt = attempt;
	feed->tool = (struct tool){.proc = PROC_NONE};
	if (!tool_start(&feed->tool, attempt, argv, target, PROC_PIPE, PROC_NULL, e))
		return false;
	feed->is_started = true;
	fcntl(feed->tool.proc.in, F_SETPIPE_SZ, PIPE_BYTES);
	return true;
}

/* *ret_open: it still reads. A pg_restore that stops reading says why when it ends. */
static bool feed_some(struct feed *feed, const char **bytes, size_t *length, struct err *e)
{
	struct tool *tool = &feed->tool;
	ssize_t n = write(tool->proc.in, *bytes, *length);

	if (n > 0) {
		*bytes += n;
		*length -= (size_t)n;
		return true;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		proc_close(&tool->proc.in);
	return wait_for_tool(tool, NULL, NULL, 1, -1, e);
}

/* Never all of it: something is left to be done after the last byte. */
static void note_progress(struct feed *feed, size_t length)
{
	int64_t all = feed->before + feed->weight, done;

	feed->fed += (int64_t)length;
	if (feed->total <= 0)
		return;
	done = feed->before +
		(int64_t)((double)feed->weight * (double)feed->fed / (double)feed->total);
	attempt_progress(feed->attempt, done < all ? done : all - 1, all, "bytes");
}

bool feed_take(void *context, const void *bytes, size_t length, struct err *e)
{
	struct feed *feed = context;
	const char *next = bytes;

	note_progress(feed, length);
	while (length > 0 && !feed->has_failed) {
		if (feed->tool.proc.in < 0 || feed->tool.proc.ended)
			feed->has_failed = true;
		else if (!feed_some(feed, &next, &length, e))
			return false;
		if (!tool_is_well(&feed->tool, e)) {
			feed->has_failed = true;
			if (!feed->is_lenient)
				return false;
		}
	}
	return !feed->has_failed || feed->is_lenient || feed_end(feed, e);
}

bool feed_end(struct feed *feed, struct err *e)
{
	struct tool *tool = &feed->tool;
	bool ok = true;

	proc_close(&tool->proc.in);
	while (ok && !tool->proc.ended) {
		if (!wait_for_tool(tool, NULL, NULL, 0, -1, e))
			return false;
		ok = tool_is_well(tool, e);
	}
	if (ok && !proc_succeeded(&tool->proc))
		ok = tool_failed(tool, e);
	if (ok && feed->has_failed)
		ok = err_code(e, ERR_PERMANENT, "unrestorable",
			"%s stopped reading before the end of the dump", tool->name);
	tool_report(tool, feed->fed);
	feed->is_started = false;
	return ok;
}

void feed_clear(struct feed *feed)
{
	if (feed->is_started)
		tool_report(&feed->tool, feed->fed);
	tool_clear(&feed->tool);
}
