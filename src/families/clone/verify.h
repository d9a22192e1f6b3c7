/* SPDX-License-Identifier: PostgreSQL */
/*
 * Whether the staging database is what the source was in the clone's snapshot: phase verify_target.
 *
 * Both ends answer the same questions, the source inside the transaction that exported the
 * snapshot, and the answers are compared as lists of facts (compare.h): the definition of every
 * object that pg_dump carries, with owner, rights and comment; number and digest of the rows of
 * every table; values of sequences; size, owner and contents of large objects; what belongs to the
 * database itself. One difference fails the clone and is named. Two kinds only warn: an extension's
 * version where the target has another default, and the rows of a materialized view, which the
 * source may have computed before its tables changed, while the restore computed them anew.
 *
 * Definitions are read from catalogs, and Postgres deparses them by its newest catalogs and not by
 * the snapshot. Tables are locked against that; a function that was replaced during the clone is a
 * difference all the same. Then the source's definitions are no longer those of the beginning, and
 * the failure is transient (source_changed) instead of permanent (verification_failed).
 *
 * Changes nothing; dying in it costs the time.
 */
#ifndef ATHENA_FAMILIES_CLONE_VERIFY_H
#define ATHENA_FAMILIES_CLONE_VERIFY_H

#include "families/clone/lanes.h"

/* Before the dump starts: remembers in clone->before what only the beginning can tell. */
MUSTCHECK bool verify_remember(struct clone *clone, struct err *e);
void source_state_free(struct source_state *state);

/* How many rows of a hundred are compared by what they hold. */
int verify_percent(const struct clone *clone);

/* `staging` is a session in the staging database; with `lanes` several tables are compared at a
 * time.
 */
MUSTCHECK bool verify_run(
	struct clone *clone, struct conn *staging, const struct lanes *lanes, struct err *e);

#endif
