/* SPDX-License-Identifier: PostgreSQL */
/*
 * Removes what earlier attempts of the same job left on the servers, before a new one starts.
 *
 * An attempt can be killed at any point. Its tools die with it, and nothing of it is on disk here;
 * but its sessions live until their server notices (2 s, longer for what cannot be interrupted),
 * and its staging database stays. Both carry job and ticket in their names. Sessions are ended
 * first, and have to be gone: one of them may be about to make, or to rename, a staging database.
 *
 * Only what belongs to an older ticket is touched. If there is something of a newer one, then our
 * own ticket has been given to somebody else, and the attempt fails; whatever it says will not
 * count.
 */
#ifndef ATHENA_FAMILIES_CLONE_LEFTOVERS_H
#define ATHENA_FAMILIES_CLONE_LEFTOVERS_H

#include "families/clone/clone.h"

/* On the server of `conn`, which is the "source" or the "target". Waits until they are gone. */
MUSTCHECK bool leftovers_end_sessions(
	struct clone *clone, const char *label, struct conn *conn, struct err *e);

/* Drops staging databases on the target's server. */
MUSTCHECK bool leftovers_drop_stagings(struct clone *clone, struct err *e);

/*
 * Drops what other jobs of the queue left there after their last attempt: staging databases whose
 * attempt has no session on the server any more. One that cannot be dropped is left for the next.
 */
MUSTCHECK bool leftovers_drop_orphans(struct clone *clone, struct err *e);

#endif
