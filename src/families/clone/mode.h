/* SPDX-License-Identifier: PostgreSQL */
/*
 * In which of three ways rows travel, and why. Pure.
 *
 *   pipe      pg_dump | pg_restore: one stream, nothing in between
 *   staged    pg_dump -j into a folder on this host, then pg_restore -j from there
 *   parallel  definitions by pg_dump, rows by several COPYs at a time, indexes by pg_restore -j
 *
 * Parallel is the fastest with much to copy and has no file in between, but needs several sessions
 * and some time to begin; staged is for those who want a source at rest before indexes are made,
 * and is never chosen by itself.
 */
#ifndef ATHENA_FAMILIES_CLONE_MODE_H
#define ATHENA_FAMILIES_CLONE_MODE_H

#include <stdint.h>

enum clone_mode { CLONE_AUTO, CLONE_PIPE, CLONE_STAGED, CLONE_PARALLEL };

/* The words of a payload, in the order of the enum. */
#define CLONE_MODES "auto|pipe|staged|parallel"

/* Below so many bytes the other ways take longer to begin than they save. */
#define CLONE_PARALLEL_BYTES ((int64_t)128 * 1024 * 1024)

enum clone_mode mode_from_word(const char *word);
const char *mode_word(enum clone_mode mode);

/* `asked` unless it is CLONE_AUTO. *ret_why is a clause for people. */
enum clone_mode mode_choose(
	enum clone_mode asked, int jobs, int64_t table_bytes, const char **ret_why);

#endif
