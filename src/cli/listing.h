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
#include "cli/table.h"

enum listing_kind {
	LISTING_TEXT,
	LISTING_NUMBER,
	LISTING_REAL,
	LISTING_BOOL,	/* people see the title's word in lower case, or nothing */
	LISTING_TIME,	/* timestamptz */
	LISTING_AGE,	/* timestamptz, which people see as "5 s ago" */
	LISTING_LENGTH, /* seconds as a number */
	LISTING_BYTES,	/* a number, which people see as "1.2 GB" */
	LISTING_STATE,	/* in its colour */
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

/* What several commands print: of worker_list.sql and maintenance_status.sql. */
extern const struct listing_column worker_columns[], lane_columns[];

/*
 * The same bit by bit, for a table that is not printed whole. The titles are for table_init();
 * the caller frees them after the table.
 */
struct table_column *listing_titles(const struct listing_column *columns);
void listing_add_row(
	struct table *table, const struct listing_column *columns, const PGresult *rows, int row);

/* One row as a JSON object. */
json_t *listing_row(const struct listing_column *columns, const PGresult *rows, int row);

enum style listing_state_style(const char *state);

#endif
