/* SPDX-License-Identifier: PostgreSQL */
/*
 * The child side: a process that does attempts for a worker, one after the other.
 *
 * The worker's program re-executes itself as this, with a socket to the worker on descriptor 3,
 * the fence page on 4, its logbook on 5 and the worker's configuration on 6. It never talks to the
 * queue, and a hangup (SIGHUP) is the worker's affair. It ends when the worker
 * closes the socket, and is killed, with everything it started, when the worker dies or the lease
 * could run out.
 */
#ifndef ATHENA_WORKER_EXECUTOR_H
#define ATHENA_WORKER_EXECUTOR_H

#include <stdbool.h>

/*
 * True for `-x PARENT`: the program was re-executed to be an executor of the
 * process PARENT.
 */
bool executor_is_meant(int argc, char *const *argv);

/* Does attempts until the worker goes. Returns the exit status of the process. */
int executor_main(char *const *argv);

#endif
