/* SPDX-License-Identifier: PostgreSQL */
/*
 * pg_dump or pg_restore while it runs: its process, and what it prints.
 *
 * Each line on its stderr becomes an event `tool_output`, up to a limit; the last ones are kept for
 * the event that says how it ended. What it wants to say about a failure is found among its lines,
 * so a failure names the first line that means something, and its kind.
 */
#ifndef ATHENA_FAMILIES_CLONE_TOOL_H
#define ATHENA_FAMILIES_CLONE_TOOL_H

#include "base/lines.h"
#include "base/proc.h"
#include "families/clone/clone.h"

enum { TOOL_LAST_LINES = 50 };

/* Where a tool connects to: as our own session did, but perhaps to another database. */
struct tool_target {
	const struct conn *conn;
	const char *database;
	const char *application; /* name of its sessions */
};

struct tool {
	struct attempt *attempt;
	const char *name;
	struct proc proc;
	struct lines stderr_lines;
	int printed;		     /* lines, in all */
	char *last[TOOL_LAST_LINES]; /* the line n stands at n % TOOL_LAST_LINES */
	char *reason;		     /* the line that says why it failed, or NULL */
	const char *code;	     /* of that line */
	enum err_kind kind;
};

/*
 * Ours without what is secret or would lead a tool elsewhere; passfile: a descriptor that it keeps,
 * or -1. Release with proc_env_clear().
 */
void tool_environment(struct proc_env *ret_env, int passfile);

/*
 * Starts it. argv ends in NULL and lacks the connection string, which is appended; target NULL: it
 * connects to nobody. `in` and `out` are as in base/proc.h. Release with tool_clear(), which kills
 * it. The struct must not move.
 */
MUSTCHECK bool tool_start(struct tool *tool, struct attempt *attempt, const char *const *argv,
	const struct tool_target *target, int in, int out, struct err *e);

/*
 * All of it, for one that needs nobody to feed it: starts it, waits until it ends, and reports how,
 * and what it is at meanwhile (progress.h). Its end comes early when the session that holds the
 * snapshot is broken.
 */
MUSTCHECK bool tool_run(struct clone *clone, const char *const *argv,
	const struct tool_target *target, int out, struct err *e);

/* Takes what is on stderr, without blocking. */
void tool_read_stderr(struct tool *tool);

/* Says how it ended as an event, killing it first if it has not. Call once. */
void tool_report(struct tool *tool, int64_t bytes);

/* Makes the error of a tool that ended badly. Returns false. */
bool tool_failed(const struct tool *tool, struct err *e);

void tool_clear(struct tool *tool);

#endif
