/* SPDX-License-Identifier: PostgreSQL */
/*
 * Going to sleep without missing a job: src/queue/sleep.h, in Promela. README.md explains how to
 * read this; checks.txt says what is checked, and which of the -D twins below must be refuted.
 *
 * A notification is delivered after the commit, to whoever has committed its LISTEN before.
 */
#define PRODUCERS 2

#include "transactions.pml"

/* Rows. 0: none; otherwise the id of the transaction that wrote it. */
byte sign = 0;		    /* of athena.sleepers */
byte ticket[PRODUCERS] = 0; /* of athena.ready */
bool taken[PRODUCERS];	    /* deleted by a claim that is committed */

byte locked = 0;	  /* bits: producers that hold ROW EXCLUSIVE on athena.ready */
bool is_listening = false; /* LISTEN is committed on the connection there is */
bool is_told = false;	  /* a notification is on its way, or waits to be read */
bool is_asleep = false;	  /* the worker believes that a notification will come */

/*
 * Whoever makes tickets ready: an INSERT of a producer, and every statement that returns one.
 * sql: job_enqueue.sql jobs_copy.sql lane_run.sql job_retry.sql job_retry_many.sql settle.sql
 * sql: schedule_run.sql settle_chunk.sql rescue.sql unregister.sql adopt.sql settle_succeeded.sql family_resume.sql
 * sql: family_set.sql wait_complete.sql wait_fail.sql job_cancel.sql job_cancel_many.sql
 */
proctype Producer(byte me)
{
	byte id;
	bool is_snapshot_old = false; /* REPEATABLE READ: of its first statement */
	bool sees_sign = false;

	if
	:: true
	:: is_snapshot_old = true;
	   atomic {
		sees_sign = IS_SEEN(sign);
		printf("producer %d takes its snapshot, REPEATABLE READ\n", me)
	   }
	fi;
#ifdef TWIN_STABLE_TRIGGER /* reads by the snapshot of the INSERT, which is older than its id */
	sees_sign = IS_SEEN(sign);
#endif
	begin(id);
	atomic {
		locked = locked | BIT(me);
		ticket[me] = id
	};
#ifndef TWIN_STABLE_TRIGGER
	atomic {
		if
		:: !is_snapshot_old -> sees_sign = IS_SEEN(sign) /* ready_wake() is VOLATILE */
		:: else
#ifndef TWIN_SNAPSHOT_TRUSTED
		   -> sees_sign = true
#endif
		fi;
		printf("producer %d has inserted a ticket; will it notify? %d\n", me, sees_sign)
	};
#endif
	if
	:: atomic { /* commit */
		printf("producer %d commits\n", me);
		ENDED(id);
#ifdef TWIN_ONLY_INSERT_NOTIFIES
		is_told = is_told || (sees_sign && is_listening && me == 0)
#else
		is_told = is_told || (sees_sign && is_listening)
#endif
	   }
	:: atomic { /* rollback */
		printf("producer %d rolls back\n", me);
		ticket[me] = 0;
		ENDED(id)
	   }
	fi;
	locked = locked & ~BIT(me) /* locks go last */
}

#define IS_WORK(n) (IS_SEEN(ticket[n]) && !taken[n])
#define IS_ANY_WORK (IS_WORK(0) || IS_WORK(1))

/* All that its snapshot sees. sql: claim.sql */
inline claim()
{
	atomic {
		if
		:: IS_WORK(0) -> taken[0] = true;
		   printf("the worker claims the ticket of producer 0\n")
		:: else
		fi;
		if
		:: IS_WORK(1) -> taken[1] = true;
		   printf("the worker claims the ticket of producer 1\n")
		:: else
		fi
	}
}

/* One mishap, at any time: a connection is lost, with the LISTEN and what was to be read from it;
 * or the worker is silent for so long that a lane takes its sign down, and its next heartbeat
 * makes it start over. sql: rescue.sql lane_run.sql (registry) sleep_unsign.sql unregister.sql adopt.sql */
#define MISHAP                                           \
	has_luck->has_luck = false;                      \
	atomic {                                         \
		knows_holders = false;                   \
		awaited = 0;                             \
		mark = 0;                                \
		is_asleep = false;                       \
		if                                       \
		:: is_listening = false; is_told = false \
		:: sign = 0                              \
		fi;                                      \
		printf("a mishap: the worker starts over\n") \
	};                                               \
	goto anew

proctype Worker()
{
	byte id, mark, awaited;
	bool has_work, has_passed, knows_holders;
	bool has_luck = true;

anew:
#ifndef TWIN_LISTEN_LATE
	is_listening = true; /* 1 LISTEN, committed */
#endif
	/* 2 the sign, committed. sql: sleep_sign.sql */
	begin(id);
#ifdef TWIN_MARK_INSIDE
	mark = id;
#endif
	atomic {
		sign = (sign == 0 -> id : sign); /* ON CONFLICT DO NOTHING */
		printf("the worker signs\n")
	};
	atomic {
		ENDED(id);
		id = 0
	};
#ifdef TWIN_EARLY_RELIANCE
	goto asleep;
#endif
	/* 3 an own transaction id. sql: own_xid.sql */
#ifdef TWIN_XMAX
	mark = XMAX;
#else
#ifndef TWIN_MARK_INSIDE
	begin(mark);
	atomic { ENDED(mark) };
#endif
#endif
	/* 4 looks. sql: sleep_look.sql sleep_holders.sql */
	do
	:: atomic {
		has_work = IS_ANY_WORK;
		has_passed = HAS_PASSED(mark);
		printf("a look: work %d, xmin past %d %d\n", has_work, mark, has_passed)
	   };
	   if
	   :: has_work -> has_work = false;
	      claim()
#ifdef TWIN_ONE_LOOK
	   :: else -> break
#else
	   :: !has_work && (has_passed || (knows_holders && awaited == 0)) -> break
	   :: !has_work && !has_passed && !(knows_holders && awaited == 0) ->
		/* X has not passed after 100 ms: who holds the lock? Then, are those still there? */
		atomic {
			if
			:: !knows_holders -> awaited = locked
			:: else -> awaited = awaited & locked
			fi;
			knows_holders = true;
			printf("the worker waits for lock holders %d\n", awaited)
		};
#ifdef TWIN_NO_LAST_LOOK
		if
		:: awaited == 0 -> break
		:: else
		fi
#endif
#endif
	   fi
	:: MISHAP
	od;
asleep:
	atomic {
#ifdef TWIN_LISTEN_LATE
		is_listening = true;
#endif
		has_passed = false;
		knows_holders = false;
		awaited = 0;
		mark = 0;
		is_asleep = true;
		printf("the worker sleeps\n")
	};
	do
	:: atomic { is_told -> is_told = false; is_asleep = false; printf("the worker is notified\n") };
	   claim();
	   is_asleep = true
	:: MISHAP
	od
}

init
{
	atomic {
		if /* a writer elsewhere in the cluster that never ends: xmin stays at its id */
		:: open = BIT(given); given++
		:: true
		fi;
		run Worker();
		run Producer(0);
		run Producer(1)
	}
}

/* No sleeper beside a committed ticket, unless a notification is due. */
ltl no_lost_wakeup {
	[] !(is_asleep && !is_told && IS_ANY_WORK)
}

/* What was committed is taken in the end, without any poll. */
ltl every_ticket_is_claimed { [] (IS_WORK(0) -> <> taken[0]) }
