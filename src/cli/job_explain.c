/* SPDX-License-Identifier: PostgreSQL */
/* athena job explain: why a job does not run. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/explain.h"
#include "cli/listing.h"
#include "cli/when.h"
#include "db/query.h"
#include "sql_statements.h"

static const struct listing_column explain_columns[] = {
	{"job_id", NULL, LISTING_NUMBER, 0},
	{"family", NULL, LISTING_TEXT, 0},
	{"state", NULL, LISTING_STATE, 0},
	{"priority", NULL, LISTING_NUMBER, 0},
	{"attempt", NULL, LISTING_NUMBER, 0},
	{"max_attempts", NULL, LISTING_NUMBER, 0},
	{"created_at", NULL, LISTING_TIME, 0},
	{"run_at", NULL, LISTING_TIME, 0},
	{"started_at", NULL, LISTING_TIME, 0},
	{"finished_at", NULL, LISTING_TIME, 0},
	{"worker", NULL, LISTING_TEXT, 0},
	{"worker_id", NULL, LISTING_TEXT, 0},
	{"worker_state", NULL, LISTING_TEXT, 0},
	{"heartbeat_at", NULL, LISTING_TIME, 0},
	{"lease_until", NULL, LISTING_TIME, 0},
	{"concurrency_key", NULL, LISTING_TEXT, 0},
	{"held_back", NULL, LISTING_TEXT, 0},
	{"paused_at", NULL, LISTING_TIME, 0},
	{"workers", NULL, LISTING_NUMBER, 0},
	{"silent_workers", NULL, LISTING_NUMBER, 0},
	{"cancel_requested_at", NULL, LISTING_TIME, 0},
	{"wait_name", NULL, LISTING_TEXT, 0},
	{"error", NULL, LISTING_TEXT, 0},
	{0},
};

static bool read_job(struct cli *cli, int64_t job_id, PGresult **ret_job, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, job_id);
	if (!query_rows(&cli->conn, &sql_job_explain, &params, ret_job, e))
		return false;
	if (PQntuples(*ret_job) > 0)
		return true;
	return cli_no_job(cli, job_id, e);
}

/*
 * Counted to a bound. Few jobs before it, and many dead tickets before those that some old snapshot
 * keeps, would take long all the same: then a time bounds it.
 */
static bool count_ahead(struct cli *cli, int64_t job_id, int64_t *ret_ahead, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_i64(&params, job_id);
	params_i64(&params, AHEAD_MOST);
	if (!query_command(&cli->conn, "BEGIN READ ONLY", e) ||
		!query_command(&cli->conn, "SET LOCAL statement_timeout = '2s'", e))
		return false;
	if (query_rows(&cli->conn, &sql_job_ahead, &params, &rows, e))
		*ret_ahead = row_i64(rows, 0, "ahead");
	else if (e->kind == ERR_CANCELLED)
		*ret_ahead = AHEAD_UNKNOWN;
	else
		return false;
	return query_command(&cli->conn, "ROLLBACK", e);
}

static bool is_ready(const PGresult *job)
{
	return strcmp(row_text(job, 0, "state"), "ready") == 0;
}

static void print_json(
	const struct cli *cli, const PGresult *job, const struct explanation *x, int64_t ahead)
{
	json_t *object = listing_row(explain_columns, job, 0);
	json_t *helping = json_array();

	for (int i = 0; i < x->help_count; i++)
		json_array_append_new(helping, json_string(x->help[i].command));
	json_object_set_new(object, "reason", json_string(x->reason));
	json_object_set_new(object, "answer", json_string(x->answer.bytes));
	json_object_set_new(object, "ahead",
		is_ready(job) && ahead != AHEAD_UNKNOWN ? json_integer(ahead) : json_null());
	json_object_set_new(object, "ahead_is_least", json_boolean(ahead >= AHEAD_MOST));
	json_object_set_new(object, "commands", helping);
	cli_print_json(cli, object);
}

static void print_facts(const struct terminal *out, const PGresult *job, int64_t ahead)
{
	enum { WIDTH = 10 };
	const char *key = row_text(job, 0, "concurrency_key");
	char text[WHEN_TEXT];

	terminal_fact(out, WIDTH, "queued", "%s",
		when_ago(when_from_postgres(row_text(job, 0, "created_at")),
			when_from_postgres(row_text(job, 0, "now")), text));
	terminal_fact(out, WIDTH, "attempt", "%s of %s", row_text(job, 0, "attempt"),
		row_text(job, 0, "max_attempts"));
	terminal_fact(out, WIDTH, "priority", "%s", row_text(job, 0, "priority"));
	if (key)
		terminal_fact(out, WIDTH, "key", "%s", key);
	terminal_fact(out, WIDTH, "workers", "%s alive, %s silent", row_text(job, 0, "workers"),
		row_text(job, 0, "silent_workers"));
	if (is_ready(job))
		terminal_fact(out, WIDTH, "before it", "%s", explain_ahead(ahead, text));
}

static void print(
	const struct cli *cli, const PGresult *job, const struct explanation *x, int64_t ahead)
{
	const char *state = row_text(job, 0, "state");
	struct buf answer CLEANUP(buf_clear) = {0};

	text_clean(&answer, x->answer.bytes);
	terminal_printf(&cli->out, STYLE_BOLD, "job %s", row_text(job, 0, "job_id"));
	printf(", %s, ", row_text(job, 0, "family"));
	terminal_printf(&cli->out, listing_state_style(state), "%s", state);
	printf(": %s\n\n", answer.bytes);
	print_facts(&cli->out, job, ahead);
	fputc('\n', stdout);
	terminal_printf(&cli->out, STYLE_BOLD, "Next");
	fputc('\n', stdout);
	for (int i = 0; i < x->help_count; i++) {
		printf("  %-36s", x->help[i].command);
		terminal_printf(&cli->out, STYLE_DIM, "  %s", x->help[i].what);
		fputc('\n', stdout);
	}
}

static bool run(struct cli *cli, struct err *e)
{
	struct explanation explanation CLEANUP(explanation_clear) = {0};
	PGresult *job CLEANUP(clear_result) = NULL;
	int64_t job_id, ahead = 0;

	if (!cli_job_id(cli->args[0], &job_id, e) || !cli_connect(cli, e) ||
		!read_job(cli, job_id, &job, e))
		return false;
	if (is_ready(job) && !count_ahead(cli, job_id, &ahead, e))
		return false;
	explain(&explanation, job, ahead);
	if (cli->wants_json)
		print_json(cli, job, &explanation, ahead);
	else
		print(cli, job, &explanation, ahead);
	return true;
}

const struct command command_job_explain = {
	.name = "job explain",
	.args = "JOB",
	.summary = "why a job does not run, in one line, and what helps",
	.help = "Its family is paused, it is not due, no worker serves its family, a limit is\n"
		"reached, others are before it, its worker has fallen silent, it waits for a\n"
		"callback, or it has ended. Jobs before it are counted to 10,000 and no further,\n"
		"so that this costs the same whatever the queue holds.\n",
	.run = run,
};
