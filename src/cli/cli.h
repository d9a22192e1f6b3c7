/* SPDX-License-Identifier: PostgreSQL */
/*
 * One invocation of `athena`: what the command line said, and what its command has opened.
 *
 * command_main() owns the struct and releases everything in it when the command returns. Nothing
 * is loaded or connected before a command asks for it, so that `athena --help` works anywhere.
 */
#ifndef ATHENA_CLI_CLI_H
#define ATHENA_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "config/config.h"
#include "db/conn.h"

struct cli {
	const struct command *command;
	const char *const *args; /* ended by NULL; as many as command->args allows */
	size_t arg_count;
	bool wants_json;
	struct terminal out, err;
	int status;	  /* of a command that succeeded; 0 unless it says otherwise */
	struct conn conn; /* after cli_connect() */

	/* Of cli.c and command.c. */
	struct arguments arguments;
	struct config *config;
	char *url;	  /* of the control-plane database; NULL: libpq's defaults */
	char *url_origin; /* who said so, for people */
	char next[512];
};

/* Options by name, the command's or a global one; falling back to the row's default. */
const char *cli_text(const struct cli *cli, const char *name);
int64_t cli_int(const struct cli *cli, const char *name); /* durations in ms */
bool cli_bool(const struct cli *cli, const char *name);
bool cli_is_given(const struct cli *cli, const char *name);

/* The configuration, loaded once. */
MUSTCHECK bool cli_config(struct cli *cli, const struct config **ret_config, struct err *e);

/*
 * Connects cli->conn to the control-plane database and makes sure that its schema suits this
 * program. Times come as UTC, text as UTF-8. Where nothing says which database it is and `athena
 * dev` runs in this folder, it is that one.
 */
MUSTCHECK bool cli_connect(struct cli *cli, struct err *e);

/* The same without looking at the schema. */
MUSTCHECK bool cli_connect_any(struct cli *cli, struct err *e);

/* Connects again after the connection was lost; once. */
MUSTCHECK bool cli_reconnect(struct cli *cli, struct err *e);

/* Whether a statement failed because the connection is gone, so that its effect is unknown. */
bool cli_has_lost_connection(const struct cli *cli, const struct err *e);

/* Reads a job's id. */
MUSTCHECK bool cli_job_id(const char *text, int64_t *ret_job_id, struct err *e);

/*
 * For statements all of whose values come from the command line: what the server says about them
 * (SQLSTATE 22 and 23) is wrong usage. Returns false.
 */
bool cli_input_error(struct err *e);

/* What to type next, printed below the error. Returns false, to end a failing path with. */
bool cli_next(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* An error, and what to type next. Returns false. */
bool cli_no_job(struct cli *cli, int64_t job_id, struct err *e);

/* Prints a JSON value on stdout, indented, and drops the reference. */
void cli_print_json(const struct cli *cli, json_t *value);

/* Closes and frees everything. */
void cli_clear(struct cli *cli);

#endif
