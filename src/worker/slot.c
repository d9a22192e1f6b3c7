/* SPDX-License-Identifier: PostgreSQL */
/* One executor process after the other, and what was sent to it. */
#include "worker/slot.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/message.h"

enum { TERM_TO_KILL_MS = 2000, READ_BYTES = 65536 };

/*
 * A process has two ends, that of its socket and its exit, in either order: only after both is
 * everything read that it said. It is freed when both handles are closed.
 */
struct executor_process {
	struct slot *slot; /* NULL: nobody is interested any more */
	uv_process_t process;
	uv_pipe_t pipe;
	struct frame_reader reader;
	bool pipe_ended, has_exited;
	int handles_open;
	int64_t exit_status;
	int term_signal;
};

struct write {
	uv_write_t request;
	struct buf bytes;
};

static void on_timer(uv_timer_t *timer);

static void on_handle_closed(uv_handle_t *handle)
{
	struct executor_process *process = handle->data;

	if (--process->handles_open > 0)
		return;
	frame_reader_clear(&process->reader);
	free(process);
}

static void process_close(struct executor_process *process)
{
	if (!uv_is_closing((uv_handle_t *)&process->pipe))
		uv_close((uv_handle_t *)&process->pipe, on_handle_closed);
	if (!uv_is_closing((uv_handle_t *)&process->process))
		uv_close((uv_handle_t *)&process->process, on_handle_closed);
}

/* The executor leads a group of its own; it may not have got that far yet, hence both. */
static void process_kill(struct executor_process *process, int number)
{
	if (process->has_exited)
		return;
	kill(-process->process.pid, number);
	kill(process->process.pid, number);
}

static struct lease *slot_take_first(struct slot *slot)
{
	struct lease *lease = slot->leases;

	DL_DELETE(slot->leases, lease);
	slot->count--;
	lease->slot = NULL;
	return lease;
}

static void slot_arm(struct slot *slot, int64_t delay_ms)
{
	uv_timer_start(slot->timer, on_timer, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0);
}

/* The first lease begins to run: its timeout counts from here. */
static void slot_begin_first(struct slot *slot)
{
	slot->force = FORCE_NONE;
	uv_timer_stop(slot->timer);
	if (!slot->leases)
		return;
	slot->leases->started_ns = clock_boot_ns();
	if (slot->leases->stop != STOP_NONE)
		slot_stop(slot, slot->leases, slot->leases->stop);
	else if (slot->leases->timeout_ms > 0)
		slot_arm(slot, slot->leases->timeout_ms);
}

static const char *process_describe(const struct executor_process *process, char *text, size_t size)
{
	if (process->term_signal != 0)
		snprintf(text, size, "its executor was ended by signal %d (%s)",
			process->term_signal, strsignal(process->term_signal));
	else
		snprintf(text, size, "its executor exited with status %" PRId64,
			process->exit_status);
	return text;
}

/* Both ends have come: the attempt that ran has crashed, those behind it go back. */
static void slot_process_gone(struct slot *slot, struct executor_process *process)
{
	const struct slot_shared *shared = slot->shared;
	char how[96];

	slot->process = NULL;
	slot->state = SLOT_EMPTY;
	slot->must_end = false;
	slot->attempts = 0;
	slot->force = FORCE_NONE;
	uv_timer_stop(slot->timer);
	if (slot->leases)
		shared->events->crashed(shared->context, slot_take_first(slot),
			process_describe(process, how, sizeof(how)));
	while (slot->leases)
		shared->events->unstarted(shared->context, slot_take_first(slot));
	shared->events->freed(shared->context);
}

static void process_ended(struct executor_process *process)
{
	struct slot *slot = process->slot;

	if (!process->pipe_ended || !process->has_exited)
		return;
	process_close(process);
	if (slot)
		slot_process_gone(slot, process);
}

/* The exit is the moment to kill what the executor left, before the job can go to another. */
static void on_exit_status(uv_process_t *uv, int64_t exit_status, int term_signal)
{
	struct executor_process *process = uv->data;

	kill(-uv->pid, SIGKILL);
	process->has_exited = true;
	process->exit_status = exit_status;
	process->term_signal = term_signal;
	process_ended(process);
}

static void on_shut_down(uv_shutdown_t *request, int status)
{
	(void)status; /* the end of the process tells */
	free(request);
}

/* End of file is the executor's sign to leave. */
static void slot_end_process(struct slot *slot)
{
	uv_shutdown_t *request = xcalloc(1, sizeof(*request));

	slot->state = SLOT_LEAVING;
	slot_arm(slot, TERM_TO_KILL_MS);
	if (uv_shutdown(request, (uv_stream_t *)&slot->process->pipe, on_shut_down) != 0) {
		free(request);
		process_kill(slot->process, SIGKILL);
	}
}

static void slot_result(struct slot *slot, int64_t ticket, const char *body)
{
	const struct slot_shared *shared = slot->shared;
	struct lease *lease = slot->leases;

	if (!lease || lease->ticket != ticket) {
		log_error("executor_confused", LOG_I("ticket", ticket));
		slot_kill(slot);
		return;
	}
	slot->must_end |= lease->stop != STOP_NONE;
	slot_take_first(slot);
	slot_begin_first(slot);
	shared->events->result(shared->context, lease, body);
	if (slot->leases)
		return;
	if (slot->state == SLOT_READY && (slot->must_end || slot->attempts >= shared->attempts_max))
		slot_end_process(slot);
	else
		shared->events->freed(shared->context);
}

static void slot_message(struct slot *slot, const struct frame *frame)
{
	const struct slot_shared *shared = slot->shared;

	if (frame->type == MESSAGE_RESULT)
		slot_result(slot, frame->id, frame->body);
	else if (slot->leases && slot->leases->ticket == frame->id && frame->type == MESSAGE_EVENT)
		shared->events->event(shared->context, slot->leases, frame->body);
	else if (slot->leases && slot->leases->ticket == frame->id &&
		frame->type == MESSAGE_PROGRESS)
		shared->events->progress(shared->context, slot->leases, frame->body);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_room)
{
	struct executor_process *process = handle->data;

	(void)suggested;
	*ret_room = uv_buf_init(frame_room(&process->reader, READ_BYTES), READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *bytes)
{
	struct executor_process *process = stream->data;
	struct frame frame;
	enum frame_got got = FRAME_NONE;

	(void)bytes;
	if (length < 0) {
		process->pipe_ended = true;
		uv_read_stop(stream);
		process_ended(process);
		return;
	}
	frame_fed(&process->reader, (size_t)length);
	while (process->slot && (got = frame_next(&process->reader, &frame)) == FRAME_WHOLE)
		slot_message(process->slot, &frame);
	if (got == FRAME_BROKEN)
		process_kill(process, SIGKILL);
}

static int process_spawn(
	struct executor_process *process, const struct slot_shared *shared, uv_loop_t *loop)
{
	char parent[16];
	char role[] = "athena-executor", flag[] = "-x", option[] = "--config";
	char *path CLEANUP(free_ptr) = shared->config_path ? xstrdup(shared->config_path) : NULL;
	char *argv[] = {role, flag, parent, path ? option : NULL, path, NULL};
	uv_stdio_container_t stdio[5] = {
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
			.data.stream = (uv_stream_t *)&process->pipe},
		{.flags = UV_INHERIT_FD, .data.fd = shared->fence_fd},
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_status,
		.file = shared->program,
		.args = argv,
		.stdio = stdio,
		.stdio_count = ARRAY_LENGTH(stdio),
	};

	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	return uv_spawn(loop, &process->process, &options);
}

static bool slot_start(struct slot *slot)
{
	struct executor_process *process = xcalloc(1, sizeof(*process));
	int status;

	process->slot = slot;
	process->process.data = process->pipe.data = process;
	process->handles_open = 2;
	uv_pipe_init(slot->shared->loop, &process->pipe, 0);
	process->pipe.data = process;
	status = process_spawn(process, slot->shared, slot->shared->loop);
	process->process.data = process;
	if (status != 0) {
		log_error("executor_not_started", LOG_S("error", uv_strerror(status)));
		process_close(process);
		return false;
	}
	uv_read_start((uv_stream_t *)&process->pipe, on_room, on_read);
	slot->process = process;
	slot->state = SLOT_READY;
	return true;
}

static void on_written(uv_write_t *request, int status)
{
	struct write *write = (struct write *)request;

	(void)status; /* the end of the process tells */
	buf_clear(&write->bytes);
	free(write);
}

static void slot_write(struct slot *slot, struct buf *bytes)
{
	struct write *write = xcalloc(1, sizeof(*write));
	uv_buf_t out;

	write->bytes = *bytes;
	*bytes = (struct buf){0};
	out = uv_buf_init(write->bytes.bytes, (unsigned)write->bytes.length);
	if (uv_write(&write->request, (uv_stream_t *)&slot->process->pipe, &out, 1, on_written) !=
		0)
		on_written(&write->request, 0);
}

static void add_text(struct buf *out, const char *key, const char *text)
{
	json_t *json = json_string(text);
	char *quoted CLEANUP(free_ptr) = json_dumps(json, JSON_ENCODE_ANY);

	json_decref(json);
	buf_printf(out, ",\"%s\":%s", key, quoted ? quoted : "\"\"");
}

/* What the attempts of one sending have in common. */
static void add_batch(struct buf *out, const struct slot *slot, const char *run, const char *family,
	int64_t fence_ms)
{
	struct buf body CLEANUP(buf_clear) = {0};

	buf_printf(&body, "{\"fence_ms\":%" PRId64, fence_ms);
	add_text(&body, "run", run);
	add_text(&body, "family", family);
	add_text(&body, "queue", slot->shared->queue_id);
	buf_char(&body, '}');
	frame_add(out, MESSAGE_BATCH, 0, body.bytes, body.length);
}

/* The payload is valid JSON, as Postgres sent it, and is not parsed on the way. */
static void add_attempt(struct buf *out, struct buf *body, const struct lease *lease)
{
	buf_reset(body);
	buf_printf(body, "{\"job\":%" PRId64 ",\"number\":%d", lease->job_id, lease->attempt);
	if (lease->kind)
		add_text(body, "kind", lease->kind);
	buf_text(body, ",\"payload\":");
	buf_text(body, lease->payload);
	buf_char(body, '}');
	frame_add(out, MESSAGE_ATTEMPT, lease->ticket, body->bytes, body->length);
}

void slot_send(struct slot *slot, struct lease *leases, const char *run, const char *family,
	int64_t fence_ms, int64_t timeout_ms)
{
	struct buf body CLEANUP(buf_clear) = {0};
	struct buf out = {0};
	struct lease *lease;

	assert(slot_is_idle(slot));
	add_batch(&out, slot, run, family, fence_ms);
	DL_FOREACH (leases, lease) {
		lease->state = LEASE_SENT;
		lease->slot = slot;
		if (lease->timeout_ms == 0)
			lease->timeout_ms = timeout_ms;
		add_attempt(&out, &body, lease);
		slot->count++;
		slot->attempts++;
	}
	slot->leases = leases;
	if (slot->state == SLOT_EMPTY && !slot_start(slot)) {
		buf_clear(&out);
		while (slot->leases)
			slot->shared->events->crashed(slot->shared->context, slot_take_first(slot),
				"its executor could not be started");
		return;
	}
	FAULT("dispatch", "send");
	slot_write(slot, &out);
	FAULT("dispatch", "sent");
	slot_begin_first(slot);
}

static void slot_ask(struct slot *slot, const struct lease *lease)
{
	struct buf out = {0};

	frame_add(&out, MESSAGE_CANCEL, lease->ticket, NULL, 0);
	slot_write(slot, &out);
}

void slot_stop(struct slot *slot, struct lease *lease, enum stop_reason reason)
{
	if (lease->stop == STOP_NONE || reason == STOP_LOST)
		lease->stop = reason;
	if (!slot->process)
		return;
	if (reason == STOP_LOST && lease == slot->leases) {
		slot_kill(slot); /* somebody else may be at it already */
		return;
	}
	slot_ask(slot, lease);
	if (lease == slot->leases && slot->force == FORCE_NONE) {
		slot->force = FORCE_ASKED;
		slot_arm(slot, slot->shared->cancel_grace_ms);
	}
}

void slot_kill(struct slot *slot)
{
	slot->must_end = true;
	if (slot->process) {
		slot->state = SLOT_LEAVING;
		process_kill(slot->process, SIGKILL);
	}
}

/* The timeout of what runs, or the next step of stopping it; or an executor that does not leave. */
static void on_timer(uv_timer_t *timer)
{
	struct slot *slot = timer->data;

	if (!slot->process)
		return;
	if (!slot->leases) {
		slot_kill(slot);
		return;
	}
	switch (slot->force) {
	case FORCE_NONE:
		slot_stop(slot, slot->leases, STOP_TIMEOUT);
		break;
	case FORCE_ASKED:
		slot->force = FORCE_TERM;
		process_kill(slot->process, SIGTERM);
		slot_arm(slot, TERM_TO_KILL_MS);
		break;
	default:
		slot->force = FORCE_KILL;
		slot_kill(slot);
	}
}

bool slot_is_idle(const struct slot *slot)
{
	return slot->count == 0 && slot->state != SLOT_LEAVING;
}

void slot_init(struct slot *slot, const struct slot_shared *shared)
{
	*slot = (struct slot){.shared = shared};
	slot->timer = xcalloc(1, sizeof(*slot->timer));
	slot->timer->data = slot;
	uv_timer_init(shared->loop, slot->timer);
}

static void on_timer_closed(uv_handle_t *timer)
{
	free(timer);
}

void slot_clear(struct slot *slot)
{
	if (slot->process) {
		slot->process->slot = NULL;
		process_kill(slot->process, SIGKILL);
		slot->process = NULL;
	}
	slot->leases = NULL;
	uv_close((uv_handle_t *)slot->timer, on_timer_closed);
}
