/* SPDX-License-Identifier: PostgreSQL */
/* athena schedule: jobs that come again and again, when they come next, and whether they do. */
#include "cli/schedule.h"

#include <inttypes.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/listing.h"
#include "db/query.h"
#include "sql_statements.h"

static const struct listing_column schedule_columns[] = {
	{"name", "SCHEDULE", LISTING_TEXT, 0},
	{"state", "STATE", LISTING_TEXT, 0},
	{"cron", "CRON", LISTING_TEXT, 0},
	{"zone", "ZONE", LISTING_TEXT, 0},
	{"family", "FAMILY", LISTING_TEXT, 0},
	{"next_at", "NEXT", LISTING_AGE, 0},
	{"last_fire", "LAST", LISTING_AGE, 0},
	{"last_outcome", "WAS", LISTING_TEXT, 0},
	{"last_job", "JOB", LISTING_NUMBER, 0},
	{"last_job_state", "IS", LISTING_STATE, 0},
	{"next_fire", NULL, LISTING_TIME, 0},
	{"jitter_s", NULL, LISTING_LENGTH, 0},
	{"window", NULL, LISTING_TEXT, 0},
	{"catch_up", NULL, LISTING_TEXT, 0},
	{"overlap", NULL, LISTING_TEXT, 0},
	{"kind", NULL, LISTING_TEXT, 0},
	{"payload", NULL, LISTING_JSON, 0},
	{"priority", NULL, LISTING_NUMBER, 0},
	{"max_attempts", NULL, LISTING_NUMBER, 0},
	{"timeout_s", NULL, LISTING_LENGTH, 0},
	{"concurrency_key", NULL, LISTING_TEXT, 0},
	{"producer", NULL, LISTING_TEXT, 0},
	{"created_at", NULL, LISTING_TIME, 0},
	{"paused_at", NULL, LISTING_TIME, 0},
	{"queued", NULL, LISTING_NUMBER, 0},
	{"skipped", NULL, LISTING_NUMBER, 0},
	{"failed", NULL, LISTING_NUMBER, 0},
	{"last_reason", "WHY", LISTING_TEXT, LISTING_SHRINKS},
	{0},
};

static bool schedule_read(struct cli *cli, const char *name, PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_text(&params, name);
	return query_rows(&cli->conn, &sql_schedule_list, &params, ret_rows, e);
}

bool schedule_print(struct cli *cli, const char *name, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!schedule_read(cli, name, &rows, e))
		return false;
	listing_print(cli, schedule_columns, rows);
	return true;
}

bool schedule_insert(struct cli *cli, const char *name, const struct params *params, struct err *e)
{
	int64_t added;

	if (!query_run(&cli->conn, &sql_schedule_add, params, &added, e))
		return cli_input_error(e);
	if (added == 0) {
		cli_next(cli, "athena schedule remove %s", name);
		return err_set(e, ERR_PERMANENT, "schedule \"%s\" is there already", name);
	}
	return schedule_print(cli, name, e);
}

bool schedule_unknown(struct cli *cli, const char *name, struct err *e)
{
	struct nearest nearest = {.typed = name};
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!schedule_read(cli, NULL, &rows, e))
		return false;
	for (int row = 0; row < PQntuples(rows); row++)
		nearest_try(&nearest, row_text(rows, row, "name"));
	cli_next(cli, "athena schedule list");
	if (nearest.word[0])
		return err_set(e, ERR_PERMANENT, "unknown schedule \"%s\"; did you mean \"%s\"?",
			name, nearest.word);
	return err_set(e, ERR_PERMANENT, "unknown schedule \"%s\"", name);
}

static bool run_list(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!cli_connect(cli, e) || !schedule_read(cli, NULL, &rows, e))
		return false;
	listing_print(cli, schedule_columns, rows);
	if (PQntuples(rows) == 0 && !cli->wants_json)
		fputs("no schedules; make one: athena schedule add SCHEDULE CRON FAMILY\n", stderr);
	return true;
}

const struct command command_schedule_list = {
	.name = "schedule list",
	.args = "",
	.summary = "schedules: when each fires next, and what became of the last time",
	.help = "A schedule is overdue when its time passed a minute ago and nobody has queued its "
		"job:\n"
		"then nothing runs the maintenance lane `schedule`.\n",
	.run = run_list,
};

struct answers {
	const char *changed, *same; /* what to say; same NULL: cannot be */
};

/* One answer per schedule; a wrong name stops at once. */
static bool change_one(struct cli *cli, const char *name, const struct sql_statement *statement,
	const struct answers *answers, json_t *list, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	const char *answer;

	params_text(&params, name);
	if (!query_rows(&cli->conn, statement, &params, &rows, e))
		return false;
	if (!row_bool(rows, 0, "known"))
		return schedule_unknown(cli, name, e);
	answer = row_bool(rows, 0, "changed") ? answers->changed : answers->same;
	json_array_append_new(list, json_pack("{s:s, s:s}", "schedule", name, "answer", answer));
	if (!cli->wants_json)
		printf("schedule %s: %s\n", name, answer);
	return true;
}

static bool change_each(struct cli *cli, const struct sql_statement *statement,
	const struct answers *answers, struct err *e)
{
	json_auto_t *list = json_array();

	if (!cli_connect(cli, e))
		return false;
	for (size_t i = 0; i < cli->arg_count; i++)
		if (!change_one(cli, cli->args[i], statement, answers, list, e))
			return false;
	if (cli->wants_json)
		cli_print_json(cli, json_incref(list));
	return true;
}

static bool run_pause(struct cli *cli, struct err *e)
{
	static const struct answers answers = {"paused", "was paused already"};

	return change_each(cli, &sql_schedule_pause, &answers, e);
}

const struct command command_schedule_pause = {
	.name = "schedule pause",
	.args = "SCHEDULE...",
	.summary = "stops schedules; jobs that they queued are not touched",
	.help = "Times that pass meanwhile are not caught up.\n",
	.run = run_pause,
};

static bool run_resume(struct cli *cli, struct err *e)
{
	static const struct answers answers = {"resumed", "was not paused"};

	return change_each(cli, &sql_schedule_resume, &answers, e);
}

const struct command command_schedule_resume = {
	.name = "schedule resume",
	.args = "SCHEDULE...",
	.summary = "lets paused schedules fire again, from now on",
	.run = run_resume,
};

static bool run_remove(struct cli *cli, struct err *e)
{
	static const struct answers answers = {"removed", NULL};

	return change_each(cli, &sql_schedule_remove, &answers, e);
}

const struct command command_schedule_remove = {
	.name = "schedule remove",
	.args = "SCHEDULE...",
	.summary = "removes schedules and their history; their jobs stay",
	.run = run_remove,
};

/* Sent once: a second time would queue a second job. */
static bool run_now(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	const char *name = cli->args[0];

	params_text(&params, name);
	if (!cli_connect(cli, e))
		return false;
	if (!query_rows(&cli->conn, &sql_schedule_run, &params, &rows, e)) {
		if (strcmp(e->sqlstate, "P0002") == 0)
			return schedule_unknown(cli, name, e);
		if (!cli_has_lost_connection(cli, e))
			return cli_input_error(e);
		cli_next(cli, "athena schedule list");
		return err_in(e, "the job may be queued or not");
	}
	if (cli->wants_json)
		cli_print_json(
			cli, json_pack("{s:I}", "job_id", (json_int_t)row_i64(rows, 0, "job_id")));
	else
		printf("%" PRId64 "\n", row_i64(rows, 0, "job_id"));
	return true;
}

const struct command command_schedule_run_now = {
	.name = "schedule run-now",
	.args = "SCHEDULE",
	.summary = "queues a job of a schedule now, and prints its id",
	.help = "Paused or not, and whatever its window. When it fires next stays as it was. "
		"While its\n"
		"last job is unfinished this fails, unless the schedule allows overlap.\n",
	.run = run_now,
};
