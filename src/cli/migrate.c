/* SPDX-License-Identifier: PostgreSQL */
/* athena migrate: brings the schema into a database. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/table.h"
#include "cli/when.h"
#include "db/migrate.h"
#include "db/query.h"
#include "sql_statements.h"

enum { DEFAULT_PATIENCE_MS = 60000 };

static const struct option_row migrate_options[] = {
	{.name = "status",
		.type = OPTION_BOOL,
		.help = "show what is applied and what is missing, change nothing"},
	{.name = "sql",
		.type = OPTION_BOOL,
		.help = "print the migrations as a script for psql, connect nowhere"},
	{.name = "after",
		.type = OPTION_INT,
		.fallback = "0",
		.max = INT32_MAX,
		.help = "with --sql: only migrations after this number"},
	{.name = "patience",
		.type = OPTION_DURATION,
		.fallback = "60s",
		.help = "how long to wait for locks that others hold"},
	{.name = "drop",
		.type = OPTION_BOOL,
		.help = "remove the schema athena, and all jobs with it, for good"},
	{.name = "yes", .type = OPTION_BOOL, .help = "with --drop: it is meant"},
	{0},
};

static const struct table_column status_columns[] = {
	{.title = "MIGRATION"},
	{.title = "STATE"},
	{.title = "APPLIED"},
	{.title = "BY"},
	{.title = "NEEDS"},
	{0},
};

static const struct {
	const char *word;
	enum style style;
} states[] = {
	[MIGRATION_APPLIED] = {"applied", STYLE_GREEN},
	[MIGRATION_PENDING] = {"missing", STYLE_YELLOW},
	[MIGRATION_CHANGED] = {"changed", STYLE_RED},
	[MIGRATION_NEWER] = {"newer", STYLE_CYAN},
	[MIGRATION_FOREIGN] = {"too new", STYLE_RED},
};

static json_t *to_json(const struct migration *migration)
{
	char at[WHEN_TEXT] = "";

	if (migration->applied_at)
		when_utc(when_from_postgres(migration->applied_at), at);
	return json_pack("{s:i, s:s, s:s, s:s, s:s?, s:s?, s:s}", "number", migration->number,
		"name", migration->name, "state", states[migration->state].word, "checksum",
		migration->checksum, "applied_at", at[0] ? at : NULL, "program", migration->program,
		"oldest_program", migration->oldest_program);
}

static void add_status(struct table *table, const struct migration *migration)
{
	char at[WHEN_TEXT];

	table_cellf(table, STYLE_PLAIN, "%04d_%s", migration->number, migration->name);
	table_cell(table, states[migration->state].style, states[migration->state].word);
	table_cell(table, STYLE_PLAIN,
		migration->applied_at
			? when_local(when_from_postgres(migration->applied_at), when_now(), at)
			: NULL);
	table_cellf(table, STYLE_PLAIN, "%s%s", migration->program ? "athena " : "",
		migration->program ? migration->program : "");
	table_cellf(table, STYLE_PLAIN, "athena >= %s", migration->oldest_program);
}

static void print_status(const struct cli *cli, const struct migrations *migrations)
{
	struct table table CLEANUP(table_clear) = {0};

	if (cli->wants_json) {
		json_t *list = json_array();

		for (size_t i = 0; i < migrations->count; i++)
			json_array_append_new(list, to_json(&migrations->rows[i]));
		cli_print_json(cli, list);
		return;
	}
	table_init(&table, status_columns);
	for (size_t i = 0; i < migrations->count; i++)
		add_status(&table, &migrations->rows[i]);
	table_print(&table, &cli->out);
}

/* Status 1 where something is missing or wrong, so that scripts can ask. */
static bool show_status(struct cli *cli, struct err *e)
{
	struct migrations migrations CLEANUP(migrations_clear) = {0};

	if (!cli_connect_any(cli, e) || !migrations_read(&cli->conn, &migrations, e))
		return false;
	print_status(cli, &migrations);
	for (size_t i = 0; i < migrations.count; i++)
		if (migrations.rows[i].state != MIGRATION_APPLIED &&
			migrations.rows[i].state != MIGRATION_NEWER)
			cli->status = 1;
	return true;
}

/* The observer's view of one run. */
struct run {
	const struct cli *cli;
	json_t *applied;
	int count;
	bool has_waited;
};

static void on_applied(void *context, const struct migration *migration, int64_t took_ms)
{
	struct run *run = context;
	json_t *row = json_pack("{s:i, s:s, s:I}", "number", migration->number, "name",
		migration->name, "took_ms", (json_int_t)took_ms);

	run->count++;
	run->has_waited = false;
	json_array_append_new(run->applied, row);
	if (run->cli->wants_json)
		return;
	terminal_printf(&run->cli->out, STYLE_GREEN, "applied");
	printf("  %04d_%-24s %6" PRId64 " ms\n", migration->number, migration->name, took_ms);
	fflush(stdout); /* the next one may wait for locks */
}

static void on_waiting(void *context, const char *why)
{
	struct run *run = context;

	if (!run->has_waited)
		fprintf(stderr, "waiting for a lock that somebody else holds: %s\n", why);
	run->has_waited = true;
}

static bool run_migrations(struct cli *cli, struct err *e)
{
	json_auto_t *applied = json_array();
	struct run run = {.cli = cli, .applied = applied};
	const struct migrate_observer observer = {on_applied, on_waiting, &run};

	if (!cli_connect_any(cli, e))
		return false;
	if (!migrate_run(&cli->conn, cli_int(cli, "patience"), &observer, e))
		return false;
	if (cli->wants_json)
		cli_print_json(cli, json_pack("{s:O}", "applied", applied));
	else if (run.count == 0)
		printf("database \"%s\" is up to date\n", PQdb(cli->conn.pg));
	else
		printf("database \"%s\" is ready: %d migration%s\n", PQdb(cli->conn.pg), run.count,
			run.count == 1 ? "" : "s");
	return true;
}

static bool is_there(struct cli *cli, bool *ret_there, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!query_rows(&cli->conn, &sql_migrations_exist, NULL, &rows, e))
		return false;
	*ret_there = row_bool(rows, 0, "there");
	return true;
}

/* A program that is alive would fail and come back for ever; without --yes, what is at stake. */
static bool check_drop(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!query_rows(&cli->conn, &sql_drop_facts, NULL, &rows, e))
		return false;
	if (row_i64(rows, 0, "programs") > 0) {
		cli_next(cli, "athena worker list");
		return err_set(e, ERR_PERMANENT,
			"programs that work on it: %s; stop them before the schema goes",
			row_text(rows, 0, "programs"));
	}
	if (cli_bool(cli, "yes"))
		return true;
	return err_set(e, ERR_CONFIG,
		"this removes all jobs of database \"%s\" for good, unfinished ones: %s; "
		"add --yes if that is meant",
		PQdb(cli->conn.pg), row_text(rows, 0, "unfinished"));
}

static bool run_drop(struct cli *cli, struct err *e)
{
	bool there;

	if (!cli_connect_any(cli, e) || !is_there(cli, &there, e))
		return false;
	if (!there) {
		printf("database \"%s\" has no schema athena\n", PQdb(cli->conn.pg));
		return true;
	}
	if (!check_drop(cli, e) || !migrate_drop(&cli->conn, cli_int(cli, "patience"), e))
		return false;
	printf("dropped the schema athena of database \"%s\"; the roles athena_... stay\n",
		PQdb(cli->conn.pg));
	return true;
}

static bool run(struct cli *cli, struct err *e)
{
	struct buf script CLEANUP(buf_clear) = {0};

	if (cli_is_given(cli, "after") && !cli_bool(cli, "sql"))
		return err_set(e, ERR_CONFIG, "--after goes with --sql");
	if (cli_bool(cli, "yes") && !cli_bool(cli, "drop"))
		return err_set(e, ERR_CONFIG, "--yes goes with --drop");
	if (cli_bool(cli, "drop"))
		return run_drop(cli, e);
	if (!cli_bool(cli, "sql"))
		return cli_bool(cli, "status") ? show_status(cli, e) : run_migrations(cli, e);
	migrate_script(&script, (int)cli_int(cli, "after"));
	fputs(script.bytes, stdout);
	return true;
}

const struct command command_migrate = {
	.name = "migrate",
	.args = "",
	.summary = "brings Athena's schema into the database, or up to date",
	.help = "Each migration is one transaction; running it again changes nothing, and any "
		"number\n"
		"may run at once. Workers and producers may go on meanwhile.\n\n"
		"  athena migrate\n"
		"  athena migrate --status\n"
		"  athena migrate --sql | psql shop      # for those who want to read it first\n"
		"  athena migrate --drop --yes           # the end: schema and jobs go, roles "
		"stay\n",
	.options = migrate_options,
	.run = run,
};
