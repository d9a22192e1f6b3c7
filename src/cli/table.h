/* SPDX-License-Identifier: PostgreSQL */
/*
 * Tables for people: columns as wide as their widest cell, cut to the terminal where they must be.
 *
 * Give the columns, then cells from left to right, row after row; text is copied and cleaned of
 * control characters. A column whose cells are all empty is not shown. What is printed where no
 * terminal is, is never cut, so that grep and awk see everything.
 */
#ifndef ATHENA_CLI_TABLE_H
#define ATHENA_CLI_TABLE_H

#include <stddef.h>

#include "cli/terminal.h"

struct table_column {
	const char *title; /* NULL ends the list */
	bool is_right;	   /* numbers */
	bool may_shrink;   /* cut when the table is wider than the terminal */
};

struct table_cell {
	char *text;
	enum style style;
};

struct table {
	const struct table_column *columns;
	size_t column_count;
	struct table_cell *cells;
	size_t count;
};

/* The columns must outlive the table. Release with table_clear(). */
void table_init(struct table *ret_table, const struct table_column *columns);

/* The next cell; NULL is an empty one. */
void table_cell(struct table *table, enum style style, const char *text);
void table_cellf(struct table *table, enum style style, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The last row must be complete (asserted). */
void table_print(const struct table *table, const struct terminal *terminal);

void table_clear(struct table *table);

#endif
