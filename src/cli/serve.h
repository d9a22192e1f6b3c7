/* SPDX-License-Identifier: PostgreSQL */
/*
 * Long-running programs: components on one uv loop in one thread, and the signals that end them.
 *
 * SIGTERM and SIGINT let the worker drain; a second one stops it at once. The program ends when
 * its worker has. SIGHUP reads the configuration anew (cli/reload.h).
 */
#ifndef ATHENA_CLI_SERVE_H
#define ATHENA_CLI_SERVE_H

#include "config/config.h"

/* Rows for the option tables of long-running programs. */
#define SERVE_NO_MAINTENANCE_ROW                                                 \
	{                                                                        \
		.name = "no_maintenance", .type = OPTION_BOOL,                   \
		.help = "leave promotion, rescue and pruning to other processes" \
	}
#define SERVE_HTTP_ROW                                                                            \
	{                                                                                         \
		.name = "http", .type = OPTION_TEXT, .unit = "ADDR",                              \
		.help = "serve /metrics, /readyz, /healthz, /ping: HOST:PORT, :PORT (loopback), " \
			"/PATH"                                                                   \
	}

struct serve_options {
	const char *const *families; /* for the worker; ended by NULL */
	bool once;		     /* end when there is nothing left to claim */
	bool no_maintenance;	     /* leave the lanes to other processes */
	const char *http;	     /* where to serve pages (http/listener.h); NULL: nowhere */
};

/*
 * Says in the log how many connections to the queue a program keeps open, for max_connections and
 * pools: a worker's two, one of which goes by database.direct_url if there is one; two for
 * maintenance; one for pages, and one for callbacks. Executors connect to whatever their families
 * work on, besides.
 */
void serve_tell_connections(
	const struct config *config, bool has_worker, bool has_maintenance, bool has_http);

/* Runs until the end. False when it could not start. */
MUSTCHECK bool serve(const struct config *config, const struct serve_options *options,
	int *ret_status, struct err *e);

#endif
