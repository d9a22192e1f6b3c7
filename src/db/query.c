/* SPDX-License-Identifier: PostgreSQL */
/* One statement on a blocking connection. */
#include "db/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "db/name_set.h"

struct sqlstate_row {
	const char *prefix;
	enum err_kind kind;
};

/* First match wins. */
static const struct sqlstate_row sqlstates[] = {
	{"57014", ERR_CANCELLED}, /* query_canceled, statement_timeout included */
	{"55P03", ERR_TRANSIENT}, /* lock_not_available */
	{"55006", ERR_TRANSIENT}, /* object_in_use: sessions that will go away */
	{"25006",
		ERR_TRANSIENT}, /* read-only: a standby about to be promoted, or the old primary */
	{"08", ERR_TRANSIENT},	/* connection */
	{"40", ERR_TRANSIENT},	/* serialization, deadlock */
	{"53", ERR_TRANSIENT},	/* out of disk, memory, connections */
	{"57", ERR_TRANSIENT},	/* shutdown, crash, cannot connect now */
	{"58", ERR_TRANSIENT},	/* I/O */
};

static enum err_kind sqlstate_kind(const char *sqlstate)
{
	for (size_t i = 0; i < ARRAY_LENGTH(sqlstates); i++)
		if (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0)
			return sqlstates[i].kind;
	return ERR_PERMANENT;
}

bool query_ok(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

bool query_err(const PGresult *result, struct err *e)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

	/* Our CHECKs are named by what they demand, in words. */
	if (sqlstate && strcmp(sqlstate, "23514") == 0 && constraint && strchr(constraint, ' ')) {
		message = constraint;
		detail = NULL;
	}
	if (!sqlstate) /* libpq's own: the connection broke */
		return err_set(e, ERR_TRANSIENT, "%.*s",
			(int)strcspn(PQresultErrorMessage(result), "\n"),
			PQresultErrorMessage(result));
	err_set(e, sqlstate_kind(sqlstate), "%s%s%s%s%s%s", message, detail ? " (" : "",
		detail ? detail : "", detail ? ")" : "", hint ? "; hint: " : "", hint ? hint : "");
	memcpy(e->sqlstate, sqlstate, sizeof(e->sqlstate) - 1);
	e->sqlstate[sizeof(e->sqlstate) - 1] = '\0';
	return false;
}

/* Takes the result: keeps it when it is good, else clears it and fills the error. */
static bool settle_result(PGresult *result, PGresult **ret_rows, struct err *e)
{
	PGresult *owned CLEANUP(clear_result) = result;

	if (!query_ok(result))
		return query_err(result, e);
	*ret_rows = TAKE(owned);
	return true;
}

static bool prepare_once(struct conn *conn, const struct sql_statement *statement, struct err *e)
{
	PGresult *result CLEANUP(clear_result) = NULL;

	if (name_set_has(conn->prepared, statement->name))
		return true;
	result = PQprepare(conn->pg, statement->name, statement->text, 0, NULL);
	if (!query_ok(result))
		return query_err(result, e);
	name_set_add(&conn->prepared, statement->name);
	return true;
}

static bool execute(struct conn *conn, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e)
{
	const char *const *values = (const char *const *)params->values;

	if (conn->flags & CONN_NO_PREPARE)
		return settle_result(PQexecParams(conn->pg, statement->text, params->count, NULL,
					     values, NULL, NULL, 0),
			ret_rows, e);
	if (!prepare_once(conn, statement, e))
		return false;
	return settle_result(
		PQexecPrepared(conn->pg, statement->name, params->count, values, NULL, NULL, 0),
		ret_rows, e);
}

bool query_rows(struct conn *conn, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e)
{
	static const struct params none;
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!params)
		params = &none;
	assert(params->count == statement->nparams);
	if (FAULT_FAILS(statement->name, "send", PQsocket(conn->pg), e) ||
		!execute(conn, statement, params, &rows, e) ||
		FAULT_FAILS(statement->name, "answered", PQsocket(conn->pg), e))
		return false;
	*ret_rows = TAKE(rows);
	return true;
}

bool query_run(struct conn *conn, const struct sql_statement *statement,
	const struct params *params, int64_t *ret_affected, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!query_rows(conn, statement, params, &rows, e))
		return false;
	if (ret_affected)
		*ret_affected = strtoll(PQcmdTuples(rows), NULL, 10);
	return true;
}

bool query_command(struct conn *conn, const char *sql, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	return settle_result(PQexecParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0), &rows, e);
}

bool query_script(struct conn *conn, const char *sql, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	return settle_result(PQexec(conn->pg, sql), &rows, e);
}

bool query_copy_begin(struct conn *conn, const struct sql_statement *statement, struct err *e)
{
	PGresult *result CLEANUP(clear_result) =
		PQexecParams(conn->pg, statement->text, 0, NULL, NULL, NULL, NULL, 0);

	return PQresultStatus(result) == PGRES_COPY_IN || query_err(result, e);
}

void query_copy_feed(struct conn *conn, const char *bytes, size_t length)
{
	err_ignored(PQputCopyData(conn->pg, bytes, (int)length) == 1, "the end tells");
}

PGresult *query_copy_end(struct conn *conn, const char *refusal)
{
	PGresult *first, *next;

	err_ignored(PQputCopyEnd(conn->pg, refusal) == 1, "the result tells");
	first = PQgetResult(conn->pg);
	while ((next = PQgetResult(conn->pg)))
		PQclear(next);
	return first;
}

int row_column(const PGresult *rows, const char *column)
{
	int number = PQfnumber(rows, column);

	assert(number >= 0);
	return number;
}

const char *row_text(const PGresult *rows, int row, const char *column)
{
	int number = row_column(rows, column);

	return PQgetisnull(rows, row, number) ? NULL : PQgetvalue(rows, row, number);
}

bool row_is_null(const PGresult *rows, int row, const char *column)
{
	return PQgetisnull(rows, row, row_column(rows, column));
}

int64_t row_i64(const PGresult *rows, int row, const char *column)
{
	return strtoll(PQgetvalue(rows, row, row_column(rows, column)), NULL, 10);
}

double row_f64(const PGresult *rows, int row, const char *column)
{
	return strtod(PQgetvalue(rows, row, row_column(rows, column)), NULL);
}

bool row_bool(const PGresult *rows, int row, const char *column)
{
	return PQgetvalue(rows, row, row_column(rows, column))[0] == 't';
}
