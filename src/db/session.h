/* SPDX-License-Identifier: PostgreSQL */
/*
 * A connection that lives on a uv loop: never blocks, reconnects by itself, pipelines.
 *
 * Owner: a component of a worker. It gives the session the statements that it will send; they are
 * prepared on each new connection before `up` is called. Between `up` and `down`, requests may be
 * sent at any time: session_send() queues a statement, session_sync() ends a group. A group is one
 * round trip, one implicit transaction and one commit. Nothing of it is answered before its commit
 * was: a statement that went well may still be undone by a later one, or by the commit itself.
 * When one fails, it is answered with its error and all others with code "group_failed".
 *
 * When the connection breaks, every unanswered request is answered with code "connection_lost",
 * then `down` is called, then reconnecting begins (100 ms to 2 s apart, with jitter, for ever).
 * Connecting and preparing may take 10 s together. A standby is tried again like a server that is
 * not there: it may be about to be promoted, and nothing can be written there, or listened to.
 * Such an answer says nothing about what was committed: the truth has to be read again.
 *
 * Only name resolution blocks (libpq's connect does it at once); address and Unix socket do not.
 */
#ifndef ATHENA_DB_SESSION_H
#define ATHENA_DB_SESSION_H

#include <libpq-fe.h>
#include <uv.h>

#include "base/err.h"
#include "db/params.h"
#include "sql_statements.h"

struct config;
struct session;

/* result is NULL when e is not, and the other way round; both belong to the session. */
typedef void session_done(void *context, const PGresult *result, const struct err *e);

struct session_spec {
	const char *name; /* in logs: "work", "pulse" */
	const char *uri;  /* may be NULL; must outlive the session */
	const char *application_name;
	unsigned flags; /* enum conn_flags; CONN_QUEUE and CONN_PRIMARY are implied */
	int64_t reconnect_min_ms, reconnect_max_ms;
	const struct sql_statement *const *statements;	  /* ended by NULL */
	void (*up)(void *context);			  /* these three may be NULL */
	void (*down)(void *context, const struct err *e); /* after it was up */
	void (*notified)(void *context, const char *payload);
	void *context;
};

/*
 * A spec for the control-plane database with what `config` says: URI, prepare, pauses between
 * attempts to connect. up, down, notified and context are the caller's to set.
 */
struct session_spec session_spec_of(const struct config *config, const char *name,
	const char *application_name, const struct sql_statement *const *statements);

/* Starts connecting. The spec is copied, what it points to is not. */
struct session *session_new(uv_loop_t *loop, const struct session_spec *spec);

/* Answers what is unanswered, closes, frees once the loop let go of it. NULL is fine. */
void session_free(struct session *session);

bool session_is_up(const struct session *session);

/* Why it is not up, for people; NULL when it is. */
const char *session_trouble(const struct session *session);

/* How many requests wait for their answer. */
int session_unanswered(const struct session *session);

/*
 * Queues a statement of the spec; the parameters are taken over and cleared. `done` may be NULL:
 * then a failure is logged. Must be up (asserted).
 */
void session_send(struct session *session, const struct sql_statement *statement,
	struct params *params, session_done *done, void *context);

/* A `done` for a statement whose failure shows in the answer of the next one of its group. */
void session_unheard(void *context, const PGresult *rows, const struct err *e);

/* The same for many rows: they come in binary format, to be read by db/binary.h. */
void session_send_for_many(struct session *session, const struct sql_statement *statement,
	struct params *params, session_done *done, void *context);

/* Queues a session command such as LISTEN, which cannot be prepared. */
void session_command(struct session *session, const char *sql, session_done *done, void *context);

/* Ends the group and sends it off. */
void session_sync(struct session *session);

/* Drops the connection as if it had broken: after it went silent, or to start over. */
void session_reset(struct session *session, const char *why);

#endif
