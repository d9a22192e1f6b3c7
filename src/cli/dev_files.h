/* SPDX-License-Identifier: PostgreSQL */
/* What `athena dev` has to know about this machine: programs, users, folders, leftovers. */
#ifndef ATHENA_CLI_DEV_FILES_H
#define ATHENA_CLI_DEV_FILES_H

#include <stdbool.h>

#include "base/err.h"
#include "base/proc.h"

/*
 * Where initdb and postgres are. For a cluster that exists in `data`, those of its major version;
 * else those of the newest one in /usr/lib/postgresql, or else what pg_config or PATH says. The
 * caller frees the path.
 */
MUSTCHECK bool dev_files_find_bin(const char *data, char **ret_bin, struct err *e);

/*
 * As whom the server of a cluster runs when we are root: the owner of its data, else `postgres`,
 * else `nobody`. *ret_is_other is false when we are not root; the data must be ours then.
 */
MUSTCHECK bool dev_files_server_user(
	const char *data, struct proc_user *ret_user, bool *ret_is_other, struct err *e);

/* ERR_CONFIG with code "no_access", naming the folder that the user may not enter. Needs root. */
MUSTCHECK bool dev_files_may_enter(
	const char *directory, const struct proc_user *user, struct err *e);

/* The server of which a postmaster.pid tells, if it lives; else 0. */
int dev_files_live_server(const char *pid_file);

/* Removes a folder and all that is in it, as far as it can; links are not followed. */
void dev_files_remove(const char *directory);

#endif
