/* SPDX-License-Identifier: PostgreSQL */
/*
 * Opening waits: how a running attempt gets a token that somebody outside can answer with.
 *
 * A request is sent with the next turn, and again until Postgres has answered: the token of an
 * opening whose answer got lost has never been told, and the next one replaces it. So a token that
 * an attempt sees belongs to a committed row, and no answer can come too early for it.
 *
 * Runs on the worker's loop, never blocks.
 */
#ifndef ATHENA_QUEUE_WAITS_H
#define ATHENA_QUEUE_WAITS_H

#include "db/session.h"
#include "queue/lease.h"

/* Zero-initialise but for the first five; release with waits_clear() after the session is closed.
 */
struct waits {
	struct session *session;
	const char *worker_id;
	const struct lease_table *leases;
	void *context;
	/* For a lease that is still held. token NULL: there is none, and `error` says why. */
	void (*opened)(void *context, struct lease *lease, const char *token, const char *error);
	struct wait_request *requests; /* not sent, or to be sent again */
	int64_t wait_until_ms;	       /* boot clock: after an error that may pass */
};

#define WAITS_STATEMENTS &sql_wait_open

/* `name` is copied. */
void waits_ask(struct waits *waits, const struct lease *lease, const char *name);

/* Sends what is asked, if the session is up. Once per turn. */
void waits_flush(struct waits *waits);

void waits_clear(struct waits *waits);

#endif
