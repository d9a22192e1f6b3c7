/* SPDX-License-Identifier: PostgreSQL */
/*
 * pg_dump | pg_restore, with us in the middle: phases dump_source and restore_target.
 *
 * We stand in the pipe to count bytes, and so that it is certain who failed first: pg_restore gets
 * its end of file only after pg_dump has ended well, so that it never fails for the other's sake.
 * When one end fails the other is killed; how both ended is an event each.
 *
 * If we die, both tools die with us (base/proc.h), their sessions within 2 s; what they wrote is
 * in the staging database only.
 */
#ifndef ATHENA_FAMILIES_CLONE_PIPELINE_H
#define ATHENA_FAMILIES_CLONE_PIPELINE_H

#include "families/clone/clone.h"

/* All that clone->snapshot sees. Sets clone->piped_bytes. */
MUSTCHECK bool pipeline_run(struct clone *clone, struct err *e);

/* What large objects hold, after the rest has been made in another way; adds to piped_bytes. */
MUSTCHECK bool pipeline_large_objects(struct clone *clone, struct err *e);

#endif
