/* SPDX-License-Identifier: PostgreSQL */
/*
 * A child process of a handler: an explicit argv, pipes, an end that can be waited for.
 *
 * A child stays in its parent's process group, which is what the worker kills when an attempt has
 * to end at once, and it dies with its parent (PR_SET_PDEATHSIG), so that no tool outlives the
 * executor that feeds it; servers, which are to be ended in order, may ask for other ways. It
 * inherits the three standard descriptors and those that are listed in `keep`, nothing else; no
 * signal is blocked or ignored in it. No shell is involved.
 *
 * Our ends of pipes are non-blocking and close-on-exec: wait for them, and for `pidfd`, in
 * attempt_wait(), and never block on a pipe that the child may have filled.
 *
 *     struct proc tool CLEANUP(proc_clear) = PROC_NONE;
 *     if (!proc_spawn(&tool, &(struct proc_spec){.argv = argv, .out = PROC_PIPE}, e))
 *             return false;
 *     ... attempt_wait() for tool.out and tool.pidfd ...
 *     if (proc_reap(&tool) && !proc_succeeded(&tool)) ...
 *
 * Only for processes that do single-threaded work: executors and commands of the CLI. The worker's
 * loop starts its executors through libuv.
 */
#ifndef ATHENA_BASE_PROC_H
#define ATHENA_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

enum proc_stream {
	PROC_NULL = 0,	   /* /dev/null */
	PROC_PIPE = -1,	   /* a pipe, our end in struct proc */
	PROC_INHERIT = -2, /* the parent's own descriptor */
};

/* Whom to become, which takes root. */
struct proc_user {
	uid_t uid;
	gid_t gid;
};

struct proc_spec {
	const char *const *argv;  /* ended by NULL; without a slash argv[0] is looked for in PATH */
	char *const *environment; /* ended by NULL, see struct proc_env; NULL: the parent's */
	const char *directory;	  /* to start in; NULL: the parent's */
	int in, out, err; /* enum proc_stream, or a descriptor > 2 that stays the caller's */
	const struct proc_user *user; /* without supplementary groups; NULL: stay who we are */
	int death_signal;	      /* when the parent has died; 0: SIGKILL */
	bool is_apart;		      /* in a session of its own: ^C does not reach it */
	const int *keep; /* further descriptors > 2 to inherit under the same numbers */
	size_t keep_count;
};

struct proc {
	pid_t pid;	  /* 0: none, or reaped */
	int pidfd;	  /* readable once the process has ended; -1 after proc_reap() */
	int in, out, err; /* our ends of PROC_PIPE, -1 otherwise; proc_close() or proc_clear() */
	bool ended;	  /* reaped; then one of these two says how: */
	int exit_status;  /* 0 to 255, or -1 */
	int term_signal;  /* 0, or the signal that ended it */
};

#define PROC_NONE ((struct proc){.pidfd = -1, .in = -1, .out = -1, .err = -1})

/*
 * Starts it, and returns when exec has succeeded or failed. A program that is missing or cannot be
 * executed is ERR_PERMANENT with code "exec_failed", a lack of resources ERR_TRANSIENT.
 */
MUSTCHECK bool proc_spawn(struct proc *ret_proc, const struct proc_spec *spec, struct err *e);

/* True when the process has ended, and fills how. Does not block. */
bool proc_reap(struct proc *proc);

/* Exit status 0. */
bool proc_succeeded(const struct proc *proc);

/* "exit status 3" or "signal 9 (Killed)", into `text`. */
void proc_describe(const struct proc *proc, char *text, size_t size);

/* Sends a signal to a process that is not reaped yet; afterwards it does nothing. */
void proc_signal(struct proc *proc, int number);

/* SIGKILL if it still runs, and reap; its pipes stay. Blocks only until the kernel let it go. */
void proc_kill(struct proc *proc);

/* Closes one of our ends: proc_close(&tool.in) is the tool's end of file. */
void proc_close(int *fd);

/* proc_kill() and close; for CLEANUP(). */
void proc_clear(struct proc *proc);

/*
 * An environment for a child, built from the parent's. Names are dropped by prefix, so that
 * "PG" takes all of libpq's. Release with proc_env_clear().
 */
struct proc_env {
	char **entries; /* for proc_spec.environment */
	size_t count;
};

void proc_env_init(struct proc_env *ret_env);
void proc_env_drop(struct proc_env *env, const char *prefix);
void proc_env_set(struct proc_env *env, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void proc_env_clear(struct proc_env *env);

#endif
