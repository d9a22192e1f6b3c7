/* SPDX-License-Identifier: PostgreSQL */
/* The reasons, by the state that a job is in. */
#include "cli/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/when.h"
#include "db/query.h"

/* Lanes that keep jobs moving are due four times a second. */
enum { LATE_US = 5000000 };

static void help(struct explanation *x, const char *what, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void help(struct explanation *x, const char *what, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	x->help[x->help_count].command = xvasprintf(fmt, ap);
	va_end(ap);
	x->help[x->help_count++].what = what;
}

static int64_t time_of(const PGresult *job, const char *column)
{
	return when_from_postgres(row_text(job, 0, column));
}

/* How long ago, or how far ahead, a time is; null columns are 0. */
static int64_t since_us(const PGresult *job, const char *column)
{
	return row_is_null(job, 0, column) ? 0 : time_of(job, "now") - time_of(job, column);
}

static const char *length_since(const PGresult *job, const char *column, char text[WHEN_TEXT])
{
	int64_t us = since_us(job, column);

	return when_length(us < 0 ? -us : us, text);
}

const char *explain_ahead(int64_t ahead, char text[40])
{
	if (ahead == AHEAD_UNKNOWN)
		snprintf(text, 40, "not counted: it would take long");
	else if (ahead >= AHEAD_MOST)
		snprintf(text, 40, "at least 10,000");
	else
		snprintf(text, 40, "%" PRId64, ahead);
	return text;
}

/*
 * Ready.
 */

static void explain_without_worker(struct explanation *x, const PGresult *job)
{
	const char *family = row_text(job, 0, "family");
	int64_t silent = row_i64(job, 0, "silent_workers");

	x->reason = "no_worker";
	buf_printf(&x->answer, "no worker that is alive serves its family %s", family);
	if (silent > 0)
		buf_printf(&x->answer, "; %" PRId64 " that did %s silent", silent,
			silent == 1 ? "is" : "are");
	help(x, "start one", "athena-worker --family=%s", family);
	help(x, "which there are", "athena worker list");
}

static void explain_line(struct explanation *x, const PGresult *job, int64_t ahead)
{
	const char *family = row_text(job, 0, "family");
	char text[40];

	if (ahead == 0) {
		x->reason = "next";
		buf_text(&x->answer,
			"it is the next in its line: a worker takes it as soon as "
			"one has a slot free");
	} else if (ahead == AHEAD_UNKNOWN) {
		x->reason = "behind";
		buf_text(&x->answer,
			"it is behind others of its family, which would take long to count");
	} else {
		x->reason = "behind";
		buf_printf(&x->answer, "it is behind %s other%s of its family",
			explain_ahead(ahead, text), ahead == 1 ? "" : "s");
	}
	help(x, "what is being done", "athena job list --family %s --state running", family);
	if (ahead != 0)
		help(x, "do more at a time", "athena-worker --family=%s", family);
}

static void explain_ready(struct explanation *x, const PGresult *job, int64_t ahead)
{
	const char *family = row_text(job, 0, "family");
	char text[WHEN_TEXT];

	if (!row_is_null(job, 0, "paused_at")) {
		x->reason = "paused";
		buf_printf(&x->answer, "its family %s has been paused for %s", family,
			length_since(job, "paused_at", text));
		help(x, "let it run again", "athena family resume %s", family);
	} else if (row_i64(job, 0, "workers") == 0) {
		explain_without_worker(x, job);
	} else if (!row_is_null(job, 0, "held_back")) {
		x->reason = "limit";
		buf_printf(&x->answer, "a limit of its family %s is reached: %s", family,
			row_text(job, 0, "held_back"));
		help(x, "its limits", "athena family show %s", family);
		help(x, "what is being done", "athena job list --family %s --state running",
			family);
	} else {
		explain_line(x, job, ahead);
	}
}

/*
 * Waiting for a time, or for somebody.
 */

/* What falls due is moved by a lane, which somebody has to run. */
static void explain_late(struct explanation *x, const PGresult *job, const char *what)
{
	char late[WHEN_TEXT], last[WHEN_TEXT];

	x->reason = "overdue";
	buf_printf(&x->answer, "%s for %s, but nobody runs maintenance: its lane %s %s%s", what,
		length_since(job, "run_at", late), row_text(job, 0, "lane"),
		row_is_null(job, 0, "lane_last_at") ? "has never run" : "ran last ",
		row_is_null(job, 0, "lane_last_at")
			? ""
			: when_ago(time_of(job, "lane_last_at"), time_of(job, "now"), last));
	help(x, "who runs the lanes", "athena maintenance status");
	help(x, "run them", "athena maintenance run");
}

static bool is_late(const PGresult *job)
{
	return since_us(job, "run_at") > LATE_US &&
		(row_is_null(job, 0, "lane_last_at") || since_us(job, "lane_last_at") > LATE_US);
}

static void explain_scheduled(struct explanation *x, const PGresult *job)
{
	int64_t attempt = row_i64(job, 0, "attempt");
	char text[WHEN_TEXT];

	if (is_late(job)) {
		explain_late(x, job, "it has been due");
		return;
	}
	x->reason = "not_due";
	if (since_us(job, "run_at") >= 0)
		buf_text(&x->answer, "it is due just now");
	else
		buf_printf(&x->answer, "it is not due: it runs %sin %s",
			attempt > 0 ? "again " : "", length_since(job, "run_at", text));
	if (attempt > 0 && !row_is_null(job, 0, "error"))
		buf_printf(&x->answer, ", since attempt %" PRId64 " failed: %s", attempt,
			row_text(job, 0, "error"));
	help(x, "run it now", "athena job retry %s", row_text(job, 0, "job_id"));
}

static void explain_waiting(struct explanation *x, const PGresult *job)
{
	const char *name = row_text(job, 0, "wait_name");
	const char *job_id = row_text(job, 0, "job_id");
	bool is_named = name && *name;
	char text[WHEN_TEXT];

	if (is_late(job)) {
		explain_late(x, job, "its callback has been late");
		return;
	}
	x->reason = "waiting";
	buf_printf(&x->answer, "it waits for somebody to call back%s%s%s, for another %s",
		is_named ? " about \"" : "", is_named ? name : "", is_named ? "\"" : "",
		length_since(job, "run_at", text));
	help(x, "see when it is answered", "athena job events %s --follow", job_id);
	help(x, "run it again now, without an answer", "athena job retry %s", job_id);
}

/*
 * Running, and ended.
 */

static void explain_silent(struct explanation *x, const PGresult *job)
{
	char silent[WHEN_TEXT], until[WHEN_TEXT];

	x->reason = "silent";
	buf_printf(&x->answer, "it is leased by %s, which has been silent for %s; ",
		row_text(job, 0, "worker"), length_since(job, "heartbeat_at", silent));
	if (since_us(job, "lease_until") < 0)
		buf_printf(&x->answer, "others may have it in %s",
			length_since(job, "lease_until", until));
	else
		buf_text(&x->answer, "its lease is over, and whoever runs maintenance takes it");
	help(x, "look at that process", "athena worker list");
	help(x, "who runs the lane rescue", "athena maintenance status");
}

static void explain_running(struct explanation *x, const PGresult *job)
{
	const char *state = row_text(job, 0, "worker_state");
	const char *job_id = row_text(job, 0, "job_id");
	char text[WHEN_TEXT];

	if (!state) {
		x->reason = "unregistered";
		buf_text(&x->answer,
			"it is leased by a process that is not registered; whoever "
			"runs maintenance takes it");
		help(x, "who runs the lane rescue", "athena maintenance status");
		return;
	}
	if (strcmp(state, "silent") == 0) {
		explain_silent(x, job);
		return;
	}
	x->reason = row_is_null(job, 0, "cancel_requested_at") ? "running" : "cancelling";
	if (row_is_null(job, 0, "cancel_requested_at"))
		buf_printf(&x->answer, "it runs: %s has had it for %s", row_text(job, 0, "worker"),
			length_since(job, "started_at", text));
	else
		buf_printf(&x->answer, "%s was asked to stop it %s ago", row_text(job, 0, "worker"),
			length_since(job, "cancel_requested_at", text));
	help(x, "see what it does", "athena job events %s --follow", job_id);
}

static void explain_ended(struct explanation *x, const PGresult *job)
{
	const char *state = row_text(job, 0, "state");
	const char *job_id = row_text(job, 0, "job_id");
	const char *error = row_text(job, 0, "error");
	bool is_dead = strcmp(state, "dead") == 0;
	char text[WHEN_TEXT];

	x->reason = "ended";
	buf_printf(&x->answer, "it has ended: %s %s ago", state,
		length_since(job, "finished_at", text));
	if (is_dead)
		buf_printf(&x->answer, ", after %s of %s attempts%s%s", row_text(job, 0, "attempt"),
			row_text(job, 0, "max_attempts"), error ? ": " : "", error ? error : "");
	help(x, "its story", "athena job show %s", job_id);
	if (strcmp(state, "succeeded") != 0)
		help(x, "run it again, with all its attempts", "athena job retry %s", job_id);
}

void explain(struct explanation *ret_explanation, const PGresult *job, int64_t ahead)
{
	const char *state = row_text(job, 0, "state");

	*ret_explanation = (struct explanation){0};
	if (strcmp(state, "ready") == 0)
		explain_ready(ret_explanation, job, ahead);
	else if (strcmp(state, "scheduled") == 0)
		explain_scheduled(ret_explanation, job);
	else if (strcmp(state, "waiting") == 0)
		explain_waiting(ret_explanation, job);
	else if (strcmp(state, "running") == 0)
		explain_running(ret_explanation, job);
	else
		explain_ended(ret_explanation, job);
}

void explanation_clear(struct explanation *explanation)
{
	buf_clear(&explanation->answer);
	for (int i = 0; i < explanation->help_count; i++)
		free(explanation->help[i].command);
}
