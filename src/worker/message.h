/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a worker and its executors say to each other, as types of frames (base/frame.h). The id of
 * a frame is the ticket it is about.
 *
 * An executor does its attempts in the order in which they came and answers each with one RESULT
 * before it starts the next; so the first attempt without a result is the one that runs.
 */
#ifndef ATHENA_WORKER_MESSAGE_H
#define ATHENA_WORKER_MESSAGE_H

enum message {
	/* to the executor */
	MESSAGE_BATCH = 1, /* {"family", "run", "queue", "fence_ms"}: of the attempts that follow */
	MESSAGE_ATTEMPT,   /* {"job", "number", "kind", "payload"} */
	MESSAGE_CANCEL,	   /* no body */

	/* to the worker */
	MESSAGE_RESULT,	  /* empty: succeeded; else {"kind", "code", "error"} */
	MESSAGE_EVENT,	  /* {"level", "kind", "phase", "message", "details"} */
	MESSAGE_PROGRESS, /* {"phase", "done", "total", "unit"} */
};

/* Descriptors of an executor, beside the standard three. */
enum { EXECUTOR_SOCKET_FD = 3, EXECUTOR_FENCE_FD = 4 };

#endif
