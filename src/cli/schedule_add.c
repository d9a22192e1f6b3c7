/* SPDX-License-Identifier: PostgreSQL */
/* athena schedule add, and when a schedule or a pattern fires next. */
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/enqueue.h"
#include "cli/listing.h"
#include "cli/schedule.h"
#include "db/query.h"
#include "sql_statements.h"

static const struct option_row add_options[] = {
	{.name = "zone",
		.type = OPTION_TEXT,
		.fallback = "UTC",
		.help = "the time zone of CRON, such as Europe/Berlin"},
	{.name = "jitter",
		.type = OPTION_DURATION,
		.help = "queue the job later by up to so much, always the same for the same time"},
	{.name = "window",
		.type = OPTION_TEXT,
		.unit = "FROM-UNTIL",
		.help = "only between these times of day, such as 22:00-05:00"},
	{.name = "catch_up",
		.type = OPTION_WORD,
		.words = "skip|once",
		.fallback = "skip",
		.help = "times that were missed, as nobody ran maintenance: no job for them, or "
			"one"},
	{.name = "overlap",
		.type = OPTION_WORD,
		.words = "skip|allow",
		.fallback = "skip",
		.help = "while the last job is unfinished: no other, or another"},
	{.name = "kind", .type = OPTION_TEXT, .help = "a word of your own, to find jobs by"},
	{.name = "priority", .type = OPTION_INT, .fallback = "5", .max = 9, .help = "0 goes first"},
	{.name = "max_attempts",
		.type = OPTION_INT,
		.min = 1,
		.max = 1000,
		.help = "instead of the family's"},
	{.name = "timeout",
		.type = OPTION_DURATION,
		.help = "of one attempt, instead of the family's"},
	{.name = "concurrency_key",
		.type = OPTION_TEXT,
		.unit = "KEY",
		.help = "whose job it is, for a family with --max-running-per-key"},
	{0},
};

/* "22:00-05:00" as two times of day, or two nulls; whether they are any, the server says. */
static bool add_window(const struct cli *cli, struct params *params, struct err *e)
{
	const char *text = cli_text(cli, "window");
	const char *dash = text ? strchr(text, '-') : NULL;
	char *from CLEANUP(free_ptr) = NULL;

	if (!text) {
		params_null(params);
		params_null(params);
		return true;
	}
	if (!dash || dash == text || !dash[1])
		return err_set(e, ERR_CONFIG,
			"option --window must be two times of day, such as 22:00-05:00, not '%s'",
			text);
	from = xstrndup(text, (size_t)(dash - text));
	params_text(params, from);
	params_text(params, dash + 1);
	return true;
}

static void add_duration(const struct cli *cli, struct params *params, const char *name)
{
	params_ms(params, cli_is_given(cli, name) ? cli_int(cli, name) : -1);
}

static void add_int(const struct cli *cli, struct params *params, const char *name)
{
	if (cli_is_given(cli, name))
		params_i64(params, cli_int(cli, name));
	else
		params_null(params);
}

static bool schedule_params(
	const struct cli *cli, const char *payload, struct params *params, struct err *e)
{
	params_text(params, cli->args[0]);
	params_text(params, cli->args[1]);
	params_text(params, cli_text(cli, "zone"));
	add_duration(cli, params, "jitter");
	params_text(params, cli_text(cli, "catch_up"));
	params_text(params, cli_text(cli, "overlap"));
	if (!add_window(cli, params, e))
		return false;
	params_text(params, cli->args[2]);
	params_text(params, payload);
	params_text(params, cli_text(cli, "kind"));
	add_int(cli, params, "priority");
	add_int(cli, params, "max_attempts");
	add_duration(cli, params, "timeout");
	params_text(params, cli_text(cli, "concurrency_key"));
	return true;
}

static bool run_add(struct cli *cli, struct err *e)
{
	const char *name = cli->args[0];
	struct params params CLEANUP(params_clear) = {0};
	struct buf text CLEANUP(buf_clear) = {0};

	if (!enqueue_payload(
		    cli, cli->args[2], cli->arg_count > 3 ? cli->args[3] : "{}", &text, e) ||
		!schedule_params(cli, text.bytes, &params, e) || !cli_connect(cli, e))
		return false;
	return schedule_insert(cli, name, &params, e);
}

const struct command command_schedule_add = {
	.name = "schedule add",
	.args = "SCHEDULE CRON FAMILY [JSON|-|@FILE]",
	.summary = "queues a job again and again, by a cron pattern",
	.help = "CRON has five fields: minute, hour, day of the month, month, weekday. Or it is "
		"@hourly,\n"
		"@daily, @weekly, @monthly, @yearly, or says how often and at what time of day:\n"
		"\n"
		"  athena schedule add nightly 'daily 02:30' noop --zone Europe/Berlin\n"
		"  athena schedule add weekends '*/15 9-17 * * sat,sun' noop --overlap allow\n"
		"  athena schedule add closing 'monthly last 23:00' noop '{\"pad\": \"books\"}' "
		"--catch-up once\n"
		"\n"
		"However many programs run maintenance, each time brings one job.\n",
	.options = add_options,
	.run = run_add,
};

static const struct option_row next_options[] = {
	{.name = "count",
		.type = OPTION_INT,
		.min = 1,
		.max = 1000,
		.fallback = "5",
		.help = "how many"},
	{.name = "zone",
		.type = OPTION_TEXT,
		.help = "the time zone of CRON (default UTC); a schedule has one"},
	{0},
};

static const struct listing_column fire_columns[] = {
	{"local_time", "FIRES", LISTING_TEXT, 0},
	{"zone", "ZONE", LISTING_TEXT, 0},
	{"fire_at", NULL, LISTING_TIME, 0},
	{"due_at", "QUEUED (HERE)", LISTING_TIME, 0},
	{0},
};

/* Names of schedules have no blank and no @, patterns have one. */
static bool is_pattern(const char *word)
{
	return strpbrk(word, " \t@") != NULL;
}

static bool read_next(struct cli *cli, PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	const char *zone = cli_text(cli, "zone");
	bool has_zone = is_pattern(cli->args[0]);

	if (zone && !has_zone)
		return err_set(
			e, ERR_CONFIG, "option --zone is for a pattern: a schedule has its own");
	params_text(&params, cli->args[0]);
	if (has_zone)
		params_text(&params, zone ? zone : "UTC");
	params_i64(&params, cli_int(cli, "count"));
	return cli_connect(cli, e) &&
		(query_rows(&cli->conn, has_zone ? &sql_cron_next : &sql_schedule_next, &params,
			 ret_rows, e) ||
			cli_input_error(e));
}

static bool run_next(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!read_next(cli, &rows, e))
		return false;
	if (PQntuples(rows) == 0 && is_pattern(cli->args[0]))
		return err_set(e, ERR_PERMANENT, "\"%s\" never fires", cli->args[0]);
	if (PQntuples(rows) == 0)
		return schedule_unknown(cli, cli->args[0], e);
	listing_print(cli, fire_columns, rows);
	return true;
}

const struct command command_schedule_next = {
	.name = "schedule next",
	.args = "SCHEDULE|CRON",
	.summary = "when a schedule or a pattern fires next, as the server reckons it",
	.help = "  athena schedule next nightly\n"
		"  athena schedule next '0 9 * * mon-fri' --zone America/New_York --count 10\n",
	.options = next_options,
	.run = run_next,
};
