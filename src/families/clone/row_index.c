/* SPDX-License-Identifier: PostgreSQL */
/* Rows by kind and name. */
#include "families/clone/row_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "db/query.h"

static int order(const PGresult *result, int row, const char *kind, const char *name)
{
	int by_kind = strcmp(row_text(result, row, "kind"), kind);

	return by_kind ? by_kind : strcmp(row_text(result, row, "name"), name);
}

static int order_rows(const void *a, const void *b, void *context)
{
	const PGresult *result = context;
	int other = *(const int *)b;

	return order(result, *(const int *)a, row_text(result, other, "kind"),
		row_text(result, other, "name"));
}

void row_index_make(struct row_index *ret_index, PGresult *result)
{
	int count = PQntuples(result);
	int *rows = xcalloc((size_t)count, sizeof(*rows));

	for (int row = 0; row < count; row++)
		rows[row] = row;
	if (count > 1)
		qsort_r(rows, (size_t)count, sizeof(*rows), order_rows, result);
	*ret_index = (struct row_index){.result = result, .rows = rows, .count = count};
}

int row_index_find(const struct row_index *index, const char *kind, const char *name)
{
	int low = 0, high = index->count;

	while (low < high) {
		int middle = (low + high) / 2;
		int after = order(index->result, index->rows[middle], kind, name);

		if (after == 0)
			return index->rows[middle];
		if (after > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

void row_index_clear(struct row_index *index)
{
	free(index->rows);
	*index = (struct row_index){0};
}
