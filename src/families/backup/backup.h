/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the kinds of backup jobs share: payload, names, the catalog and the store. Private to this
 * folder.
 *
 * jobs.kind says what is to be done: backup (or nothing), verify, restore, drill, expire. One
 * table describes the payload of all of them; what a kind needs of it, it asks for by itself.
 *
 * All objects of one attempt begin with its stem, which carries job and ticket, so that nothing is
 * ever written twice:
 *
 *     STEM.dump           what pg_dump -Fc wrote, encrypted where there is a key
 *     STEM.globals.sql    what pg_dumpall --globals-only wrote, likewise
 *     STEM.manifest.json  what the catalog knows of it, too: enough to restore without the catalog
 */
#ifndef ATHENA_FAMILIES_BACKUP_BACKUP_H
#define ATHENA_FAMILIES_BACKUP_BACKUP_H

#include <libpq-fe.h>

#include "config/option.h"
#include "families/attempt_query.h"
#include "families/backup/seal.h"

extern const struct option_row backup_payload[];

/* The store, and the keys of what is in it. Release with place_clear(). */
struct place {
	struct store *store;
	struct seal_keys keys;
	const char *prefix; /* or NULL */
};

/* As the configuration says. ERR_PERMANENT "no_store" when it says nothing. */
MUSTCHECK bool place_open(struct attempt *attempt, struct place *ret_place, struct err *e);
void place_clear(struct place *place);

/* Whether the catalog's row is of this very place. ERR_PERMANENT "other_store". */
MUSTCHECK bool place_holds(const struct place *place, const PGresult *backup, struct err *e);

/*
 * Removes whatever begins with a stem, finished or not, so that no trace is left of an attempt
 * that died or failed.
 */
MUSTCHECK bool place_sweep(
	struct place *place, struct attempt *attempt, const char *stem, struct err *e);

/*
 * Asks the control plane, again and again while it is away, for ten minutes at most: a backup of
 * hours must not fail for that. All statements may be asked twice. params may be NULL.
 */
MUSTCHECK bool catalog_ask(struct attempt *attempt, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e);

/*
 * The backup that the payload names, by `backup` or as the newest verified one of `database`.
 * ERR_PERMANENT when there is none, or it is not complete. One row of backup_find.sql.
 */
MUSTCHECK bool catalog_find(struct attempt *attempt, PGresult **ret_backup, struct err *e);

/* "STEM.dump"; lives as long as the attempt. */
const char *backup_key(struct attempt *attempt, const char *stem, const char *kind);

/*
 * The client that a payload's `database` stands for: a name under postgres_clients, or the name of
 * the database in a connection string. Lives as long as the attempt.
 */
MUSTCHECK bool backup_client(struct attempt *attempt, const char **ret_client, struct err *e);

/* A word of the payload that this kind needs. ERR_PERMANENT "bad_payload". */
MUSTCHECK bool backup_need(
	struct attempt *attempt, const char *name, const char **ret_text, struct err *e);

/* The kinds. */
MUSTCHECK bool backup_create(struct attempt *attempt, struct err *e);
MUSTCHECK bool backup_verify(struct attempt *attempt, struct err *e);
MUSTCHECK bool backup_restore(struct attempt *attempt, struct err *e);
MUSTCHECK bool backup_drill(struct attempt *attempt, struct err *e);
MUSTCHECK bool backup_expire(struct attempt *attempt, struct err *e);

/* As backup_expire(), if the payload says what is to be kept: else nothing is judged at all. */
MUSTCHECK bool backup_expire_if_asked(struct attempt *attempt, struct err *e);

#endif
