/* SPDX-License-Identifier: PostgreSQL */
/*
 * Which process of which boot of which machine this is, and whether another one still lives.
 *
 * A process id alone is used again, and containers that share a kernel share its boot id but not
 * its process ids. So a process is known by boot id and pid namespace together, by its pid, and by
 * when it started; only if all of the first two are ours may we judge about the rest.
 */
#ifndef ATHENA_BASE_HOST_H
#define ATHENA_BASE_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct host_process {
	char host[65];	  /* gethostname(), for people */
	char boot_id[80]; /* "<boot id>/<inode of the pid namespace>" */
	int pid;
	int64_t pid_started; /* clock ticks since boot */
};

/* This process. */
void host_self(struct host_process *ret_process);

/*
 * True only when it is certain that the process is gone: same boot_id as ours, and no process of
 * that pid that started then. When in doubt it lives.
 */
bool host_is_dead(
	const struct host_process *self, const char *boot_id, int pid, int64_t pid_started);

#endif
