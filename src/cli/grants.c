/* SPDX-License-Identifier: PostgreSQL */
/* athena grants: the SQL that lets roles do what they are for. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"

/* Named after our roles; the values are roles of the user. */
static const struct option_row grants_options[] = {
	{.name = "worker",
		.type = OPTION_TEXT,
		.unit = "ROLE[,ROLE...]",
		.help = "may claim and settle jobs: workers, and most of the command line"},
	{.name = "maintenance",
		.type = OPTION_TEXT,
		.unit = "ROLE[,ROLE...]",
		.help = "may run lanes and nothing else: athena maintenance run"},
	{.name = "producer",
		.type = OPTION_TEXT,
		.unit = "ROLE[,ROLE...]",
		.help = "may queue jobs, and answer those that wait"},
	{.name = "reader",
		.type = OPTION_TEXT,
		.unit = "ROLE[,ROLE...]",
		.help = "may look at jobs, with secrets masked"},
	{.name = "create",
		.type = OPTION_BOOL,
		.help = "make these roles first, to log in with, without a password"},
	{0},
};

static bool is_of_roles(const struct option_row *row)
{
	return row->type == OPTION_TEXT;
}

/* An identifier of any text. */
static void add_quoted(struct buf *out, const char *name)
{
	buf_char(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_char(out, '"');
		buf_char(out, *name);
	}
	buf_char(out, '"');
}

static void add_role(struct buf *out, const char *ours, const char *role, bool is_new)
{
	struct buf quoted CLEANUP(buf_clear) = {0};

	add_quoted(&quoted, role);
	if (is_new)
		buf_printf(out, "CREATE ROLE %s LOGIN;\n", quoted.bytes);
	buf_printf(out, "GRANT athena_%s TO %s;\n", ours, quoted.bytes);
}

static bool add_roles(
	const struct cli *cli, const struct option_row *row, struct buf *out, struct err *e)
{
	static const struct option_row list = {.type = OPTION_LIST};
	const char *text = cli_text(cli, row->name);
	json_auto_t *roles = text ? option_from_text(&list, text) : NULL;
	const json_t *role;
	size_t i;

	if (text && json_array_size(roles) == 0)
		return err_set(e, ERR_CONFIG, "--%s: which role?", row->name);
	if (text)
		buf_printf(out, "-- athena_%s: %s\n", row->name, row->help);
	json_array_foreach (roles, i, role) {
		add_role(out, row->name, json_string_value(role), cli_bool(cli, "create"));
	}
	return true;
}

/* What there is to grant, as SQL that does nothing yet. */
static void add_overview(struct buf *out)
{
	for (const struct option_row *row = grants_options; row->name; row++)
		if (is_of_roles(row))
			buf_printf(
				out, "-- %s\n-- GRANT athena_%s TO ...;\n", row->help, row->name);
}

static bool run(struct cli *cli, struct err *e)
{
	struct buf out CLEANUP(buf_clear) = {0};

	for (const struct option_row *row = grants_options; row->name; row++)
		if (is_of_roles(row) && !add_roles(cli, row, &out, e))
			return false;
	if (out.length == 0)
		add_overview(&out);
	fputs(out.bytes, stdout);
	return true;
}

const struct command command_grants = {
	.name = "grants",
	.args = "",
	.summary = "prints the SQL that lets roles work with Athena",
	.help = "The roles athena_worker, athena_maintenance, athena_producer and athena_reader\n"
		"are made by athena migrate; nobody can log in as them. Connects nowhere.\n\n"
		"  athena grants --worker runner --producer shop,billing | psql queue\n"
		"  athena grants --reader grafana --create | psql queue\n",
	.options = grants_options,
	.run = run,
};
