/* SPDX-License-Identifier: PostgreSQL */
/* athena job list, cancel and retry. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/job_bulk.h"
#include "cli/listing.h"
#include "db/query.h"
#include "sql_statements.h"

static const struct option_row list_options[] = {
	{.name = "family", .type = OPTION_TEXT, .unit = "FAMILY", .help = "only this family"},
	{.name = "state",
		.type = OPTION_WORD,
		.unit = "STATE",
		.words = "ready|scheduled|running|waiting|succeeded|dead|cancelled",
		.help = "only in this state, such as ready, running or dead"},
	{.name = "limit",
		.type = OPTION_INT,
		.fallback = "20",
		.min = 1,
		.max = 100000,
		.help = "at most so many"},
	{.name = "after",
		.type = OPTION_INT,
		.unit = "JOB",
		.max = INT64_MAX,
		.help = "go on after this job: the last one of the page before"},
	{0},
};

static const struct listing_column job_columns[] = {
	{"job_id", "JOB", LISTING_NUMBER, 0},
	{"family", "FAMILY", LISTING_TEXT, 0},
	{"kind", NULL, LISTING_TEXT, 0},
	{"state", "STATE", LISTING_STATE, 0},
	{"priority", NULL, LISTING_NUMBER, 0},
	{"attempt", NULL, LISTING_NUMBER, 0},
	{"max_attempts", NULL, LISTING_NUMBER, 0},
	{"attempts", "ATTEMPT", LISTING_TEXT, LISTING_PEOPLE_ONLY},
	{"created_at", "QUEUED", LISTING_AGE, 0},
	{"run_at", NULL, LISTING_TIME, 0},
	{"started_at", NULL, LISTING_TIME, 0},
	{"finished_at", NULL, LISTING_TIME, 0},
	{"took_s", "TOOK", LISTING_LENGTH, 0},
	{"worker", NULL, LISTING_TEXT, 0},
	{"unique_key", NULL, LISTING_TEXT, 0},
	{"concurrency_key", NULL, LISTING_TEXT, 0},
	{"progress", NULL, LISTING_JSON, 0},
	{"error", NULL, LISTING_TEXT, 0},
	{"payload", NULL, LISTING_JSON, 0},
	{"detail", "DETAIL", LISTING_TEXT, LISTING_SHRINKS | LISTING_PEOPLE_ONLY},
	{0},
};

/* The page is full, so there may be more. */
static void print_more(struct cli *cli, const PGresult *rows)
{
	int count = PQntuples(rows);

	if (cli->wants_json || !cli->err.is_tty || count < cli_int(cli, "limit"))
		return;
	terminal_printf(
		&cli->err, STYLE_DIM, "more: --after %s", row_text(rows, count - 1, "job_id"));
	fputc('\n', stderr);
}

static bool run_list(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, cli_text(cli, "family"));
	params_text(&params, cli_text(cli, "state"));
	params_i64(&params, cli_is_given(cli, "after") ? cli_int(cli, "after") : INT64_MAX);
	params_i64(&params, cli_int(cli, "limit"));
	if (!cli_connect(cli, e) || !query_rows(&cli->conn, &sql_job_list, &params, &rows, e))
		return false;
	listing_print(cli, job_columns, rows);
	print_more(cli, rows);
	return true;
}

const struct command command_job_list = {
	.name = "job list",
	.args = "",
	.summary = "jobs, newest first",
	.help = "  athena job list --state dead --family clone\n"
		"  athena job list --json --limit 1000 --after 123456\n",
	.options = list_options,
	.run = run_list,
};

/*
 * One job of several. False when nothing more can be done; *ret_rows stays NULL, and the status
 * becomes 1, when it is only this job that the server refused.
 */
static bool ask(struct cli *cli, const struct sql_statement *statement, const char *word,
	PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	int64_t job_id;

	if (!cli_job_id(word, &job_id, e))
		return false;
	params_i64(&params, job_id);
	if (query_rows(&cli->conn, statement, &params, ret_rows, e))
		return true;
	if (cli->arg_count == 1 || !e->sqlstate[0] || cli_has_lost_connection(cli, e))
		return false;
	fprintf(stderr, "job %s: %s\n", word, e->text);
	cli->status = 1;
	return true;
}

static json_t *answer_json(const char *job, const char *answer)
{
	return json_pack(
		"{s:I, s:s}", "job_id", (json_int_t)strtoll(job, NULL, 10), "answer", answer);
}

static void print_cancelled(const char *job, const char *answer, bool ok)
{
	if (strcmp(answer, "requested") == 0)
		printf("job %s: it is running; its worker was asked to stop it\n", job);
	else if (ok)
		printf("job %s: cancelled\n", job);
	else
		printf("job %s: not cancelled, it %s before\n", job,
			strcmp(answer, "dead") == 0 ? "died" : answer);
}

/* Each job by itself. One that has ended otherwise keeps none of the others, but the status is 1.
 */
static bool cancel_named(struct cli *cli, struct err *e)
{
	json_auto_t *answers = json_array();

	if (!cli_connect(cli, e))
		return false;
	for (size_t i = 0; i < cli->arg_count; i++) {
		PGresult *rows CLEANUP(clear_result) = NULL;
		const char *answer;
		bool ok;

		if (!ask(cli, &sql_job_cancel, cli->args[i], &rows, e))
			return false;
		if (!rows)
			continue;
		answer = row_text(rows, 0, "answer");
		ok = strcmp(answer, "succeeded") != 0 && strcmp(answer, "dead") != 0;
		cli->status = ok ? cli->status : 1;
		json_array_append_new(answers, answer_json(cli->args[i], answer));
		if (!cli->wants_json)
			print_cancelled(cli->args[i], answer, ok);
	}
	if (cli->wants_json)
		cli_print_json(cli, json_incref(answers));
	return true;
}

static bool run_cancel(struct cli *cli, struct err *e)
{
	static const struct job_bulk all = {.verb = "cancel",
		.done = "cancelled, or asked to stop",
		.one = &sql_job_cancel,
		.many = &sql_job_cancel_many};
	bool is_bulk;

	if (!job_bulk_is_meant(cli, &is_bulk, e))
		return false;
	return is_bulk ? job_bulk_run(cli, &all, e) : cancel_named(cli, e);
}

static const struct option_row cancel_options[] = {
	JOB_BULK_ROWS("ready|scheduled|running|waiting"),
	{0},
};

const struct command command_job_cancel = {
	.name = "job cancel",
	.args = "[JOB...]",
	.summary = "cancels jobs; of one that runs the worker is asked",
	.help = "A job that was not running is cancelled when this has answered. One that runs is "
		"asked\n"
		"to stop, and killed after a grace time; if it succeeds before, it has "
		"succeeded.\n"
		"\n"
		"  athena job cancel 17 18\n"
		"  athena job cancel --state ready --family thumbnails --dry-run\n",
	.options = cancel_options,
	.run = run_cancel,
};

static bool retry_named(struct cli *cli, struct err *e)
{
	json_auto_t *answers = json_array();

	if (!cli_connect(cli, e))
		return false;
	for (size_t i = 0; i < cli->arg_count; i++) {
		PGresult *rows CLEANUP(clear_result) = NULL;

		if (!ask(cli, &sql_job_retry, cli->args[i], &rows, e))
			return false;
		if (!rows)
			continue;
		json_array_append_new(answers, answer_json(cli->args[i], "ready"));
		if (!cli->wants_json)
			printf("job %s: ready again\n", cli->args[i]);
	}
	if (cli->wants_json)
		cli_print_json(cli, json_incref(answers));
	return true;
}

static bool run_retry(struct cli *cli, struct err *e)
{
	static const struct job_bulk all = {.verb = "retry",
		.done = "ready again",
		.one = &sql_job_retry,
		.many = &sql_job_retry_many};
	bool is_bulk;

	if (!job_bulk_is_meant(cli, &is_bulk, e))
		return false;
	return is_bulk ? job_bulk_run(cli, &all, e) : retry_named(cli, e);
}

static const struct option_row retry_options[] = {
	JOB_BULK_ROWS("dead|cancelled|scheduled"),
	{0},
};

const struct command command_job_retry = {
	.name = "job retry",
	.args = "[JOB...]",
	.summary = "runs dead or cancelled jobs again, scheduled and waiting ones now",
	.help = "A dead or cancelled job starts over with all of its attempts. If another "
		"unfinished job\n"
		"holds its unique key by now, it stays as it is. A waiting one gives up its wait.\n"
		"\n"
		"  athena job retry 17\n"
		"  athena job retry --state dead --family clone --since 1h\n",
	.options = retry_options,
	.run = run_retry,
};
