/* SPDX-License-Identifier: PostgreSQL */
/*
 * A blocking connection to Postgres, for commands of the CLI, migrations and handlers.
 *
 * The worker's own loop never blocks and uses db/session.h instead. Both connect with the same
 * keywords, which conn_keywords() builds: TCP peers that vanish are noticed within 10 s, and
 * connections to the queue pin the session settings that the hot statements were measured with.
 */
#ifndef ATHENA_DB_CONN_H
#define ATHENA_DB_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

enum conn_flags {
	CONN_QUEUE = 1 << 0, /* the control-plane database: pin isolation, search_path, planner */
	CONN_NO_PREPARE = 1 << 1, /* behind a transaction pooler: no named statements */
	CONN_PRIMARY = 1 << 2,	  /* a standby is no server, unless the URI says otherwise */
};

struct conn {
	PGconn *pg;
	unsigned flags;
	struct name_set *prepared; /* names of the statements that this connection knows */
};

/*
 * Keywords for PQconnectdbParams()/PQconnectStartParams() with expand_dbname; free with
 * conn_keywords_clear().
 */
enum { CONN_KEYWORDS = 20, CONN_INHERITED = 8 };

struct conn_keywords {
	const char *keys[CONN_KEYWORDS];
	const char *values[CONN_KEYWORDS];
	char *options;
	char *inherited[CONN_INHERITED];
};

/*
 * uri may be NULL: libpq's environment and defaults. `base` (or NULL) is another URI from which
 * host, port and user are taken where `uri` lacks them; with the host come its TLS settings, and
 * with all three the password.
 */
MUSTCHECK bool conn_keywords(struct conn_keywords *ret_keywords, const char *uri, const char *base,
	const char *application_name, unsigned flags, struct err *e);
void conn_keywords_clear(struct conn_keywords *keywords);

/* Connects; a failure is ERR_TRANSIENT unless the server said that it is about rights or names. */
MUSTCHECK bool conn_open(struct conn *ret_conn, const char *uri, const char *application_name,
	unsigned flags, struct err *e);

/* The same with host, port and user of `base` where `uri` has none. */
MUSTCHECK bool conn_open_beside(struct conn *ret_conn, const char *uri, const char *base,
	const char *application_name, unsigned flags, struct err *e);

void conn_close(struct conn *conn); /* for CLEANUP() too */

/* Sorts a failed connection attempt (PQstatus is CONNECTION_BAD) into kinds. Returns false. */
bool conn_err(PGconn *pg, struct err *e);

static inline void clear_result(PGresult **result)
{
	PQclear(*result);
}

#endif
