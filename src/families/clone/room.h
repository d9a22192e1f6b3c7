/* SPDX-License-Identifier: PostgreSQL */
/*
 * Whether there is room for a clone: sessions, locks and disk, as far as anybody tells. Part of
 * preflight; what is lacking is a finding.
 *
 * Disk is judged where this host can see it: that of the spool, and that of the target's server if
 * its socket is a file here and its data lie where it says. A fifth of what is free is left free.
 */
#ifndef ATHENA_FAMILIES_CLONE_ROOM_H
#define ATHENA_FAMILIES_CLONE_ROOM_H

#include "families/clone/clone.h"

/* After clone->facts are known and clone->mode is chosen. */
void room_check_source(struct clone *clone);

/* `facts`: a row of clone_target_facts.sql. */
void room_check_target(struct clone *clone, const PGresult *facts);

#endif
