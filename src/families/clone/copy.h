/* SPDX-License-Identifier: PostgreSQL */
/*
 * Rows of all tables by COPY, several tables at a time, through this process and no file.
 *
 * Each lane (lanes.h) moves one piece at a time: COPY TO STDOUT of the source on one side, COPY
 * FROM STDIN of the staging database on the other. Pieces are handed out largest first, a large
 * table in several, so that all lanes end at about the same time. A side that does not keep up
 * makes the other wait: at most a few hundred kilobytes of a lane are in our memory.
 *
 * Dying in it leaves rows in the staging database only.
 */
#ifndef ATHENA_FAMILIES_CLONE_COPY_H
#define ATHENA_FAMILIES_CLONE_COPY_H

#include "families/clone/lanes.h"

/* Adds to clone->piped_bytes. Tables are there, without indexes, constraints or triggers. */
MUSTCHECK bool copy_tables(struct clone *clone, struct lanes *lanes, struct err *e);

#endif
