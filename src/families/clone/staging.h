/* SPDX-License-Identifier: PostgreSQL */
/*
 * The staging database: made like the source, filled, verified, and only then given its name.
 *
 * If we die ... the next attempt of the job ...
 *   after staging_create(): drops it by its name (leftovers.h);
 *   after staging_mark(): the same, it still has its staging name;
 *   after staging_rename(): finds the target with the mark of its own job, and is done
 *     (preflight.h). Renaming is one transaction on the server, so there is nothing in between.
 *
 * The mark says that the database is complete and whose work it is. It stays: only the queue knows
 * when the job has been settled, and as long as it has not, the same job may come again. It is a
 * setting of the database, `athena.clone`, which a session there can SHOW; where we are no
 * superuser, and so may not invent settings, it is the last line of the database's comment.
 */
#ifndef ATHENA_FAMILIES_CLONE_STAGING_H
#define ATHENA_FAMILIES_CLONE_STAGING_H

#include "families/clone/clone.h"

/* From template0, with the source's encoding and locale. */
MUSTCHECK bool staging_create(struct clone *clone, struct err *e);

/* Ends the sessions in it and drops it; none of that name is fine. */
MUSTCHECK bool staging_drop(struct clone *clone, const char *name, struct err *e);

/*
 * Drops our own after a failure, over a new connection if need be, for as long as a cancelled
 * attempt has time. If that does not work an event `left_behind` says so: the next attempt drops
 * it.
 */
void staging_abandon(struct clone *clone);

MUSTCHECK bool staging_mark(struct clone *clone, struct err *e);

/* Waits for sessions of others (a monitor, say) to leave. A target that exists is permanent. */
MUSTCHECK bool staging_rename(struct clone *clone, struct err *e);

#endif
