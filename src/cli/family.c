/* SPDX-License-Identifier: PostgreSQL */
/* athena family: the kinds of work, their settings, and whether they are claimed. */
#include "cli/family.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/listing.h"
#include "db/query.h"
#include "sql_statements.h"

const struct listing_column family_columns[] = {
	{"name", "FAMILY", LISTING_TEXT, 0},
	{"paused", "PAUSED", LISTING_BOOL, 0},
	{"ready", "READY", LISTING_NUMBER, 0},
	{"scheduled", "SCHEDULED", LISTING_NUMBER, 0},
	{"running", "RUNNING", LISTING_NUMBER, 0},
	{"dead", "DEAD", LISTING_NUMBER, 0},
	{"workers", "WORKERS", LISTING_NUMBER, 0},
	{"waiting", NULL, LISTING_NUMBER, 0},
	{"builtin", NULL, LISTING_BOOL, 0},
	{"paused_at", NULL, LISTING_TIME, 0},
	{"lease_s", "LEASE", LISTING_LENGTH, 0},
	{"timeout_s", "TIMEOUT", LISTING_LENGTH, 0},
	{"max_attempts", "ATTEMPTS", LISTING_NUMBER, 0},
	{"backoff_base_s", NULL, LISTING_LENGTH, 0},
	{"backoff_cap_s", NULL, LISTING_LENGTH, 0},
	{"backoff_jitter", NULL, LISTING_REAL, 0},
	{"max_running", "LIMIT", LISTING_NUMBER, 0},
	{"max_running_per_key", "PER KEY", LISTING_NUMBER, 0},
	{"rate_count", "RATE", LISTING_NUMBER, 0},
	{"rate_period_s", "PER", LISTING_LENGTH, 0},
	{"rate_burst", "BURST", LISTING_NUMBER, 0},
	{"chunked", NULL, LISTING_BOOL, 0},
	{"producers", NULL, LISTING_JSON, 0},
	{"payload_keys", NULL, LISTING_JSON, 0},
	{"created_at", NULL, LISTING_TIME, 0},
	{"summary", "SUMMARY", LISTING_TEXT, LISTING_SHRINKS},
	{0},
};

bool family_read(struct cli *cli, const char *name, PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_text(&params, name);
	return query_rows(&cli->conn, &sql_family_list, &params, ret_rows, e);
}

bool family_unknown(struct cli *cli, const char *name, struct err *e)
{
	struct nearest nearest = {.typed = name};
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!family_read(cli, NULL, &rows, e))
		return false;
	for (int row = 0; row < PQntuples(rows); row++)
		nearest_try(&nearest, row_text(rows, row, "name"));
	cli_next(cli, "athena family list");
	if (nearest.word[0])
		return err_set(e, ERR_PERMANENT, "unknown family \"%s\"; did you mean \"%s\"?",
			name, nearest.word);
	return err_set(e, ERR_PERMANENT, "unknown family \"%s\"", name);
}

static bool run_list(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!cli_connect(cli, e) || !family_read(cli, NULL, &rows, e))
		return false;
	listing_print(cli, family_columns, rows);
	return true;
}

const struct command command_family_list = {
	.name = "family list",
	.args = "",
	.summary = "families, how many jobs they have and who serves them",
	.run = run_list,
};

static const struct option_row family_options[] = {
	{.name = "summary", .type = OPTION_TEXT, .help = "one line for people"},
	{.name = "lease", .type = OPTION_DURATION, .help = "how long a silent worker keeps a job"},
	{.name = "timeout", .type = OPTION_DURATION, .help = "of one attempt; 0: none"},
	{.name = "max_attempts",
		.type = OPTION_INT,
		.min = 1,
		.max = 1000,
		.help = "attempts until a job is dead"},
	{.name = "backoff_base",
		.type = OPTION_DURATION,
		.help = "the wait before the next attempt, doubled each time"},
	{.name = "backoff_cap", .type = OPTION_DURATION, .help = "the longest such wait"},
	{.name = "backoff_jitter",
		.type = OPTION_TEXT,
		.unit = "PART",
		.help = "by how much a wait may differ, 0 to 1"},
	{.name = "max_running",
		.type = OPTION_INT,
		.max = INT32_MAX,
		.help = "at most so many at once in the whole cluster; 0: no limit"},
	{.name = "max_running_per_key",
		.type = OPTION_INT,
		.max = INT32_MAX,
		.help = "at most so many of one concurrency key at once; 0: no limit"},
	{.name = "rate",
		.type = OPTION_TEXT,
		.unit = "N/TIME",
		.help = "at most so many starts per time, such as 100/1m; 0: no limit"},
	{.name = "rate_burst",
		.type = OPTION_INT,
		.max = INT32_MAX,
		.help = "at most so many of these at once; 0: as many as per time"},
	{.name = "chunked",
		.type = OPTION_WORD,
		.words = "yes|no",
		.help = "whether jobs share tickets, and are settled together"},
	{0},
};

static void add_ms(struct params *params, const struct cli *cli, const char *name)
{
	params_ms(params, cli_is_given(cli, name) ? cli_int(cli, name) : -1);
}

static void add_int(struct params *params, const struct cli *cli, const char *name)
{
	if (cli_is_given(cli, name))
		params_i64(params, cli_int(cli, name));
	else
		params_null(params);
}

static bool is_part(const char *text)
{
	char *end;
	double part = strtod(text, &end);

	return end != text && !*end && part >= 0 && part <= 1;
}

/* "100/1m" as a count and a period; "0" as a count of 0. */
static bool add_rate(const struct cli *cli, struct params *params, struct err *e)
{
	const char *text = cli_text(cli, "rate");
	int64_t count = 0, period_ms = -1;
	char *end;

	if (!text) {
		params_null(params);
		params_null(params);
		return true;
	}
	count = strtoll(text, &end, 10);
	if (end == text || count < 0 || count > INT32_MAX || (count > 0) != (*end == '/') ||
		(count == 0 && *end) || (count > 0 && !option_duration_ms(end + 1, &period_ms, e)))
		return err_set(e, ERR_CONFIG,
			"option --rate must be a number of starts and a time, such as 100/1m, or "
			"0, not '%s'",
			text);
	params_i64(params, count);
	params_ms(params, period_ms);
	return true;
}

/* What family_add.sql and family_set.sql take alike. */
static bool family_params(const struct cli *cli, struct params *params, struct err *e)
{
	const char *jitter = cli_text(cli, "backoff_jitter");

	if (jitter && !is_part(jitter))
		return err_set(e, ERR_CONFIG,
			"option --backoff-jitter must be a number from 0 to 1, not '%s'", jitter);
	params_text(params, cli->args[0]);
	params_text(params, cli_text(cli, "summary"));
	add_ms(params, cli, "lease");
	add_ms(params, cli, "timeout");
	add_int(params, cli, "max_attempts");
	add_ms(params, cli, "backoff_base");
	add_ms(params, cli, "backoff_cap");
	params_text(params, jitter);
	add_int(params, cli, "max_running");
	add_int(params, cli, "max_running_per_key");
	if (!add_rate(cli, params, e))
		return false;
	add_int(params, cli, "rate_burst");
	params_text(params, cli_text(cli, "chunked"));
	return true;
}

/* What a family looks like after a change. */
static bool print_one(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!family_read(cli, cli->args[0], &rows, e))
		return false;
	listing_print(cli, family_columns, rows);
	return true;
}

static bool run_add(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	int64_t added;

	if (!family_params(cli, &params, e) || !cli_connect(cli, e))
		return false;
	if (!query_run(&cli->conn, &sql_family_add, &params, &added, e))
		return cli_input_error(e);
	if (added == 0) {
		cli_next(cli, "athena family set %s ...", cli->args[0]);
		return err_set(e, ERR_PERMANENT, "family \"%s\" is there already", cli->args[0]);
	}
	return print_one(cli, e);
}

const struct command command_family_add = {
	.name = "family add",
	.args = "FAMILY",
	.summary = "adds a family of one's own",
	.help = "What it runs is told to its workers: families.FAMILY.command in config.yaml, or "
		"any\n"
		"program that calls athena.claim() and athena.settle(). A worker's start adds the\n"
		"families of its configuration by itself.\n\n"
		"  athena family add thumbnails --timeout 60s --max-running 8\n",
	.options = family_options,
	.run = run_add,
};

static bool has_change(const struct cli *cli)
{
	for (const struct option_row *row = family_options; row->name; row++)
		if (cli_is_given(cli, row->name))
			return true;
	return false;
}

static bool run_set(struct cli *cli, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	int64_t changed;

	if (!has_change(cli)) {
		cli_next(cli, "athena family set --help");
		return err_set(e, ERR_CONFIG, "nothing to change");
	}
	if (!family_params(cli, &params, e) || !cli_connect(cli, e))
		return false;
	if (!query_run(&cli->conn, &sql_family_set, &params, &changed, e))
		return cli_input_error(e);
	if (changed == 0)
		return family_unknown(cli, cli->args[0], e);
	return print_one(cli, e);
}

const struct command command_family_set = {
	.name = "family set",
	.args = "FAMILY",
	.summary = "changes settings of a family",
	.help = "What is not named stays as it is. Workers see it at their next claim; jobs that "
		"run\n"
		"keep what held when they were claimed.\n\n"
		"  athena family set clone --max-running 2 --timeout 6h\n"
		"  athena family set mail --rate 100/1m --rate-burst 10\n"
		"  athena family set clicks --chunked yes\n",
	.options = family_options,
	.run = run_set,
};

/* One answer per family; a wrong name stops at once. */
static bool change_each(struct cli *cli, const struct sql_statement *statement, const char *changed,
	const char *same, struct err *e)
{
	json_t *answers = json_array();

	for (size_t i = 0; i < cli->arg_count; i++) {
		struct params params CLEANUP(params_clear) = {0};
		PGresult *rows CLEANUP(clear_result) = NULL;
		const char *family = cli->args[i];
		const char *answer;

		params_text(&params, family);
		if (!query_rows(&cli->conn, statement, &params, &rows, e)) {
			json_decref(answers);
			return strcmp(e->sqlstate, "23503") == 0 ? family_unknown(cli, family, e)
								 : false;
		}
		answer = row_bool(rows, 0, "changed") ? changed : same;
		json_array_append_new(
			answers, json_pack("{s:s, s:s}", "family", family, "answer", answer));
		if (!cli->wants_json)
			printf("family %s: %s\n", family, answer);
	}
	if (cli->wants_json)
		cli_print_json(cli, answers);
	else
		json_decref(answers);
	return true;
}

static bool run_pause(struct cli *cli, struct err *e)
{
	return cli_connect(cli, e) &&
		change_each(cli, &sql_family_pause, "paused", "was paused already", e);
}

const struct command command_family_pause = {
	.name = "family pause",
	.args = "FAMILY...",
	.summary = "stops claims of a family; what runs, runs on",
	.help = "Jobs can be queued meanwhile, and wait. No claim that starts after this has "
		"answered\n"
		"takes one.\n",
	.run = run_pause,
};

static bool run_resume(struct cli *cli, struct err *e)
{
	return cli_connect(cli, e) &&
		change_each(cli, &sql_family_resume, "resumed", "was not paused", e);
}

const struct command command_family_resume = {
	.name = "family resume",
	.args = "FAMILY...",
	.summary = "lets a paused family be claimed again",
	.run = run_resume,
};
