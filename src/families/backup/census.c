/* SPDX-License-Identifier: PostgreSQL */
/* Counting what is there. */
#include "families/backup/census.h"

#include <inttypes.h>

#include "base/mem.h"
#include "db/query.h"

enum { LARGE_OBJECTS_AT_ONCE = 500, NAMED_MAX = 5 };

static bool count_table(struct attempt *attempt, struct conn *conn, const PGresult *tables, int row,
	json_t *list, struct err *e)
{
	PGresult *answer CLEANUP(clear_result) = NULL;
	const char *digest;

	if (!attempt_send(conn, row_text(tables, row, "statement"), NULL, e) ||
		!attempt_receive(attempt, conn, &answer, e))
		return err_in(e, "counting %s", row_text(tables, row, "name"));
	digest = row_text(answer, 0, "digest");
	json_array_append_new(list,
		json_pack("{s:s, s:s, s:s, s:s?}", "kind", row_text(tables, row, "kind"), "name",
			row_text(tables, row, "name"), "rows", row_text(answer, 0, "rows"),
			"digest", digest));
	return true;
}

static bool count_tables(struct attempt *attempt, struct conn *conn, const char *level,
	json_t *census, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *tables CLEANUP(clear_result) = NULL;
	json_t *list = json_array();

	json_object_set_new(census, "tables", list);
	params_i64(&params, strcmp(level, "full") == 0 ? 100 : 0);
	params_texts(&params, NULL, 0);
	if (!attempt_query(attempt, conn, &sql_clone_tables, &params, &tables, e))
		return err_in(e, "listing tables");
	for (int row = 0; row < PQntuples(tables); row++)
		if (!count_table(attempt, conn, tables, row, list, e))
			return false;
	return true;
}

static int64_t next_value(const struct sequence *sequence)
{
	return sequence->is_called ? sequence->last + sequence->step : sequence->last;
}

static bool count_sequences(struct attempt *attempt, struct conn *conn,
	const struct sequences *before, json_t *census, struct err *e)
{
	struct sequences now CLEANUP(sequences_clear) = {0};
	json_t *list = json_array();

	json_object_set_new(census, "sequences", list);
	if (!sequences_read(attempt, conn, &now, e))
		return err_in(e, "reading sequences");
	for (size_t i = 0, j = 0; i < now.count; i++) {
		const struct sequence *sequence = &now.rows[i], *first = sequence;

		if (sequence->cycles)
			continue;
		while (before && j < before->count &&
			strcmp(before->rows[j].name, sequence->name) < 0)
			j++;
		if (before && j < before->count &&
			strcmp(before->rows[j].name, sequence->name) == 0)
			first = &before->rows[j];
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I}", "name", sequence->name, "from",
				(json_int_t)next_value(first), "to",
				(json_int_t)next_value(sequence)));
	}
	return true;
}

/* The sum of all digests does not depend on their order, nor on how many are read at a time. */
static bool count_large_objects(
	struct attempt *attempt, struct conn *conn, json_t *census, struct err *e)
{
	char after[16] = "0", digest[24];
	uint64_t sum = 0;
	int64_t count = 0;
	int rows;

	do {
		struct params params CLEANUP(params_clear) = {0};
		PGresult *objects CLEANUP(clear_result) = NULL;

		params_text(&params, after);
		params_null(&params);
		params_i64(&params, LARGE_OBJECTS_AT_ONCE);
		if (!attempt_query(attempt, conn, &sql_clone_large_objects, &params, &objects, e))
			return err_in(e, "counting large objects");
		rows = PQntuples(objects);
		for (int row = 0; row < rows; row++) {
			struct facts facts CLEANUP(facts_clear) = {0};

			facts_add(&facts, "large object", row_text(objects, row, "oid"),
				row_text(objects, row, "definition"));
			sum += facts_digest(&facts);
			count++;
			snprintf(after, sizeof(after), "%s", row_text(objects, row, "oid"));
		}
	} while (rows == LARGE_OBJECTS_AT_ONCE);
	snprintf(digest, sizeof(digest), "%016" PRIx64, sum);
	json_object_set_new(census, "large_objects",
		json_pack("{s:I, s:s}", "count", (json_int_t)count, "digest", digest));
	return true;
}

bool census_take(struct attempt *attempt, struct conn *conn, const char *level,
	const struct sequences *before, json_t **ret_census, struct err *e)
{
	json_auto_t *census = json_pack("{s:s}", "level", level);

	if (strcmp(level, "none") != 0 &&
		(!count_tables(attempt, conn, level, census, e) ||
			!count_sequences(attempt, conn, before, census, e) ||
			!count_large_objects(attempt, conn, census, e)))
		return false;
	*ret_census = TAKE(census);
	return true;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void differs(struct buf *text, int *count, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void differs(struct buf *text, int *count, const char *fmt, ...)
{
	char *what CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = xvasprintf(fmt, ap);
	va_end(ap);
	if ((*count)++ < NAMED_MAX)
		buf_printf(text, "%s%s", text->length ? "; " : "", what);
}

/* By kind and name, for look-ups; borrows its values. */
static json_t *index_of(const json_t *list)
{
	json_t *index = json_object(), *row;
	size_t i;

	json_array_foreach (list, i, row) {
		char *name CLEANUP(free_ptr) =
			xasprintf("%s %s", text_of(row, "kind"), text_of(row, "name"));

		json_object_set(index, name, row);
	}
	return index;
}

static const json_t *look_up(const json_t *index, const json_t *row)
{
	char *name CLEANUP(free_ptr) =
		xasprintf("%s %s", text_of(row, "kind"), text_of(row, "name"));

	return json_object_get(index, name);
}

/* A materialized view is computed anew by a restore: its rows may rightly be others. */
static bool is_computed(const json_t *row)
{
	return strstr(text_of(row, "kind"), "materialized view");
}

static void compare_tables(
	const json_t *expected, const json_t *found, struct buf *text, int *count)
{
	json_auto_t *index = index_of(found);
	const json_t *row;
	size_t i;

	json_array_foreach (expected, i, row) {
		const json_t *other = look_up(index, row);

		if (!other)
			differs(text, count, "%s %s is missing", text_of(row, "kind"),
				text_of(row, "name"));
		else if (!is_computed(row) &&
			(strcmp(text_of(row, "rows"), text_of(other, "rows")) != 0 ||
				strcmp(text_of(row, "digest"), text_of(other, "digest")) != 0))
			differs(text, count, "%s %s: %s rows, digest %s, instead of %s, %s",
				text_of(row, "kind"), text_of(row, "name"), text_of(other, "rows"),
				text_of(other, "digest"), text_of(row, "rows"),
				text_of(row, "digest"));
	}
	if (json_array_size(found) > json_array_size(expected))
		differs(text, count, "%zu tables instead of %zu", json_array_size(found),
			json_array_size(expected));
}

static json_int_t number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void compare_sequences(
	const json_t *expected, const json_t *found, struct buf *text, int *count)
{
	json_auto_t *index = index_of(found);
	const json_t *row;
	size_t i;

	json_array_foreach (expected, i, row) {
		const json_t *other = look_up(index, row);
		json_int_t from = number_of(row, "from"), to = number_of(row, "to");
		json_int_t value = number_of(other, "to");

		if (!other)
			differs(text, count, "sequence %s is missing", text_of(row, "name"));
		else if (value < (from < to ? from : to) || value > (from < to ? to : from))
			differs(text, count,
				"sequence %s is at %" JSON_INTEGER_FORMAT
				" and not from %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT,
				text_of(row, "name"), value, from, to);
	}
}

int census_compare(const json_t *expected, const json_t *found, struct buf *text)
{
	const json_t *objects = json_object_get(expected, "large_objects");
	int count = 0;

	compare_tables(json_object_get(expected, "tables"), json_object_get(found, "tables"), text,
		&count);
	compare_sequences(json_object_get(expected, "sequences"),
		json_object_get(found, "sequences"), text, &count);
	if (!json_equal(objects, json_object_get(found, "large_objects")))
		differs(text, &count,
			"large objects differ: %" JSON_INTEGER_FORMAT
			" instead of %" JSON_INTEGER_FORMAT,
			number_of(json_object_get(found, "large_objects"), "count"),
			number_of(objects, "count"));
	return count;
}

int64_t census_rows(const json_t *census)
{
	const json_t *row;
	int64_t sum = 0;
	size_t i;

	json_array_foreach (json_object_get(census, "tables"), i, row)
		sum += strtoll(text_of(row, "rows"), NULL, 10);
	return sum;
}
