/* SPDX-License-Identifier: PostgreSQL */
/*
 * A socket to listen on, from an address as people write it.
 *
 *     127.0.0.1:9187  [::1]:9187  metrics.example:9187   that address
 *     :9187  9187                                         127.0.0.1
 *     0.0.0.0:9187  [::]:9187                             every address of the host
 *     /run/athena.sock                                    a Unix socket
 *
 * Port 0 stands for any free one. A Unix socket that a dead process left behind is replaced, one
 * that answers is not; who may connect is up to the umask and the folder. Looking up a name blocks,
 * and happens once, when a program starts.
 */
#ifndef ATHENA_HTTP_LISTENER_H
#define ATHENA_HTTP_LISTENER_H

#include <stdbool.h>

#include "base/err.h"

enum { LISTENER_NAME_SIZE = 128 };

struct listener {
	int fd;			       /* listens, close-on-exec, non-blocking; -1: gone */
	char name[LISTENER_NAME_SIZE]; /* the address that came of it: "127.0.0.1:40123" */
	const char *path;	       /* of a Unix socket, the caller's; else NULL */
};

/* ERR_CONFIG for what is no address, ERR_TRANSIENT for one that is not to be had. */
MUSTCHECK bool listener_open(struct listener *ret_listener, const char *address, struct err *e);

/* Whoever takes the descriptor over sets fd to -1 before. Removes a Unix socket's file. */
void listener_close(struct listener *listener);

#endif
