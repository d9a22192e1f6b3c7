/* SPDX-License-Identifier: PostgreSQL */
/*
 * Maintenance, as a component of any program: all lanes of athena.lanes, and the rescue of silent
 * and dead workers. It claims nothing, runs no handler and calls no URL.
 *
 * It has two sessions of its own, so that a hygiene step that hangs (on somebody's lock, on a slow
 * disk) never delays what users wait for: promotion, rescue, deadlines. Which process leads a lane
 * is settled per step inside athena.run_lane(); a program that runs this may lead all, some or
 * none. Errors of lanes are logged when they change and retried with a pause; none of them ends
 * the process. Nothing blocks but name resolution when connecting.
 */
#ifndef ATHENA_MAINTENANCE_MAINTENANCE_H
#define ATHENA_MAINTENANCE_MAINTENANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "config/config.h"

struct maintenance;

/*
 * Starts connecting on the loop. worker_id is read at each step: it must outlive the component and
 * may change when the process registers anew. This configuration must outlive it, too.
 */
struct maintenance *maintenance_new(
	uv_loop_t *loop, const struct config *config, const char *worker_id);

/* Settings that lanes are told from now on. Nothing of either configuration is kept. */
void maintenance_reload(struct maintenance *maintenance, const struct config *config);

/*
 * The name of the lane number i, NULL past the last; and whether this process did its last step,
 * false for all of them without the component (maintenance NULL).
 */
const char *maintenance_lane(const struct maintenance *maintenance, size_t i, bool *ret_leads);

/* What keeps it from doing its steps, for people; NULL: nothing does. */
const char *maintenance_trouble(const struct maintenance *maintenance);

/* Closes the sessions; a step under way is rolled back or done. NULL is fine. */
void maintenance_free(struct maintenance *maintenance);

#endif
