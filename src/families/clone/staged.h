/* SPDX-License-Identifier: PostgreSQL */
/*
 * pg_dump -j into a spool (spool.h), then pg_restore -j from it: phases dump_source and
 * restore_target in the mode `staged`.
 *
 * If we die, the tools die with us, and what they have forked ends with its statement; what is left
 * is the spool, which the next attempt on this host removes, and a part of the staging database.
 */
#ifndef ATHENA_FAMILIES_CLONE_STAGED_H
#define ATHENA_FAMILIES_CLONE_STAGED_H

#include "families/clone/clone.h"

/* Sets clone->piped_bytes. */
MUSTCHECK bool staged_run(struct clone *clone, struct err *e);

#endif
