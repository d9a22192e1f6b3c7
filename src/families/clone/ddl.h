/* SPDX-License-Identifier: PostgreSQL */
/*
 * DDL, where Postgres takes no parameters: one command built from a pattern.
 *
 * In the pattern `%I` is a name and `%L` a value, quoted by libpq for this connection; each takes
 * one `const char *`. Everything else stands as it is; there are no other conversions.
 *
 *     ddl_run(attempt, conn, e, "ALTER DATABASE %I RENAME TO %I", staging, target)
 */
#ifndef ATHENA_FAMILIES_CLONE_DDL_H
#define ATHENA_FAMILIES_CLONE_DDL_H

#include "base/buf.h"
#include "families/attempt_query.h"

/* Appends to `sql`. False when a text is not valid in the connection's encoding. ERR_PERMANENT. */
MUSTCHECK bool ddl_add(
	struct buf *sql, const struct conn *conn, struct err *e, const char *pattern, ...);

/* Builds it and runs it. */
MUSTCHECK bool ddl_run(
	struct attempt *attempt, struct conn *conn, struct err *e, const char *pattern, ...);

#endif
