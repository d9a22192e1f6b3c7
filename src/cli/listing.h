/* SPDX-License-Identifier: PostgreSQL */
/*
 * Rows of a statement as a table for people or as JSON for programs, from one list of columns.
 *
 * People see local times, lengths in words and what fits their terminal; JSON has every column,
 * times in UTC, lengths in seconds.
 */
#ifndef ATHENA_CLI_LISTING_H
#define ATHENA_CLI_LISTING_H

#include <jansson.h>
#include <libpq-fe.h>

#include "cli/cli.h"

enum listing_kind {
	LISTING_TEXT,
	LISTING_NUMBER,
	LISTING_REAL,
	LISTING_BOOL,	/* people see the title's word in lower case, or nothing */
	LISTING_TIME,	/* timestamptz */
	LISTING_AGE,	/* timestamptz, which people see as "5 s ago" */
	LISTING_LENGTH, /* seconds as a number */
	LISTING_STATE,	/* of a job, in its colour */
	LISTING_JSON,
};

enum listing_flags {
	LISTING_SHRINKS = 1 << 0,     /* cut where the terminal is too narrow */
	LISTING_PEOPLE_ONLY = 1 << 1, /* not in JSON */
};

struct listing_column {
	const char *name;  /* of the statement's column, and of the JSON member */
	const char *title; /* for people; NULL: only in JSON */
	enum listing_kind kind;
	unsigned flags;
};

/* Prints all rows. The list of columns ends with a row whose name is NULL. */
void listing_print(const struct cli *cli, const struct listing_column *columns, PGresult *rows);

/* One row as a JSON object. */
json_t *listing_row(const struct listing_column *columns, const PGresult *rows, int row);

enum style listing_state_style(const char *state);

#endif
