/* SPDX-License-Identifier: PostgreSQL */
/*
 * Reading rows in Postgres' binary format, where there are many: by the number of the column,
 * which is looked up once per result. What has one type in the statement is read as that type;
 * anything else is a bug that only shows as nonsense, so a statement that is read so has a test
 * that compares it with text.
 */
#ifndef ATHENA_DB_BINARY_H
#define ATHENA_DB_BINARY_H

#include <endian.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <string.h>

#include "db/query.h"

/* smallint, integer and bigint. */
static inline int64_t binary_int(const PGresult *rows, int row, int column)
{
	const char *bytes = PQgetvalue(rows, row, column);
	uint64_t wide;
	uint32_t normal;
	uint16_t small;

	switch (PQgetlength(rows, row, column)) {
	case sizeof(wide):
		memcpy(&wide, bytes, sizeof(wide));
		return (int64_t)be64toh(wide);
	case sizeof(normal):
		memcpy(&normal, bytes, sizeof(normal));
		return (int32_t)be32toh(normal);
	case sizeof(small):
		memcpy(&small, bytes, sizeof(small));
		return (int16_t)be16toh(small);
	default:
		return 0;
	}
}

/* double precision */
static inline double binary_double(const PGresult *rows, int row, int column)
{
	int64_t bits = binary_int(rows, row, column);
	double number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

/* text; NULL for null */
static inline const char *binary_text(const PGresult *rows, int row, int column)
{
	return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

/* jsonb as its text, behind a byte that says which version of the format it is: 1. */
static inline const char *binary_jsonb(const PGresult *rows, int row, int column)
{
	return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column) + 1;
}

#endif
