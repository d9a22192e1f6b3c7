/* SPDX-License-Identifier: PostgreSQL */
/* Where sequences stand, and whether that can be. */
#include "families/clone/sequences.h"

#include <inttypes.h>

#include "db/query.h"

static void add(struct sequences *sequences, const PGresult *values)
{
	size_t added = (size_t)PQntuples(values);

	sequences->rows =
		xreallocarray(sequences->rows, sequences->count + added, sizeof(*sequences->rows));
	for (int row = 0; row < PQntuples(values); row++)
		sequences->rows[sequences->count++] = (struct sequence){
			.name = xstrdup(row_text(values, row, "name")),
			.last = row_i64(values, row, "last_value"),
			.step = row_i64(values, row, "step"),
			.is_called = row_bool(values, row, "is_called"),
			.cycles = row_bool(values, row, "cycles"),
		};
}

static int order_by_name(const void *a, const void *b)
{
	return strcmp(((const struct sequence *)a)->name, ((const struct sequence *)b)->name);
}

bool sequences_read(
	struct attempt *attempt, struct conn *conn, struct sequences *ret_sequences, struct err *e)
{
	struct sequences sequences CLEANUP(sequences_clear) = {0};
	PGresult *statements CLEANUP(clear_result) = NULL;

	if (!attempt_query(attempt, conn, &sql_clone_sequences, NULL, &statements, e))
		return false;
	for (int row = 0; row < PQntuples(statements); row++) {
		PGresult *values CLEANUP(clear_result) = NULL;

		if (!attempt_send(conn, row_text(statements, row, "statement"), NULL, e) ||
			!attempt_receive(attempt, conn, &values, e))
			return false;
		add(&sequences, values);
	}
	if (sequences.count > 1)
		qsort(sequences.rows, sequences.count, sizeof(*sequences.rows), order_by_name);
	*ret_sequences = sequences;
	sequences = (struct sequences){0};
	return true;
}

static const struct sequence *find(const struct sequences *sequences, const char *name)
{
	size_t low = 0, high = sequences->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, sequences->rows[middle].name);

		if (order == 0)
			return &sequences->rows[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Whether `a` has been reached when the sequence stands at `b`. */
static bool is_reached(const struct sequence *a, const struct sequence *b)
{
	if (a->last != b->last)
		return b->step > 0 ? a->last < b->last : a->last > b->last;
	return a->is_called <= b->is_called;
}

static bool is_same(const struct sequence *a, const struct sequence *b)
{
	return a->last == b->last && a->is_called == b->is_called;
}

static bool is_possible(
	const struct sequence *before, const struct sequence *after, const struct sequence *target)
{
	if (!before || is_same(before, after))
		return is_same(after, target);
	return after->cycles || (is_reached(before, target) && is_reached(target, after));
}

static void add_fact(
	struct facts *facts, const struct sequence *named, const struct sequence *value)
{
	char text[64];

	snprintf(text, sizeof(text), "%" PRId64 "%s", value->last,
		value->is_called ? "" : ", not yet called");
	facts_add(facts, "value of sequence", named->name, text);
}

void sequences_add(const struct sequences *before, const struct sequences *after,
	const struct sequences *target, struct facts *source_facts, struct facts *target_facts)
{
	for (size_t i = 0; i < after->count; i++)
		add_fact(source_facts, &after->rows[i], &after->rows[i]);
	for (size_t i = 0; i < target->count; i++) {
		const struct sequence *own = &target->rows[i];
		const struct sequence *source = find(after, own->name);
		bool fits = source && is_possible(find(before, own->name), source, own);

		add_fact(target_facts, own, fits ? source : own);
	}
}

void sequences_clear(struct sequences *sequences)
{
	for (size_t i = 0; i < sequences->count; i++)
		free(sequences->rows[i].name);
	free(sequences->rows);
	*sequences = (struct sequences){0};
}
