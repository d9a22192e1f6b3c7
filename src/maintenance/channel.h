/* SPDX-License-Identifier: PostgreSQL */
/*
 * A session for maintenance steps: each goes as a group of its own, with its limits before it.
 *
 * The limits are set for the step's transaction only, so that nothing leaks through a transaction
 * pooler. Groups are answered in the order in which they were sent; what a step took is counted
 * from when the one before it was answered.
 */
#ifndef ATHENA_MAINTENANCE_CHANNEL_H
#define ATHENA_MAINTENANCE_CHANNEL_H

#include "db/session.h"

struct maintenance;

struct channel {
	struct maintenance *owner; /* for the session's callbacks */
	struct session *session;
	int64_t lock_timeout_ms;      /* of each statement of a step; 0: none */
	int64_t statement_timeout_ms; /* 0: none */
	int64_t answered_ms;	      /* boot clock, of the last group */
};

#define CHANNEL_STATEMENTS &sql_lane_settings

/* Sends one statement with the limits before it. The session must be up (asserted there). */
void channel_send(struct channel *channel, const struct sql_statement *statement,
	struct params *params, session_done *done, void *context);

/*
 * To be called by `done`, first: how long the server was busy with a step that was sent at
 * `sent_ms`, in ms, round trip included.
 */
int64_t channel_answered(struct channel *channel, int64_t sent_ms);

#endif
