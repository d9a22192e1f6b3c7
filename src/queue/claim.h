/* SPDX-License-Identifier: PostgreSQL */
/*
 * Claiming: asks for jobs of one family and turns the answer into leases.
 *
 * The claim and its lease rows are one transaction. If the answer is lost after the commit, the
 * leases exist and nobody runs them; the worker finds them with registry_reconcile() before it
 * claims again, so that no such job waits for a rescue that would never come. Runs on the
 * worker's loop, never blocks.
 */
#ifndef ATHENA_QUEUE_CLAIM_H
#define ATHENA_QUEUE_CLAIM_H

#include "db/session.h"
#include "queue/cursor.h"
#include "queue/lease.h"

/*
 * `leases` is a list (utlist) in the order in which to run them, now the callee's; NULL with an
 * error, or when there was nothing. `jobs` is how many these are.
 */
typedef void claim_done(void *context, struct lease *leases, int jobs, const struct err *e);

enum claim_found {
	CLAIM_PLENTY, /* as many as were asked for */
	CLAIM_AGAIN,  /* less, but only behind the cursor: claim again before believing it */
	CLAIM_LITTLE, /* less, from the floors on */
};

struct claim {
	struct session *session;
	const char *worker_id;
	const char *family;
	bool is_limited; /* by the family's row: its claims go one after the other */
	bool is_keyed;	 /* so many at once per concurrency key: not in the order of the line */
	bool is_chunked; /* a ticket may be of many jobs */
	int turn;	 /* counts claims */
	struct cursor cursor;
	int limit;	  /* of the claim that is under way, in jobs */
	int tickets;	  /* the same, in tickets; 0: a ticket is one job */
	int jobs_each;	  /* of a chunked family: jobs per ticket, by the last answer */
	int64_t asked_ns; /* when it was sent */
	bool flying;
	enum claim_found found; /* what the last answer says about the line */
	claim_done *done;
	/* After `done`, where limits have held something back: claim again in so many ms. */
	void (*again)(void *context, int64_t wait_ms);
	void *context;
};

#define CLAIM_STATEMENTS \
	&sql_claim, &sql_claim_limited, &sql_claim_chunked, &sql_claim_wait, CURSOR_STATEMENTS

/*
 * Asks for up to `limit` jobs, in the group that is open, and ends it. One at a time per struct
 * (asserted). The session must be up. Where is_limited is wrong: a claim takes nothing of a family
 * that has got limits meanwhile, and all it may of one that has none any more. A claim of a chunked
 * family may bring more than `limit`, since it takes no ticket in part; where is_chunked is wrong,
 * it takes single jobs only, or nothing else than another would.
 */
void claim_send(struct claim *claim, int limit);

#endif
