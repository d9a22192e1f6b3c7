/* SPDX-License-Identifier: PostgreSQL */
/* What becomes of attempts: results of executors turned into results of jobs. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/worker.h"

void worker_finish(struct worker *worker, struct lease *lease, enum result_kind kind,
	const char *error_kind, const char *code, const char *error)
{
	lease_set_result(lease, kind, error_kind, code, error);
	settler_add(&worker->settler, lease);
}

/*
 * An attempt that did not succeed, after it was told to stop: the reason decides, whatever the
 * handler says about how it stopped.
 */
static void finish_stopped(struct worker *worker, struct lease *lease, const char *error)
{
	char text[96];

	switch (lease->stop) {
	case STOP_CANCEL:
		worker_finish(worker, lease, RESULT_CANCELLED, NULL, NULL, NULL);
		break;
	case STOP_TIMEOUT:
		snprintf(text, sizeof(text), "timed out after %.3g s",
			(double)lease->timeout_ms / 1000);
		worker_finish(worker, lease, RESULT_FAILED, "timeout", "timeout", text);
		break;
	case STOP_DRAIN:
		worker_finish(worker, lease, RESULT_RETURNED, NULL, NULL, NULL);
		break;
	default:
		log_warn("attempt_lost", LOG_I("job", lease->job_id),
			LOG_I("ticket", lease->ticket), LOG_S("error", error));
		lease_table_drop(&worker->leases, lease);
	}
}

static const char *member(const json_t *object, const char *key, const char *fallback)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && text[0] ? text : fallback;
}

static void worker_park(struct worker *worker, struct lease *lease, int64_t wait_ms)
{
	lease_set_result(lease, RESULT_PARKED, NULL, NULL, NULL);
	lease->result.wait_ms = wait_ms;
	settler_add(&worker->settler, lease);
}

/* What athena.settle knows of errors: mistakes are final, and what was lost may come back. */
static const char *failure_kind(const char *kind)
{
	switch (err_kind_find(kind)) {
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_PERMANENT:
	case ERR_CONFIG:
		return "permanent";
	default:
		return "transient";
	}
}

static void on_result(void *context, struct lease *lease, const char *body, int64_t ended_ns)
{
	struct worker *worker = context;
	json_auto_t *result = body[0] ? json_loads(body, 0, NULL) : NULL;
	const char *kind = member(result, "kind", "transient");
	const json_t *wait_ms = json_object_get(result, "wait_ms");

	FAULT("result", "read");
	lease->line->sent_count--;
	line_learn(lease->line, ended_ns - lease->started_ns);
	counters_ran(&lease->line->counters, lease, ended_ns);
	if (!body[0] && lease->stop != STOP_LOST) /* success beats a late cancel or timeout */
		worker_finish(worker, lease, RESULT_SUCCEEDED, NULL, NULL, NULL);
	else if (wait_ms && lease->stop != STOP_LOST) /* athena.settle knows of a cancel */
		worker_park(worker, lease, json_integer_value(wait_ms));
	else if (lease->stop != STOP_NONE)
		finish_stopped(worker, lease, member(result, "error", ""));
	else
		worker_finish(worker, lease, RESULT_FAILED, failure_kind(kind),
			member(result, "code", NULL), member(result, "error", "no message"));
}

static void on_crashed(void *context, struct lease *lease, const char *how)
{
	struct worker *worker = context;

	FAULT("crash", "read");
	lease->line->sent_count--;
	counters_ran(&lease->line->counters, lease, clock_boot_ns());
	if (lease->stop != STOP_NONE)
		finish_stopped(worker, lease, how);
	else
		worker_finish(worker, lease, RESULT_FAILED, "crashed", NULL, how);
}

static void on_unstarted(void *context, struct lease *lease)
{
	struct worker *worker = context;

	lease->line->sent_count--;
	if (lease->stop != STOP_NONE)
		finish_stopped(worker, lease, "before it started");
	else if (worker->life != WORKER_RUNNING)
		worker_finish(worker, lease, RESULT_RETURNED, NULL, NULL, NULL);
	else
		line_hold(lease->line, lease);
}

static void on_event(void *context, const struct lease *lease, const char *body)
{
	struct worker *worker = context;

	reporter_event(&worker->reporter, lease, body);
}

static void on_progress(void *context, const struct lease *lease, const char *body)
{
	struct worker *worker = context;

	reporter_progress(&worker->reporter, lease, body);
}

static void on_wait(void *context, const struct lease *lease, const char *name)
{
	struct worker *worker = context;

	waits_ask(&worker->waits, lease, name);
}

void worker_wait_opened(void *context, struct lease *lease, const char *token, const char *error)
{
	json_auto_t *body = json_pack("{s:s}", token ? "token" : "error", token ? token : error);
	char *text CLEANUP(free_ptr) = json_dumps(body, JSON_COMPACT);

	(void)context;
	if (lease->state == LEASE_SENT && text)
		slot_tell_token(lease->slot, lease, text);
}

/* The turn that follows sees the free slot. */
static void on_freed(void *context)
{
	(void)context;
}

const struct slot_events worker_slot_events = {
	.result = on_result,
	.crashed = on_crashed,
	.unstarted = on_unstarted,
	.event = on_event,
	.progress = on_progress,
	.wait = on_wait,
	.freed = on_freed,
};

void worker_stop_lease(struct worker *worker, struct lease *lease, enum stop_reason reason)
{
	switch (lease->state) {
	case LEASE_SENT:
		slot_stop(lease->slot, lease, reason);
		break;
	case LEASE_HELD:
		line_unhold(lease->line, lease);
		lease->stop = reason;
		finish_stopped(worker, lease, "before it started");
		break;
	case LEASE_SETTLING:
		break; /* it has its result */
	}
}

/* Attempts that took less than this and went well are logged at debug only. */
enum { WORTH_A_LINE_MS = 1000 };

void worker_settled(void *context, const struct lease *lease, const char *answer, const char *state,
	const char *run_at)
{
	int64_t ms = clock_boot_ms() - lease->answered_ms;
	bool is_plain = lease->result.kind == RESULT_SUCCEEDED && ms < WORTH_A_LINE_MS;
	enum log_level level = LOG_INFO;

	(void)context;
	if (lease->line && strcmp(answer, "lost") != 0)
		counters_settled(&lease->line->counters, lease, state);
	if (strcmp(answer, "lost") == 0)
		level = LOG_WARN;
	else if (is_plain)
		level = LOG_DEBUG;
	log_at(level, "job_settled", LOG_I("job", lease->job_id), LOG_I("ticket", lease->ticket),
		LOG_I("attempt", lease->attempt),
		LOG_S("family", lease->line ? lease->line->name : "?"),
		LOG_S("result", result_name(lease->result.kind)), LOG_S("answer", answer),
		LOG_S("state", state ? state : "?"), LOG_S("run_at", run_at ? run_at : "-"),
		LOG_S("error", lease->result.error ? lease->result.error : "-"), LOG_I("ms", ms));
}
