/* SPDX-License-Identifier: PostgreSQL */
/*
 * A command line, read by option tables.
 *
 * Options may stand anywhere before "--": --name value, --name=value, --switch, -h. Values are
 * typed and checked by their row, so that a command meets nothing but good ones. All errors are
 * ERR_CONFIG and name the nearest option where there is one.
 */
#ifndef ATHENA_CLI_ARGUMENTS_H
#define ATHENA_CLI_ARGUMENTS_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "config/option.h"

struct arguments {
	const char **words; /* positional, ended by NULL; the strings are argv's */
	size_t word_count;
	size_t words_before_dashes; /* those before "--", or all */
	json_t *options;	    /* by name as in the table */
};

/*
 * The first `count` words that are neither options nor options' values, to find the command by
 * before its table is known. Options that take a value are those of `global`.
 */
void arguments_peek(
	char **argv, const struct option_row *global, const char **ret_words, size_t count);

/* Two tables, of the command (or NULL) and global. Release with arguments_clear(). */
MUSTCHECK bool arguments_parse(struct arguments *ret_arguments, char **argv,
	const struct option_row *own, const struct option_row *global, struct err *e);

void arguments_clear(struct arguments *arguments);

/* "run_at" as "run-at". */
void arguments_spelling(const char *name, char *text, size_t size);

/*
 * Whether that many words suit the `args` text of a struct command: "FAMILY [JSON|-|@FILE]",
 * "JOB...", "[-- COMMAND...]". The error says which is missing or too many.
 */
MUSTCHECK bool arguments_count(const char *args, const char *const *words, struct err *e);

#endif
