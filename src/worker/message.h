/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a worker and its executors say to each other, as types of frames (base/frame.h). The id of
 * a frame is the ticket it is about, but for results.
 *
 * An executor does its attempts in the order in which they came; they are numbered from 1 since
 * its start. A RESULT's id is such a number, and it answers all attempts up to that one: those
 * before it have succeeded, its body says how that one ended. Successes are told together, when
 * nothing is left to do, before anything else is told, and at the latest when a handler waits or
 * another one would begin 1 ms after the last telling; what is not told yet stands in the logbook
 * (worker/logbook.h). The first attempt without a result is the one that runs.
 */
#ifndef ATHENA_WORKER_MESSAGE_H
#define ATHENA_WORKER_MESSAGE_H

#include <stdint.h>

enum message {
	/* to the executor */
	/* Of the attempts that follow: {"family", "run", "queue", "fence_ms", "until_ns"} */
	MESSAGE_BATCH = 1,
	MESSAGE_ATTEMPT, /* struct message_attempt, kind, payload; and answers behind a NUL */
	MESSAGE_CHUNK,	 /* some of a ticket: struct message_attempt, lines (queue/chunk.h) */
	MESSAGE_CANCEL,	 /* int64_t: the job; 0: all of the ticket */
	MESSAGE_TOKEN,	 /* {"token"} or {"error"}: answers a WAIT */

	/* to the worker */
	MESSAGE_RESULT,	  /* empty: succeeded; {"wait_ms"}: parked; {"kind", "code", "error"} */
	MESSAGE_EVENT,	  /* {"level", "kind", "phase", "message", "details"} */
	MESSAGE_PROGRESS, /* {"phase", "done", "total", "unit"} */
	MESSAGE_WAIT,	  /* the name of the wait to be opened */
};

/* How the body of an ATTEMPT begins, and of a CHUNK, where only the number says something. */
struct message_attempt {
	int64_t job_id;
	int32_t number; /* of the job's attempts: 1, 2, ... */
	uint32_t kind_length;
};

/* Descriptors of an executor, beside the standard three. */
enum {
	EXECUTOR_SOCKET_FD = 3,
	EXECUTOR_FENCE_FD = 4,
	EXECUTOR_LOGBOOK_FD = 5,
	EXECUTOR_CONFIG_FD = 6,
};

#endif
