/* SPDX-License-Identifier: PostgreSQL */
/* What the commands about families share. */
#ifndef ATHENA_CLI_FAMILY_H
#define ATHENA_CLI_FAMILY_H

#include <libpq-fe.h>

#include "base/err.h"
#include "cli/listing.h"

struct cli;

/* Of family_list.sql. */
extern const struct listing_column family_columns[];

/* Rows of family_list.sql; name NULL: all. The caller clears them. */
MUSTCHECK bool family_read(struct cli *cli, const char *name, PGresult **ret_rows, struct err *e);

/* Fails with the nearest name. Returns false. */
bool family_unknown(struct cli *cli, const char *name, struct err *e);

#endif
