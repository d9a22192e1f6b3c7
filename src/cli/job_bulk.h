/* SPDX-License-Identifier: PostgreSQL */
/*
 * One act on every job of a state: the count first, then bounded batches under a progress bar.
 *
 * Each batch is one transaction, so that nothing is locked for long and an interrupted run keeps
 * what it has done; running it again goes on with the rest. A batch that is refused is asked job by
 * job, and the refused ones stay as they are.
 */
#ifndef ATHENA_CLI_JOB_BULK_H
#define ATHENA_CLI_JOB_BULK_H

#include "cli/cli.h"
#include "sql_statements.h"

struct job_bulk {
	const char *verb;			/* "retry", for people and errors */
	const char *done;			/* "ready again" */
	const struct sql_statement *one, *many; /* of a job id; of an array of them */
};

/* Rows for the option tables of commands that can do so. */
#define JOB_BULK_ROWS(STATES)                                                                  \
	{.name = "family", .type = OPTION_TEXT, .unit = "FAMILY", .help = "only this family"}, \
		{.name = "state",                                                              \
			.type = OPTION_WORD,                                                   \
			.unit = "STATE",                                                       \
			.words = (STATES),                                                     \
			.help = "instead of naming jobs: all in this state"},                  \
		{.name = "since",                                                              \
			.type = OPTION_DURATION,                                               \
			.help = "only those that ended, or were queued, within this time"},    \
	{                                                                                      \
		.name = "dry_run", .type = OPTION_BOOL,                                        \
		.help = "say how many there are, change nothing"                               \
	}

/* Whether the command line means this: no job is named. ERR_CONFIG where it says too little. */
MUSTCHECK bool job_bulk_is_meant(struct cli *cli, bool *ret_is_meant, struct err *e);

/* Status 1 when jobs were refused. */
MUSTCHECK bool job_bulk_run(struct cli *cli, const struct job_bulk *bulk, struct err *e);

#endif
