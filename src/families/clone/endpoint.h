/* SPDX-License-Identifier: PostgreSQL */
/*
 * One end of a clone: a database that was named in the payload, and a session on its server.
 *
 * It is named by a URI, a key=value string or a name under postgres_clients. Host, port and user
 * that are not said are those of the control plane's own URI. The password is made known to
 * redaction. Sessions carry the application name by which a later attempt finds and ends them,
 * print values alike on all servers (clone_session.sql), and make the server look every 2 s
 * whether we are still there.
 */
#ifndef ATHENA_FAMILIES_CLONE_ENDPOINT_H
#define ATHENA_FAMILIES_CLONE_ENDPOINT_H

#include "families/attempt.h"
#include "families/attempt_query.h"

struct endpoint {
	const char *label;	 /* "source" or "target" */
	const char *uri;	 /* as said, or from postgres_clients */
	const char *base;	 /* the control plane's, or NULL */
	const char *database;	 /* in `uri`; never NULL after endpoint_init() */
	const char *maintenance; /* database that `conn` is on, where it is not `database` */
	struct conn conn;	 /* whoever opens it puts it here; closed by endpoint_clear() */
};

/* What can be known of a payload's word without a configuration. Pure. ERR_PERMANENT. */
MUSTCHECK bool endpoint_check(const char *label, const char *named, struct err *e);

/* `named` is what the payload says. Connects to nothing. ERR_PERMANENT. */
MUSTCHECK bool endpoint_init(struct endpoint *ret_endpoint, struct attempt *attempt,
	const char *label, const char *named, struct err *e);

/* Opens a session on `database` (NULL: the endpoint's own) of the endpoint's server. */
MUSTCHECK bool endpoint_open(const struct endpoint *endpoint, struct attempt *attempt,
	const char *database, const char *application, struct conn *ret_conn, struct err *e);

/*
 * Locks all tables as pg_dump does (ACCESS SHARE), inside the endpoint's open transaction. Waits
 * for nobody longer than the session's lock_timeout. ERR_TRANSIENT where a lock is not to be had,
 * or a table was dropped since the snapshot; ERR_PERMANENT without the right to read one.
 */
MUSTCHECK bool endpoint_lock_tables(
	struct endpoint *endpoint, struct attempt *attempt, struct err *e);

/*
 * Whether the session that holds the snapshot still does. It is idle, so whatever comes from it
 * is its end; ERR_TRANSIENT.
 */
MUSTCHECK bool endpoint_is_there(const struct endpoint *endpoint, struct err *e);

void endpoint_clear(struct endpoint *endpoint);

/* 15 for any 15.x */
int conn_major(const struct conn *conn);
bool conn_is_superuser(const struct conn *conn);

#endif
