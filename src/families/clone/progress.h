/* SPDX-License-Identifier: PostgreSQL */
/*
 * How far a clone is, in bytes: those that pg_restore has read, and after that those of the tables
 * that have been compared.
 *
 * How large a dump will be nobody knows before it is written. The size of the tables on disk serves
 * as the guess, until more has been read than that, or until the dump has ended and its size is
 * known. So the total may move, and what is done only grows, to the total and not beyond.
 */
#ifndef ATHENA_FAMILIES_CLONE_PROGRESS_H
#define ATHENA_FAMILIES_CLONE_PROGRESS_H

#include "families/clone/clone.h"

/* Some of the dump has been read. */
void progress_piped(struct clone *clone);

/*
 * What the staging database is at, as an event `progress`, for an attempt that has to wait: indexes
 * of large tables take long, and nothing is read meanwhile. Call it after each wait, and wait for
 * PROGRESS_LOOK_MS at most; it looks as often as that.
 */
enum { PROGRESS_LOOK_MS = 5000 };
MUSTCHECK bool progress_look(struct clone *clone, struct err *e);

/* All of the dump has been restored, and so much of the tables has been compared. */
void progress_verified(struct clone *clone, int64_t compared_bytes);

/* All is done. */
void progress_complete(struct clone *clone);

#endif
