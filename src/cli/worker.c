/* SPDX-License-Identifier: PostgreSQL */
/* athena worker list: the processes that are registered. */
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/listing.h"
#include "db/query.h"
#include "sql_statements.h"

const struct listing_column worker_columns[] = {
	{"id", NULL, LISTING_TEXT, 0},
	{"host", "HOST", LISTING_TEXT, 0},
	{"pid", "PID", LISTING_NUMBER, 0},
	{"kind", "PROGRAM", LISTING_TEXT, 0},
	{"version", "VERSION", LISTING_TEXT, 0},
	{"state", "STATE", LISTING_STATE, 0},
	{"running", "RUNNING", LISTING_NUMBER, 0},
	{"asleep", NULL, LISTING_BOOL, 0},
	{"started_at", "STARTED", LISTING_AGE, 0},
	{"heartbeat_at", "HEARTBEAT", LISTING_AGE, 0},
	{"families", NULL, LISTING_JSON, 0},
	{"family_names", "FAMILIES", LISTING_TEXT, LISTING_SHRINKS | LISTING_PEOPLE_ONLY},
	{0},
};

static bool run(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!cli_connect(cli, e) || !query_rows(&cli->conn, &sql_worker_list, NULL, &rows, e))
		return false;
	listing_print(cli, worker_columns, rows);
	if (PQntuples(rows) == 0 && !cli->wants_json)
		fputs("no worker is registered; start one: athena-worker --family=noop\n", stderr);
	return true;
}

const struct command command_worker_list = {
	.name = "worker list",
	.args = "",
	.summary = "processes that run jobs or maintenance, on all hosts",
	.help = "A worker is silent when it has not been heard of for 15 seconds: it may have lost "
		"its\n"
		"connection. Its jobs are taken from it once their families' lease has run out.\n",
	.run = run,
};
