/* SPDX-License-Identifier: PostgreSQL */
/*
 * Faults, for tests: at a named point between two durable acts this process is killed, stopped,
 * disconnected, or told of a failure. Only in builds made with FAULTS=1; in all others the macros
 * below are nothing, and so is fault.c.
 *
 * Points are rows of fault_points.h. ATHENA_FAULT arms one of them, in this process and in those
 * that inherit its environment:
 *
 *     STEP[(SUBJECT)].MOMENT=EFFECT[@N]	claim.answered=drop  lane_run(prune).sent=kill@2
 *
 * SUBJECT is the first parameter of a statement: the lane of lane_run, the family of claim. N: at
 * the n-th time that the process passes there. Effects:
 *
 *     kill		SIGKILL to this process
 *     stop		SIGSTOP to this process: the test does what it wants, and continues it
 *     error[:STATE]	the step fails, where it is a statement by an error of the server with this
 *			SQLSTATE; 53100 (disk full) unless told
 *     drop		the connection ends: at `send` before the COMMIT is sent, at `sent` right
 *			after it was, at `answered` when it is done and the answer gets lost
 *
 * A fault happens once: whoever makes the file ATHENA_FAULT_MARK has it, and writes there that it
 * did. A test whose file is missing at the end has not tested anything. A point that does not exist
 * ends the process at once.
 *
 * ATHENA_FAULT=fence=off takes the fence of executors away (worker/fence.h), to prove that tests
 * notice.
 */
#ifndef ATHENA_BASE_FAULT_H
#define ATHENA_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#ifdef FAULTS

/* What the caller has to carry out by itself. */
enum fault_effect { FAULT_NONE, FAULT_ERROR, FAULT_DROP };

/* Passes a moment of a step; may not come back. `subject` may be NULL. */
enum fault_effect fault_at(const char *step, const char *subject, const char *moment);

/* The SQLSTATE of an armed error. */
const char *fault_sqlstate(void);

/* Passes a moment. True when the step has failed: e is set, and a drop shut the socket down. */
bool fault_fails(const char *step, const char *moment, int socket, struct err *e);

bool fault_takes_away(const char *what);

/*
 * The ledger of executions, which no database keeps: each is a line when it begins and one when it
 * ends (as ok, parked or failed), in the file `ledger` of the folder ATHENA_FAULT_LEDGER,
 * fsynced before anything else happens. An execution holds a lock of its job's own file there,
 * which the kernel takes back when the process dies: who begins and finds it held overlaps with a
 * living one, and says so.
 */
void fault_ledger_begin(int64_t job_id, int64_t ticket, int attempt);
void fault_ledger_end(int64_t job_id, int64_t ticket, bool ok, bool is_parked);

/* Where only the process itself can be hurt: kill and stop. */
#define FAULT(step, moment) ((void)fault_at((step), NULL, (moment)))
#define FAULT_FAILS(step, moment, socket, e) fault_fails((step), (moment), (socket), (e))
#define FAULT_TAKES_AWAY(what) fault_takes_away(what)
#define FAULT_LEDGER_BEGIN(job_id, ticket, attempt) \
	fault_ledger_begin((job_id), (ticket), (attempt))
#define FAULT_LEDGER_END(job_id, ticket, ok, is_parked) \
	fault_ledger_end((job_id), (ticket), (ok), (is_parked))

#else

#define FAULT(step, moment) ((void)0)
#define FAULT_FAILS(step, moment, socket, e) false
#define FAULT_TAKES_AWAY(what) false
#define FAULT_LEDGER_BEGIN(job_id, ticket, attempt) ((void)0)
#define FAULT_LEDGER_END(job_id, ticket, ok, is_parked) ((void)0)

#endif
#endif
