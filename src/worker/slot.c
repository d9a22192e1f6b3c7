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
#include "queue/chunk.h"
#include "worker/logbook.h"
#include "worker/message.h"

enum { TERM_TO_KILL_MS = 2000, READ_BYTES = 65536, CHUNK_BYTES = 65536 };

/*
 * A process has two ends, that of its socket and its exit, in either order: only after both is
 * everything read that it said. It is freed when both handles are closed.
 */
struct executor_process {
	struct slot *slot; /* NULL: nobody is interested any more */
	uv_process_t process;
	uv_pipe_t pipe;
	struct frame_reader reader;
	struct logbook *logbook;
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
	logbook_free(process->logbook);
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
	slot->count -= lease->jobs - lease->done;
	lease->slot = NULL;
	return lease;
}

static void slot_arm(struct slot *slot, int64_t delay_ms)
{
	uv_timer_start(slot->timer, on_timer, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0);
}

/* For when the first lease will have run for too long. */
static void slot_arm_timeout(struct slot *slot, int64_t now_ns)
{
	const struct lease *first = slot->leases;

	if (first->timeout_ms > 0)
		slot_arm(slot, first->timeout_ms - (now_ns - first->started_ns) / 1000000);
	else
		uv_timer_stop(slot->timer);
}

/* A job of a chunk that was told to stop may run on, while those before it are answered. */
static bool is_stopping(const struct lease *lease)
{
	return lease->chunk && lease->done <= lease->chunk->stopping;
}

/* The first lease runs, or is about to: its timeout counts from here. */
static void slot_begin_first(struct slot *slot, int64_t now_ns)
{
	struct lease *first = slot->leases;

	if (first && slot->force != FORCE_NONE && is_stopping(first))
		return;
	slot->force = FORCE_NONE;
	if (!first) {
		uv_timer_stop(slot->timer);
		return;
	}
	first->started_ns = now_ns;
	slot_arm_timeout(slot, now_ns);
	if (first->stop != STOP_NONE)
		slot_stop(slot, first, first->stop);
}

/* So many attempts of the first lease have ended, which began then. */
static void slot_advance_first(
	struct slot *slot, int count, const char *body, int64_t begun_ns, int64_t ended_ns)
{
	const struct slot_shared *shared = slot->shared;
	struct lease *lease = slot->leases;

	slot->count -= count;
	lease->done += count;
	lease->run_ns += ended_ns - begun_ns;
	lease->started_ns = ended_ns;
	if (lease->chunk && body[0]) {
		shared->events->member(shared->context, lease, lease->done - 1, body);
		body = "";
	}
	if (lease->done < lease->jobs)
		return;
	slot_take_first(slot);
	slot->must_end |= lease->stop != STOP_NONE;
	lease->started_ns = ended_ns - lease->run_ns;
	shared->events->result(shared->context, lease, body, ended_ns);
}

/*
 * The first `count` attempts have ended, the last of them as `body` says, the others well. They
 * share the time since the first one began: nobody looked at the clock in between.
 */
static void slot_answer(struct slot *slot, int count, const char *body, int64_t now_ns)
{
	int64_t begun_ns = slot->leases ? slot->leases->started_ns : 0;
	int64_t each_ns = count > 0 ? (now_ns - begun_ns) / count : 0;

	slot->answered += count;
	slot->failures += body[0] != '\0';
	while (count > 0) {
		assert(slot->leases);

		int left = slot->leases->jobs - slot->leases->done;
		int some = left < count ? left : count;
		int64_t ended_ns = begun_ns + some * each_ns;

		count -= some;
		slot_advance_first(slot, some, count == 0 ? body : "", begun_ns, ended_ns);
		begun_ns = ended_ns;
	}
}

/* How many attempts have ended without being answered, by the logbook. */
static int slot_untold(const struct slot *slot)
{
	int64_t untold = atomic_load(&slot->process->logbook->ended) - slot->answered;

	return untold > 0 && untold <= slot->count ? (int)untold : 0;
}

/* An executor whose fence has fallen dies by SIGKILL like any other: its logbook says which it was.
 */
static const char *process_describe(const struct executor_process *process, char *text, size_t size)
{
	int64_t fenced_after_ns = atomic_load(&process->logbook->fenced_after_ns);

	if (fenced_after_ns > 0)
		snprintf(text, size, "fenced: no heartbeat was answered for %" PRId64 " s",
			fenced_after_ns / 1000000000);
	else if (process->term_signal != 0)
		snprintf(text, size, "its executor was ended by signal %d (%s)",
			process->term_signal, strsignal(process->term_signal));
	else
		snprintf(text, size, "its executor exited with status %" PRId64,
			process->exit_status);
	return text;
}

/* An executor that died: what its logbook says was done is done, and since when the next one ran.
 */
static void slot_read_last(struct slot *slot)
{
	int64_t begun_ns = atomic_load(&slot->process->logbook->begun_ns);

	slot_answer(slot, slot_untold(slot), "", clock_boot_ns());
	if (slot->leases && begun_ns > slot->leases->started_ns)
		slot->leases->started_ns = begun_ns;
}

/* Both ends have come: the attempt that ran has crashed, those behind it go back. */
static void slot_process_gone(struct slot *slot, struct executor_process *process)
{
	const struct slot_shared *shared = slot->shared;
	char how[96];

	slot_read_last(slot);
	slot->process = NULL;
	slot->state = SLOT_EMPTY;
	slot->must_end = false;
	slot->attempts = slot->answered = slot->failures = 0;
	slot->force = FORCE_NONE;
	uv_timer_stop(slot->timer);
	if (slot->leases) {
		slot->leases->started_ns -= slot->leases->run_ns;
		shared->events->crashed(shared->context, slot_take_first(slot),
			process_describe(process, how, sizeof(how)));
	}
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

/* When nothing is left to do the executor waits for more, or makes room for another one. */
static void slot_go_on(struct slot *slot)
{
	const struct slot_shared *shared = slot->shared;

	slot_begin_first(slot, clock_boot_ns());
	if (slot->leases)
		return;
	if (slot->state == SLOT_READY && (slot->must_end || slot->attempts >= shared->attempts_max))
		slot_end_process(slot);
	else
		shared->events->freed(shared->context);
}

/* What the logbook has said before is not said again. */
static void slot_result(struct slot *slot, int64_t number, const char *body)
{
	if (number <= slot->answered && !body[0])
		return;
	if (number <= slot->answered || number - slot->answered > slot->count) {
		log_error("executor_confused", LOG_I("result", number));
		slot_kill(slot);
		return;
	}
	slot_answer(slot, (int)(number - slot->answered), body, clock_boot_ns());
	slot_go_on(slot);
}

/*
 * While the logbook counts failures whose results have not come, nothing can be said about the
 * others either; but they are on their way.
 */
void slot_look(struct slot *slot)
{
	int untold = slot->leases && slot->process ? slot_untold(slot) : 0;

	if (untold == 0 || atomic_load(&slot->process->logbook->failed) != slot->failures)
		return;
	slot_answer(slot, untold, "", clock_boot_ns());
	slot_go_on(slot);
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
	else if (slot->leases && slot->leases->ticket == frame->id && frame->type == MESSAGE_WAIT)
		shared->events->wait(shared->context, slot->leases, frame->body);
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
	struct executor_process *process, const struct slot_shared *shared, int logbook_fd)
{
	char parent[16];
	/* What we are, even where its file has been replaced by another release meanwhile. */
	static const char program[] = "/proc/self/exe";
	char role[] = "athena-executor", flag[] = "-x";
	char *argv[] = {role, flag, parent, NULL};
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
			.data.stream = (uv_stream_t *)&process->pipe},
		{.flags = UV_INHERIT_FD, .data.fd = shared->fence_fd},
		{.flags = UV_INHERIT_FD, .data.fd = logbook_fd},
		{.flags = UV_INHERIT_FD, .data.fd = shared->config_fd},
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_status,
		.file = program,
		.args = argv,
		.stdio = stdio,
		.stdio_count = ARRAY_LENGTH(stdio),
	};

	snprintf(parent, sizeof(parent), "%d", (int)getpid());
	return uv_spawn(shared->loop, &process->process, &options);
}

static bool slot_start(struct slot *slot)
{
	struct executor_process *process = xcalloc(1, sizeof(*process));
	int logbook_fd CLEANUP(close_fd) = -1;
	struct err e;
	int status;

	if (!logbook_new(&process->logbook, &logbook_fd, &e)) {
		log_error("executor_not_started", LOG_S("error", e.text));
		free(process);
		return false;
	}
	process->slot = slot;
	process->process.data = process->pipe.data = process;
	process->handles_open = 2;
	uv_pipe_init(slot->shared->loop, &process->pipe, 0);
	process->pipe.data = process;
	status = process_spawn(process, slot->shared, logbook_fd);
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
	const struct fence_terms *fence)
{
	struct buf body CLEANUP(buf_clear) = {0};

	buf_printf(&body, "{\"fence_ms\":%" PRId64 ",\"until_ns\":%" PRId64, fence->limit_ms,
		fence->beat_ns + fence->limit_ms * 1000000);
	add_text(&body, "run", run);
	add_text(&body, "family", family);
	add_text(&body, "queue", slot->shared->queue_id);
	buf_char(&body, '}');
	frame_add(out, MESSAGE_BATCH, 0, body.bytes, body.length);
}

/* Payload and answers are valid JSON, as Postgres sent it, and are not parsed on the way. */
static void add_attempt(struct buf *out, const struct lease *lease)
{
	size_t payload_length = strlen(lease->payload);
	size_t answers_length = lease->answers ? strlen(lease->answers) + 1 : 0;
	struct message_attempt head = {
		.job_id = lease->job_id,
		.number = lease->attempt,
		.kind_length = lease->kind ? (uint32_t)strlen(lease->kind) : 0,
	};

	frame_begin(out, MESSAGE_ATTEMPT, lease->ticket,
		sizeof(head) + head.kind_length + payload_length + answers_length);
	buf_add(out, &head, sizeof(head));
	buf_add(out, lease->kind, head.kind_length);
	buf_add(out, lease->payload, payload_length);
	if (lease->answers) {
		buf_char(out, '\0');
		buf_add(out, lease->answers, answers_length - 1);
	}
}

static void add_lines(struct buf *out, const struct lease *lease, const char *text, size_t length)
{
	struct message_attempt head = {.number = lease->attempt};

	frame_begin(out, MESSAGE_CHUNK, lease->ticket, sizeof(head) + length);
	buf_add(out, &head, sizeof(head));
	buf_add(out, text, length);
}

/* Lines of a chunk go as they came, too, but in frames that are not too long to be one. */
static void add_chunk(struct buf *out, const struct lease *lease)
{
	const char *begin = lease->payload, *end = begin;
	struct chunk_line line;

	while (chunk_next_line(&end, &line))
		if (end - begin >= CHUNK_BYTES || !*end) {
			add_lines(out, lease, begin, (size_t)(end - begin));
			begin = end;
		}
}

void slot_send(struct slot *slot, struct lease *leases, const char *run, const char *family,
	const struct fence_terms *fence, int64_t timeout_ms)
{
	struct buf out = {0};
	struct lease *lease;

	assert(slot_is_idle(slot));
	add_batch(&out, slot, run, family, fence);
	DL_FOREACH (leases, lease) {
		lease->state = LEASE_SENT;
		lease->slot = slot;
		if (lease->timeout_ms == 0)
			lease->timeout_ms = timeout_ms;
		if (lease->chunk)
			add_chunk(&out, lease);
		else
			add_attempt(&out, lease);
		slot->count += lease->jobs;
		slot->attempts += lease->jobs;
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
	slot_begin_first(slot, clock_boot_ns());
}

/* job_id 0: all jobs of the lease */
static void slot_ask(struct slot *slot, const struct lease *lease, int64_t job_id)
{
	struct buf out = {0};

	frame_add(&out, MESSAGE_CANCEL, lease->ticket, (const char *)&job_id, sizeof(job_id));
	slot_write(slot, &out);
}

/* The place of the job of the first lease that runs, by the logbook. */
static int slot_place(const struct slot *slot)
{
	const struct lease *first = slot->leases;
	int place = first->done + slot_untold(slot);

	return place < first->jobs ? place : first->jobs - 1;
}

static void slot_be_patient(struct slot *slot)
{
	slot->force = FORCE_ASKED;
	slot_arm(slot, slot->shared->cancel_grace_ms);
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
	slot_ask(slot, lease, 0);
	if (lease != slot->leases || slot->force != FORCE_NONE)
		return;
	if (lease->chunk)
		lease->chunk->stopping = slot_place(slot);
	slot_be_patient(slot);
}

void slot_stop_member(struct slot *slot, struct lease *lease, int place)
{
	if (!slot->process)
		return;
	slot_ask(slot, lease, chunk_job(lease, place));
	slot->must_end = true;
	if (lease != slot->leases || slot->force != FORCE_NONE || slot_place(slot) != place)
		return;
	lease->chunk->stopping = place;
	slot_be_patient(slot);
}

void slot_tell_token(struct slot *slot, const struct lease *lease, const char *body)
{
	struct buf out = {0};

	if (!slot->process)
		return;
	frame_add(&out, MESSAGE_TOKEN, lease->ticket, body, strlen(body));
	slot_write(slot, &out);
}

void slot_kill(struct slot *slot)
{
	slot->must_end = true;
	if (slot->process) {
		slot->state = SLOT_LEAVING;
		process_kill(slot->process, SIGKILL);
	}
}

void slot_renew(struct slot *slot)
{
	if (slot->state != SLOT_READY)
		return;
	slot->must_end = true;
	if (!slot->leases)
		slot_end_process(slot);
}

/*
 * What runs may have begun later than it seemed; an executor that is between two attempts is about
 * to begin the next. Stops it when its time is over, else comes back when it is.
 */
static void slot_check_timeout(struct slot *slot)
{
	int64_t now_ns = clock_boot_ns();
	int64_t begun_ns = atomic_load(&slot->process->logbook->begun_ns);
	struct lease *first = slot->leases;

	if (begun_ns == 0)
		begun_ns = now_ns;
	if (begun_ns > first->started_ns)
		first->started_ns = begun_ns;
	if (first->timeout_ms <= 0 || now_ns - first->started_ns < first->timeout_ms * 1000000) {
		slot_arm_timeout(slot, now_ns);
		return;
	}
	if (first->chunk)
		first->chunk->timed_out = slot_place(slot);
	slot_stop(slot, first, STOP_TIMEOUT);
}

/* It is not the job any more that was told to stop, as a message that is on its way will say. */
static bool has_moved_on(const struct slot *slot)
{
	const struct chunk *chunk = slot->leases->chunk;

	return chunk && slot_place(slot) > chunk->stopping;
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
	slot_look(slot);
	if (!slot->leases)
		return;
	if (slot->force != FORCE_NONE && has_moved_on(slot)) {
		slot_be_patient(slot);
		return;
	}
	switch (slot->force) {
	case FORCE_NONE:
		slot_check_timeout(slot);
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
