/* SPDX-License-Identifier: PostgreSQL */
/*
 * How far pg_dump has come, in bytes of the source's tables: how many bytes a dump will have nobody
 * knows before it has ended, but pg_dump copies tables in the order of their names, and the server
 * says which one it copies.
 *
 * The session is that of the snapshot; it is asked once a second, and answers at once.
 */
#ifndef ATHENA_FAMILIES_BACKUP_GAUGE_H
#define ATHENA_FAMILIES_BACKUP_GAUGE_H

#include "families/attempt_query.h"

struct gauge {
	struct attempt *attempt;
	struct conn *conn;
	const char *application; /* of pg_dump's session */
	PGresult *tables;
	int64_t total; /* of all tables, at least 1 */
	int64_t due_ms;
};

/* Zero-initialise; release with gauge_clear(). Nothing is reported yet. */
MUSTCHECK bool gauge_begin(struct gauge *gauge, struct attempt *attempt, struct conn *conn,
	const char *application, struct err *e);
void gauge_clear(struct gauge *gauge);

/* For how long to wait for something else before the next look; gauge NULL: for ever. */
int gauge_wait_ms(const struct gauge *gauge);

/*
 * Looks, when it is time, and reports: the dump is the first half of what there is to do. gauge
 * NULL: does nothing.
 */
MUSTCHECK bool gauge_look(struct gauge *gauge, struct err *e);

#endif
