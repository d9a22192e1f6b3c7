/* SPDX-License-Identifier: PostgreSQL */
/*
 * Which pg_dump and pg_restore, and how they connect without ever showing a secret.
 *
 * A tool gets everything but the password as one connection string in its argv, pinned to the very
 * server that our own session reached. The password stands in a file without a name (memfd) that
 * the tool inherits and finds through PGPASSFILE. Nothing of the worker's PG* environment reaches
 * it, and its own messages are in English, since they are sorted into kinds (tool.h).
 */
#ifndef ATHENA_FAMILIES_CLONE_TOOLS_H
#define ATHENA_FAMILIES_CLONE_TOOLS_H

#include "families/clone/clone.h"
#include "families/clone/tool.h"

/* One that was found. */
struct tools_found {
	char *path; /* in the attempt's arena */
	int major;
};

/*
 * The tool of that name: `configured`, or (NULL) the oldest of those in PATH and in Debian's
 * folders whose major version is `least` or newer, or the newest if none is. ERR_PERMANENT when
 * there is none at all.
 */
MUSTCHECK bool tools_find_one(struct attempt *attempt, const char *name, const char *configured,
	int least, struct tools_found *ret_found, struct err *e);

/*
 * Fills clone->pg_dump and pg_restore: those of the configuration, or the oldest of those in PATH
 * and in Debian's folders that can read the source, since an old pg_restore suits an old target.
 * Findings are added for what does not fit, as far as the servers' versions are known.
 */
MUSTCHECK bool tools_find(struct clone *clone, struct err *e);

/* The connection string of a tool. The caller frees it. */
MUSTCHECK bool tools_conninfo(const struct tool_target *target, char **ret_conninfo, struct err *e);

/* A password file for what tools_conninfo() leaves out. The caller closes it. */
MUSTCHECK bool tools_passfile(const struct conn *conn, int *ret_fd, struct err *e);

#endif
