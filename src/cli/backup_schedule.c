/* SPDX-License-Identifier: PostgreSQL */
/* athena backup schedule: backups, drills and checks that come again and again. */
#include <string.h>

#include "cli/backup.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/schedule.h"
#include "db/query.h"
#include "families/family.h"
#include "sql_statements.h"

static const struct option_row schedule_options[] = {
	{"name", OPTION_TEXT, .help = "of the schedule; KIND-DATABASE when not said"},
	{"kind", OPTION_WORD, .words = "backup|drill|verify", .fallback = "backup",
		.help = "what is done"},
	{"zone", OPTION_TEXT, .fallback = "UTC",
		.help = "the time zone of CRON, such as Europe/Berlin"},
	{"jitter", OPTION_DURATION,
		.help = "later by up to so much, always the same for the same time"},
	{"catch_up", OPTION_WORD, .words = "skip|once", .fallback = "skip",
		.help = "times that were missed, as nobody ran maintenance: no job for them, or "
			"one"},
	{"label", OPTION_TEXT, .help = "a word of your own, for its backups"},
	BACKUP_KEEP_ROWS,
	{0},
};

static bool make_payload(struct cli *cli, json_t *payload, struct err *e)
{
	const char *label = cli_text(cli, "label");

	if (strcmp(cli_text(cli, "kind"), "backup") == 0) {
		if (label)
			json_object_set_new(payload, "label", json_string(label));
		backup_add_keeps(cli, payload);
	} else if (label || backup_add_keeps(cli, payload)) {
		return err_set(e, ERR_CONFIG, "--label and --keep-... are for --kind backup");
	}
	if (family_check(family_find("backup"), "backup", payload, e))
		return true;
	e->kind = ERR_CONFIG;
	return false;
}

static void fill(
	const struct cli *cli, const char *name, const char *payload, struct params *params)
{
	params_text(params, name);
	params_text(params, cli->args[1]);
	params_text(params, cli_text(cli, "zone"));
	params_ms(params, cli_is_given(cli, "jitter") ? cli_int(cli, "jitter") : -1);
	params_text(params, cli_text(cli, "catch_up"));
	params_null(params); /* overlap */
	params_null(params); /* opens */
	params_null(params); /* closes */
	params_text(params, "backup");
	params_text(params, payload);
	params_text(params, cli_text(cli, "kind"));
	params_null(params);				  /* priority */
	params_null(params);				  /* max_attempts */
	params_null(params);				  /* timeout */
	params_text(params, backup_key_of(cli->args[0])); /* concurrency_key */
}

static bool run_schedule(struct cli *cli, struct err *e)
{
	const char *database = cli->args[0];
	char *name CLEANUP(free_ptr) = cli_text(cli, "name")
		? xstrdup(cli_text(cli, "name"))
		: xasprintf("%s-%s", cli_text(cli, "kind"), database);
	json_auto_t *payload = json_pack("{s:s}", "database", database);
	char *text CLEANUP(free_ptr) = NULL;
	struct params params CLEANUP(params_clear) = {0};

	if (!make_payload(cli, payload, e) || !cli_connect(cli, e))
		return false;
	text = json_dumps(payload, JSON_COMPACT);
	fill(cli, name, text, &params);
	return schedule_insert(cli, name, &params, e);
}

const struct command command_backup_schedule = {
	.name = "backup schedule",
	.args = "DATABASE CRON",
	.summary = "makes backups, or tries them, again and again",
	.help = "CRON is what athena schedule add takes. What is kept is judged after each "
		"backup:\n\n"
		"  athena backup schedule shop 'daily 02:30' --zone Europe/Berlin --keep-daily 7 "
		"--keep-weekly 4\n"
		"  athena backup schedule shop 'weekly sun 05:00' --kind drill\n\n"
		"athena schedule list, next, pause, run-now and remove are for these as for any "
		"other.\n",
	.options = schedule_options,
	.run = run_schedule,
};
