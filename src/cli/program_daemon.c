/* SPDX-License-Identifier: PostgreSQL */
/* athena-daemon: one background program that serves every family and runs maintenance. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/serve.h"
#include "families/family.h"

static const struct option_row daemon_options[] = {
	SERVE_NO_MAINTENANCE_ROW,
	SERVE_HTTP_ROW,
	{0},
};

static bool is_built_in(const char *name)
{
	return family_find(name) != NULL;
}

/* Built-in families, then those that only the configuration knows. */
static const char **every_family(const struct config *config)
{
	const char **names;
	size_t count = 0;

	while (families[count])
		count++;
	names = xcalloc(count + config->family_count + 1, sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = families[i]->name;
	for (size_t i = 0; i < config->family_count; i++)
		if (!is_built_in(config->families[i].name))
			names[count++] = config->families[i].name;
	return names;
}

static bool run_daemon(struct cli *cli, struct err *e)
{
	const struct config *config;
	const char **names CLEANUP(free_ptr) = NULL;
	struct serve_options options;

	if (!cli_config(cli, &config, e))
		return false;
	names = every_family(config);
	options = (struct serve_options){.families = names,
		.no_maintenance = cli_bool(cli, "no_maintenance"),
		.http = cli_text(cli, "http")};
	return serve(config, &options, &cli->status, e);
}

const struct command program_daemon = {
	.program = "athena-daemon",
	.name = "",
	.args = "",
	.summary = "serves every family, and runs maintenance",
	.help = "The whole background runtime in one process: the built-in families and those "
		"under\n"
		"`families:` in config.yaml. Runs until SIGTERM, as athena-worker does, and "
		"reloads on SIGHUP.\n",
	.options = daemon_options,
	.takes_hangup = true,
	.run = run_daemon,
};
