/* SPDX-License-Identifier: PostgreSQL */
/*
 * A slot: room for one executor process, and the leases that were sent to it.
 *
 * The executor is started when there is something to do, reused from attempt to attempt, and
 * replaced after so many attempts and always after a cancel, a timeout or a signal. The leases
 * stand in the order in which it does them: the first one is running, as far as the executor has
 * told; slot_look() asks its logbook what it has done beyond that.
 *
 * Stopping an attempt always wins: it is asked first (a cancel frame), then the executor's process
 * group gets SIGTERM once the grace time is over, then SIGKILL. When an executor dies, its group is
 * killed before anybody else can get the job; the attempt that ran has crashed, those behind it
 * have not started. Runs on the worker's loop, never blocks.
 *
 * A lease may be of a chunk of jobs (queue/chunk.h), which are attempts like any other; it leaves
 * when all of them have ended, or when its executor dies: lease->done of them have ended by then.
 */
#ifndef ATHENA_WORKER_SLOT_H
#define ATHENA_WORKER_SLOT_H

#include <uv.h>

#include "base/frame.h"
#include "queue/lease.h"
#include "worker/fence.h"

struct slot;

struct slot_events {
	/*
	 * An attempt has its result, body as in worker/message.h, and ended at that time of the
	 * boot clock. The lease left the slot. Of a chunk the body is empty: `member` has told.
	 */
	void (*result)(void *context, struct lease *lease, const char *body, int64_t ended_ns);
	/* The job at that place of a chunk did not succeed. The lease stays, or `result` follows.
	 */
	void (*member)(void *context, struct lease *lease, int place, const char *body);
	/* The executor died under it; `how` says how. The lease left the slot. */
	void (*crashed)(void *context, struct lease *lease, const char *how);
	/* It had been sent, but the executor died before its turn. The lease left the slot. */
	void (*unstarted)(void *context, struct lease *lease);
	void (*event)(void *context, const struct lease *lease, const char *body);
	void (*progress)(void *context, const struct lease *lease, const char *body);
	/* The attempt wants a token, with slot_tell_token(). */
	void (*wait)(void *context, const struct lease *lease, const char *name);
	void (*freed)(void *context); /* the slot takes new leases */
};

/* What all slots of a worker share. */
struct slot_shared {
	uv_loop_t *loop;
	int config_fd;	      /* sealed: config/config.h */
	const char *queue_id; /* for attempts to name their traces by */
	int fence_fd;
	int64_t cancel_grace_ms;
	int attempts_max; /* of one executor */
	const struct slot_events *events;
	void *context;
};

enum slot_state {
	SLOT_EMPTY,   /* no process */
	SLOT_READY,   /* an executor that takes attempts */
	SLOT_LEAVING, /* told to end, or dead: its end is awaited */
};

enum slot_force { FORCE_NONE, FORCE_ASKED, FORCE_TERM, FORCE_KILL };

struct slot {
	const struct slot_shared *shared;
	enum slot_state state;
	struct lease *leases; /* sent, in order */
	int count;	      /* of their attempts, that were not answered */
	int attempts;	      /* that this executor was given */
	int answered;	      /* of those */
	int failures;	      /* of those, that did not succeed */
	bool must_end;	      /* replace it once it has nothing to do */
	enum slot_force force;
	struct executor_process *process;
	uv_timer_t *timer;
};

void slot_init(struct slot *slot, const struct slot_shared *shared);

/* Room for more: none or READY, and nothing sent yet. */
bool slot_is_idle(const struct slot *slot);

/*
 * Sends a list of leases (utlist), which the slot takes over. `run` is the built-in family that
 * does them. On failure to start a process the leases are answered by `crashed`.
 */
void slot_send(struct slot *slot, struct lease *leases, const char *run, const char *family,
	const struct fence_terms *fence, int64_t timeout_ms);

/* Answers what the executor has done and not told yet: it tells late what it did quickly. */
void slot_look(struct slot *slot);

/* Tells one attempt to stop, with increasing force, or at once where there is no time. */
void slot_stop(struct slot *slot, struct lease *lease, enum stop_reason reason);

/*
 * Tells the job at that place of a chunk to stop, or not to begin. Force is for one that runs; one
 * that begins just now is met when this is called again.
 */
void slot_stop_member(struct slot *slot, struct lease *lease, int place);

/* Answers `wait` while the attempt runs; body: what MESSAGE_TOKEN carries. */
void slot_tell_token(struct slot *slot, const struct lease *lease, const char *body);

/*
 * Its executor ends once the leases that it has are answered; what is sent after that is for
 * another one, which begins with the configuration of then.
 */
void slot_renew(struct slot *slot);

/* Kills the executor and its group now; its leases are answered as it turns out. */
void slot_kill(struct slot *slot);

/* Kills, closes, forgets its leases without answering. */
void slot_clear(struct slot *slot);

#endif
