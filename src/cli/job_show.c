/* SPDX-License-Identifier: PostgreSQL */
/* athena job show: everything about one job, as a story. */
#include <inttypes.h>
#include <string.h>

#include "cli/bar.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/event_line.h"
#include "cli/listing.h"
#include "cli/story.h"
#include "cli/when.h"
#include "db/query.h"
#include "sql_statements.h"

static const struct listing_column show_columns[] = {
	{"job_id", NULL, LISTING_NUMBER, 0},
	{"family", NULL, LISTING_TEXT, 0},
	{"kind", NULL, LISTING_TEXT, 0},
	{"state", NULL, LISTING_STATE, 0},
	{"priority", NULL, LISTING_NUMBER, 0},
	{"attempt", NULL, LISTING_NUMBER, 0},
	{"max_attempts", NULL, LISTING_NUMBER, 0},
	{"created_at", NULL, LISTING_TIME, 0},
	{"run_at", NULL, LISTING_TIME, 0},
	{"started_at", NULL, LISTING_TIME, 0},
	{"finished_at", NULL, LISTING_TIME, 0},
	{"took_s", NULL, LISTING_LENGTH, 0},
	{"timeout_s", NULL, LISTING_LENGTH, 0},
	{"worker", NULL, LISTING_TEXT, 0},
	{"worker_id", NULL, LISTING_TEXT, 0},
	{"ticket", NULL, LISTING_NUMBER, 0},
	{"unique_key", NULL, LISTING_TEXT, 0},
	{"concurrency_key", NULL, LISTING_TEXT, 0},
	{"held_back", NULL, LISTING_TEXT, 0},
	{"cancel_requested_at", NULL, LISTING_TIME, 0},
	{"progress", NULL, LISTING_JSON, 0},
	{"error", NULL, LISTING_TEXT, 0},
	{"payload", NULL, LISTING_JSON, 0},
	{0},
};

static const struct listing_column failure_columns[] = {
	{"at", NULL, LISTING_TIME, 0},
	{"attempt", NULL, LISTING_NUMBER, 0},
	{"ticket", NULL, LISTING_NUMBER, 0},
	{"kind", NULL, LISTING_TEXT, 0},
	{"code", NULL, LISTING_TEXT, 0},
	{"error", NULL, LISTING_TEXT, 0},
	{"details", NULL, LISTING_JSON, 0},
	{"retry_at", NULL, LISTING_TIME, 0},
	{"worker", NULL, LISTING_TEXT, 0},
	{0},
};

/* Events that are told at most; the rest is for `athena job events`. */
enum { EVENTS_MAX = 1000 };

/* What the command reads, in this order: the job as it is, then what led there. */
struct shown {
	PGresult *job, *failures, *events;
};

static void shown_clear(struct shown *shown)
{
	PQclear(shown->job);
	PQclear(shown->failures);
	PQclear(shown->events);
}

static bool read_job(struct cli *cli, int64_t job_id, struct shown *shown, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, job_id);
	if (!query_rows(&cli->conn, &sql_job_show, &params, &shown->job, e))
		return false;
	if (PQntuples(shown->job) == 0)
		return cli_no_job(cli, job_id, e);
	if (!query_rows(&cli->conn, &sql_job_failures, &params, &shown->failures, e))
		return false;
	params_i64(&params, 0);
	params_i64(&params, EVENTS_MAX);
	return query_rows(&cli->conn, &sql_job_events, &params, &shown->events, e);
}

static void print_json(const struct cli *cli, const struct shown *shown)
{
	json_t *object = listing_row(show_columns, shown->job, 0);
	json_t *failures = json_array();
	json_t *events = json_array();

	for (int row = 0; row < PQntuples(shown->failures); row++)
		json_array_append_new(failures, listing_row(failure_columns, shown->failures, row));
	for (int row = 0; row < PQntuples(shown->events); row++)
		json_array_append_new(events, event_line_json(shown->events, row));
	json_object_set_new(object, "failures", failures);
	json_object_set_new(object, "events", events);
	cli_print_json(cli, object);
}

enum { FACT_COLUMNS = 10 };

static void print_progress(const struct terminal *terminal, const PGresult *job)
{
	const char *text = row_text(job, 0, "progress");
	json_auto_t *progress = text ? json_loads(text, 0, NULL) : NULL;
	const json_t *total = json_object_get(progress, "total");
	const char *unit = json_string_value(json_object_get(progress, "unit"));
	struct buf line CLEANUP(buf_clear) = {0};

	if (!unit || strcmp(row_text(job, 0, "state"), "succeeded") == 0)
		return;
	bar_amount(&line, json_integer_value(json_object_get(progress, "done")), unit);
	if (json_is_integer(total)) {
		buf_text(&line, " of ");
		bar_amount(&line, json_integer_value(total), unit);
	}
	terminal_fact(terminal, FACT_COLUMNS, "progress", "%s", line.bytes);
}

static void print_head(const struct terminal *terminal, const PGresult *job)
{
	const char *state = row_text(job, 0, "state");
	const char *kind = row_text(job, 0, "kind");
	int64_t now_us = when_from_postgres(row_text(job, 0, "now"));
	char text[WHEN_TEXT];

	terminal_printf(terminal, STYLE_BOLD, "job %s", row_text(job, 0, "job_id"));
	fprintf(terminal->file, ", %s%s%s: ", row_text(job, 0, "family"), kind ? ", " : "",
		kind ? kind : "");
	terminal_printf(terminal, listing_state_style(state), "%s", state);
	fputs("\n\n", terminal->file);
	terminal_fact(terminal, FACT_COLUMNS, "payload", "%s", row_text(job, 0, "payload"));
	terminal_fact(terminal, FACT_COLUMNS, "queued", "%s",
		when_ago(when_from_postgres(row_text(job, 0, "created_at")), now_us, text));
	terminal_fact(terminal, FACT_COLUMNS, "attempt", "%s of %s", row_text(job, 0, "attempt"),
		row_text(job, 0, "max_attempts"));
	terminal_fact(terminal, FACT_COLUMNS, "priority", "%s", row_text(job, 0, "priority"));
	if (row_text(job, 0, "timeout_s"))
		terminal_fact(terminal, FACT_COLUMNS, "timeout", "%s",
			when_length((int64_t)(row_f64(job, 0, "timeout_s") * 1e6), text));
	print_progress(terminal, job);
}

static void next(const struct terminal *terminal, const char *what, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* A command that makes sense now, and what it is good for. */
static void next(const struct terminal *terminal, const char *what, const char *fmt, ...)
{
	char *command CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	command = xvasprintf(fmt, ap);
	va_end(ap);
	fprintf(terminal->file, "  %-36s", command);
	terminal_printf(terminal, STYLE_DIM, "  %s", what);
	fputc('\n', terminal->file);
}

static void print_next_ready(const struct terminal *terminal, const PGresult *job)
{
	const char *family = row_text(job, 0, "family");

	if (row_bool(job, 0, "paused"))
		next(terminal, "its family is paused", "athena family resume %s", family);
	if (!row_is_null(job, 0, "held_back"))
		next(terminal, row_text(job, 0, "held_back"), "athena family show %s", family);
	if (row_i64(job, 0, "workers") == 0)
		next(terminal, "no worker serves its family", "athena-worker --family=%s", family);
}

static void print_next(const struct terminal *terminal, const PGresult *job)
{
	static const struct {
		const char *state, *verb, *option, *what;
	} rows[] = {
		{"ready", "events", " --follow", "see it run"},
		{"ready", "cancel", "", "never run it"},
		{"scheduled", "retry", "", "run it now"},
		{"scheduled", "cancel", "", "never run it"},
		{"running", "events", " --follow", "see what it does"},
		{"running", "cancel", "", "ask it to stop"},
		{"waiting", "events", " --follow", "see when it is answered"},
		{"waiting", "retry", "", "run it again now, without an answer"},
		{"waiting", "cancel", "", "wait no longer"},
		{"dead", "retry", "", "run it again, with all its attempts"},
		{"cancelled", "retry", "", "run it after all"},
	};
	const char *state = row_text(job, 0, "state");

	if (strcmp(state, "succeeded") == 0)
		return;
	fputc('\n', terminal->file);
	terminal_printf(terminal, STYLE_BOLD, "Next");
	fputc('\n', terminal->file);
	if (strcmp(state, "ready") == 0)
		print_next_ready(terminal, job);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		if (strcmp(state, rows[i].state) == 0)
			next(terminal, rows[i].what, "athena job %s %s%s", rows[i].verb,
				row_text(job, 0, "job_id"), rows[i].option);
}

static void print(const struct cli *cli, const struct shown *shown)
{
	struct story story CLEANUP(story_clear) = {0};

	print_head(&cli->out, shown->job);
	fputc('\n', stdout);
	story_add_failures(&story, shown->failures);
	story_add_job(&story, shown->job);
	story_add_events(&story, shown->events);
	story_print(&story, &cli->out);
	if (story.quiet > 0)
		terminal_printf(&cli->out, STYLE_DIM,
			"  and %" PRId64 " more line%s in: athena job events %s\n", story.quiet,
			story.quiet == 1 ? "" : "s", row_text(shown->job, 0, "job_id"));
	print_next(&cli->out, shown->job);
}

static bool run(struct cli *cli, struct err *e)
{
	struct shown shown CLEANUP(shown_clear) = {0};
	int64_t job_id;

	if (!cli_job_id(cli->args[0], &job_id, e) || !cli_connect(cli, e) ||
		!read_job(cli, job_id, &shown, e))
		return false;
	if (cli->wants_json)
		print_json(cli, &shown);
	else
		print(cli, &shown);
	return true;
}

const struct command command_job_show = {
	.name = "job show",
	.args = "JOB",
	.summary = "the story of a job: what happened, how long, and what next",
	.run = run,
};
