/* SPDX-License-Identifier: PostgreSQL */
/*
 * The private Postgres cluster of `athena dev`, in a folder of its own.
 *
 *     DIR/data           PGDATA, of the server's user
 *     DIR/run            its socket; or a short folder under XDG_RUNTIME_DIR or /tmp, since the
 *                        path of a socket has at most 107 bytes
 *     DIR/postgres.log   what the server says
 *     DIR/lock           locked while one runs, with its process id inside
 *
 * It listens on that socket and nowhere else, and whoever may enter the folder is superuser. Since
 * Postgres refuses root, root's servers run as `postgres`, or `nobody` where that is missing.
 *
 * Starting blocks for about a second the first time (initdb), stopping until the server is down.
 * If we are killed, the kernel tells the server to shut down (its death signal is SIGINT).
 */
#ifndef ATHENA_CLI_DEV_CLUSTER_H
#define ATHENA_CLI_DEV_CLUSTER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/proc.h"

#define DEV_USER "postgres"
#define DEV_DATABASE "athena"

struct dev_cluster {
	char *directory;  /* absolute */
	char *bin;	  /* where initdb and postgres are */
	char *socket_dir; /* what psql -h wants */
	char *url;	  /* of DEV_DATABASE, which need not exist yet */
	bool is_new;	  /* initdb has just made it */

	struct proc server;
	struct proc_user user;
	bool has_user; /* the server does not run as ourselves */
	bool has_short_socket_dir;
	int lock;
};

#define DEV_CLUSTER_NONE ((struct dev_cluster){.server = PROC_NONE, .lock = -1})

/*
 * Makes the folder and the cluster if need be, and starts the server: true once it answers.
 * ERR_CONFIG for what a person has to mend, with code "running" when another one runs there, and
 * "no_access" when the server's user may not enter the folder.
 */
MUSTCHECK bool dev_cluster_start(
	struct dev_cluster *ret_cluster, const char *directory, struct err *e);

/* URL of another database of the cluster; the caller frees it. */
char *dev_cluster_url(const struct dev_cluster *cluster, const char *database);

/* The last lines of the server's log, for an error message. */
void dev_cluster_log_tail(const struct dev_cluster *cluster, char *text, size_t size);

/* Fast shutdown, then harder; for CLEANUP() too. */
void dev_cluster_stop(struct dev_cluster *cluster);

#endif
