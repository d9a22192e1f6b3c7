/* SPDX-License-Identifier: PostgreSQL */
/* athena maintenance run */
#include <signal.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/reload.h"
#include "cli/serve.h"
#include "cli/supervisor.h"
#include "http/http.h"
#include "maintenance/service.h"

static const struct option_row maintenance_run_options[] = {
	SERVE_HTTP_ROW,
	{0},
};

/* The pages of this process, and what its supervisor is told. */
struct pages {
	const struct config *config;
	struct config *reloaded; /* goes on with that; NULL: with the first */
	const char *address;	 /* NULL: none are wanted */
	struct http *http;
	struct supervisor supervisor;
};

static bool start_pages(
	void *context, uv_loop_t *loop, struct maintenance *const *maintenance, struct err *e)
{
	static struct worker *const no_worker;
	struct pages *pages = context;
	const struct program program = {
		.kind = PROGRAM_MAINTENANCE, .worker = &no_worker, .maintenance = maintenance};

	if (pages->address &&
		!http_new(&pages->http, loop, pages->config, pages->address, &program, e))
		return false;
	supervisor_start(&pages->supervisor, loop);
	return true;
}

static void stop_pages(void *context)
{
	struct pages *pages = context;

	supervisor_stopping();
	supervisor_close(&pages->supervisor);
	http_free(pages->http);
}

/* The one before is in nobody's hands: its strings were copied, or are those of the first. */
static const struct config *reload(void *context)
{
	struct pages *pages = context;
	struct config *old = pages->reloaded;
	struct config *fresh = reload_config(old ? old : pages->config);

	if (!fresh)
		return NULL;
	pages->reloaded = fresh;
	config_free(old);
	return fresh;
}

static bool run(struct cli *cli, struct err *e)
{
	struct pages pages = {.address = cli_text(cli, "http")};
	const struct service_guest guest = {start_pages, stop_pages, reload, &pages};
	const struct config *config;
	bool ok;

	if (!cli_config(cli, &config, e))
		return false;
	log_setup(config->log_level, config->log_format);
	config_log_warnings(config);
	serve_tell_connections(config, false, true, pages.address);
	signal(SIGPIPE, SIG_IGN);
	pages.config = config;
	ok = maintenance_serve(config, &guest, e);
	config_free(pages.reloaded);
	return ok;
}

const struct command command_maintenance_run = {
	.name = "maintenance run",
	.args = "",
	.summary = "keeps jobs moving and tables small, until it is told to end",
	.help = "Promotes what falls due, rescues jobs of workers that died or fell silent, makes\n"
		"and empties partitions. Every worker does this, too; this is for those that run\n"
		"with --no-maintenance, or for systems whose workers come and go. It claims no\n"
		"job, runs no handler and calls no URL. Any number may run: whoever did the last\n"
		"step of a lane leads it. SIGHUP reloads the configuration.\n\n"
		"  athena maintenance run\n",
	.options = maintenance_run_options,
	.takes_hangup = true,
	.run = run,
};
