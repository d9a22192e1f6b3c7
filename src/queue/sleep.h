/* SPDX-License-Identifier: PostgreSQL */
/*
 * Going to sleep without missing a job: the worker's side of the wake-up protocol.
 *
 * NOTIFY takes a lock on the whole database at commit, so producers notify a family only while
 * some worker's sign for it is up (table athena.sleepers; trigger on athena.ready). A worker whose
 * claim came back short therefore does, on its own connection and in this order:
 *
 *   1 LISTEN, committed (once per connection);
 *   2 the sign, committed;
 *   3 only then, in a new transaction, an own transaction id X;
 *   4 looks, 2, 4, 8 .. 50 ms apart, until one finds nothing by a snapshot whose xmin is >= X.
 *
 * Proof that no job is missed. Let P be a transaction that inserted tickets and did not notify,
 * because its trigger's snapshot did not see the sign. That snapshot is older than the commit of
 * the sign, and P had its transaction id by then, so P's id is below X. When a look's xmin is
 * >= X, P has ended, and the look, which began later, sees its tickets. P's that did see the sign
 * notify, and the LISTEN was committed before. X must be an own id: a snapshot's xmax is one past
 * the highest *completed* id, so a P that runs beside the sign's commit would be above it.
 *
 * Any writer anywhere in the cluster holds xmin back, for hours if it likes. So when X has not
 * passed after 100 ms, the transactions that hold a row lock mode on athena.ready are read once:
 * P has held it since before its trigger ran and keeps it to its end, PREPARE included. Once all
 * of those have ended, one look without a find is as good as X having passed. A transaction that
 * takes the lock after step 2 sees the sign.
 *
 * The sign stays up while a trickle of work comes and goes; the worker has only to look again
 * after each notification. It is taken down once the worker was busy for a second, since a
 * spurious NOTIFY is cheaper than a flapping sign, which every producer's insert has to read.
 *
 * It is taken down for a stream of jobs that come late as well: transactions that notify commit one
 * after the other, each with its own flush to disk (the lock in PreCommit_Notify, async.c), and
 * where disk or CPUs are busy they wait for each other. Asking every STREAM_POLL_MS is quicker then
 * than being told. Where jobs are found within SLEEPER_LATE_MS nothing is better than to be told.
 *
 * Losing either connection starts everything over. Without LISTEN (a transaction pooler) there is
 * only the slow poll of whoever owns this. Runs on the worker's loop, never blocks.
 */
#ifndef ATHENA_QUEUE_SLEEP_H
#define ATHENA_QUEUE_SLEEP_H

#include <jansson.h>

#include "db/session.h"

enum sleep_state {
	SLEEP_AWAKE,   /* no sign */
	SLEEP_LINGER,  /* a few ms, so that a trickle does not make the sign flap */
	SLEEP_STREAM,  /* no sign: jobs come often, and late: they are asked for */
	SLEEP_SIGNING, /* steps 2 and 3 are under way */
	SLEEP_LOOKING, /* step 4 */
	SLEEP_ASLEEP,  /* proven: a notification will come */
};

enum { SLEEPER_LATE_MS = 5 };

struct sleeper {
	struct session *session; /* the one that listens */
	const char *worker_id;
	const char *family;
	void (*wake)(void *context); /* there may be work: claim, then say what came of it */
	void *context;

	enum sleep_state state;
	bool can_listen;
	int epoch; /* of the answers that count: reset makes older ones void */
	char mark[24];
	int64_t marked_ms; /* boot clock */
	int64_t busy_ms;   /* since when claims have come back full; 0: not */
	int look_ms;	   /* until the next look */
	int64_t window_ms; /* boot clock: since when window_jobs are counted */
	int window_jobs;   /* that came since */
	int window_late;   /* of these */
	bool is_looking;
	json_t *holders; /* virtual transaction ids to wait for, or NULL */
	uv_timer_t *timer;
};

#define SLEEP_STATEMENTS \
	&sql_sleep_sign, &sql_sleep_unsign, &sql_own_xid, &sql_sleep_look, &sql_sleep_holders

void sleeper_init(struct sleeper *sleeper, uv_loop_t *loop);

/* LISTEN is committed on a new connection. */
void sleeper_can_listen(struct sleeper *sleeper);

/* A connection was lost, or the worker drains: awake, and no sign is known to be up. */
void sleeper_reset(struct sleeper *sleeper);

/*
 * A claim came back with `jobs`, less than was asked for: go on towards sleep. `late` of them had
 * been due for longer than SLEEPER_LATE_MS.
 */
void sleeper_found_little(struct sleeper *sleeper, int jobs, int late);

/* A claim came back full. */
void sleeper_found_plenty(struct sleeper *sleeper, int jobs, int late);

void sleeper_clear(struct sleeper *sleeper);

#endif
