/* SPDX-License-Identifier: PostgreSQL */
/* athena clone: queues a clone, and follows it when asked to. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/follow.h"
#include "db/query.h"
#include "families/family.h"
#include "sql_statements.h"

static const char family_name[] = "clone";

/* Those of a payload have its names; what they take is checked by the family. */
static const struct option_row clone_options[] = {
	{.name = "jobs", .type = OPTION_INT, .min = 1, .max = 64, .help = "how much at a time"},
	{.name = "mode",
		.type = OPTION_TEXT,
		.unit = "MODE",
		.help = "how rows travel: auto, pipe, staged or parallel"},
	{.name = "verify",
		.type = OPTION_TEXT,
		.unit = "LEVEL",
		.help = "how the copy is compared: full, sample, counts or none"},
	{.name = "sample_percent",
		.type = OPTION_INT,
		.min = 1,
		.max = 99,
		.help = "how many rows --verify=sample compares"},
	{.name = "exclude_data",
		.type = OPTION_TEXT,
		.unit = "TABLES",
		.help = "schema.table,...: tables of which no rows are copied"},
	{.name = "owner_policy",
		.type = OPTION_TEXT,
		.unit = "POLICY",
		.help = "strict: owners and rights of the source; skip: none of them"},
	{.name = "dry_run",
		.type = OPTION_BOOL,
		.help = "only look at what could be in the way, and tell the plan; follows"},
	{.name = "follow",
		.type = OPTION_BOOL,
		.help = "show what happens until it ends; status 0 succeeded, 1 dead, 3 cancelled"},
	{0},
};

static json_t *make_payload(const struct cli *cli)
{
	const struct family *family = family_find(family_name);
	json_t *payload = json_pack("{s:s, s:s}", "source", cli->args[0], "target", cli->args[1]);

	if (!payload) /* no UTF-8 */
		return NULL;
	for (const struct option_row *row = clone_options; row->name; row++) {
		json_t *value = json_object_get(cli->arguments.options, row->name);
		const struct option_row *key = option_find(family->payload, row->name);

		if (value && key && key->type == OPTION_LIST)
			json_object_set_new(payload, row->name,
				option_from_text(key, json_string_value(value)));
		else if (value && row->type != OPTION_BOOL)
			json_object_set(payload, row->name, value);
	}
	if (cli_bool(cli, "dry_run"))
		json_object_set_new(payload, "dry_run", json_true());
	return payload;
}

static bool enqueue(struct cli *cli, const json_t *payload, int64_t *ret_job_id, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, family_name);
	params_give(&params, json_dumps(payload, JSON_COMPACT));
	while (params.count < sql_job_enqueue.nparams)
		params_null(&params);
	if (!query_rows(&cli->conn, &sql_job_enqueue, &params, &rows, e)) {
		if (!cli_has_lost_connection(cli, e))
			return cli_input_error(e);
		cli_next(cli, "athena job list --family %s", family_name);
		return err_in(e, "the job may be queued or not");
	}
	*ret_job_id = row_i64(rows, 0, "id");
	return true;
}

static bool run(struct cli *cli, struct err *e)
{
	json_auto_t *payload = make_payload(cli);
	bool follows = cli_bool(cli, "follow") || cli_bool(cli, "dry_run");
	int64_t job_id = 0;

	if (!payload)
		return err_set(e, ERR_CONFIG, "source and target must be UTF-8");
	if (!family_check(family_find(family_name), family_name, payload, e)) {
		cli_next(cli, "athena family show %s", family_name);
		e->kind = ERR_CONFIG;
		return false;
	}
	if (!cli_connect(cli, e) || !enqueue(cli, payload, &job_id, e))
		return false;
	if (follows)
		return follow_job(cli, job_id, FOLLOW_EVENTS, 0, e);
	if (cli->wants_json)
		cli_print_json(
			cli, json_pack("{s:I, s:b}", "job_id", (json_int_t)job_id, "queued", 1));
	else
		printf("%" PRId64 "\n", job_id);
	return true;
}

const struct command command_clone = {
	.name = "clone",
	.args = "SOURCE TARGET",
	.summary = "queues the copy of a whole database and prints the job's id",
	.help = "Both are connection URIs, key=value strings or names under postgres_clients; the "
		"target must not\n"
		"exist. A worker that serves the family clone does it.\n\n"
		"  athena clone postgresql:///shop postgresql:///shop_copy --dry-run\n"
		"  athena clone postgresql:///shop postgresql:///shop_copy --jobs 4 --follow\n",
	.options = clone_options,
	.run = run,
};
