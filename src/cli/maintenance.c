/* SPDX-License-Identifier: PostgreSQL */
/* athena maintenance status: what each lane did last, and where. */
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/listing.h"
#include "db/query.h"
#include "sql_statements.h"

const struct listing_column lane_columns[] = {
	{"lane", "LANE", LISTING_TEXT, 0},
	{"state", "STATE", LISTING_STATE, 0},
	{"last_at", "LAST", LISTING_AGE, 0},
	{"leader", "BY", LISTING_TEXT, 0},
	{"leader_id", NULL, LISTING_TEXT, 0},
	{"took_s", "TOOK", LISTING_LENGTH, 0},
	{"did", "DID", LISTING_NUMBER, 0},
	{"total", "TOTAL", LISTING_NUMBER, 0},
	{"runs", NULL, LISTING_NUMBER, 0},
	{"every_s", "EVERY", LISTING_LENGTH, 0},
	{"next_at", NULL, LISTING_TIME, 0},
	{"visible", NULL, LISTING_BOOL, 0},
	{"help", "WHAT IT DOES", LISTING_TEXT, LISTING_SHRINKS},
	{0},
};

static bool run(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!cli_connect(cli, e) ||
		!query_rows(&cli->conn, &sql_maintenance_status, NULL, &rows, e))
		return false;
	listing_print(cli, lane_columns, rows);
	return true;
}

const struct command command_maintenance_status = {
	.name = "maintenance status",
	.args = "",
	.summary = "lanes of maintenance: who ran them last, and what they did",
	.help = "Any worker, or `athena maintenance run`, may run any lane. A lane is overdue when "
		"it\n"
		"has not run for ten of its intervals: then nothing that runs maintenance is "
		"left.\n",
	.run = run,
};
