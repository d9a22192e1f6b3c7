/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a handler sees of the job that it does: one attempt, inside an executor process.
 *
 * The executor owns the struct and everything in it; it lives until execute() returns. Events and
 * progress travel as frames to the worker, which writes them; a handler never touches the queue.
 * SIGPIPE is ignored: a peer that hung up is an error of write().
 * If the worker dies, or the lease could run out, the executor's whole process group is killed at
 * once, at any point: everything that must not stay behind has to be found again and removed by
 * the next attempt.
 */
#ifndef ATHENA_FAMILIES_ATTEMPT_H
#define ATHENA_FAMILIES_ATTEMPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"

struct family;

struct attempt {
	const struct family *family;
	const struct config *config; /* immutable, of this process */
	const char *family_name;     /* the job's, which for `run: command` is not family->name */
	const char *kind;	     /* jobs.kind, or "" */
	const char *queue_id;	     /* which queue the job is in: job ids are not unique without */
	int64_t job_id;
	int64_t ticket; /* the fence: names whatever this attempt leaves in the world */
	int number;	/* 1, 2, ...: for people */
	const json_t *payload;
	const json_t *answers; /* what its waits brought, by their names; NULL: nothing */
	struct arena arena;
	void *state; /* the handler's own, for ->cancel() */
	struct executor *executor;
};

enum event_level { EVENT_DEBUG, EVENT_INFO, EVENT_WARN, EVENT_ERROR };

/*
 * Appends to athena.events. `kind` is a fixed word ("phase_started", "tool_output"); the message
 * is for people and is redacted and cut to 8 KiB; `details` (or NULL) is an object whose reference
 * is taken over.
 */
void attempt_event(struct attempt *attempt, enum event_level level, const char *kind,
	json_t *details, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Enters a phase: later events carry its name, and phase_started is written. */
void attempt_phase(struct attempt *attempt, const char *phase);

/*
 * How far it is: `done` never decreases within an attempt (a smaller value is ignored); total < 0
 * means unknown. `unit` is "bytes", "rows", ... Sent at most every 100 ms, but always when
 * done == total.
 */
void attempt_progress(struct attempt *attempt, int64_t done, int64_t total, const char *unit);

/*
 * The only place where a handler may wait: until one of `fds` (as for poll(2)) is ready or
 * timeout_ms have passed (< 0: no limit); a negative descriptor is passed over. True with
 * *ret_ready = number of ready fds, 0 after the timeout. False with ERR_CANCELLED when the attempt
 * is to stop: ->cancel() has been called once by then, further calls wait normally so that the
 * handler can clean up within the grace time.
 */
enum { ATTEMPT_WAIT_FDS = 255 }; /* at most */

struct pollfd;
MUSTCHECK bool attempt_wait(struct attempt *attempt, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e);

/*
 * Waiting for somebody outside, for hours or weeks, without holding an executor or a lease:
 *
 *     const json_t *paid = attempt_answer(attempt, "paid");
 *     if (!paid) {
 *             if (!attempt_open_wait(attempt, "paid", &token, e) || !ask_for_money(token, e))
 *                     return false;
 *             attempt_park(attempt, 3600 * 1000);
 *             return true;
 *     }
 *     ... goes on with what athena.complete_wait() was given
 *
 * Whoever has the token may end the wait, once, as soon as it is told; then the job is run again,
 * from the beginning, with the answer, as the same attempt. A wait that failed, or that nobody
 * answered in time, is a failed attempt. One wait per attempt; its token is stale when the attempt
 * ends in any other way than parked. Do not log the token.
 */

/*
 * Opens a wait. *ret_token lives as long as the attempt. While Postgres is away it blocks, as
 * attempt_wait() does. ERR_TRANSIENT when the job is somebody else's by now.
 */
MUSTCHECK bool attempt_open_wait(
	struct attempt *attempt, const char *name, const char **ret_token, struct err *e);

/*
 * The job is to wait for wait_ms at most, once execute() has returned true. There must be an open
 * wait (asserted).
 */
void attempt_park(struct attempt *attempt, int64_t wait_ms);

/* What the wait of this name brought, any JSON value; NULL: it has not been answered. */
const json_t *attempt_answer(const struct attempt *attempt, const char *name);

/* True once the attempt has been asked to stop. */
bool attempt_is_cancelled(const struct attempt *attempt);

#endif
