/* SPDX-License-Identifier: PostgreSQL */
/*
 * What pg_restore makes once rows are there: indexes, constraints, triggers, rules, policies,
 * materialized views. Several at a time, as far as they cannot lock each other out.
 *
 * pg_restore -j knows what must be there before what, but not all that a definition locks. One that
 * attaches an index to that of a partitioned table, or a policy that reads another table, holds one
 * lock while it waits for the next, and two of them may wait for each other: then the server ends
 * one with "deadlock detected", and an otherwise good restore with it. So there are turns:
 *
 *   1 indexes; primary keys, unique and exclusion constraints   -j   each locks one table
 *   2 indexes attached to others; foreign keys                  -j, but one by one where indexes
 *                                                               are attached: foreign keys lock
 *                                                               all partitions, in any order
 *   3 all others, in the archive's order                        one by one: they take no time, but
 *                                                               for materialized views
 */
#ifndef ATHENA_FAMILIES_CLONE_RESTORE_H
#define ATHENA_FAMILIES_CLONE_RESTORE_H

#include "families/clone/clone.h"

/* A part of the archive at `path`, with `jobs` at a time; list NULL: all of that part. */
MUSTCHECK bool restore_section(struct clone *clone, const char *path, const char *section,
	const char *list, int jobs, struct err *e);

/* Section post-data, in turns. */
MUSTCHECK bool restore_after_rows(struct clone *clone, const char *path, struct err *e);

#endif
