/* SPDX-License-Identifier: PostgreSQL */
/*
 * The schema: migrations of sql/migrations/ brought into a database, once each and in order.
 *
 * Each migration is one transaction under an advisory lock, with its row in athena.migrations
 * (which migration 1 makes) inside: dying at any point leaves a complete state, and any number of
 * programs may migrate at once. Which ones are missing is asked again after every lock, so nothing
 * is remembered between transactions. Locks on tables are waited for only briefly and asked for
 * again later, so that workers and producers go on while a migration waits for its turn.
 *
 * Migrations are forward only and never edited: their SHA-256 is recorded, and compared. A newer
 * program's migrations say which is the oldest program that can live with them.
 *
 * Everything that takes a connection blocks. Called by `athena migrate` and `athena dev`;
 * migrate_check() by whoever is about to use the schema.
 */
#ifndef ATHENA_DB_MIGRATE_H
#define ATHENA_DB_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "db/conn.h"

enum migration_state {
	MIGRATION_APPLIED,
	MIGRATION_PENDING, /* ours, not in the database yet */
	MIGRATION_CHANGED, /* the database has another text under this number */
	MIGRATION_NEWER,   /* of a newer program, which says that we can live with it */
	MIGRATION_FOREIGN, /* of a newer program, which says that we cannot */
};

struct migration {
	int number;
	enum migration_state state;
	char *name;
	char *checksum;	      /* SHA-256 in hex, of what was applied or would be */
	char *oldest_program; /* version that can live with it */
	char *program;	      /* that applied it; NULL: pending */
	char *applied_at;     /* as Postgres writes it; NULL: pending */
};

struct migrations {
	struct migration *rows; /* by number */
	size_t count;
};

/* What the database has and what this program knows, in one list. */
MUSTCHECK bool migrations_read(struct conn *conn, struct migrations *ret_migrations, struct err *e);
void migrations_clear(struct migrations *migrations);

/*
 * True when this program can work with the database. Else ERR_CONFIG with code "schema_behind"
 * (athena migrate helps), "schema_ahead" (a newer athena does) or "schema_changed".
 */
MUSTCHECK bool migrate_check(struct conn *conn, struct err *e);

/* The same from the rows of migrations_list.sql, for whoever may not block. */
MUSTCHECK bool migrate_check_rows(const PGresult *rows, struct err *e);

/* What migrate_run() tells while it runs. */
struct migrate_observer {
	void (*on_applied)(void *context, const struct migration *migration, int64_t took_ms);
	void (*on_waiting)(void *context, const char *why); /* before each new attempt */
	void *context;
};

/*
 * Drops the schema with everything in it, and whatever of others was built on it. The roles stay:
 * other databases of the cluster may use them.
 */
MUSTCHECK bool migrate_drop(struct conn *conn, int64_t patience_ms, struct err *e);

/* Applies what is missing. Waits for locks up to `patience_ms` at a time, then ERR_TRANSIENT. */
MUSTCHECK bool migrate_run(struct conn *conn, int64_t patience_ms,
	const struct migrate_observer *observer, struct err *e);

/* Everything after migration number `after` as a script for psql, bookkeeping included. */
void migrate_script(struct buf *out, int after);

#endif
