/* SPDX-License-Identifier: PostgreSQL */
/*
 * The commands of `athena`, as data: usage, --help, parsing and errors come from their rows.
 *
 * To add one: 1 write src/cli/NAME.c with the const struct at its end, 2 list it in
 * command_table.c, 3 tests/cli/test_NAME.py, 4 its --help in docs/cli.md, which tests/cli/
 * test_usage.py compares, and writes as it should be to cli.md in the build folder.
 *
 * A command runs once, in one thread, and may block. It fails with a struct err, whose kind
 * becomes the exit status: ERR_CONFIG 2, ERR_CANCELLED 3, everything else 1. Results go to stdout,
 * everything else to stderr.
 */
#ifndef ATHENA_CLI_COMMAND_H
#define ATHENA_CLI_COMMAND_H

#include <stdbool.h>

#include "base/err.h"
#include "config/option.h"

struct cli;

struct command {
	const char *program; /* "athena-worker", which is its one command; NULL: athena */
	const char *name;    /* one word, or two of which the first is a group: "job list" */
	const char *args;    /* "FAMILY [JSON|-|@FILE]": words, in brackets optional; "JOB..." */
	const char *summary; /* one line, no full stop */
	const char *help;    /* paragraphs and examples for --help; NULL: the summary says it all */

	/* Options; NULL: none. On the command line _ is -, and `unit` names the value in --help. */
	const struct option_row *options;

	bool takes_hangup; /* it lets SIGHUP come when it is ready for it: base/hangup.h */

	MUSTCHECK bool (*run)(struct cli *cli, struct err *e);
};

/* All of them in the order of --help, ended by NULL. */
extern const struct command *const commands[];

/* Options that every command knows: config, json, no_color, help, version. */
extern const struct option_row global_options[];

/* Finds the command that argv names, runs it, and returns the program's exit status. */
int command_main(int argc, char **argv);

/* The same for a program that is one command. */
int command_program_main(int argc, char **argv, const struct command *command);

/* How one types it: "athena job list", "athena-worker". */
void command_title(const struct command *command, char *text, size_t size);

#endif
