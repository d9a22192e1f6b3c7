/* SPDX-License-Identifier: PostgreSQL */
/*
 * Everything that can be known before a byte is copied: phases validate_source, prepare_target and
 * resolve_tools. All that is wrong is found and reported at once (findings.h).
 *
 * Opens both sessions. That on the source begins the transaction whose snapshot the whole clone
 * sees; with nothing found, it has locked the source's tables as pg_dump does, so that they keep
 * their definitions until the comparison is over. What earlier attempts left is removed on the way.
 *
 * Nothing is made on either server: dying here leaves two sessions, which end by themselves.
 */
#ifndef ATHENA_FAMILIES_CLONE_PREFLIGHT_H
#define ATHENA_FAMILIES_CLONE_PREFLIGHT_H

#include "families/clone/clone.h"

/*
 * *ret_is_done: the target exists and is this job's own, verified work: an earlier attempt died
 * before it could say so.
 */
MUSTCHECK bool preflight(struct clone *clone, bool *ret_is_done, struct err *e);

#endif
