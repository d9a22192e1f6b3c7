/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a long-running program tells systemd, when that has started it (sd_notify(3)).
 *
 * It is ready when its loop turns, whether or not the database can be reached: otherwise an outage
 * of the database would make the supervisor kill workers that run jobs. The watchdog is fed by a
 * timer of that loop, so it barks when the loop hangs and for no other reason.
 *
 * Started by nobody in particular, all of this does nothing.
 */
#ifndef ATHENA_CLI_SUPERVISOR_H
#define ATHENA_CLI_SUPERVISOR_H

#include <stdbool.h>
#include <uv.h>

struct supervisor {
	uv_timer_t timer;
	bool is_started;
};

/* READY=1, then WATCHDOG=1 at half of the time that the unit's WatchdogSec allows. */
void supervisor_start(struct supervisor *supervisor, uv_loop_t *loop);

/* STOPPING=1: from now on TimeoutStopSec counts. May be called more than once. */
void supervisor_stopping(void);

/* Closes the timer; its memory must live until the loop has run once more. */
void supervisor_close(struct supervisor *supervisor);

#endif
