/* SPDX-License-Identifier: PostgreSQL */
/* What the two ways of `athena enqueue` have in common: one job, or those of a file. */
#ifndef ATHENA_CLI_ENQUEUE_H
#define ATHENA_CLI_ENQUEUE_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "db/params.h"

struct family;

/*
 * Whose code checks the payloads of the family of that name; NULL when nobody here knows it, and
 * only the database can say whether there is such a family.
 */
MUSTCHECK bool enqueue_family(
	struct cli *cli, const char *name, const struct family **ret_family, struct err *e);

/* What that code has to say, before the database is asked. `family` may be NULL. */
MUSTCHECK bool enqueue_check(struct cli *cli, const char *name, const struct family *family,
	const json_t *payload, struct err *e);

/*
 * Reads a payload (the word itself, "-" or "@FILE") for the family of that name and checks it by
 * its code. What is sent is the text, digits and all.
 */
MUSTCHECK bool enqueue_payload(
	struct cli *cli, const char *name, const char *word, struct buf *text, struct err *e);

/* Adds --run-at as a time and as a distance from now, of which one or both are null. */
MUSTCHECK bool enqueue_add_run_at(const struct cli *cli, struct params *params, struct err *e);

/* --from-file: all the jobs of a file, or none. */
MUSTCHECK bool enqueue_file(struct cli *cli, const char *path, struct err *e);

#endif
