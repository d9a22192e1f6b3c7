/* SPDX-License-Identifier: PostgreSQL */
/* athena-worker: claims jobs of the families that it is told to, and has executors do them. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/serve.h"

static const struct option_row worker_options[] = {
	{.name = "family",
		.type = OPTION_TEXT,
		.flags = OPTION_REQUIRED,
		.unit = "NAME[,NAME...]",
		.help = "families to serve: built-in ones, or those under `families:` in "
			"config.yaml"},
	{.name = "once", .type = OPTION_BOOL, .help = "end when there is nothing left to claim"},
	SERVE_NO_MAINTENANCE_ROW,
	SERVE_HTTP_ROW,
	{0},
};

/* "a,b" into a list that is ended by NULL; the list points into `text`. */
static const char **split(char *text)
{
	const char **names = xcalloc(strlen(text) / 2 + 2, sizeof(*names));
	size_t count = 0;
	char *rest = NULL;

	for (char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
		names[count++] = name;
	return names;
}

static bool run_worker(struct cli *cli, struct err *e)
{
	const struct config *config;
	char *text CLEANUP(free_ptr) = NULL;
	const char **names CLEANUP(free_ptr) = NULL;
	struct serve_options options;

	if (!cli_config(cli, &config, e))
		return false;
	text = xstrdup(cli_text(cli, "family") ? cli_text(cli, "family") : "");
	names = split(text);
	if (!names[0])
		return err_set(e, ERR_CONFIG, "--family: which families should it serve?");
	options = (struct serve_options){.families = names,
		.once = cli_bool(cli, "once"),
		.no_maintenance = cli_bool(cli, "no_maintenance"),
		.http = cli_text(cli, "http")};
	return serve(config, &options, &cli->status, e);
}

const struct command program_worker = {
	.program = "athena-worker",
	.name = "",
	.args = "",
	.summary = "claims jobs of its families and does them",
	.help = "Runs until SIGTERM, which lets running jobs finish for worker.drain_ms and hands "
		"the\n"
		"rest back; a second signal stops at once. Any number may run, on any number of "
		"hosts.\n"
		"SIGHUP reloads the configuration: see docs/config.md.\n"
		"\n"
		"  athena-worker --family=clone\n"
		"  athena-worker --family=thumbnails,mail --once\n",
	.options = worker_options,
	.takes_hangup = true,
	.run = run_worker,
};
