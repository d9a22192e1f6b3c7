/* SPDX-License-Identifier: PostgreSQL */
/*
 * Finds rows of a result by their columns `kind` and `name`.
 *
 * The result must outlive the index. Release with row_index_clear().
 */
#ifndef ATHENA_FAMILIES_CLONE_ROW_INDEX_H
#define ATHENA_FAMILIES_CLONE_ROW_INDEX_H

#include <libpq-fe.h>

struct row_index {
	const PGresult *result;
	int *rows; /* in the order of kind and name */
	int count;
};

void row_index_make(struct row_index *ret_index, PGresult *result);

/* The row's number, or -1. */
int row_index_find(const struct row_index *index, const char *kind, const char *name);

void row_index_clear(struct row_index *index);

#endif
