/* SPDX-License-Identifier: PostgreSQL */
/* The executor's loop, and what attempt.h promises to handlers. */
#include "worker/executor.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/frame.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/redact_json.h"
#include "base/utf8.h"
#include "families/attempt.h"
#include "families/family.h"
#include "worker/fence.h"
#include "worker/message.h"

enum {
	PROGRESS_EVERY_MS = 100,
	MESSAGE_BYTES_MAX = 8192,
	READ_BYTES = 65536,
	GLANCE_EVERY_NS = 1000000
};

/* An attempt that waits for its turn. */
struct pending {
	int64_t ticket;
	json_t *order; /* NULL: it could not be read */
	char problem[JSON_ERROR_TEXT_LENGTH];
	bool cancelled;
	struct pending *prev, *next;
};

struct executor {
	const struct config *config;
	struct frame_reader reader;
	struct pending *pending;
	json_t *batch;	    /* what they have in common */
	int64_t glanced_ns; /* boot clock: when the socket was looked at */

	/* Of the attempt that runs: */
	struct attempt *attempt;
	bool cancelled;
	bool cancel_told; /* attempt_wait() has said so */
	char *phase;
	int64_t done, total;
	const char *unit;
	int64_t progress_ms; /* when progress was sent last */
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

static void send_message(enum message type, int64_t ticket, json_t *body)
{
	struct buf frame CLEANUP(buf_clear) = {0};
	char *text CLEANUP(free_ptr) = body ? json_dumps(checked(body), JSON_COMPACT) : NULL;

	frame_add(&frame, type, ticket, text, text ? strlen(text) : 0);
	json_decref(body);
	send_bytes(&frame);
}

static void send_result(int64_t ticket, const struct err *e)
{
	char *text CLEANUP(free_ptr) = NULL;

	if (!e) {
		send_message(MESSAGE_RESULT, ticket, NULL);
		return;
	}
	text = redact_dup(e->text); /* what a tool printed need not be UTF-8, and is cut anywhere */
	utf8_repair(text, strlen(text));
	send_message(MESSAGE_RESULT, ticket,
		json_pack("{s:s, s:s, s:s}", "kind", err_kind_name(e->kind), "code", e->code,
			"error", text));
}

static void executor_cancel(struct executor *x, int64_t ticket)
{
	struct pending *pending;

	if (x->attempt && x->attempt->ticket == ticket)
		x->cancelled = true;
	DL_FOREACH (x->pending, pending)
		if (pending->ticket == ticket)
			pending->cancelled = true;
}

/* jsonb holds what we cannot read: integers beyond 64 bits, 1e400, very deep nesting. */
static void executor_accept(struct executor *x, const struct frame *frame)
{
	struct pending *pending = xcalloc(1, sizeof(*pending));
	json_error_t problem;

	pending->ticket = frame->id;
	pending->order = json_loadb(frame->body, frame->length, 0, &problem);
	if (!pending->order)
		memcpy(pending->problem, problem.text, sizeof(pending->problem));
	DL_APPEND(x->pending, pending);
}

/* It comes when the attempts of the one before have all been answered. */
static void executor_begin_batch(struct executor *x, const struct frame *frame)
{
	json_decref(x->batch);
	x->batch = checked(json_loadb(frame->body, frame->length, 0, NULL));
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
		else if (frame.type == MESSAGE_CANCEL)
			executor_cancel(x, frame.id);
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
 * before it starts; not before each of many short ones, though.
 */
static bool executor_glance(struct executor *x)
{
	struct pollfd fd = {.fd = EXECUTOR_SOCKET_FD, .events = POLLIN};
	int64_t now_ns = clock_boot_ns();

	if (x->pending && now_ns - x->glanced_ns < GLANCE_EVERY_NS)
		return true;
	x->glanced_ns = now_ns;
	return poll(&fd, 1, x->pending ? 0 : -1) <= 0 || executor_read(x);
}

static const char *order_text(const json_t *order, const char *key)
{
	const char *text = json_string_value(json_object_get(order, key));

	return text ? text : "";
}

static int64_t order_number(const json_t *order, const char *key)
{
	return json_integer_value(json_object_get(order, key));
}

static bool executor_execute(struct executor *x, const struct pending *pending, struct err *e)
{
	const struct family *family = family_find(order_text(x->batch, "run"));
	struct attempt attempt = {
		.family = family,
		.config = x->config,
		.family_name = order_text(x->batch, "family"),
		.kind = order_text(pending->order, "kind"),
		.queue_id = order_text(x->batch, "queue"),
		.job_id = order_number(pending->order, "job"),
		.ticket = pending->ticket,
		.number = (int)order_number(pending->order, "number"),
		.payload = json_object_get(pending->order, "payload"),
		.executor = x,
	};
	bool ok;

	if (!pending->order)
		return err_code(e, ERR_PERMANENT, "bad_payload", "payload: %s", pending->problem);
	if (pending->cancelled)
		return err_set(e, ERR_CANCELLED, "cancelled before it started");
	if (!family)
		return err_set(
			e, ERR_PERMANENT, "no built-in family \"%s\"", order_text(x->batch, "run"));
	x->attempt = &attempt;
	log_debug("attempt_started", LOG_I("job", attempt.job_id), LOG_I("ticket", attempt.ticket),
		LOG_I("boot_us", clock_boot_ns() / 1000));
	fence_guard(order_number(x->batch, "fence_ms") * 1000000);
	FAULT_LEDGER_BEGIN(attempt.job_id, attempt.ticket, attempt.number);
	FAULT("execute", "begun");
	ok = family_check(family, attempt.family_name, attempt.payload, e) &&
		family->execute(&attempt, e);
	FAULT_LEDGER_END(attempt.job_id, attempt.ticket, ok);
	fence_release();
	x->attempt = NULL;
	arena_clear(&attempt.arena);
	return ok;
}

static void executor_do(struct executor *x, struct pending *pending)
{
	struct err e = {0};
	bool ok;

	x->cancelled = x->cancel_told = false;
	x->done = -1;
	x->total = -1;
	x->unit = "";
	x->progress_ms = 0;
	FAULT("execute", "begin");
	ok = executor_execute(x, pending, &e);
	free(TAKE(x->phase));
	FAULT("execute", "end");
	send_result(pending->ticket, ok ? NULL : &e);
	FAULT("execute", "sent");
	json_decref(pending->order);
	free(pending);
}

static int executor_run(const struct config *config, int parent_pid)
{
	struct executor x = {.config = config};
	struct err e;

	if (!fence_join(EXECUTOR_FENCE_FD, parent_pid, &e)) {
		log_error("executor_failed", LOG_S("error", e.text));
		return 1;
	}
	while (executor_glance(&x)) {
		struct pending *pending = x.pending;

		if (pending) {
			DL_DELETE(x.pending, pending);
			executor_do(&x, pending);
		}
	}
	json_decref(x.batch);
	frame_reader_clear(&x.reader);
	return 0;
}

bool executor_is_meant(int argc, char *const *argv)
{
	return argc > 2 && strcmp(argv[1], "-x") == 0;
}

int executor_main(int argc, char *const *argv)
{
	struct config *config CLEANUP(config_clear) = NULL;
	struct err e;

	if (!config_load(argc > 4 ? argv[4] : NULL, &config, &e)) {
		log_error("executor_failed", LOG_S("error", e.text));
		return 2;
	}
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
	send_message(MESSAGE_PROGRESS, attempt->ticket,
		json_pack("{s:s?, s:I, s:o, s:s}", "phase", x->phase, "done", (json_int_t)done,
			"total", total < 0 ? json_null() : json_integer(total), "unit", unit));
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
	struct pollfd all[16];

	assert(count < (int)ARRAY_LENGTH(all));
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
