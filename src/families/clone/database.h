/* SPDX-License-Identifier: PostgreSQL */
/*
 * What belongs to a database and stands in none of its tables, so that pg_dump without --create
 * leaves it out: owner, rights, connection limit, comment, settings.
 *
 * It is copied to the staging database as far as the target lets us: a role that is not there, or
 * a right that we lack, is a warning `not_copied` and no failure. Not copied on purpose: its
 * tablespace, that it is a template, and publications and subscriptions.
 */
#ifndef ATHENA_FAMILIES_CLONE_DATABASE_H
#define ATHENA_FAMILIES_CLONE_DATABASE_H

#include "families/clone/clone.h"

/* Counts in clone->not_copied. Fails only if the connection does, or the attempt is to stop. */
MUSTCHECK bool database_copy(struct clone *clone, struct err *e);

#endif
