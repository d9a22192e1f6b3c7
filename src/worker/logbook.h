/* SPDX-License-Identifier: PostgreSQL */
/*
 * The logbook: a page on which an executor notes what it has done, and which its worker can read.
 *
 * A result of a small job is worth less than the write(2) and the wake-up that would carry it, so
 * an executor tells many at once (worker/message.h). Should it die in between, the logbook says how
 * many attempts had ended by then: those have succeeded, and only the one that ran has crashed.
 * It also says since when the present one runs, which a timeout has to know, and whether the fence
 * was what killed it: by the time the worker learns of the death, heartbeats may be answered again.
 *
 * Each process gets a page of its own: made by the worker before it is started, unmapped after it
 * has ended. Attempts are numbered from 1, in the order in which they were sent to the process.
 */
#ifndef ATHENA_WORKER_LOGBOOK_H
#define ATHENA_WORKER_LOGBOOK_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

struct logbook {
	/*
	 * Attempts that did not succeed: counted before their results are sent. While the worker
	 * has seen fewer of them it must not go by `ended`, for not all of those have succeeded.
	 */
	_Atomic int64_t failed;
	_Atomic int64_t ended;	  /* the number of the last attempt that has ended */
	_Atomic int64_t begun_ns; /* boot clock: when the one after it began; 0: not yet */
	/* Since the last heartbeat when the fence fell (worker/fence.h); 0: it has not. */
	_Atomic int64_t fenced_after_ns;
};

/* Worker: makes the page. *ret_fd is for the executor, and is closed once that was started. */
MUSTCHECK bool logbook_new(struct logbook **ret_logbook, int *ret_fd, struct err *e);

/* Worker: NULL is fine. */
void logbook_free(struct logbook *logbook);

/* Executor, once at start. The mapping stays to the end of the process. */
MUSTCHECK bool logbook_join(int fd, struct logbook **ret_logbook, struct err *e);

#endif
