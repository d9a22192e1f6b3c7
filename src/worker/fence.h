/* SPDX-License-Identifier: PostgreSQL */
/*
 * The fence: an executor must be dead before another worker can take its job over.
 *
 * A worker may be stopped (SIGSTOP, a frozen VM) while its executors run on, so an executor cannot
 * rely on it. The worker writes when it *sent* its last answered heartbeat into a page that its
 * executors share; each executor holds a timer on CLOCK_BOOTTIME which kills its whole process
 * group once that is longer ago than the lease less a margin. Nothing has to be read or answered
 * for it to work, and a handler that computes without ever waiting is fenced too.
 */
#ifndef ATHENA_WORKER_FENCE_H
#define ATHENA_WORKER_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct fence_page;

/* For attempts that are sent to an executor. */
struct fence_terms {
	int64_t limit_ms; /* without an answered heartbeat */
	int64_t beat_ns;  /* when the last one was sent that the worker knew of: as a lease's proof
			   */
};

/* Worker: makes the page. *ret_fd is for the executors, and is kept open by the caller. */
MUSTCHECK bool fence_new(struct fence_page **ret_page, int *ret_fd, struct err *e);

/* Worker: releases both; executors keep their own. NULL is fine. */
void fence_free(struct fence_page *page, int fd);

/* Worker: a heartbeat that was sent at this time (clock_boot_ns()) has been answered. */
void fence_beat(struct fence_page *page, int64_t sent_boot_ns);

/* When the last answered heartbeat was sent. */
int64_t fence_last_beat_ns(const struct fence_page *page);

/*
 * Executor, once at start: maps the page, and has the process group killed when the parent dies.
 * False when the parent is gone already. How long ago the last heartbeat was when the fence falls
 * is left in *fenced_after_ns, for those who find the dead; it must stay, in memory that they
 * share.
 */
MUSTCHECK bool fence_join(int fd, int parent_pid, _Atomic int64_t *fenced_after_ns, struct err *e);

/* Executor: from now on the group dies when no heartbeat was answered for `limit_ns`. */
void fence_guard(int64_t limit_ns);

/* Executor: no attempt runs, nothing to fence. */
void fence_release(void);

#endif
