/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a database holds, in numbers: rows and digest of each table, values of sequences, large
 * objects. Taken of the source inside the backup's snapshot, kept in the manifest, and compared
 * with what a restore has made of it.
 *
 * {"level": "full",
 *  "tables": [{"kind": "rows of table", "name": "public.t", "rows": "500", "digest": "123"}, ...],
 *  "sequences": [{"name": "public.s", "from": 1, "to": 7}, ...],
 *  "large_objects": {"count": 3, "digest": "..."}}
 *
 * No snapshot covers sequences: what pg_dump found lies between their values before and after it.
 */
#ifndef ATHENA_FAMILIES_BACKUP_CENSUS_H
#define ATHENA_FAMILIES_BACKUP_CENSUS_H

#include "base/buf.h"
#include "families/attempt_query.h"
#include "families/clone/sequences.h"

/*
 * `level`: full, counts or none (then it says no more than that). `before`: the sequences as they
 * were when the dump began; NULL: as they are. The caller owns *ret_census.
 */
MUSTCHECK bool census_take(struct attempt *attempt, struct conn *conn, const char *level,
	const struct sequences *before, json_t **ret_census, struct err *e);

/* How many differences there are; the first ones are added to `text`. Pure. */
int census_compare(const json_t *expected, const json_t *found, struct buf *text);

/* Sum of the rows of all tables. */
int64_t census_rows(const json_t *census);

#endif
