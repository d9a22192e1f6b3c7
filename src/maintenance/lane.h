/* SPDX-License-Identifier: PostgreSQL */
/*
 * One maintenance lane in this process: when its next step is sent, and what came of the last.
 *
 * A step is athena.run_lane(): one transaction, bounded, safe even if two processes run it at
 * once. Only one step of a lane is under way; the next is sent
 *
 *   at once when a step did all that it may do, so that a backlog does not wait for a timer;
 *   after the lane's interval otherwise, or ten times what the step took if that is longer, so
 *   that lanes that have to walk over dead rows take no more than a tenth of a core;
 *   after a second or so where another process leads: whoever did the last step leads for two more;
 *   with a growing pause after errors, which are logged when they begin, change, and end. That
 * others hold a table at the moment is one only when the lane has met it several times in a row:
 * until then it waits for its turn.
 *
 * Dying at any point leaves nothing: the transaction rolls back, or is done.
 */
#ifndef ATHENA_MAINTENANCE_LANE_H
#define ATHENA_MAINTENANCE_LANE_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"
#include "maintenance/channel.h"

enum { LANE_MOST = 1000 }; /* rows that a step may move, where it counts rows */

enum lane_again {
	LANE_AGAIN_FULL, /* at once when it did LANE_MOST */
	LANE_AGAIN_ANY,	 /* soon when it did anything: one batch of many */
	LANE_AGAIN_NEVER,
};

struct lane_kind {
	const char *name; /* athena.lanes.lane */
	bool is_visible;  /* keeps jobs moving; the others keep tables small */
	enum lane_again again;
	const char *event; /* in the log when it did something; NULL: that is nothing special */
};

struct lane {
	const struct lane_kind *kind; /* these five are set by the owner */
	struct channel *channel;
	const char *worker_id; /* the owner's; may change between steps */
	const char *args;      /* JSON, the owner's */
	int64_t every_ms;

	uv_timer_t *timer;
	bool is_flying;
	bool leads;	  /* the last step was ours to do */
	int failures;	  /* in a row */
	struct err error; /* that was logged last; its text is "" when all was well since */
	int64_t sent_ms;
};

#define LANE_STATEMENTS &sql_lane_run

/* Makes the timer, which does not run yet. */
void lane_init(struct lane *lane, uv_loop_t *loop);

/* The channel's session is up: steps begin. */
void lane_start(struct lane *lane);

/* The session is down; what was under way has been answered. */
void lane_stop(struct lane *lane);

/* After the session is closed. The timer goes when the loop turns. */
void lane_clear(struct lane *lane);

/*
 * What is to be done between a step and the next: pure, for lane.c and its test. `did` < 0: another
 * process leads. Without the jitter that is added then.
 */
int64_t lane_pause_ms(enum lane_again again, int64_t every_ms, int64_t did, int64_t took_ms);

/* Whether a step's error is worth a line, after so many failures in a row, this one included. */
bool lane_is_failing(const struct err *e, int failures);

/* The same after so many failures in a row: at least one. */
int64_t lane_back_off_ms(int64_t every_ms, int failures);

#endif
