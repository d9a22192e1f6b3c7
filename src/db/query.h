/* SPDX-License-Identifier: PostgreSQL */
/*
 * Running one statement of sql/statements/ on a blocking connection, and reading its rows.
 *
 * Statements are prepared under their file's name when a connection first meets them (unless it
 * is CONN_NO_PREPARE). Values come and go as text, columns are read by name: a reordered select
 * list cannot shift meaning, a misspelt column is a bug (asserted).
 */
#ifndef ATHENA_DB_QUERY_H
#define ATHENA_DB_QUERY_H

#include <stdint.h>

#include "db/conn.h"
#include "db/params.h"
#include "sql_statements.h"

/* params may be NULL for a statement without parameters. The caller clears *ret_rows. */
MUSTCHECK bool query_rows(struct conn *conn, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e);

/* For statements whose rows nobody wants; ret_affected may be NULL. */
MUSTCHECK bool query_run(struct conn *conn, const struct sql_statement *statement,
	const struct params *params, int64_t *ret_affected, struct err *e);

/* Session commands and DDL with quoted identifiers: text that is not a file. */
MUSTCHECK bool query_command(struct conn *conn, const char *sql, struct err *e);

/* Several statements in one simple-protocol message: migrations only. */
MUSTCHECK bool query_script(struct conn *conn, const char *sql, struct err *e);

/*
 * A COPY ... FROM STDIN: begun, fed with rows in text format, ended. The server looks at rows
 * while they come, but what it says to them is told by the end alone, as is a lost connection.
 */
MUSTCHECK bool query_copy_begin(
	struct conn *conn, const struct sql_statement *statement, struct err *e);
void query_copy_feed(struct conn *conn, const char *bytes, size_t length);

/* `refusal`: why nothing of it shall be, or NULL. The caller clears the result, good or not. */
PGresult *query_copy_end(struct conn *conn, const char *refusal);

/*
 * Turns a failed result into an error: 08, 40, 53, 57 and 55P03 are transient, 57014 cancelled,
 * everything else permanent. Returns false.
 */
bool query_err(const PGresult *result, struct err *e);

/* True when the result is rows or a finished command. */
bool query_ok(const PGresult *result);

/* The number of a column, which must be there (asserted). */
int row_column(const PGresult *rows, const char *column);

int64_t row_i64(const PGresult *rows, int row, const char *column);
double row_f64(const PGresult *rows, int row, const char *column);
bool row_bool(const PGresult *rows, int row, const char *column);
bool row_is_null(const PGresult *rows, int row, const char *column);

/* The text as sent by the server, valid as long as the result; NULL for null. */
const char *row_text(const PGresult *rows, int row, const char *column);

#endif
