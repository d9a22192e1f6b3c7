/* SPDX-License-Identifier: PostgreSQL */
/* athena job events: what happened to a job, and what happens now. */
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/event_line.h"
#include "cli/follow.h"
#include "db/query.h"
#include "sql_statements.h"

static const struct option_row events_options[] = {
	{.name = "follow",
		.type = OPTION_BOOL,
		.help = "go on until the job ends; status 0 succeeded, 1 dead, 3 cancelled"},
	{.name = "after",
		.type = OPTION_INT,
		.unit = "SEQ",
		.fallback = "0",
		.max = INT64_MAX,
		.help = "only events after this number"},
	{.name = "limit",
		.type = OPTION_INT,
		.fallback = "1000",
		.min = 1,
		.max = 100000,
		.help = "at most so many; not with --follow"},
	{0},
};

static void print(const struct cli *cli, const PGresult *rows)
{
	json_t *list;

	if (!cli->wants_json) {
		for (int row = 0; row < PQntuples(rows); row++)
			event_line_print(&cli->out, rows, row);
		return;
	}
	list = json_array();
	for (int row = 0; row < PQntuples(rows); row++)
		json_array_append_new(list, event_line_json(rows, row));
	cli_print_json(cli, list);
}

static bool run(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	int64_t job_id;

	if (!cli_job_id(cli->args[0], &job_id, e) || !cli_connect(cli, e))
		return false;
	if (cli_bool(cli, "follow"))
		return follow_job(cli, job_id, FOLLOW_EVENTS, cli_int(cli, "after"), e);
	params_i64(&params, job_id);
	params_i64(&params, cli_int(cli, "after"));
	params_i64(&params, cli_int(cli, "limit"));
	if (!query_rows(&cli->conn, &sql_job_events, &params, &rows, e))
		return false;
	print(cli, rows);
	if (PQntuples(rows) == 0 && !cli->wants_json)
		fprintf(stderr, "no events; most jobs write none. The story: athena job show %s\n",
			cli->args[0]);
	return true;
}

const struct command command_job_events = {
	.name = "job events",
	.args = "JOB",
	.summary = "what a job has told about itself; with --follow as it happens",
	.help = "Columns: time, attempt, phase, message. With --json and --follow, one object per\n"
		"line. ^C ends the following, not the job.\n",
	.options = events_options,
	.run = run,
};
