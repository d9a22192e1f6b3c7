/* SPDX-License-Identifier: PostgreSQL */
/* The executor's loop, and what attempt.h promises to handlers. */
#include "worker/executor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/frame.h"
#include "base/hangup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/redact_json.h"
#include "base/utf8.h"
#include "families/attempt.h"
#include "families/family.h"
#include "queue/chunk.h"
#include "worker/fence.h"
#include "worker/logbook.h"
#include "worker/message.h"

enum {
	PROGRESS_EVERY_MS = 100,
	MESSAGE_BYTES_MAX = 8192,
	READ_BYTES = 65536,
	GLANCE_EVERY_NS = 1000000
};

/* An attempt that waits for its turn. */
struct pending {
	int64_t ticket, job_id;
	int number;
	bool is_shared; /* the ticket is that of a chunk */
	bool cancelled;
	struct pending *prev, *next;
	const char *payload; /* JSON text, behind the kind */
	const char *answers; /* the same, behind the payload; NULL: none */
	char kind[];
};

struct executor {
	const struct config *config;
	struct logbook *logbook;
	struct frame_reader reader;
	struct pending *pending;
	json_t *batch; /* what they have in common; of that: */
	const struct family *family;
	int64_t fence_ns;
	json_t *empty;	    /* the payload of many: {} */
	int64_t now_ns;	    /* boot clock: when the attempt that runs began */
	int64_t glanced_ns; /* boot clock: when the socket was looked at */
	int64_t ended;	    /* attempts, since the start of this process */
	int64_t told;	    /* of those, the worker knows */

	/* Of the attempt that runs: */
	struct attempt *attempt;
	bool is_shared;
	bool cancelled;
	bool cancel_told; /* attempt_wait() has said so */
	char *phase;
	int64_t done, total;
	const char *unit;
	int64_t progress_ms; /* when progress was sent last */
	json_t *token;	     /* the worker's answer about its wait; NULL: none yet */
	int64_t park_ms;     /* how long it wants to wait; < 0: it does not */
};

static json_t *checked(json_t *json)
{
	if (!json)
		abort();
	return json;
}

/* The worker reads all the time; blocking here only means that it is stopped. */
static void send_bytes(const struct buf *bytes)
{
	size_t sent = 0;

	while (sent < bytes->length) {
		ssize_t n = write(EXECUTOR_SOCKET_FD, bytes->bytes + sent, bytes->length - sent);

		if (n > 0)
			sent += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = EXECUTOR_SOCKET_FD, .events = POLLOUT}, 1, -1);
		else if (n < 0 && errno != EINTR)
			kill(0, SIGKILL); /* the worker is gone, and so is the lease */
	}
}

static void send_message(enum message type, int64_t id, json_t *body)
{
	struct buf frame CLEANUP(buf_clear) = {0};
	char *text CLEANUP(free_ptr) = body ? json_dumps(checked(body), JSON_COMPACT) : NULL;

	frame_add(&frame, type, id, text, text ? strlen(text) : 0);
	json_decref(body);
	send_bytes(&frame);
}

/* Of the attempts that have ended, tells those that succeeded and were not told yet. */
static void executor_tell(struct executor *x)
{
	if (x->told == x->ended)
		return;
	x->told = x->ended;
	send_message(MESSAGE_RESULT, x->told, NULL);
}

static json_t *failure_result(const struct err *e)
{
	char *text CLEANUP(free_ptr) = redact_dup(e->text);

	utf8_repair(text, strlen(text)); /* what a tool printed need not be UTF-8, and is cut */
	return json_pack(
		"{s:s, s:s, s:s}", "kind", err_kind_name(e->kind), "code", e->code, "error", text);
}

/*
 * What we have told and noted by the time we die is what the worker goes by: logbook.h. `result`
 * is NULL when it succeeded; the reference is taken over.
 */
static void executor_end_attempt(struct executor *x, json_t *result)
{
	int64_t number = x->ended + 1;

	if (result) {
		atomic_fetch_add(&x->logbook->failed, 1);
		send_message(MESSAGE_RESULT, number, result);
		x->told = number;
	}
	x->ended = number;
	atomic_store(&x->logbook->begun_ns, 0); /* first, or it would seem to be the next one's */
	atomic_store(&x->logbook->ended, number);
}

static void executor_cancel(struct executor *x, const struct frame *frame)
{
	struct pending *pending;
	int64_t job_id;

	assert(frame->length == sizeof(job_id));
	memcpy(&job_id, frame->body, sizeof(job_id));
	if (x->attempt && x->attempt->ticket == frame->id &&
		(job_id == 0 || x->attempt->job_id == job_id))
		x->cancelled = true;
	DL_FOREACH (x->pending, pending)
		if (pending->ticket == frame->id && (job_id == 0 || pending->job_id == job_id))
			pending->cancelled = true;
}

static void executor_accept(struct executor *x, const struct frame *frame)
{
	struct message_attempt head;
	struct pending *pending;
	size_t length = frame->length - sizeof(head);

	assert(frame->length >= sizeof(head));
	memcpy(&head, frame->body, sizeof(head));
	assert(head.kind_length <= length);
	pending = xmalloc(sizeof(*pending) + length + 2);
	*pending = (struct pending){
		.ticket = frame->id,
		.job_id = head.job_id,
		.number = head.number,
	};
	memcpy(pending->kind, frame->body + sizeof(head), head.kind_length);
	pending->kind[head.kind_length] = '\0';
	pending->payload = pending->kind + head.kind_length + 1;
	length -= head.kind_length;
	memcpy(pending->kind + head.kind_length + 1, frame->body + sizeof(head) + head.kind_length,
		length + 1); /* with the NUL */
	if (strlen(pending->payload) < length)
		pending->answers = pending->payload + strlen(pending->payload) + 1;
	DL_APPEND(x->pending, pending);
}

static char *line_kind(const struct chunk_line *line)
{
	json_auto_t *kind = NULL;

	if (!line->kind)
		return xstrdup("");
	kind = checked(json_loadb(line->kind, line->kind_length, JSON_DECODE_ANY, NULL));
	return xstrdup(json_string_value(kind));
}

static void executor_accept_line(struct executor *x, const struct frame *frame,
	const struct message_attempt *head, const struct chunk_line *line)
{
	char *kind CLEANUP(free_ptr) = line_kind(line);
	size_t kind_size = strlen(kind) + 1;
	struct pending *pending = xmalloc(sizeof(*pending) + kind_size + line->payload_length + 1);

	*pending = (struct pending){
		.ticket = frame->id,
		.job_id = line->job_id,
		.number = head->number,
		.is_shared = true,
	};
	memcpy(pending->kind, kind, kind_size);
	pending->payload = pending->kind + kind_size;
	memcpy(pending->kind + kind_size, line->payload, line->payload_length);
	pending->kind[kind_size + line->payload_length] = '\0';
	DL_APPEND(x->pending, pending);
}

static void executor_accept_chunk(struct executor *x, const struct frame *frame)
{
	struct message_attempt head;
	struct chunk_line line;
	const char *text = frame->body + sizeof(head);

	assert(frame->length >= sizeof(head));
	memcpy(&head, frame->body, sizeof(head));
	while (chunk_next_line(&text, &line))
		executor_accept_line(x, frame, &head, &line);
}

static const char *batch_text(const struct executor *x, const char *key)
{
	const char *text = json_string_value(json_object_get(x->batch, key));

	return text ? text : "";
}

static void executor_take_token(struct executor *x, const struct frame *frame)
{
	if (!x->attempt || x->attempt->ticket != frame->id)
		return;
	json_decref(x->token);
	x->token = checked(json_loadb(frame->body, frame->length, 0, NULL));
}

static int64_t batch_number(const struct executor *x, const char *key)
{
	return json_integer_value(json_object_get(x->batch, key));
}

/*
 * It comes when the attempts of the one before have all been answered. A worker that was stopped
 * between deciding to send it and doing so may have lost the leases, and have had a heartbeat
 * answered since.
 */
static void executor_begin_batch(struct executor *x, const struct frame *frame)
{
	json_decref(x->batch);
	x->batch = checked(json_loadb(frame->body, frame->length, 0, NULL));
	x->family = family_find(batch_text(x, "run"));
	x->fence_ns = batch_number(x, "fence_ms") * 1000000;
	if (clock_boot_ns() >= batch_number(x, "until_ns"))
		kill(0, SIGKILL);
}

static void executor_read_frames(struct executor *x)
{
	struct frame frame;
	enum frame_got got;

	while ((got = frame_next(&x->reader, &frame)) == FRAME_WHOLE) {
		if (frame.type == MESSAGE_BATCH)
			executor_begin_batch(x, &frame);
		else if (frame.type == MESSAGE_ATTEMPT)
			executor_accept(x, &frame);
		else if (frame.type == MESSAGE_CHUNK)
			executor_accept_chunk(x, &frame);
		else if (frame.type == MESSAGE_CANCEL)
			executor_cancel(x, &frame);
		else if (frame.type == MESSAGE_TOKEN)
			executor_take_token(x, &frame);
	}
	assert(got != FRAME_BROKEN);
}

/* Takes what the worker sent. False at the end of the stream: the worker closed it. */
static bool executor_read(struct executor *x)
{
	ssize_t n = read(EXECUTOR_SOCKET_FD, frame_room(&x->reader, READ_BYTES), READ_BYTES);

	if (n > 0) {
		frame_fed(&x->reader, (size_t)n);
		executor_read_frames(x);
		return true;
	}
	return n < 0 && (errno == EINTR || errno == EAGAIN);
}

/*
 * Waits while there is nothing to do. Between attempts it only looks, so that a cancel reaches one
 * before it starts; not before each of many short ones, though. False when the worker has gone.
 */
static bool executor_glance(struct executor *x)
{
	struct pollfd fd = {.fd = EXECUTOR_SOCKET_FD, .events = POLLIN};
	bool goes_on;

	x->now_ns = clock_boot_ns();
	if (x->pending && x->now_ns - x->glanced_ns < GLANCE_EVERY_NS)
		return true;
	executor_tell(x);
	goes_on = poll(&fd, 1, x->pending ? 0 : -1) <= 0 || executor_read(x);
	x->now_ns = x->glanced_ns = clock_boot_ns();
	return goes_on;
}

/* jsonb holds what we cannot read: integers beyond 64 bits, 1e400, very deep nesting. */
static json_t *executor_payload(struct executor *x, const char *text, struct err *e)
{
	json_error_t problem;
	json_t *payload =
		strcmp(text, "{}") == 0 ? json_incref(x->empty) : json_loads(text, 0, &problem);

	if (!payload)
		err_code(e, ERR_PERMANENT, "bad_payload", "payload: %s", problem.text);
	return payload;
}

static bool executor_parse(struct executor *x, const struct pending *pending, json_t **ret_payload,
	json_t **ret_answers, struct err *e)
{
	*ret_payload = executor_payload(x, pending->payload, e);
	if (*ret_payload && pending->answers)
		*ret_answers = executor_payload(x, pending->answers, e);
	return *ret_payload && (*ret_answers || !pending->answers);
}

/* The part that the fence guards. */
static bool executor_run_attempt(struct executor *x, struct attempt *attempt, struct err *e)
{
	bool ok;

	x->attempt = attempt;
	log_debug("attempt_started", LOG_I("job", attempt->job_id),
		LOG_I("ticket", attempt->ticket), LOG_I("boot_us", clock_boot_ns() / 1000));
	atomic_store(&x->logbook->begun_ns, x->now_ns);
	fence_guard(x->fence_ns);
	FAULT_LEDGER_BEGIN(attempt->job_id, attempt->ticket, attempt->number);
	FAULT("execute", "begun");
	ok = family_check(x->family, attempt->family_name, attempt->payload, e) &&
		x->family->execute(attempt, e);
	FAULT_LEDGER_END(attempt->job_id, attempt->ticket, ok, x->park_ms >= 0);
	fence_release();
	x->attempt = NULL;
	arena_clear(&attempt->arena);
	return ok;
}

static bool executor_execute(struct executor *x, const struct pending *pending, struct err *e)
{
	json_auto_t *payload = NULL;
	json_auto_t *answers = NULL;
	struct attempt attempt = {
		.family = x->family,
		.config = x->config,
		.family_name = batch_text(x, "family"),
		.kind = pending->kind,
		.queue_id = batch_text(x, "queue"),
		.job_id = pending->job_id,
		.ticket = pending->ticket,
		.number = pending->number,
		.executor = x,
	};

	if (pending->cancelled)
		return err_set(e, ERR_CANCELLED, "cancelled before it started");
	if (!x->family)
		return err_set(e, ERR_PERMANENT, "no built-in family \"%s\"", batch_text(x, "run"));
	if (!executor_parse(x, pending, &payload, &answers, e))
		return false;
	attempt.payload = payload;
	attempt.answers = answers;
	return executor_run_attempt(x, &attempt, e);
}

static void executor_do(struct executor *x, const struct pending *pending)
{
	struct err e = {0};
	json_t *result = NULL;
	bool ok;

	x->is_shared = pending->is_shared;
	x->cancelled = x->cancel_told = false;
	x->done = -1;
	x->total = -1;
	x->unit = "";
	x->progress_ms = 0;
	x->park_ms = -1;
	FAULT("execute", "begin");
	ok = executor_execute(x, pending, &e);
	free(TAKE(x->phase));
	FAULT("execute", "end");
	json_decref(TAKE(x->token));
	if (!ok)
		result = failure_result(&e);
	else if (x->park_ms >= 0)
		result = json_pack("{s:I}", "wait_ms", (json_int_t)x->park_ms);
	executor_end_attempt(x, result);
	FAULT("execute", "sent");
}

static int executor_run(const struct config *config, int parent_pid)
{
	struct executor x = {.config = config, .empty = checked(json_object())};
	struct err e;

	if (!logbook_join(EXECUTOR_LOGBOOK_FD, &x.logbook, &e) ||
		!fence_join(EXECUTOR_FENCE_FD, parent_pid, &x.logbook->fenced_after_ns, &e)) {
		log_error("executor_failed", LOG_S("error", e.text));
		return 1;
	}
	while (executor_glance(&x)) {
		struct pending *pending = x.pending;

		if (pending) {
			DL_DELETE(x.pending, pending);
			executor_do(&x, pending);
			free(pending);
		}
	}
	json_decref(x.batch);
	json_decref(x.empty);
	frame_reader_clear(&x.reader);
	return 0;
}

bool executor_is_meant(int argc, char *const *argv)
{
	return argc > 2 && strcmp(argv[1], "-x") == 0;
}

int executor_main(char *const *argv)
{
	struct config *config CLEANUP(config_clear) = NULL;
	struct err e;

	signal(SIGHUP, SIG_IGN);
	hangup_let();
	prctl(PR_SET_NAME, "athena-executor"); /* for ps; the file was /proc/self/exe */
	if (!config_unseal(EXECUTOR_CONFIG_FD, &config, &e)) {
		log_error("executor_failed", LOG_S("error", e.text));
		return 2;
	}
	close(EXECUTOR_CONFIG_FD);
	log_setup(config->log_level, config->log_format);
	return executor_run(config, (int)strtol(argv[2], NULL, 10));
}

static const char *const level_names[] = {
	[EVENT_DEBUG] = "debug",
	[EVENT_INFO] = "info",
	[EVENT_WARN] = "warn",
	[EVENT_ERROR] = "error",
};

static json_t *redacted_details(json_t *details)
{
	json_t *clean = details ? redact_json(details) : json_null();

	json_decref(details);
	return clean;
}

void attempt_event(struct attempt *attempt, enum event_level level, const char *kind,
	json_t *details, const char *fmt, ...)
{
	char *text CLEANUP(free_ptr) = NULL;
	char *clean CLEANUP(free_ptr) = NULL;
	va_list ap;

	executor_tell(attempt->executor);
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	clean = redact_dup(text);
	utf8_repair(clean, strlen(clean));
	clean[utf8_fit(clean, MESSAGE_BYTES_MAX)] = '\0';
	send_message(MESSAGE_EVENT, attempt->ticket,
		json_pack("{s:s, s:s, s:s?, s:s, s:o}", "level", level_names[level], "kind", kind,
			"phase", attempt->executor->phase, "message", clean, "details",
			redacted_details(details)));
}

void attempt_phase(struct attempt *attempt, const char *phase)
{
	free(attempt->executor->phase);
	attempt->executor->phase = xstrdup(phase);
	attempt_event(attempt, EVENT_INFO, "phase_started", NULL, "%s", phase);
}

void attempt_progress(struct attempt *attempt, int64_t done, int64_t total, const char *unit)
{
	struct executor *x = attempt->executor;
	int64_t now_ms = clock_boot_ms();
	bool is_new = strcmp(unit, x->unit) != 0;

	if (!is_new && done <= x->done)
		return;
	x->unit = unit;
	x->done = done;
	x->total = total;
	if (!is_new && done != total && now_ms - x->progress_ms < PROGRESS_EVERY_MS)
		return;
	x->progress_ms = now_ms;
	executor_tell(x);
	send_message(MESSAGE_PROGRESS, attempt->ticket,
		json_pack("{s:s?, s:I, s:o, s:s}", "phase", x->phase, "done", (json_int_t)done,
			"total", total < 0 ? json_null() : json_integer(total), "unit", unit));
}

const json_t *attempt_answer(const struct attempt *attempt, const char *name)
{
	return json_object_get(attempt->answers, name);
}

bool attempt_is_cancelled(const struct attempt *attempt)
{
	return attempt->executor->cancelled;
}

/* Tells the handler once; from then on waiting is normal, so that it can clean up. */
static bool told_to_stop(struct attempt *attempt, struct err *e)
{
	struct executor *x = attempt->executor;

	if (!x->cancelled || x->cancel_told)
		return false;
	x->cancel_told = true;
	if (attempt->family->cancel)
		attempt->family->cancel(attempt);
	err_set(e, ERR_CANCELLED, "told to stop");
	return true;
}

static int left_ms(int64_t end_ms)
{
	int64_t left = end_ms - clock_boot_ms();

	if (end_ms < 0)
		return -1;
	return left < 0 ? 0 : (int)left;
}

bool attempt_wait(struct attempt *attempt, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e)
{
	int64_t end_ms = timeout_ms < 0 ? -1 : clock_boot_ms() + timeout_ms;
	struct pollfd all[ATTEMPT_WAIT_FDS + 1];

	assert(count <= ATTEMPT_WAIT_FDS);
	executor_tell(attempt->executor);
	for (;;) {
		int ready;

		if (told_to_stop(attempt, e))
			return false;
		if (count > 0)
			memcpy(all, fds, (size_t)count * sizeof(*fds));
		all[count] = (struct pollfd){.fd = EXECUTOR_SOCKET_FD, .events = POLLIN};
		ready = poll(all, (nfds_t)count + 1, left_ms(end_ms));
		if (ready < 0 && errno != EINTR)
			return err_errno(e, ERR_TRANSIENT, "waiting");
		if (ready > 0 && all[count].revents && !executor_read(attempt->executor))
			kill(0, SIGKILL); /* the worker closed the socket: it has given us up */
		if (ready > 0 && all[count].revents)
			ready--;
		for (int i = 0; i < count; i++)
			fds[i].revents = ready > 0 ? all[i].revents : 0;
		if (ready > 0 || (end_ms >= 0 && left_ms(end_ms) == 0)) {
			*ret_ready = ready > 0 ? ready : 0;
			return !told_to_stop(attempt, e);
		}
	}
}

static bool executor_await_token(struct attempt *attempt, struct err *e)
{
	struct executor *x = attempt->executor;
	struct pollfd fd = {.fd = EXECUTOR_SOCKET_FD, .events = POLLIN};

	while (!x->token) {
		if (told_to_stop(attempt, e))
			return false;
		if (poll(&fd, 1, -1) > 0 && !executor_read(x))
			kill(0, SIGKILL); /* the worker closed the socket: it has given us up */
	}
	return true;
}

bool attempt_open_wait(
	struct attempt *attempt, const char *name, const char **ret_token, struct err *e)
{
	struct executor *x = attempt->executor;
	struct buf frame CLEANUP(buf_clear) = {0};
	const char *token;

	if (x->is_shared)
		return err_code(e, ERR_TRANSIENT, "wait_in_chunk",
			"an attempt that shares its ticket cannot wait; the next one is alone");
	json_decref(TAKE(x->token));
	executor_tell(x);
	frame_add(&frame, MESSAGE_WAIT, attempt->ticket, name, strlen(name));
	send_bytes(&frame);
	if (!executor_await_token(attempt, e))
		return false;
	token = json_string_value(json_object_get(x->token, "token"));
	if (!token)
		return err_code(e, ERR_TRANSIENT, "wait_not_opened", "opening a wait: %s",
			json_string_value(json_object_get(x->token, "error")));
	*ret_token = arena_strdup(&attempt->arena, token);
	return true;
}

void attempt_park(struct attempt *attempt, int64_t wait_ms)
{
	assert(attempt->executor->token && wait_ms >= 0);
	attempt->executor->park_ms = wait_ms;
}
