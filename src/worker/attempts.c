/* SPDX-License-Identifier: PostgreSQL */
/* What becomes of attempts: results of executors turned into results of jobs. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/chunk.h"
#include "worker/worker.h"

void worker_finish(struct worker *worker, struct lease *lease, enum result_kind kind,
	const char *error_kind, const char *code, const char *error)
{
	lease_set_result(lease, kind, error_kind, code, error);
	settler_add(&worker->settler, lease);
}

enum { TIMEOUT_TEXT = 64 };

static const char *timeout_text(const struct lease *lease, char text[TIMEOUT_TEXT])
{
	snprintf(text, TIMEOUT_TEXT, "timed out after %.3g s", (double)lease->timeout_ms / 1000);
	return text;
}

/*
 * An attempt that did not succeed, after it was told to stop: the reason decides, whatever the
 * handler says about how it stopped.
 */
static void finish_stopped(struct worker *worker, struct lease *lease, const char *error)
{
	char text[TIMEOUT_TEXT];

	switch (lease->stop) {
	case STOP_CANCEL:
		worker_finish(worker, lease, RESULT_CANCELLED, NULL, NULL, NULL);
		break;
	case STOP_TIMEOUT:
		worker_finish(worker, lease, RESULT_FAILED, "timeout", "timeout",
			timeout_text(lease, text));
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

/* A chunk whose jobs have ended, or whose executor has: whole, or each job by itself. */
static void worker_finish_chunk(struct worker *worker, struct lease *lease)
{
	if (lease->stop == STOP_LOST)
		finish_stopped(worker, lease, "of a chunk");
	else
		worker_finish(worker, lease,
			chunk_has_succeeded(lease) ? RESULT_SUCCEEDED : RESULT_APART, NULL, NULL,
			NULL);
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
	lease->line->sent_count -= lease->jobs;
	line_learn(lease->line, (ended_ns - lease->started_ns) / lease->jobs);
	counters_ran(&lease->line->counters, lease, lease->jobs, ended_ns);
	if (lease->chunk)
		worker_finish_chunk(worker, lease);
	else if (!body[0] && lease->stop != STOP_LOST) /* success beats a late cancel or timeout */
		worker_finish(worker, lease, RESULT_SUCCEEDED, NULL, NULL, NULL);
	else if (wait_ms && lease->stop != STOP_LOST) /* athena.settle knows of a cancel */
		worker_park(worker, lease, json_integer_value(wait_ms));
	else if (lease->stop != STOP_NONE)
		finish_stopped(worker, lease, member(result, "error", ""));
	else
		worker_finish(worker, lease, RESULT_FAILED, failure_kind(kind),
			member(result, "code", NULL), member(result, "error", "no message"));
}

/*
 * A job of a chunk that ended badly: its own fault, or that of whoever stopped it. Those that were
 * stopped with another one that timed out, or as the worker ends, were not run.
 */
static void finish_member(
	struct lease *lease, int place, const char *error_kind, const char *code, const char *error)
{
	char text[TIMEOUT_TEXT];

	if (lease->stop == STOP_TIMEOUT && place == lease->chunk->timed_out)
		chunk_set_result(lease, place, RESULT_FAILED, "timeout", "timeout",
			timeout_text(lease, text));
	else if (lease->stop != STOP_NONE)
		chunk_set_result(lease, place, RESULT_RETURNED, NULL, NULL, NULL);
	else if (chunk_is_cancelled(lease, place))
		chunk_set_result(lease, place, RESULT_CANCELLED, NULL, NULL, NULL);
	else
		chunk_set_result(lease, place, RESULT_FAILED, error_kind, code, error);
}

static void on_member(void *context, struct lease *lease, int place, const char *body)
{
	json_auto_t *result = json_loads(body, 0, NULL);

	(void)context;
	finish_member(lease, place, failure_kind(member(result, "kind", "transient")),
		member(result, "code", NULL), member(result, "error", "no message"));
}

static void on_crashed(void *context, struct lease *lease, const char *how)
{
	struct worker *worker = context;

	FAULT("crash", "read");
	lease->line->sent_count -= lease->jobs;
	counters_ran(&lease->line->counters, lease, lease->done + 1, clock_boot_ns());
	if (lease->chunk) {
		finish_member(lease, lease->done++, "crashed", NULL, how);
		worker_finish_chunk(worker, lease);
	} else if (lease->stop != STOP_NONE) {
		finish_stopped(worker, lease, how);
	} else {
		worker_finish(worker, lease, RESULT_FAILED, "crashed", NULL, how);
	}
}

static void on_unstarted(void *context, struct lease *lease)
{
	struct worker *worker = context;

	lease->line->sent_count -= lease->jobs;
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
	.member = on_member,
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

void worker_stop_member(struct worker *worker, struct lease *lease, int64_t job_id)
{
	int place = chunk_place(lease, job_id);

	if (lease->state == LEASE_HELD)
		worker_stop_lease(worker, lease, STOP_DRAIN);
	else if (lease->state == LEASE_SENT && place >= lease->done)
		slot_stop_member(lease->slot, lease, place);
}

/* Attempts that took less than this and went well are logged at debug only. */
enum { WORTH_A_LINE_MS = 1000 };

/* How the job ended, or all of a chunk alike; the error is NULL where there is none. */
static const char *settled_result(
	const struct lease *lease, int64_t job_id, const char **ret_error, int *ret_jobs)
{
	bool is_apart = lease->result.kind == RESULT_APART;

	*ret_jobs = lease->chunk && !is_apart ? lease->chunk->size : 1;
	if (is_apart)
		return chunk_result_name(lease, job_id, ret_error);
	*ret_error = lease->result.error;
	return result_name(lease->result.kind);
}

void worker_settled(void *context, const struct lease *lease, int64_t job_id, const char *answer,
	const char *state, const char *run_at)
{
	int64_t ms = clock_boot_ms() - lease->answered_ms;
	const char *error;
	int jobs;
	const char *result = settled_result(lease, job_id, &error, &jobs);
	bool is_lost = strcmp(answer, "lost") == 0;
	bool is_plain = strcmp(result, "succeeded") == 0 && ms < WORTH_A_LINE_MS;

	(void)context;
	if (lease->line && !is_lost)
		counters_settled(
			&lease->line->counters, strcmp(result, "failed") == 0, state, jobs);
	log_at(is_lost		   ? LOG_WARN
			: is_plain ? LOG_DEBUG
				   : LOG_INFO,
		"job_settled", LOG_I("job", job_id), LOG_I("ticket", lease->ticket),
		LOG_I("jobs", jobs), LOG_I("attempt", lease->attempt),
		LOG_S("family", lease->line ? lease->line->name : "?"), LOG_S("result", result),
		LOG_S("answer", answer), LOG_S("state", state ? state : "?"),
		LOG_S("run_at", run_at ? run_at : "-"), LOG_S("error", error ? error : "-"),
		LOG_I("ms", ms));
}
