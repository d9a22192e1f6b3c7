/* SPDX-License-Identifier: PostgreSQL */
/*
 * The clone in pieces: phases dump_source and restore_target in the mode `parallel`.
 *
 * pg_dump writes definitions only, into a file without a name (memfd). pg_restore makes of them
 * what must be there before rows: tables, types, functions. Then rows are copied (copy.h),
 * sequences set, and large objects piped (pipeline.h); in the end pg_restore -j makes indexes,
 * constraints, triggers and materialized views, several at a time. All of it sees clone->snapshot.
 *
 * If we die, our tools die with us; what pg_restore -j has forked ends with its statement, or when
 * the next attempt ends its session. Nothing is on disk here.
 */
#ifndef ATHENA_FAMILIES_CLONE_PARALLEL_H
#define ATHENA_FAMILIES_CLONE_PARALLEL_H

#include "families/clone/clone.h"

/* Sets clone->piped_bytes. */
MUSTCHECK bool parallel_run(struct clone *clone, struct err *e);

#endif
