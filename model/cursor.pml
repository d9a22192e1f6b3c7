/* SPDX-License-Identifier: PostgreSQL */
/*
 * Where in its line a claim begins, and that no ticket is left behind: src/queue/cursor.h, in
 * Promela. README.md explains how to read this; checks.txt says what is checked, and which of the
 * -D twins below must be refuted.
 *
 * One lane. Numbers come from a sequence, which knows of no transactions: they become tickets when
 * their transaction commits, in whatever order, or never.
 */
#define NUMBERS 5 /* at least one more than are drawn */
#ifndef MARKS
#define MARKS 2 /* the worker's, or ids would have no end */
#endif

#include "transactions.pml"

byte number = 0;	/* last_value of athena.tickets */
byte writer[NUMBERS];	/* the id of the transaction that has drawn the number; 0: given up */
bool is_there[NUMBERS]; /* the row of athena.ready is written */
bool taken[NUMBERS];	/* and deleted by a claim that is committed */
bool locked[NUMBERS];	/* by a claim that is under way */
byte floor = 0;

#define IS_CLAIMABLE(n) (is_there[n] && IS_SEEN(writer[n]) && !taken[n])
#define IS_BEHIND(n) ((n) <= floor && writer[n] != 0 && !taken[n])

inline draw(n)
{
	atomic {
		number++;
		n = number;
		writer[n] = 255; /* by somebody without an id as yet */
		printf("number %d is drawn\n", n)
	}
}

/*
 * Some transactions of one session. The id is there before the number is: trigger need_xid, and
 * the DELETE that comes before every nextval().
 * sql: job_enqueue.sql jobs_copy.sql lane_run.sql job_retry.sql job_retry_many.sql settle.sql
 * sql: schedule_run.sql settle_chunk.sql rescue.sql unregister.sql adopt.sql wait_complete.sql wait_fail.sql
 */
proctype Producer(byte turns)
{
	byte id, n, cached = 0;

	do
	:: turns -> turns--;
#ifdef TWIN_NUMBER_FIRST
	   draw(n);
#endif
	   begin(id);
#ifndef TWIN_NUMBER_FIRST
#ifdef TWIN_CACHE
	   if
	   :: cached -> n = cached
	   :: else -> atomic {
		draw(n);
		number++;
		cached = number;
		writer[cached] = 255
	      }
	   fi;
#else
	   draw(n);
#endif
#endif
	   atomic {
		writer[n] = id;
		is_there[n] = true;
		printf("ticket %d is inserted\n", n)
	   };
	   if
	   :: true
	   :: atomic {
		is_there[n] = false;
		writer[n] = 0;
		printf("ticket %d is rolled back\n", n)
	      }
	   fi;
	   atomic {
		ENDED(id);
		id = 0;
		n = 0
	   }
	:: else -> break
	od
}

inline first_after(after, skips, n)
{
	n = after + 1;
	do
	:: n < NUMBERS && !(IS_CLAIMABLE(n) && !(skips && locked[n])) -> n++
	:: else -> break
	od
}

/*
 * Another worker, whose claim may be rolled back: once it is, and then it ends. A cancel of one of many
 * jobs looks like that, too: their ticket goes, and is there again under its number.
 * sql: claim.sql job_cancel.sql job_cancel_many.sql
 */
proctype Other()
{
	byte n;

	atomic {
		first_after(0, true, n);
		if
		:: n < NUMBERS -> locked[n] = true;
		   printf("another claim locks ticket %d\n", n)
		:: else
		fi
	};
	if
	:: n == NUMBERS
	:: n < NUMBERS -> atomic { taken[n] = true; locked[n] = false }
	:: n < NUMBERS -> atomic { locked[n] = false; printf("the other claim is rolled back\n") }
	fi
}

proctype Worker()
{
	byte cursor = 0, from = 0, n;
	byte last, mark = 0, marks = MARKS;
	bool is_short = false;

	do
	/* A claim from the cursor; when it finds too little, one from the floor. sql: claim.sql */
	:: atomic {
#ifdef TWIN_CURSOR_IS_FLOOR
		from = cursor;
#else
		from = (is_short -> floor : cursor);
#endif
		first_after(from, true, n);
		if
		:: n < NUMBERS -> taken[n] = true;
		   printf("the worker claims ticket %d, behind %d\n", n, from);
		   cursor = (n > cursor -> n : cursor);
		   is_short = false
		:: else -> is_short = true
		fi;
		n = 0;
		from = 0
	   }
	/* The mark: the last number, then an own id. sql: cursor_number.sql own_xid.sql */
	:: marks && !mark -> marks--;
#ifdef TWIN_NUMBER_AFTER_MARK
	   begin(mark);
	   atomic { ENDED(mark) };
	   last = number
#else
	   last = number;
#ifdef TWIN_XMAX
	   mark = XMAX
#else
	   begin(mark);
	   atomic { ENDED(mark) }
#endif
#endif
	/* sql: cursor_heads.sql */
	:: mark && HAS_PASSED(mark) -> atomic {
#ifdef TWIN_HEADS_SKIP_LOCKED
		first_after(floor, true, n);
#else
		first_after(floor, false, n);
#endif
		floor = (last < n - 1 -> last : n - 1);
		printf("the floor is %d: the last number was %d, and %d has passed\n", floor, last, mark);
		mark = 0;
		n = 0
	   }
	od
}

init
{
	atomic {
		run Worker();
		run Producer(2);
		run Producer(1);
		run Other()
	}
}

/* No ticket at or below the floor that is to be claimed, or may still come. */
ltl floor_is_true { [] !(IS_BEHIND(1) || IS_BEHIND(2) || IS_BEHIND(3) || IS_BEHIND(4)) }

ltl every_ticket_is_claimed {
	[] (IS_CLAIMABLE(1) -> <> taken[1]) && [] (IS_CLAIMABLE(2) -> <> taken[2])
}
