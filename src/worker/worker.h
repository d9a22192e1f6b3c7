/* SPDX-License-Identifier: PostgreSQL */
/*
 * A worker: claims jobs of its families, has executors do them, settles their results.
 *
 * One thread, one uv loop, nothing in it blocks. Two sessions: `work` claims, settles and writes
 * events; `pulse` listens and carries heartbeat and sign, so that a slow claim delays neither.
 * Everything that is due is done once per turn of the loop (worker_turn), after all callbacks of
 * the turn: results that came together are settled together, in one round trip with the next
 * claim. Claims are made only on the server, and timeline, that `pulse` has found us registered on.
 *
 * When Postgres goes away, what runs, runs on: until its fence, 5 s before its lease ends. Results
 * wait, and are settled once there is a connection again, if the tickets are still ours. The
 * answer of a commit that got lost is never guessed at: settles are sent again, and leases that a
 * claim may have left are asked for before the next claim.
 *
 * Draining: no more claims, held jobs are handed back, what runs may finish for worker.drain_ms
 * and is then stopped and handed back, at no cost of an attempt; worker_stop_now() is for when
 * there is no time for that. Only the worker writes the outcome of a job that it holds.
 *
 * A component of a program (cli/serve.h), beside maintenance on the same loop.
 */
#ifndef ATHENA_WORKER_WORKER_H
#define ATHENA_WORKER_WORKER_H

#include "config/config.h"
#include "db/session.h"
#include "queue/registry.h"
#include "queue/report.h"
#include "queue/settle.h"
#include "queue/waits.h"
#include "worker/fence.h"
#include "worker/line.h"

struct worker_options {
	const char *const *families;	   /* to serve; ended by NULL */
	bool once;			   /* end when there is nothing left to claim */
	void (*registered)(void *context); /* under a new id, at first or anew; may be NULL */
	void (*ended)(void *context, int status); /* all is settled, or given up: free it */
	void *context;
};

enum worker_life {
	WORKER_RUNNING,
	WORKER_DRAINING, /* finishes what runs */
	WORKER_STOPPING, /* stops what runs */
	WORKER_LEAVING,	 /* all is settled; saying goodbye */
	WORKER_ENDED,
};

struct worker {
	const struct config *config;
	struct worker_options options;
	uv_loop_t *loop;
	enum worker_life life;
	int status; /* of the process */

	struct session *work, *pulse;
	char work_system_id[64]; /* as the registry's; empty until `work` has told where it is */
	struct registry registry;
	struct settler settler;
	struct reporter reporter;
	struct waits waits;
	struct lease_table leases;
	struct fence_page *fence;
	struct slot_shared slots;
	struct line *lines;
	int line_count;
	int first_line; /* which one claims first: one further each turn */

	bool knows_families; /* their rows were read on this connection */
	bool must_reconcile; /* a claim's answer got lost */
	bool is_clearing; /* fenced: what was held has to be gone before anything is claimed, since
			   * tickets of another timeline may have the same numbers */
	bool is_reconciling;
	bool is_verifying;  /* whether leases that a heartbeat did not name are lost */
	int64_t verify_ns;  /* boot clock: when that was asked */
	int64_t doubt_ns;   /* boot clock: when leases may have been lost last; 0: all are ours */
	int64_t beat_ms;    /* between heartbeats */
	int64_t ends_at_ms; /* boot clock: of the present stage of draining */

	uv_prepare_t turn;
	uv_timer_t heartbeat, poll, tick;
	int handles_open; /* of these four, while closing */
};

/* Starts connecting on the loop. ERR_CONFIG for a family that nobody knows. */
MUSTCHECK bool worker_new(struct worker **ret_worker, uv_loop_t *loop, const struct config *config,
	const struct worker_options *options, struct err *e);

/* Its id in athena.workers, which changes when it registers anew. */
const char *worker_id(const struct worker *worker);

/*
 * Goes on with a configuration that config_reload() has made of its own; the old one may be freed
 * then. What runs, runs on as it began; what begins from now on sees the new one. False, with all
 * as it was, when executors could not be told of it.
 */
MUSTCHECK bool worker_reload(struct worker *worker, const struct config *config, struct err *e);

void worker_drain(struct worker *worker);
void worker_stop_now(struct worker *worker);

/*
 * Closes its handles and kills what is left of its executors; what they held is left to rescue.
 * Memory goes with the handles, so the loop has to be run once more. NULL is fine.
 */
void worker_free(struct worker *worker);

/* worker/attempts.c: what slots tell about attempts, and what becomes of them. */
extern const struct slot_events worker_slot_events;
void worker_settled(void *context, const struct lease *lease, int64_t job_id, const char *answer,
	const char *state, const char *run_at);

/* worker/attempts.c: a wait was opened for an attempt that runs, or could not be. */
void worker_wait_opened(void *context, struct lease *lease, const char *token, const char *error);

/* The lease ends with this result, and is settled with the next turn. */
void worker_finish(struct worker *worker, struct lease *lease, enum result_kind kind,
	const char *error_kind, const char *code, const char *error);

/* Stops an attempt, or hands back, cancels or drops what has not begun. */
void worker_stop_lease(struct worker *worker, struct lease *lease, enum stop_reason reason);

/* Cancels one job of a chunk. One that has not begun goes back whole, to be cancelled there. */
void worker_stop_member(struct worker *worker, struct lease *lease, int64_t job_id);

/* worker/hearing.c: what Postgres says. */

/*
 * Whoever was away for nearly a lease may have been rescued, and asks before anything that it holds
 * begins: `since_ns` is when it last knew, 0 for never. Nothing is dispatched until the doubt is
 * over.
 */
void worker_doubt_leases(struct worker *worker, int64_t since_ns);

extern const struct registry_events worker_registry_events;
void worker_notified(void *context, const char *payload);

/* worker/worker.c, for those two. */
struct line *worker_line(struct worker *worker, const char *name);
void worker_wake_all(struct worker *worker);
void worker_stop_all(struct worker *worker, enum stop_reason reason);
void worker_hand_back_held(struct worker *worker, struct line *line);
void worker_read_families(struct worker *worker);

/* A heartbeat was answered: `work` has to be on the same server. */
void worker_beaten(struct worker *worker);

#endif
