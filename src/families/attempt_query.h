/* SPDX-License-Identifier: PostgreSQL */
/*
 * Postgres for handlers: connections and statements that wait only in attempt_wait().
 *
 * What db/query.h is for commands, this is for attempts: a statement may run for hours, and an
 * attempt must notice at once that it is to stop. Then the server is asked to cancel, its answer is
 * awaited for a few seconds, and the call fails with what attempt_wait() said, usually
 * ERR_CANCELLED; the connection can be used again, for cleaning up, or has been closed, if the
 * server did not answer. A connection that is closed (conn->pg is NULL) fails every further call
 * as ERR_TRANSIENT.
 *
 * Nothing is prepared: statements of attempts run once. A statement that somebody else cancelled,
 * or that ran into a timeout of the server, is ERR_TRANSIENT here and not ERR_CANCELLED, since it
 * is not the job that was cancelled.
 */
#ifndef ATHENA_FAMILIES_ATTEMPT_QUERY_H
#define ATHENA_FAMILIES_ATTEMPT_QUERY_H

#include "db/conn.h"
#include "db/params.h"
#include "families/attempt.h"
#include "sql_statements.h"

/* Whom to connect to. */
struct attempt_address {
	const char *uri;      /* URI or key=value string */
	const char *base;     /* another one, for what `uri` lacks; or NULL */
	const char *database; /* instead of the one in `uri`; or NULL */
	const char *application_name;
};

/* Connects within 10 s. Errors are those of conn_open(). */
MUSTCHECK bool attempt_connect(struct attempt *attempt, const struct attempt_address *address,
	struct conn *ret_conn, struct err *e);

/* One statement. params may be NULL for one without parameters; the caller clears *ret_rows. */
MUSTCHECK bool attempt_query(struct attempt *attempt, struct conn *conn,
	const struct sql_statement *statement, const struct params *params, PGresult **ret_rows,
	struct err *e);

/* DDL with quoted identifiers, and session commands, as query_command(). */
MUSTCHECK bool attempt_command(
	struct attempt *attempt, struct conn *conn, const char *sql, struct err *e);

/*
 * The two halves of a statement, so that two servers can work at the same time: send to both, then
 * receive from both. A connection has at most one statement under way. params may be NULL.
 */
MUSTCHECK bool attempt_send(
	struct conn *conn, const char *sql, const struct params *params, struct err *e);
MUSTCHECK bool attempt_receive(
	struct attempt *attempt, struct conn *conn, PGresult **ret_rows, struct err *e);

#endif
