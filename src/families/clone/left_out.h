/* SPDX-License-Identifier: PostgreSQL */
/*
 * Tables whose rows stay in the source ("exclude_data"): they are made, and are empty in the clone.
 *
 * They are named as schema.table; a partitioned one stands for its partitions. Read once, in the
 * snapshot; whoever copies or compares rows asks here. Dying anywhere leaves nothing of it.
 */
#ifndef ATHENA_FAMILIES_CLONE_LEFT_OUT_H
#define ATHENA_FAMILIES_CLONE_LEFT_OUT_H

#include "db/params.h"
#include "families/clone/clone.h"

/* Finds them in the source. A name of no table is a finding. */
MUSTCHECK bool left_out_read(struct clone *clone, struct err *e);

/* Their names, as text[]. */
void left_out_add(const struct clone *clone, struct params *params);

/* `words` for pg_dump and what tells it of them, ended by NULL. Lives as long as the attempt. */
const char *const *left_out_argv(const struct clone *clone, const char *const *words);

#endif
