/* SPDX-License-Identifier: PostgreSQL */
/* athena config show, athena config check: the configuration as a program would load it here. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/table.h"
#include "families/family.h"

enum { VALUE_MAX = 160 }; /* bytes of a value that people see */

static const struct table_column setting_columns[] = {
	{.title = "SETTING"},
	{.title = "VALUE", .may_shrink = true},
	{.title = "FROM"},
	{0},
};

static const char *member(const json_t *entry, const char *name)
{
	return json_string_value(json_object_get(entry, name));
}

/* Text as it is; everything else as JSON. */
static void show_value(struct table *table, const json_t *value)
{
	char *text CLEANUP(free_ptr) = NULL;

	if (json_is_string(value) || json_is_null(value)) {
		table_cell(table, STYLE_PLAIN, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	table_cellf(table, STYLE_PLAIN, "%.*s", VALUE_MAX, text);
}

static void show_settings(const struct cli *cli, const json_t *list)
{
	struct table table CLEANUP(table_clear) = {0};
	const json_t *entry;
	size_t index;

	table_init(&table, setting_columns);
	json_array_foreach (list, index, entry) {
		const char *origin = member(entry, "origin");
		bool is_default = strcmp(origin, "default") == 0;

		table_cellf(&table, is_default ? STYLE_DIM : STYLE_BOLD, "%s.%s",
			member(entry, "section"), member(entry, "key"));
		show_value(&table, json_object_get(entry, "value"));
		table_cell(&table, STYLE_DIM, origin);
	}
	table_print(&table, &cli->out);
}

static void print_warnings(const struct config *config)
{
	for (const char *const *warning = config->warnings; *warning; warning++)
		fprintf(stderr, "warning: %s\n", *warning);
}

static bool run_show(struct cli *cli, struct err *e)
{
	const struct config *config;
	json_auto_t *list = NULL;

	if (!cli_config(cli, &config, e))
		return false;
	list = config_list(config);
	if (cli->wants_json)
		cli_print_json(cli, json_incref(list));
	else
		show_settings(cli, list);
	print_warnings(config);
	return true;
}

static void print_verdict(const struct cli *cli, const struct config *config)
{
	size_t warnings = 0;

	while (config->warnings[warnings])
		warnings++;
	if (cli->wants_json) {
		cli_print_json(cli,
			json_pack("{s:s?, s:I, s:I}", "config", config->config_path, "families",
				(json_int_t)config->family_count, "warnings",
				(json_int_t)warnings));
		return;
	}
	printf("%s: good, %zu famil%s, %zu warning%s\n",
		config->config_path ? config->config_path
				    : "no config.yaml, defaults and variables",
		config->family_count, config->family_count == 1 ? "y" : "ies", warnings,
		warnings == 1 ? "" : "s");
}

static bool run_check(struct cli *cli, struct err *e)
{
	const struct config *config;

	if (!cli_config(cli, &config, e))
		return false;
	for (size_t i = 0; i < config->family_count; i++)
		if (!family_check_entry(&config->families[i], e))
			return false;
	print_warnings(config);
	print_verdict(cli, config);
	return true;
}

const struct command command_config_show = {
	.name = "config show",
	.args = "",
	.summary = "every setting in force, and where it came from",
	.help = "FROM is the file and line, the variable, or \"default\". Secrets are masked.\n",
	.run = run_show,
};

const struct command command_config_check = {
	.name = "config check",
	.args = "",
	.summary = "whether the configuration would load; exit status 2 if not",
	.help = "Reads config.yaml, .env and variables as the other programs do, and connects "
		"nowhere:\n"
		"safe before a reload or a restart. A mistake is told with its file and line.\n"
		"\n"
		"  athena config check --config /etc/athena/config.yaml\n",
	.run = run_check,
};
