/* SPDX-License-Identifier: PostgreSQL */
/* athena adopt: lets a restored or copied database run jobs of its own. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "db/query.h"

static bool run_adopt(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;
	bool was_own;
	int64_t returned;

	if (!cli_connect(cli, e) || !query_rows(&cli->conn, &sql_adopt, NULL, &rows, e))
		return false;
	was_own = row_bool(rows, 0, "was_own");
	returned = row_i64(rows, 0, "returned");
	if (cli->wants_json)
		cli_print_json(cli,
			json_pack("{s:b, s:I}", "adopted", !was_own, "leases_returned",
				(json_int_t)returned));
	else if (was_own)
		printf("database \"%s\" is a system of its own already\n", PQdb(cli->conn.pg));
	else
		printf("database \"%s\" is a system of its own now; %" PRId64
		       " jobs that the original's workers held are ready again\n",
			PQdb(cli->conn.pg), returned);
	return true;
}

const struct command command_adopt = {
	.name = "adopt",
	.args = "",
	.summary = "lets a restored or copied database run jobs of its own",
	.help = "A copy of a database holds the jobs of the original, which its workers must not "
		"run.\n"
		"So workers refuse a database that is not the one it was migrated as, until this "
		"says\n"
		"that it is meant to work. All jobs that were running in the original are made "
		"ready,\n"
		"its workers are forgotten, and job ids go on 1,000,000 further, so that none is "
		"given\n"
		"out twice. Cancel what must not run here first: athena job cancel.\n",
	.run = run_adopt,
};
