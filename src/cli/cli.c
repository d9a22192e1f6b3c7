/* SPDX-License-Identifier: PostgreSQL */
/* What commands share: options, configuration, connection. */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "cli/dev_url.h"
#include "db/migrate.h"
#include "db/query.h"
#include "sql_statements.h"

/* The table in which an option stands: asking for one that is in none is a bug. */
static const struct option_row *table_of(const struct cli *cli, const char *name)
{
	const struct option_row *row = cli->command ? cli->command->options : NULL;

	for (; row && row->name; row++)
		if (strcmp(row->name, name) == 0)
			return cli->command->options;
	return global_options;
}

const char *cli_text(const struct cli *cli, const char *name)
{
	return option_text(table_of(cli, name), cli->arguments.options, name);
}

int64_t cli_int(const struct cli *cli, const char *name)
{
	return option_int(table_of(cli, name), cli->arguments.options, name);
}

bool cli_bool(const struct cli *cli, const char *name)
{
	return option_bool(table_of(cli, name), cli->arguments.options, name);
}

bool cli_is_given(const struct cli *cli, const char *name)
{
	return json_object_get(cli->arguments.options, name) != NULL;
}

bool cli_config(struct cli *cli, const struct config **ret_config, struct err *e)
{
	if (!cli->config && !config_load(cli_text(cli, "config"), &cli->config, e))
		return false;
	*ret_config = cli->config;
	return true;
}

/* "config.yaml:3" or "ATHENA_DATABASE_URL": who said which database it is. */
static char *url_origin(const struct config *config)
{
	json_t *list = config_list(config);
	char *origin = NULL;
	size_t i;
	json_t *row;

	json_array_foreach (list, i, row) {
		const char *section, *key, *from;

		if (json_unpack(row, "{s:s, s:s, s:s}", "section", &section, "key", &key, "origin",
			    &from) == 0 &&
			strcmp(section, "database") == 0 && strcmp(key, "url") == 0)
			origin = xstrdup(from);
	}
	json_decref(list);
	return origin ? origin : xstrdup("default");
}

static bool find_url(struct cli *cli, struct err *e)
{
	const struct config *config;

	if (!cli_config(cli, &config, e))
		return false;
	if (cli->url_origin)
		return true;
	if (config->database_url) {
		cli->url = xstrdup(config->database_url);
		cli->url_origin = url_origin(config);
	} else if (dev_url_find(&cli->url)) {
		cli->url_origin = xstrdup("athena dev in this folder");
	} else {
		cli->url_origin = xstrdup("libpq's defaults: no database.url and no "
					  "ATHENA_DATABASE_URL");
	}
	return true;
}

/* What was not read, such as a .env of somebody else's, may be why the address is wrong. */
static void print_warnings(const struct config *config)
{
	for (const char *const *warning = config->warnings; *warning; warning++)
		fprintf(stderr, "warning: %s\n", *warning);
}

/* libpq's default is the name of whoever asks, which is rarely where the queue is. */
static void suggest_what_is_there(struct cli *cli, const struct err *e)
{
	if (!cli->config->database_url)
		cli_next(cli, "say where the queue is: --config FILE, or ATHENA_DATABASE_URL");
	else if (strstr(e->text, "FATAL:  role "))
		cli_next(cli,
			"ask as a role that is there (sudo -u athena athena ...), or correct "
			"ATHENA_DATABASE_URL");
	else
		cli_next(cli, "create it (createdb), or correct ATHENA_DATABASE_URL");
}

static void suggest(struct cli *cli, const struct err *e)
{
	if (strcmp(e->code, "schema_behind") == 0)
		cli_next(cli, "athena migrate");
	else if (strcmp(e->code, "auth") == 0)
		cli_next(cli,
			"correct user and password in ATHENA_DATABASE_URL or database.url, "
			"or use ~/.pgpass");
	else if (strcmp(e->code, "no_connection") == 0)
		cli_next(cli,
			"start that server, set ATHENA_DATABASE_URL, or try a private one: "
			"athena dev");
	else if (strcmp(e->code, "no_such_database_or_role") == 0)
		suggest_what_is_there(cli, e);
}

/* The server's last words would go between our own lines; errors say the same. */
static void drop_notice(void *context, const char *message)
{
	(void)context;
	(void)message;
}

bool cli_connect_any(struct cli *cli, struct err *e)
{
	char *shown CLEANUP(free_ptr) = NULL;
	bool is_pooled;

	if (!find_url(cli, e))
		return false;
	is_pooled = cli->config->database_prepare == CONFIG_PREPARE_NEVER;
	shown = redact_dup(cli->url ? cli->url : "the default database");
	if (!conn_open(&cli->conn, cli->url, "athena", is_pooled ? CONN_NO_PREPARE : 0, e)) {
		suggest(cli, e);
		if (strcmp(e->code, "no_connection") != 0)
			print_warnings(cli->config);
		if (strcmp(e->code, "bad_uri") == 0)
			e->kind = ERR_CONFIG;
		return err_in(e, "connecting to %s (from %s)", shown, cli->url_origin);
	}
	PQsetNoticeProcessor(cli->conn.pg, drop_notice, NULL);
	return query_run(&cli->conn, is_pooled ? &sql_cli_pooled : &sql_cli_session, NULL, NULL, e);
}

bool cli_connect(struct cli *cli, struct err *e)
{
	if (!cli_connect_any(cli, e))
		return false;
	if (migrate_check(&cli->conn, e))
		return true;
	/* Producers may not read the list of migrations, and need not. */
	if (strcmp(e->sqlstate, "42501") == 0)
		return true;
	suggest(cli, e);
	return false;
}

bool cli_reconnect(struct cli *cli, struct err *e)
{
	conn_close(&cli->conn);
	return cli_connect_any(cli, e);
}

/* libpq may notice only at the next statement that nobody is there to send it to. */
bool cli_has_lost_connection(const struct cli *cli, const struct err *e)
{
	if (PQstatus(cli->conn.pg) != CONNECTION_OK)
		return true;
	return e->kind == ERR_TRANSIENT &&
		(!e->sqlstate[0] || strncmp(e->sqlstate, "08", 2) == 0 ||
			strncmp(e->sqlstate, "57P", 3) == 0);
}

bool cli_job_id(const char *text, int64_t *ret_job_id, struct err *e)
{
	char *end;
	long long id = strtoll(text, &end, 10);

	if (end == text || *end || id <= 0)
		return err_set(
			e, ERR_CONFIG, "'%s' is no job id; ids are numbers such as 42", text);
	*ret_job_id = id;
	return true;
}

bool cli_input_error(struct err *e)
{
	if (strncmp(e->sqlstate, "22", 2) == 0 || strncmp(e->sqlstate, "23", 2) == 0)
		e->kind = ERR_CONFIG;
	return false;
}

bool cli_next(struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cli->next, sizeof(cli->next), fmt, ap);
	va_end(ap);
	return false;
}

bool cli_no_job(struct cli *cli, int64_t job_id, struct err *e)
{
	cli_next(cli, "athena job list");
	return err_code(e, ERR_PERMANENT, "no_job",
		"there is no job %" PRId64 "; finished ones are removed after a while", job_id);
}

void cli_print_json(const struct cli *cli, json_t *value)
{
	json_dumpf(value, cli->out.file, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	fputc('\n', cli->out.file);
	json_decref(value);
}

void cli_clear(struct cli *cli)
{
	conn_close(&cli->conn);
	arguments_clear(&cli->arguments);
	config_free(cli->config);
	free(cli->url);
	free(cli->url_origin);
}
