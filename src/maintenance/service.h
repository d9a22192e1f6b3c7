/* SPDX-License-Identifier: PostgreSQL */
/*
 * `athena maintenance run`: a process that is registered, beats, and does maintenance; nothing
 * else. It serves no family, so nothing that it could claim or run exists for it.
 *
 * It starts without a database, too, and begins when there is one. It ends on SIGTERM or SIGINT
 * after a goodbye to the registry, at once on a second one. SIGHUP reloads.
 */
#ifndef ATHENA_MAINTENANCE_SERVICE_H
#define ATHENA_MAINTENANCE_SERVICE_H

#include <uv.h>

#include "base/err.h"
#include "config/config.h"
#include "maintenance/maintenance.h"

/* What shares the loop with it, and is nothing that this folder may know: pages, reloading. */
struct service_guest {
	/* *maintenance is NULL until the process is registered, and again when it ends. */
	bool (*start)(void *context, uv_loop_t *loop, struct maintenance *const *maintenance,
		struct err *e);
	void (*stop)(void *context); /* closes its handles; called even if start() failed */
	/* On SIGHUP: the configuration to go on with, which lives until stop(); NULL: as before. */
	const struct config *(*reload)(void *context);
	void *context;
};

/*
 * Runs until it is told to end; guest may be NULL. False when the guest could not start, or this
 * database is a copy of another system, which would have to be adopted first.
 */
MUSTCHECK bool maintenance_serve(
	const struct config *config, const struct service_guest *guest, struct err *e);

#endif
