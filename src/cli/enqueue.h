/* SPDX-License-Identifier: PostgreSQL */
/* What the two ways of `athena enqueue` have in common: one job, or those of a file. */
#ifndef ATHENA_CLI_ENQUEUE_H
#define ATHENA_CLI_ENQUEUE_H

#include <jansson.h>

#include "cli/cli.h"
#include "db/params.h"

struct family;

/*
 * Whose code checks the payloads of the family that was named; NULL when nobody here knows it, and
 * only the database can say whether there is such a family.
 */
MUSTCHECK bool enqueue_family(struct cli *cli, const struct family **ret_family, struct err *e);

/* What that code has to say, before the database is asked. `family` may be NULL. */
MUSTCHECK bool enqueue_check(
	struct cli *cli, const struct family *family, const json_t *payload, struct err *e);

/* Adds --run-at as a time and as a distance from now, of which one or both are null. */
MUSTCHECK bool enqueue_add_run_at(const struct cli *cli, struct params *params, struct err *e);

/* --from-file: all the jobs of a file, or none. */
MUSTCHECK bool enqueue_file(struct cli *cli, const char *path, struct err *e);

#endif
