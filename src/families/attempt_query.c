/* SPDX-License-Identifier: PostgreSQL */
/* libpq without blocking: every wait is an attempt_wait(). */
#include "families/attempt_query.h"

#include <assert.h>
#include <poll.h>

#include "base/clock.h"
#include "db/query.h"

enum {
	CONNECT_MS = 10000,
	STOP_MS = 5000, /* for a server to answer that it has cancelled */
};

/* Waits for the socket until `deadline_ms` on the boot clock; -1: for ever. */
static bool wait_for(struct attempt *attempt, struct conn *conn, short events, int64_t deadline_ms,
	struct err *e)
{
	struct pollfd fd = {.fd = PQsocket(conn->pg), .events = events};
	int64_t left_ms = deadline_ms < 0 ? -1 : deadline_ms - clock_boot_ms();
	int ready;

	if (deadline_ms >= 0 && left_ms <= 0)
		return err_code(e, ERR_TRANSIENT, "no_connection", "the server does not answer");
	return attempt_wait(attempt, &fd, 1, (int)left_ms, &ready, e);
}

static bool finish_connecting(struct attempt *attempt, struct conn *conn, struct err *e)
{
	int64_t deadline_ms = clock_boot_ms() + CONNECT_MS;
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	while (PQstatus(conn->pg) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
		if (next == PGRES_POLLING_FAILED)
			break;
		if (!wait_for(attempt, conn, next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			    deadline_ms, e))
			return false;
		next = PQconnectPoll(conn->pg);
	}
	if (next != PGRES_POLLING_OK)
		return conn_err(conn->pg, e);
	PQsetnonblocking(conn->pg, 1);
	return true;
}

/* libpq lets a later dbname win, as long as only the first is expanded. */
static void override_database(struct conn_keywords *keywords, const char *database)
{
	int n = 0;

	while (keywords->keys[n])
		n++;
	assert(n + 1 < CONN_KEYWORDS);
	keywords->keys[n] = "dbname";
	keywords->values[n] = database;
	keywords->keys[n + 1] = NULL;
	keywords->values[n + 1] = NULL;
}

/* What a server remarks in passing has no place in the executor's stderr. */
static void ignore_notice(void *context, const PGresult *notice)
{
	(void)context;
	(void)notice;
}

bool attempt_connect(struct attempt *attempt, const struct attempt_address *address,
	struct conn *ret_conn, struct err *e)
{
	struct conn_keywords keywords CLEANUP(conn_keywords_clear) = {0};
	struct conn conn CLEANUP(conn_close) = {.flags = CONN_NO_PREPARE};

	if (!conn_keywords(&keywords, address->uri, address->base, address->application_name,
		    CONN_NO_PREPARE, e))
		return false;
	if (address->database)
		override_database(&keywords, address->database);
	conn.pg = PQconnectStartParams(keywords.keys, keywords.values, 1);
	PQsetNoticeReceiver(conn.pg, ignore_notice, NULL);
	if (!finish_connecting(attempt, &conn, e))
		return false;
	*ret_conn = conn;
	conn = (struct conn){0};
	return true;
}

bool attempt_send(struct conn *conn, const char *sql, const struct params *params, struct err *e)
{
	static const struct params none;
	const char *const *values;

	if (!conn->pg)
		return err_code(e, ERR_TRANSIENT, "no_connection", "the connection is closed");
	if (!params)
		params = &none;
	values = (const char *const *)params->values;
	if (!PQsendQueryParams(conn->pg, sql, params->count, NULL, values, NULL, NULL, 0))
		return err_code(e, ERR_TRANSIENT, "no_connection", "%.*s",
			(int)strcspn(PQerrorMessage(conn->pg), "\n"), PQerrorMessage(conn->pg));
	return true;
}

/* Waits until the next result can be taken without blocking. */
static bool wait_for_result(
	struct attempt *attempt, struct conn *conn, int64_t deadline_ms, struct err *e)
{
	for (;;) {
		int unsent = PQflush(conn->pg);

		/* A broken connection shows as a failed result, which says why. */
		if (unsent < 0 || (unsent == 0 && !PQisBusy(conn->pg)))
			return true;
		if (!wait_for(attempt, conn, unsent ? POLLIN | POLLOUT : POLLIN, deadline_ms, e))
			return false;
		if (!PQconsumeInput(conn->pg))
			return true;
	}
}

static void free_cancel(PGcancel **cancel)
{
	PQfreeCancel(*cancel);
}

/*
 * The attempt is to stop: so is its statement. The request goes over a connection of its own,
 * which libpq opens blocking, under the keepalive settings of this one.
 */
static void stop_statement(struct attempt *attempt, struct conn *conn)
{
	PGcancel *cancel CLEANUP(free_cancel) = PQgetCancel(conn->pg);
	int64_t deadline_ms = clock_boot_ms() + STOP_MS;
	struct err ignored;
	char message[256];

	if (cancel && PQcancel(cancel, message, sizeof(message)))
		while (wait_for_result(attempt, conn, deadline_ms, &ignored)) {
			PGresult *result CLEANUP(clear_result) = PQgetResult(conn->pg);

			if (!result)
				return;
		}
	conn_close(conn);
}

/* The last result of the statement counts, unless an earlier one has failed. */
static bool take_results(
	struct attempt *attempt, struct conn *conn, PGresult **ret_result, struct err *e)
{
	PGresult *kept CLEANUP(clear_result) = NULL;

	for (;;) {
		PGresult *result CLEANUP(clear_result) = NULL;

		if (!wait_for_result(attempt, conn, -1, e)) {
			stop_statement(attempt, conn);
			return false;
		}
		result = PQgetResult(conn->pg);
		if (!result)
			break;
		if (kept && !query_ok(kept))
			continue;
		PQclear(kept);
		kept = TAKE(result);
	}
	*ret_result = TAKE(kept);
	return true;
}

bool attempt_receive(struct attempt *attempt, struct conn *conn, PGresult **ret_rows, struct err *e)
{
	PGresult *result CLEANUP(clear_result) = NULL;

	if (!conn->pg)
		return err_code(e, ERR_TRANSIENT, "no_connection", "the connection is closed");
	if (!take_results(attempt, conn, &result, e))
		return false;
	if (!result)
		return err_code(e, ERR_TRANSIENT, "no_connection", "the connection broke");
	if (!query_ok(result)) {
		query_err(result, e);
		if (e->kind == ERR_CANCELLED)
			e->kind = ERR_TRANSIENT;
		return false;
	}
	*ret_rows = TAKE(result);
	return true;
}

bool attempt_query(struct attempt *attempt, struct conn *conn,
	const struct sql_statement *statement, const struct params *params, PGresult **ret_rows,
	struct err *e)
{
	assert((params ? params->count : 0) == statement->nparams);
	return attempt_send(conn, statement->text, params, e) &&
		attempt_receive(attempt, conn, ret_rows, e);
}

bool attempt_command(struct attempt *attempt, struct conn *conn, const char *sql, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	return attempt_send(conn, sql, NULL, e) && attempt_receive(attempt, conn, &rows, e);
}
