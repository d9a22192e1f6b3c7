/* SPDX-License-Identifier: PostgreSQL */
/*
 * Pairs of sessions that work side by side: one in the source, one in the staging database.
 *
 * All of the source's see the clone's one snapshot (clone->snapshot), each in a transaction of its
 * own. They carry the attempt's application name, so that a later attempt ends them.
 */
#ifndef ATHENA_FAMILIES_CLONE_LANES_H
#define ATHENA_FAMILIES_CLONE_LANES_H

#include "families/clone/clone.h"

struct lane {
	struct conn source, staging;
};

/* Zero-initialise; release with lanes_close(). Closing while a statement runs breaks it off. */
struct lanes {
	struct lane *rows;
	int count;
};

/* Opens `count` pairs, which may be none. */
MUSTCHECK bool lanes_open(struct lanes *lanes, struct clone *clone, int count, struct err *e);
void lanes_close(struct lanes *lanes);

#endif
