/* SPDX-License-Identifier: PostgreSQL */
/*
 * A line: one family as this worker serves it. Slots, what is held for them, when to claim.
 *
 * A line claims when it is hungry and has room. It becomes hungry when it starts, is woken or
 * polled, and stays so while claims come back full; a claim that came back short ends it and sends
 * the line towards sleep. How much it may hold unstarted follows from how long its attempts take:
 * none when they take a second, so that a crash strands little and a job of priority 0 waits for
 * nothing that was fetched before it. And how much memory they take, by what the last ones took.
 */
#ifndef ATHENA_WORKER_LINE_H
#define ATHENA_WORKER_LINE_H

#include "config/config.h"
#include "families/family.h"
#include "queue/claim.h"
#include "queue/sleep.h"
#include "worker/counters.h"
#include "worker/slot.h"

struct worker;

struct line {
	struct worker *worker;
	const char *name;	      /* the family */
	const struct family *family;  /* the built-in that does it */
	int64_t lease_ms, timeout_ms; /* by the family's row */
	int64_t claim_after_ms;	      /* boot clock: after a claim that failed */
	bool is_compared;	      /* the configuration with the family's row */
	bool is_hungry;
	bool is_woken; /* while a claim was under way: what it missed is there for the next */
	struct claim claim;
	struct err claim_error; /* of the last claim; kind ERR_NONE: it went well */
	struct sleeper sleeper;
	uv_timer_t *later;  /* a limit gives way */
	struct lease *held; /* in the order in which to run them */
	int held_count;	    /* jobs */
	int sent_count;	    /* jobs, of leases that are with executors */
	const struct slot_shared *shared;
	double run_ms;	  /* of one attempt, a moving average; < 0: not known yet */
	double job_bytes; /* of a payload, a moving average */
	struct slot **slots;
	int slot_count; /* that are given something to do */
	int slots_made; /* with those of before a reload: they finish what they have */
	struct counters counters;
};

void line_init(struct line *line, struct worker *worker, const char *name,
	const struct family *family, int slots, const struct slot_shared *shared);

/* Other slots from now on: beyond their number none is given anything to do. */
void line_set_slots(struct line *line, int count);

/* What runs and is sent may end; then its executors are replaced. */
void line_renew(struct line *line);

/* Work may have come. */
void line_wake(struct line *line);

/* Work may be there in so many ms, without any word of it. */
void line_wake_later(struct line *line, int64_t wait_ms);

/* Executors die when no heartbeat was answered for so long: the lease less worker.fence_margin. */
int64_t line_fence_ms(const struct line *line);

/* How many jobs to claim now; 0: none. */
int line_room(const struct line *line);

/* Finds out what its executors have done and not told yet. */
void line_look(struct line *line);

/* Gives what is held to idle slots. */
void line_dispatch(struct line *line);

/* A claim failed: tries again in a moment. */
void line_retry(struct line *line);

/* What a claim brought. */
void line_take(struct line *line, struct lease *leases);

/* One of its leases comes back unstarted. */
void line_hold(struct line *line, struct lease *lease);

/* Takes a held lease out. */
void line_unhold(struct line *line, struct lease *lease);

/* An attempt has ended after so long. */
void line_learn(struct line *line, int64_t run_ns);

/* Nothing held, nothing with an executor. */
bool line_is_idle(const struct line *line);

void line_clear(struct line *line);

#endif
