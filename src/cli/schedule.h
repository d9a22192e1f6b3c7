/* SPDX-License-Identifier: PostgreSQL */
/* What the commands about schedules share. */
#ifndef ATHENA_CLI_SCHEDULE_H
#define ATHENA_CLI_SCHEDULE_H

#include "base/err.h"
#include "db/params.h"

struct cli;

/* Prints the schedule of that name, or all when it is NULL. */
MUSTCHECK bool schedule_print(struct cli *cli, const char *name, struct err *e);

/*
 * Adds a schedule of that name, with the parameters of schedule_add.sql, and prints it. Wants a
 * connection. ERR_PERMANENT when there is one of that name.
 */
MUSTCHECK bool schedule_insert(
	struct cli *cli, const char *name, const struct params *params, struct err *e);

/* Fails with the nearest name. Returns false. */
bool schedule_unknown(struct cli *cli, const char *name, struct err *e);

#endif
