/* SPDX-License-Identifier: PostgreSQL */
/*
 * A `.env` file, read into a private table and never into the process environment.
 *
 * A line is NAME=value, `export NAME=value`, blank or a #comment. The value is 'literal', or
 * "with \n \r \t \" \\ \$", both possibly over several lines, or bare up to a blank and # or the
 * end of the line. A name that stands twice keeps its first value. A line that is none of these is
 * skipped with a warning, since the file may be meant for somebody else; warnings quote no values.
 */
#ifndef ATHENA_CONFIG_DOTENV_H
#define ATHENA_CONFIG_DOTENV_H

#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"

struct dotenv_entry {
	const char *name;
	const char *value;
};

struct dotenv {
	struct dotenv_entry *entries; /* in the order of the file; released by dotenv_clear() */
	size_t count;
};

/*
 * Adds the entries of `text`; their strings live in the arena. `name` is the file's name; each
 * warning is a line of `warnings`.
 */
void dotenv_parse(struct dotenv *dotenv, struct arena *arena, const char *name, const char *text,
	struct buf *warnings);

/* The value, or NULL. */
const char *dotenv_find(const struct dotenv *dotenv, const char *name);

void dotenv_clear(struct dotenv *dotenv);

#endif
