/* SPDX-License-Identifier: PostgreSQL */
/*
 * The claim cursor: where in a family's line a claim begins.
 *
 * A pinned MVCC horizon (a long transaction anywhere in the cluster) keeps dead tickets in the
 * index, and a claim that starts at the front of the line walks over all of them. So a worker
 * remembers per lane (priority):
 *
 *   cursor: the highest ticket that it claimed. A hint: tickets below it may still turn up, from
 *     producers that drew their numbers earlier and committed later, or claims that rolled back.
 *   floor: nothing at or below it can ever become claimable. Proved, not guessed:
 *     (a) mark: read L, the last number given out; then, in a later transaction, draw an own
 *         transaction id X;
 *     (b) a later statement whose snapshot has xmin >= X reads the lane's first ticket m above the
 *         floor, without SKIP LOCKED; the floor becomes min(L, m - 1), or L if there is none.
 *     Whoever drew a number <= L had a transaction id below X by then (the schema sees to that),
 *     and has ended; its tickets are visible to that snapshot, and no more can come. A claim that
 *     is under way has not committed, so the plain read still sees what it takes. This needs
 *     numbers in order (CACHE 1), and starts from nothing on every connection, since after a
 *     failover the sequence may have gone back.
 *
 * A look is a claim from the floors. One happens when a claim came back short, when a mark has
 * been passed since (only then can something late have appeared), and at the latest every
 * max(1 s, 20 times what the last look took). So no job waits longer for the cursor than that, and
 * losing cursor or floors costs time, never a job.
 *
 * Readers (pg_dump, REPEATABLE READ, replication slots) pin the horizon but hold no transaction
 * id, so floors pass them; only a long *writing* transaction holds floors back.
 */
#ifndef ATHENA_QUEUE_CURSOR_H
#define ATHENA_QUEUE_CURSOR_H

#include "db/session.h"
#include "queue/lease.h"

/* Priorities, and so lanes of a family. */
enum { LANES = 10 };

enum mark_state { MARK_NONE, MARK_DRAWING, MARK_SET };

struct cursor {
	int64_t floors[LANES];
	int64_t after[LANES]; /* the cursors */
	int64_t heads[LANES]; /* first tickets above floor or cursor; INT64_MAX: none */

	enum mark_state mark;
	int64_t mark_number; /* L */
	char mark_xid[24];   /* X */
	bool is_asking;	     /* for heads */
	int64_t asked_ms;    /* boot clock */

	int64_t looked_ms; /* when the last look began */
	int64_t look_cost_ms;
	bool wants_look; /* the next claim has to be one */
	bool is_look;	 /* the claim under way begins at every floor */
	int epoch;	 /* of the connection: answers of older ones are void */
};

#define CURSOR_STATEMENTS &sql_cursor_number, &sql_own_xid, &sql_cursor_heads

/* A new connection: nothing is known. */
void cursor_reset(struct cursor *cursor);

/* Every 8th turn does not begin with the best priority, so that nothing starves. */
bool cursor_is_fair_turn(int turn);

/*
 * The order in which the claim number `turn` visits the lanes, and where in each it begins. By
 * priority; on fair turns by the age of the lanes' first tickets.
 */
void cursor_lanes(struct cursor *cursor, int turn, int64_t *ret_lanes, int64_t *ret_after);

/*
 * A claim was answered, and so committed: the cursors move. True when it came back short without
 * having been a look: the next one is, and has to be sent before the lane may be called empty.
 */
bool cursor_claimed(struct cursor *cursor, const struct lease *leases, bool is_short);

/* Draws marks and moves floors, a few times a second while there are claims. */
void cursor_advance(struct cursor *cursor, struct session *session, const char *family);

#endif
