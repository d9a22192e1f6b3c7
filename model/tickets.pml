/* SPDX-License-Identifier: PostgreSQL */
/*
 * One job and its tickets, from its INSERT to the day it is pruned. README.md explains how to read
 * this; checks.txt says what is checked, and which of the -D twins below must be refuted.
 *
 * Postgres, as far as it matters here: a transaction locks the rows that it deletes, others see
 * them until its commit, and the commit is one moment. Whoever uses SKIP LOCKED passes by a locked
 * row, everybody else waits and then finds it gone. A session's backend goes on when its client
 * has gone: it commits, or rolls back, and nobody hears of it. Numbers are never given back.
 *
 * Two workers, two leaders of maintenance, one operator. Mishaps strike worker 0, each as often as
 * its -D says; worker 1 has to be there for the job to get done.
 */
#ifndef TICKETS
#define TICKETS 8 /* no more than that are drawn (asserted), however often the job comes back */
#endif
#ifndef FAILURES
#define FAILURES 0 /* attempts that fail */
#endif
#ifndef LOSSES
#define LOSSES 0 /* connections of worker 0 that break while it waits for an answer */
#endif
#ifndef KILLS
#define KILLS 0 /* SIGKILL to worker 0, which takes its executor along */
#endif
#ifndef LEAVES
#define LEAVES 0 /* SIGTERM to worker 0 */
#endif
#ifndef TICKS
#define TICKS 0 /* of time, in which worker 0 need not do anything: it may be stopped (SIGSTOP) */
#endif
#ifndef COMMANDS
#define COMMANDS 0 /* cancels; and as many retries, and one prune */
#endif

#ifndef WAITS
#define WAITS 0 /* attempts that ask somebody outside, and may park the job until he answers */
#endif

#ifndef REFUSALS
#define REFUSALS 0 /* of the answers, how many refuse for good */
#endif

#define FENCE 2 /* ticks without an answered heartbeat after which an executor is killed */
#define LEASE 3 /* ticks of one and the same heartbeat after which a leader may rescue */

mtype = { NONE, CLAIM, SUCCEEDED, FAILED, RETURNED, PARKED, DEAD, CANCELLED, DONE };

/* Sets of tickets are bytes; ticket 0 is none. */
#define SET(t) (1 << (t))
#define FIRST(set)                                                        \
	(((set) & 2) -> 1 : (((set) & 4) -> 2 : (((set) & 8) -> 3 :       \
	(((set) & 16) -> 4 : (((set) & 32) -> 5 : (((set) & 64) -> 6 :    \
	(((set) & 128) -> 7 : 0)))))))
#define IS_AT_MOST_ONE(set) (((set) & ((set) - 1)) == 0)

/* The tables, as committed; and who has locked their rows. */
bool has_body = false;
byte ready = 0, leases = 0, of_other = 0; /* of_other: leases that belong to worker 1 */
bool scheduled = false;
mtype outcome = NONE;
byte to_cancel = 0;	   /* the ticket in athena.cancel_requests */
bool is_registered = true; /* worker 0 has its row in athena.workers */
byte drawn = 0;		   /* the sequence athena.tickets */

byte ready_locked = 0, leases_locked = 0;
bool scheduled_locked = false, worker_locked = false;
bool body_shared = false, body_locked = false; /* FOR KEY SHARE; against everybody */
#if WAITS
byte waiting = 0; /* the ticket in athena.waiting */
byte asked = 0, answered = 0; /* tickets with a wait that is open, that was answered while leased */
byte waits_locked = 0;
bool is_refused = false; /* for good, and whoever did so was told that it counts */
#else
#define waiting 0
#define is_refused false
#endif
#ifdef TWIN_REFUSAL_UNLOCKED
#define EARLIER_WAITS_LOCKED(t) false
#else
#define EARLIER_WAITS_LOCKED(t) (waits_locked & ~SET(t))
#endif
#ifdef TWIN_REFUSAL_OF_THE_ATTEMPT
#define IS_REFUSED false
#else
#define IS_REFUSED is_refused
#endif

#define LEASES_OF(w) ((w) -> (leases & of_other) : (leases & ~of_other))

/* What the programs have in their memory: tickets, each in one of these at most. */
byte held[2];	  /* claimed, and not started */
byte running[2];  /* with an executor, which is a process of its own */
byte ended[2];	  /* with a result that the worker has not read yet */
byte settling[2]; /* with a result that is to be sent, or was */
byte found[2];	  /* leased to us, as Postgres says, and else unknown: to be handed back */
mtype how[2] = NONE, result[2] = NONE; /* of what has ended, of what is settled */
bool is_flying[2]; /* a claim waits for its answer */

bool is_doubtful = false; /* what worker 0 holds, or asked for, may have been rescued */
bool is_gone = false; /* worker 0: killed, or left */
byte silence = 0;   /* ticks since worker 0 sent its last answered heartbeat */
byte underway = 0;  /* ticks since it sent the one that is under way */
byte unchanged = 0; /* ticks since its row last changed */

bool is_settled_unleased = false, is_cancel_missed = false; /* what must never be */

#define KNOWS(w, t) \
	((t) == held[w] || (t) == running[w] || (t) == ended[w] || (t) == settling[w] || (t) == found[w])

#define IS_IDLE(w) (!held[w] && !running[w] && !ended[w] && !found[w])

/* lease_to_ready() and its like: whatever comes back gets a new number. */
inline make_ready()
{
	drawn++;
	assert(drawn < TICKETS);
	ready = ready | SET(drawn);
	printf("ticket %d is ready\n", drawn)
}

inline give_wait(t)
{
#if WAITS
	waits_locked = waits_locked & ~SET(t)
#else
	skip
#endif
}

inline end_lease(t)
{
	leases = leases & ~SET(t);
	of_other = of_other & ~SET(t);
	leases_locked = leases_locked & ~SET(t)
}

/* --- Connections. Worker 0 has a second one, for when the first is lost. */

chan ask[3] = [0] of { mtype, byte };
chan answer[3] = [0] of { byte };
bool is_cut[3];

/* Somebody has answered, or nobody in time, and the attempt goes on, or has failed. */
inline go_on()
{
	if
	:: !is_refused -> make_ready()
	:: !is_refused -> scheduled = true
	:: outcome = DEAD
	fi
}

inline tell(c, t)
{
	if
	:: answer[c]!t
	:: is_cut[c]
	fi
}

/* sql: claim.sql claim_limited.sql claim_chunked.sql */
inline serve_claim(c, w, t)
{
	atomic { /* FOR UPDATE SKIP LOCKED */
		t = FIRST(ready & ~ready_locked);
		ready_locked = ready_locked | (t -> SET(t) : 0)
	};
#ifdef TWIN_CLAIM_IN_TWO
	atomic {
		ready = ready & ~(t -> SET(t) : 0);
		ready_locked = ready_locked & ~(t -> SET(t) : 0)
	};
#endif
	if
	:: t -> if
		:: atomic {
			ready = ready & ~SET(t);
			ready_locked = ready_locked & ~SET(t);
			leases = leases | SET(t);
			of_other = of_other | (w -> SET(t) : 0);
			printf("worker %d leases ticket %d: committed\n", w, t)
		   };
		   tell(c, t)
		:: is_cut[c] -> ready_locked = ready_locked & ~SET(t) /* rolled back */
		fi
	:: else -> tell(c, 0)
	fi
}

/* sql: settle.sql settle_succeeded.sql settle_chunks.sql settle_chunk.sql settle_recall.sql */
inline serve_settle(c, w, t, what)
{
	atomic { /* FOR UPDATE, which waits */
		!(leases_locked & SET(t));
#ifdef TWIN_FENCE_IS_THE_JOB
		mine = FIRST(LEASES_OF(w));
#else
		mine = (LEASES_OF(w) & SET(t) -> t : 0);
#endif
		leases_locked = leases_locked | (mine -> SET(mine) : 0)
	};
	if
#ifdef TWIN_SETTLE_UNLEASED
	:: true ->
#else
	:: mine ->
#endif
#if WAITS
	   if
	   :: what == PARKED -> atomic { /* an UPDATE, which waits */
#ifndef TWIN_PARK_UNLOCKED
		!(waits_locked & SET(mine));
		waits_locked = waits_locked | SET(mine);
#endif
		is_asked = (asked & SET(mine)) != 0
	      }
	   :: else
	   fi;
#endif
	   if
	   :: atomic {
		is_settled_unleased = is_settled_unleased || mine != t;
		end_lease(mine);
		printf("worker %d settles ticket %d as %e: committed\n", w, mine, what);
		if
		:: what == SUCCEEDED -> outcome = SUCCEEDED
		:: what != SUCCEEDED && to_cancel == t -> outcome = CANCELLED
		:: what == FAILED && to_cancel != t -> scheduled = true
		:: what == FAILED && to_cancel != t -> outcome = DEAD
		:: what == RETURNED && to_cancel != t -> make_ready()
#if WAITS
		:: what == PARKED && to_cancel != t && is_asked -> waiting = mine
		:: what == PARKED && to_cancel != t && !is_asked -> go_on()
#endif
		fi;
		give_wait((what == PARKED) * mine)
	      }
	   :: is_cut[c] -> atomic {
		leases_locked = leases_locked & ~(mine -> SET(mine) : 0);
		give_wait((what == PARKED) * mine)
	      }
	   fi
#ifndef TWIN_SETTLE_UNLEASED
	:: else /* already, or lost: either way the worker is done with it */
#endif
	fi;
	tell(c, 0)
}

proctype Backend(byte c; bit w)
{
	mtype what;
	byte t, mine;
#if WAITS
	bool is_asked;
#endif

end:
	do
	:: ask[c]?what, t ->
	   if
	   :: what == CLAIM -> serve_claim(c, w, t)
	   :: else -> serve_settle(c, w, t, what)
	   fi;
	   atomic {
		t = 0;
		mine = 0;
#if WAITS
		is_asked = false;
#endif
		what = NONE
	   }
	od
}

/* --- Workers */

/* All leases of ours, by which we find what a lost answer has left us. sql: own_leases.sql */
inline reconcile(w)
{
	atomic {
		if
		:: FIRST(LEASES_OF(w)) && !KNOWS(w, FIRST(LEASES_OF(w))) -> found[w] = FIRST(LEASES_OF(w))
		:: else
		fi
	}
}

inline lose(c)
{
	atomic {
		is_cut[c] = true;
		c = 1;
		losses--;
		printf("worker 0 loses its connection\n")
	}
}

inline lose_memory()
{
	is_gone = true;
	is_cut[0] = true;
	is_cut[1] = true;
	held[0] = 0;
	running[0] = 0;
	ended[0] = 0;
	settling[0] = 0;
	found[0] = 0;
	how[0] = NONE;
	result[0] = NONE;
	is_flying[0] = false;
	is_doubtful = false;
	silence = 0;
	underway = 0;
	unchanged = 0;
	printf("worker 0 is gone\n")
}

inline send_claim(w, c)
{
	atomic {
		is_flying[w] = true;
		is_doubtful = (w -> is_doubtful : false)
	};
	ask[c]!CLAIM, 0;
	if
	:: atomic {
		answer[c]?held[w] -> is_flying[w] = false;
		printf("worker %d hears that it has ticket %d\n", w, held[w])
	   }
	:: losses -> lose(c);
	   is_flying[w] = false;
#ifndef TWIN_NO_HAND_BACK
	   reconcile(w)
#endif
	fi
}

/* After a lost answer once more, whatever became of the first. */
inline send_settle(w, c)
{
	do
	:: ask[c]!result[w], settling[w];
	   if
	   :: answer[c]?settling[w] -> result[w] = NONE;
	      break
	   :: losses -> lose(c)
#ifdef TWIN_LOSS_IS_FAILURE
	      ; atomic { /* not settled, it believes, and so goes on with it */
		held[w] = settling[w];
		settling[w] = 0
	      };
	      break
#endif
	   fi
	od
}

/* sql: unregister.sql; adopt.sql does it for all workers of a copied database */
inline leave(t)
{
	atomic {
		!(leases_locked & LEASES_OF(0));
		t = FIRST(LEASES_OF(0));
		if
		:: t -> end_lease(t)
		:: else
		fi;
		if
#ifdef TWIN_LEAVE_FORGETS_CANCEL
		:: t -> is_cancel_missed = is_cancel_missed || to_cancel == t;
		   make_ready()
#else
		:: t && to_cancel == t -> outcome = CANCELLED
		:: t && to_cancel != t -> make_ready()
#endif
		:: else
		fi;
		is_registered = false;
		lose_memory()
	}
}

/*
 * That it hears of a ticket at all, and looks at where it stands, is for wake.pml and cursor.pml.
 * A worker that is stopped (SIGSTOP) is one that does nothing while time goes on.
 */
proctype Worker(bit w)
{
	byte c = w * 2, t;
	byte losses = (w -> 0 : LOSSES);

	do
	:: atomic { found[w] ->
		settling[w] = found[w];
		found[w] = 0;
		result[w] = RETURNED;
		printf("worker %d hands ticket %d back\n", w, settling[w])
	   };
	   send_settle(w, c)
	:: atomic { ended[w] ->
		settling[w] = ended[w];
		result[w] = how[w];
		ended[w] = 0;
		how[w] = NONE
	   };
	   send_settle(w, c)
	:: atomic { held[w] && (w || (silence < FENCE && !is_doubtful)) ->
		running[w] = held[w]; /* and the executor sets its fence, by the same silence */
		held[w] = 0;
		printf("worker %d starts ticket %d\n", w, running[w])
	   }
	/* Nothing begins in doubt: it asks first. Doubts of after it asked stay. sql: own_leases.sql */
	:: atomic { held[w] && !w && is_doubtful ->
		t = LEASES_OF(0) & SET(held[w]);
		is_doubtful = false
	   };
	   atomic {
		held[w] = (t -> held[w] : 0);
		t = 0
	   }
	:: ready && IS_IDLE(w) && (w || silence < FENCE) -> send_claim(w, c)
	:: !w && LEAVES && IS_IDLE(w) -> leave(t)
	od unless { !w && is_gone }
}

/* Heartbeats of worker 0, on a connection of their own. sql: heartbeat.sql */
proctype Pulse()
{
	byte named;

	do
	:: underway = 0;
	   atomic { /* an UPDATE: waits for a rescue that has locked the row */
		!worker_locked;
		unchanged = 0;
		named = FIRST(LEASES_OF(0))
	   };
	   atomic {
#ifndef TWIN_HELD_IS_TRUSTED
		is_doubtful = is_doubtful || silence >= FENCE;
#endif
		silence = underway;
		printf("worker 0: its heartbeat is answered, sent %d ticks ago\n", underway);
#ifndef TWIN_NO_HAND_BACK
		if
		:: named && !KNOWS(0, named) && !is_flying[0] -> found[0] = named
		:: else
		fi;
#endif
		named = 0
	   }
	od unless { is_gone }
}

/* --- What happens outside: time, signals, executors */

inline kill_executor()
{
	if
	:: running[0] -> printf("the fence kills the executor of ticket %d\n", running[0]);
	   ended[0] = running[0];
	   how[0] = FAILED;
	   running[0] = 0
	:: else
	fi
}

#if WAITS
/*
 * Commits a wait before anybody hears of its token. Whoever is just ending one of an earlier attempt
 * comes first: a refusal for good is one of this wait, too. sql: wait_open.sql
 */
inline open_wait(w)
{
	atomic { waits && running[w] && !(leases_locked & SET(running[w])) && !EARLIER_WAITS_LOCKED(running[w]) -> /* FOR [KEY] SHARE */
		waits--;
		if
		:: (LEASES_OF(w) & ~answered & SET(running[w])) && IS_REFUSED -> answered = answered | SET(running[w]);
		   printf("ticket %d has a token that is refused already\n", running[w])
		:: (LEASES_OF(w) & ~answered & SET(running[w])) && !IS_REFUSED -> asked = asked | SET(running[w]);
		   printf("ticket %d has a token\n", running[w])
		:: else
		fi
	}
}

inline ask_to_park(w)
{
	atomic { running[w] && ((asked | answered) & SET(running[w])) ->
		ended[w] = running[w];
		running[w] = 0;
		how[w] = PARKED;
		printf("ticket %d wants to be parked\n", ended[w])
	}
}
#endif

proctype World()
{
	byte failures = FAILURES, kills = KILLS, ticks = TICKS;
#if WAITS
	byte waits = WAITS;
#endif

	do
	:: atomic { running[0] -> ended[0] = running[0]; running[0] = 0; how[0] = SUCCEEDED; printf("ticket %d has run\n", ended[0]) }
	:: atomic { running[1] -> ended[1] = running[1]; running[1] = 0; how[1] = SUCCEEDED; printf("ticket %d has run\n", ended[1]) }
	:: atomic { running[0] && failures -> failures--; ended[0] = running[0]; running[0] = 0; how[0] = FAILED; printf("ticket %d has failed\n", ended[0]) }
	:: atomic { running[1] && failures -> failures--; ended[1] = running[1]; running[1] = 0; how[1] = FAILED; printf("ticket %d has failed\n", ended[1]) }
	:: atomic { ticks && !is_gone && unchanged < LEASE ->
		ticks--;
		silence = (silence < LEASE -> silence + 1 : silence);
		underway = (underway < LEASE -> underway + 1 : underway);
		unchanged++;
		printf("a tick: worker 0 has been silent for %d, and its row is %d old\n", silence, unchanged);
#ifndef TWIN_NO_FENCE
		if
		:: silence >= FENCE -> kill_executor()
		:: else
		fi
#endif
	   }
	:: atomic { kills && !is_gone ->
		kills--;
		lose_memory()
	   }
#if WAITS
	:: open_wait(0)
	:: open_wait(1)
	:: ask_to_park(0)
	:: ask_to_park(1)
#endif
	od
}

#if WAITS
/*
 * Whoever ends waits: somebody with a token, or the lane when nobody comes. He locks the wait, and
 * then looks where its ticket is. sql: wait_complete.sql wait_fail.sql lane_run.sql (waits)
 */
inline end_wait(t)
{
	asked = asked & ~SET(t);
	if
#ifdef TWIN_TOKEN_IS_THE_JOB
	:: waiting -> is_settled_unleased = is_settled_unleased || waiting != t;
	   printf("the wait of ticket %d ends by the token of %d\n", waiting, t);
	   waiting = 0;
	   go_on()
#endif
	:: waiting == t -> waiting = 0;
	   printf("the wait of ticket %d ends\n", t);
	   go_on()
	:: waiting != t && (leases & SET(t)) -> answered = answered | SET(t);
	   printf("ticket %d is answered before it is parked\n", t)
	:: else -> printf("the token of ticket %d is stale\n", t)
	fi;
	give_wait(t)
}

/* For good, and in a transaction that does other things before its commit. */
inline refuse(t)
{
	atomic { refusals && waiting != t && (leases & SET(t)) ->
		refusals--;
		printf("ticket %d is being refused for good\n", t)
	};
	atomic {
		asked = asked & ~SET(t);
		answered = answered | SET(t);
		is_refused = true;
		printf("ticket %d is refused: committed\n", t);
		give_wait(t);
		t = 0
	}
}

proctype Outside()
{
	byte t, refusals = REFUSALS;

	do
	:: atomic { FIRST(asked & ~waits_locked) ->
		t = FIRST(asked & ~waits_locked);
		waits_locked = waits_locked | SET(t)
	   };
	   if
#if REFUSALS
	   :: refuse(t)
#endif
	   :: atomic {
		end_wait(t);
		t = 0
	      }
	   fi
	od
}
#endif

/* sql: job_enqueue.sql jobs_copy.sql schedule_run.sql lane_run.sql (schedule) */
proctype Producer()
{
	atomic {
		has_body = true;
		make_ready()
	}
}

/* --- Maintenance, led by two at once */

/* sql: lane_run.sql (promote) */
inline promote()
{
	atomic { scheduled && !scheduled_locked -> scheduled_locked = true };
	atomic {
		scheduled = false;
		scheduled_locked = false;
		printf("a leader promotes\n");
		make_ready()
	}
}

/* lease_rescue(); SKIP LOCKED */
inline take_lease(t)
{
	atomic {
#ifdef TWIN_RESCUE_UNLOCKED
		t = FIRST(LEASES_OF(0));
#else
		t = FIRST(LEASES_OF(0) & ~leases_locked);
		leases_locked = leases_locked | (t -> SET(t) : 0)
#endif
	};
	if
	:: t -> atomic {
		end_lease(t);
		printf("a leader rescues ticket %d: committed\n", t);
		if
		:: to_cancel == t -> outcome = CANCELLED
		:: else -> make_ready()
		fi;
		t = 0
	   }
	:: else
	fi
}

#define IS_SILENT (is_registered && (is_gone || unchanged >= LEASE))

/* sql: watch.sql rescue.sql lane_run.sql (rescue, deadlines) */
inline rescue(t)
{
#ifdef TWIN_RESCUE_UNWATCHED
	IS_SILENT && LEASES_OF(0);
	atomic { !worker_locked -> worker_locked = true };
#else
	atomic { IS_SILENT && !worker_locked && (LEASES_OF(0) || is_gone) -> worker_locked = true };
#endif
	take_lease(t);
	atomic { /* one that is known to be dead is forgotten */
		is_registered = is_registered && !(is_gone && !LEASES_OF(0));
		worker_locked = false
	}
}

/* Looks under a lock, and then removes body and outcome. sql: lane_run.sql (prune) */
inline prune()
{
	atomic { outcome != NONE && !body_shared && !body_locked -> body_locked = true };
	atomic {
		if
		:: outcome != NONE -> outcome = NONE;
		   printf("body and outcome are pruned\n")
		:: else /* taken by a retry */
#ifndef TWIN_RETRY_UNLOCKED
		   -> assert(false)
#endif
		fi;
		has_body = false;
		body_locked = false
	}
}

proctype Leader(bit prunes)
{
	byte t;

	do
	:: promote()
#ifndef TWIN_NO_RESCUE
	:: rescue(t)
	:: LEASES_OF(0) && !is_registered -> take_lease(t)
#endif
	:: prunes -> prunes = false;
	   if
	   :: prune()
	   :: true
	   fi
	od
}

/* --- An operator. Each turn of a loop is a new snapshot. */

#if WAITS
/* First the wait of the ticket that was seen, then the ticket. */
inline take_waiting(t)
{
	t = waiting;
	atomic {
		!(waits_locked & SET(t));
		if
		:: t && waiting == t -> waits_locked = waits_locked | SET(t)
		:: else -> t = 0
		fi
	}
}

inline end_waiting(t)
{
	waiting = 0;
	asked = asked & ~SET(t);
	give_wait(t)
}
#endif

/* sql: job_cancel.sql job_cancel_many.sql */
proctype Canceller()
{
	byte seen;

	has_body;
	do
	:: ready -> seen = FIRST(ready);
	   atomic {
		!(ready_locked & SET(seen));
		if
		:: ready & SET(seen) -> ready_locked = ready_locked | SET(seen)
		:: else -> seen = 0
		fi
	   };
	   if
	   :: seen -> atomic {
		ready = ready & ~SET(seen);
		ready_locked = ready_locked & ~SET(seen);
		outcome = CANCELLED;
		printf("the job is cancelled\n")
	      };
	      break
	   :: else
#ifdef TWIN_CANCEL_LOOKS_ONCE
	      -> is_cancel_missed = true; break
#endif
	   fi
	:: scheduled -> atomic {
		!scheduled_locked;
		seen = scheduled;
		scheduled_locked = scheduled
	   };
	   if
	   :: seen -> atomic {
		scheduled = false;
		scheduled_locked = false;
		outcome = CANCELLED;
		printf("the job is cancelled\n")
	      };
	      break
	   :: else
	   fi
	:: leases -> seen = FIRST(leases);
	   atomic { /* FOR KEY SHARE, which waits */
		!(leases_locked & SET(seen));
		if
		:: leases & SET(seen) -> to_cancel = seen;
		   printf("the holder of ticket %d is asked to cancel\n", seen)
		:: else -> seen = 0
		fi
	   };
	   if
	   :: seen -> break
	   :: else
	   fi
#if WAITS
	:: waiting -> take_waiting(seen);
	   if
	   :: seen -> atomic {
		end_waiting(seen);
		outcome = CANCELLED;
		printf("the job is cancelled\n")
	      };
	      break
	   :: else
	   fi
#endif
	:: outcome != NONE -> break
	:: !has_body -> break
	od
}

/* sql: job_retry.sql job_retry_many.sql */
proctype Retrier()
{
	byte seen;

	has_body && (outcome != NONE || scheduled || waiting);
#ifndef TWIN_RETRY_UNLOCKED
	atomic { /* FOR KEY SHARE, until the end */
		!body_locked;
		body_shared = has_body
	};
#endif
	do
	:: scheduled -> atomic {
		!scheduled_locked;
		seen = scheduled;
		scheduled_locked = scheduled
	   };
	   if
	   :: seen -> atomic {
		scheduled = false;
		scheduled_locked = false;
		make_ready()
	      };
	      break
	   :: else
	   fi
#if WAITS
	:: waiting -> take_waiting(seen);
	   if
	   :: seen -> atomic {
		end_waiting(seen);
		make_ready()
	      };
	      break
	   :: else
	   fi
#endif
	:: atomic { outcome == DEAD || outcome == CANCELLED -> outcome = NONE;
#if WAITS
		is_refused = false; /* its waits are removed */
#endif
		printf("a retry brings the job back\n");
		make_ready()
	   };
	   break
	:: ready || leases || outcome == SUCCEEDED || !has_body -> break /* refused */
	od;
	body_shared = false
}

init
{
	atomic {
		run Worker(0);
		run Backend(0, 0);
#if LOSSES
		run Backend(1, 0);
#endif
		run Backend(2, 1);
		run Worker(1);
		run Pulse();
		run World();
		run Leader(COMMANDS);
		run Leader(0);
#if COMMANDS
		run Canceller();
		run Retrier();
#endif
#if WAITS
		run Outside();
#endif
		run Producer()
	}
}

/* Every body has exactly one row among ready, scheduled, leases, waiting and outcomes. */
#define IS_CONSERVED                                                                         \
	((ready != 0) + (leases != 0) + scheduled + (waiting != 0) + (outcome != NONE) == has_body \
		&& IS_AT_MOST_ONE(ready) && IS_AT_MOST_ONE(leases))

/* Whoever works on a job holds its lease; so no two do. */
#define IS_EVERY_RUN_LEASED                                                                  \
	((SET(running[0]) & ~SET(0) & ~(leases & ~of_other)) == 0                            \
		&& (SET(running[1]) & ~SET(0) & ~(leases & of_other)) == 0)

/* A parked job has a wait that somebody can end. */
#if WAITS
#define IS_HEARD (!waiting || (asked & SET(waiting)))
#else
#define IS_HEARD true
#endif

/* Nobody waits for somebody who has refused for good. */
#define IS_REFUSED_FOR_GOOD (!is_refused || !waiting)

ltl conservation { [] IS_CONSERVED }
ltl nobody_waits_in_vain { [] IS_HEARD }
ltl a_refusal_is_for_good { [] IS_REFUSED_FOR_GOOD }
ltl no_run_without_lease { [] IS_EVERY_RUN_LEASED }
ltl no_settle_without_lease { [] !is_settled_unleased }
ltl no_cancel_is_missed { [] !is_cancel_missed }
ltl all_of_these {
	[] (IS_CONSERVED && IS_EVERY_RUN_LEASED && IS_HEARD && IS_REFUSED_FOR_GOOD && !is_settled_unleased && !is_cancel_missed)
}

/* Whatever happens on the way. */
ltl every_job_ends { [] (has_body -> <> (outcome != NONE || !has_body)) }
