/* SPDX-License-Identifier: PostgreSQL */
/* Events and progress on their way into Postgres. */
#include "queue/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/chunk.h"

enum { WAIT_MS = 500 };

void reporter_init(struct reporter *reporter)
{
	reporter->events = json_array();
	reporter->progress = json_object();
}

/* Of a chunk, the first job that has not ended: results are told before anything else. */
static int64_t running_job(const struct lease *lease)
{
	return lease->chunk ? chunk_job(lease, lease->done) : lease->job_id;
}

void reporter_event(struct reporter *reporter, const struct lease *lease, const char *body)
{
	json_t *event = json_loads(body, 0, NULL);

	if (!event || json_array_size(reporter->events) >= REPORT_EVENTS_MAX) {
		json_decref(event);
		reporter->dropped++;
		return;
	}
	json_object_set_new(event, "job_id", json_integer(running_job(lease)));
	json_object_set_new(event, "ticket", json_integer(lease->ticket));
	json_object_set_new(event, "attempt", json_integer(lease->attempt));
	json_object_set_new(event, "at_ms", json_integer(clock_wall_ms()));
	json_array_append_new(reporter->events, event);
}

void reporter_progress(struct reporter *reporter, const struct lease *lease, const char *body)
{
	json_t *progress = json_loads(body, 0, NULL);
	char ticket[24];

	if (!progress)
		return;
	json_object_set_new(progress, "job_id", json_integer(running_job(lease)));
	snprintf(ticket, sizeof(ticket), "%" PRId64, lease->ticket);
	json_object_set_new(reporter->progress, ticket, progress);
}

/* For an error that may pass. A lost connection is tried as soon as there is a new one. */
static void reporter_wait(struct reporter *reporter, const struct err *e)
{
	if (strcmp(e->code, "connection_lost") == 0)
		return;
	if (strcmp(reporter->error.text, e->text) != 0)
		log_warn("events_wait", LOG_S("error", e->text));
	reporter->error = *e;
	reporter->wait_until_ms = clock_boot_ms() + WAIT_MS;
}

/* Puts them in front of what came since. */
static void reporter_take_back(struct reporter *reporter, json_t *events)
{
	json_array_extend(events, reporter->events);
	json_decref(reporter->events);
	reporter->events = json_incref(events);
}

/* A batch that is refused for what one of them holds is sent again one by one. */
static void on_events_inserted(void *context, const PGresult *rows, const struct err *e)
{
	struct reporter *reporter = context;
	json_t *flying = TAKE(reporter->flying);
	size_t count = json_array_size(flying);

	(void)rows;
	if (!e) {
		reporter->error.text[0] = '\0';
	} else if (err_is_retryable(e) || e->kind == ERR_CANCELLED) {
		reporter_wait(reporter, e);
		reporter_take_back(reporter, flying);
	} else if (count > 1) {
		reporter->alone = count;
		reporter_take_back(reporter, flying);
	} else {
		log_error("event_refused", LOG_S("error", e->text));
	}
	json_decref(flying);
}

/* All that waits, or the first one where a batch with it was refused. */
static void reporter_send_events(struct reporter *reporter)
{
	struct params params = {0};

	if (reporter->alone == 0) {
		reporter->flying = reporter->events;
		reporter->events = json_array();
	} else {
		reporter->alone--;
		reporter->flying = json_array();
		json_array_append(reporter->flying, json_array_get(reporter->events, 0));
		json_array_remove(reporter->events, 0);
	}
	params_give(&params, json_dumps(reporter->flying, JSON_COMPACT));
	session_send(reporter->session, &sql_event_insert, &params, on_events_inserted, reporter);
	session_sync(reporter->session);
}

static void on_progress_set(void *context, const PGresult *rows, const struct err *e)
{
	(void)rows;
	if (e)
		reporter_wait(context, e);
}

static void send_progress(struct reporter *reporter, const char *ticket, const json_t *progress)
{
	const json_t *total = json_object_get(progress, "total");
	struct params params = {0};

	params_text(&params, reporter->worker_id);
	params_i64(&params, json_integer_value(json_object_get(progress, "job_id")));
	params_text(&params, ticket);
	params_i64(&params, json_integer_value(json_object_get(progress, "done")));
	if (json_is_integer(total))
		params_i64(&params, json_integer_value(total));
	else
		params_null(&params);
	params_text(&params, json_string_value(json_object_get(progress, "unit")));
	params_text(&params, json_string_value(json_object_get(progress, "phase")));
	session_send(reporter->session, &sql_progress_set, &params, on_progress_set, reporter);
	session_sync(reporter->session);
}

void reporter_flush(struct reporter *reporter)
{
	const char *ticket;
	json_t *progress;

	if (reporter->flying || !session_is_up(reporter->session) ||
		clock_boot_ms() < reporter->wait_until_ms)
		return;
	if (reporter->dropped > 0)
		log_warn("events_dropped", LOG_I("count", reporter->dropped));
	reporter->dropped = 0;
	json_object_foreach (reporter->progress, ticket, progress)
		send_progress(reporter, ticket, progress);
	json_object_clear(reporter->progress);
	if (json_array_size(reporter->events) > 0)
		reporter_send_events(reporter);
}

bool reporter_is_idle(const struct reporter *reporter)
{
	return !reporter->flying && json_array_size(reporter->events) == 0;
}

void reporter_clear(struct reporter *reporter)
{
	json_decref(reporter->events);
	json_decref(reporter->flying);
	json_decref(reporter->progress);
	*reporter = (struct reporter){0};
}
