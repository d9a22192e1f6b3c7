/* SPDX-License-Identifier: PostgreSQL */
/*
 * A private folder on this host for the files of one attempt, under TMPDIR or /tmp.
 *
 * Its name carries job, ticket and queue. As long as the attempt lives it holds a lock (flock) on
 * the folder, which the kernel takes back when the process dies: so whoever finds a folder that is
 * not locked may remove it, whichever job it was of. Dying in it leaves the folder.
 */
#ifndef ATHENA_FAMILIES_CLONE_SPOOL_H
#define ATHENA_FAMILIES_CLONE_SPOOL_H

#include "families/clone/clone.h"

/* Zero-initialise; release with spool_remove(). */
struct spool {
	char *path; /* NULL: none */
	int lock;
};

MUSTCHECK bool spool_make(struct spool *spool, const struct clone *clone, struct err *e);

/* Bytes of the files in it. */
int64_t spool_bytes(const struct spool *spool);

/* Bytes that this user can write where spools are; -1 when nobody says. */
int64_t spool_free_bytes(void);

void spool_remove(struct spool *spool);

/* Removes what processes that have died left on this host, and tells of each folder. */
void spool_sweep(void (*each)(void *context, const char *path), void *context);

#endif
