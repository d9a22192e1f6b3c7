/* SPDX-License-Identifier: PostgreSQL */
/* athena family show: settings, jobs and payload of one family. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/family.h"
#include "cli/listing.h"
#include "cli/table.h"
#include "cli/when.h"
#include "db/query.h"
#include "families/family.h"
#include "sql_statements.h"

enum { FACT_COLUMNS = 10 };

static const char *length(const PGresult *rows, const char *column, char text[WHEN_TEXT])
{
	if (row_is_null(rows, 0, column))
		return "none";
	return when_length((int64_t)(row_f64(rows, 0, column) * 1e6), text);
}

static void print_jobs(const struct terminal *terminal, const PGresult *rows)
{
	static const char *const states[] = {"ready", "scheduled", "running", "waiting", "dead"};
	struct buf text CLEANUP(buf_clear) = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
		if (row_i64(rows, 0, states[i]) != 0)
			buf_printf(&text, "%s%s %s", text.length ? ", " : "",
				row_text(rows, 0, states[i]), states[i]);
	terminal_fact(terminal, FACT_COLUMNS, "jobs", "%s", text.length ? text.bytes : "none");
}

/* "8 at once, 8 running, and ready jobs wait" */
static void print_limit(
	const struct terminal *terminal, const PGresult *family, const PGresult *limits, int row)
{
	const char *name = row_text(limits, row, "limit_name");
	const char *allowed = row_text(limits, row, "allowed");
	const char *used = row_text(limits, row, "used");
	const char *waits = row_bool(limits, row, "is_holding") ? ", and ready jobs wait" : "";
	const char *burst = row_text(family, 0, "rate_burst");
	char text[WHEN_TEXT];

	if (strcmp(name, "max_running") == 0)
		terminal_fact(terminal, FACT_COLUMNS, "limit", "%s at once, %s running%s", allowed,
			used, waits);
	else if (strcmp(name, "max_running_per_key") == 0)
		terminal_fact(terminal, FACT_COLUMNS, "per key", "%s at once, full keys: %s%s",
			allowed, used, waits);
	else
		terminal_fact(terminal, FACT_COLUMNS, "rate", "%s per %s, %s at once, %s taken%s",
			allowed, length(family, "rate_period_s", text), burst ? burst : allowed,
			used, waits);
}

static void print_facts(
	const struct terminal *terminal, const PGresult *rows, const PGresult *limits)
{
	const char *producers = row_text(rows, 0, "producers");
	char text[WHEN_TEXT], cap[WHEN_TEXT];

	if (row_bool(rows, 0, "paused"))
		terminal_fact(terminal, FACT_COLUMNS, "paused", "%s",
			when_ago(when_from_postgres(row_text(rows, 0, "paused_at")), when_now(),
				text));
	print_jobs(terminal, rows);
	terminal_fact(terminal, FACT_COLUMNS, "workers", "%s", row_text(rows, 0, "workers"));
	for (int row = 0; row < PQntuples(limits); row++)
		print_limit(terminal, rows, limits, row);
	if (PQntuples(limits) == 0)
		terminal_fact(terminal, FACT_COLUMNS, "limit", "none");
	if (row_bool(rows, 0, "chunked"))
		terminal_fact(terminal, FACT_COLUMNS, "chunked", "jobs share tickets");
	terminal_fact(terminal, FACT_COLUMNS, "lease", "%s", length(rows, "lease_s", text));
	terminal_fact(terminal, FACT_COLUMNS, "timeout", "%s", length(rows, "timeout_s", text));
	terminal_fact(terminal, FACT_COLUMNS, "attempts", "%s", row_text(rows, 0, "max_attempts"));
	terminal_fact(terminal, FACT_COLUMNS, "back-off",
		"%s, doubled with each attempt up to %s, give or take %.0f %%",
		length(rows, "backoff_base_s", text), length(rows, "backoff_cap_s", cap),
		row_f64(rows, 0, "backoff_jitter") * 100);
	if (producers)
		terminal_fact(terminal, FACT_COLUMNS, "producers", "%s", producers);
}

static const struct table_column key_columns[] = {
	{.title = "KEY"},
	{.title = "VALUE"},
	{.title = "NEEDED"},
	{.title = "WHAT IT IS", .may_shrink = true},
	{0},
};

static void add_values(struct buf *out, const json_t *rule)
{
	const json_t *words = json_object_get(rule, "enum");
	const json_t *min = json_object_get(rule, "min"), *max = json_object_get(rule, "max");
	size_t i;
	json_t *word;

	if (!words)
		buf_text(out, json_string_value(json_object_get(rule, "type")));
	json_array_foreach (words, i, word)
		buf_printf(out, "%s%s", i ? " | " : "", json_string_value(word));
	if (json_is_integer(min) && json_is_integer(max))
		buf_printf(out, ", %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT,
			json_integer_value(min), json_integer_value(max));
}

/* The words of our own source, where the family is built in. */
static const char *help_of(const char *family, const char *key)
{
	const struct family *builtin = family_find(family);
	const struct option_row *row = builtin ? family_payload(builtin, family) : NULL;

	for (; row && row->name; row++)
		if (strcmp(row->name, key) == 0)
			return row->help;
	return NULL;
}

static void print_keys(const struct terminal *terminal, const PGresult *rows)
{
	const char *text = row_text(rows, 0, "payload_keys");
	json_auto_t *keys = text ? json_loads(text, 0, NULL) : NULL;
	struct table table CLEANUP(table_clear) = {0};
	const char *key;
	json_t *rule;

	fputc('\n', terminal->file);
	if (!keys) {
		fputs("Its payload may be any JSON object.\n", terminal->file);
		return;
	}
	table_init(&table, key_columns);
	json_object_foreach (keys, key, rule) {
		struct buf values CLEANUP(buf_clear) = {0};

		add_values(&values, rule);
		table_cell(&table, STYLE_PLAIN, key);
		table_cell(&table, STYLE_PLAIN, values.bytes);
		table_cell(&table, STYLE_YELLOW,
			json_is_true(json_object_get(rule, "required")) ? "yes" : NULL);
		table_cell(&table, STYLE_DIM, help_of(row_text(rows, 0, "name"), key));
	}
	table_print(&table, terminal);
}

static const struct listing_column limit_columns[] = {
	{"limit_name", NULL, LISTING_TEXT, 0},
	{"allowed", NULL, LISTING_NUMBER, 0},
	{"used", NULL, LISTING_NUMBER, 0},
	{"is_holding", NULL, LISTING_BOOL, 0},
	{"next_in_s", NULL, LISTING_LENGTH, 0},
	{0},
};

static void print_json(const struct cli *cli, const PGresult *family, const PGresult *limits)
{
	json_t *object = listing_row(family_columns, family, 0);
	json_t *list = json_array();

	for (int row = 0; row < PQntuples(limits); row++)
		json_array_append_new(list, listing_row(limit_columns, limits, row));
	json_object_set_new(object, "limits", list);
	cli_print_json(cli, object);
}

static bool run(struct cli *cli, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;
	PGresult *limits CLEANUP(clear_result) = NULL;
	struct params params CLEANUP(params_clear) = {0};
	const char *name = cli->args[0];

	if (!cli_connect(cli, e) || !family_read(cli, name, &rows, e))
		return false;
	if (PQntuples(rows) == 0)
		return family_unknown(cli, name, e);
	params_text(&params, name);
	if (!query_rows(&cli->conn, &sql_family_limits, &params, &limits, e))
		return false;
	if (cli->wants_json) {
		print_json(cli, rows, limits);
		return true;
	}
	terminal_printf(&cli->out, STYLE_BOLD, "family %s", name);
	printf("%s%s\n\n", row_text(rows, 0, "summary")[0] ? ": " : "",
		row_text(rows, 0, "summary"));
	print_facts(&cli->out, rows, limits);
	print_keys(&cli->out, rows);
	return true;
}

const struct command command_family_show = {
	.name = "family show",
	.args = "FAMILY",
	.summary = "settings, jobs and payload keys of a family",
	.run = run,
};
