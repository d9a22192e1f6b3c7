/* SPDX-License-Identifier: PostgreSQL */
/* Rows, sequences and large objects of both ends. */
#include <inttypes.h>

#include "db/query.h"
#include "families/clone/progress.h"
#include "families/clone/row_index.h"
#include "families/clone/verification.h"

enum { LARGE_OBJECTS_AT_ONCE = 500 };

static void add_rows(
	struct facts *facts, const char *kind, const char *name, const PGresult *answer)
{
	const char *digest = row_text(answer, 0, "digest");
	char *text CLEANUP(free_ptr) = xasprintf("%s rows%s%s", row_text(answer, 0, "rows"),
		digest ? ", digest " : "", digest ? digest : "");

	facts_add(facts, kind, name, text);
}

static bool compare_table(struct verification *v, const PGresult *source, int row,
	const PGresult *staging, int staging_row, struct err *e)
{
	struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};
	const char *kind = row_text(source, row, "kind"), *name = row_text(source, row, "name");
	struct pair answers CLEANUP(pair_clear) = {0};

	if (staging_row < 0) {
		facts_add(&here, kind, name, "there");
	} else {
		if (!verification_ask(v, row_text(source, row, "statement"),
			    row_text(staging, staging_row, "statement"), NULL, &answers, e))
			return err_in(e, "comparing %s %s", kind, name);
		add_rows(&here, kind, name, answers.source);
		add_rows(&there, kind, name, answers.staging);
		v->rows += row_i64(answers.source, 0, "rows");
	}
	v->tables++;
	verification_compare(v, &here, &there);
	return true;
}

bool contents_compare_tables(struct verification *v, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	struct row_index index CLEANUP(row_index_clear) = {0};
	struct pair tables CLEANUP(pair_clear) = {0};
	int64_t compared_bytes = 0;

	params_bool(&params, v->clone->verify == CLONE_VERIFY_FULL);
	if (!verification_ask(v, sql_clone_tables.text, sql_clone_tables.text, &params, &tables, e))
		return err_in(e, "listing tables");
	row_index_make(&index, tables.staging);
	for (int row = 0; row < PQntuples(tables.source); row++) {
		int staging_row = row_index_find(&index, row_text(tables.source, row, "kind"),
			row_text(tables.source, row, "name"));

		if (!compare_table(v, tables.source, row, tables.staging, staging_row, e))
			return false;
		compared_bytes += row_i64(tables.source, row, "bytes");
		progress_verified(v->clone, compared_bytes);
	}
	return true;
}

bool contents_compare_sequences(
	struct verification *v, const struct sequences *before, struct err *e)
{
	struct sequences source CLEANUP(sequences_clear) = {0};
	struct sequences staging CLEANUP(sequences_clear) = {0};
	struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};

	if (!sequences_read(v->clone->attempt, v->source, &source, e) ||
		!sequences_read(v->clone->attempt, v->staging, &staging, e))
		return err_in(e, "reading sequences");
	v->sequences = (int64_t)source.count;
	sequences_add(before, &source, &staging, &here, &there);
	verification_compare(v, &here, &there);
	return true;
}

static bool read_large_objects(struct verification *v, struct conn *conn, const char *after,
	const char *up_to, struct facts *facts, const char **ret_last, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *objects CLEANUP(clear_result) = NULL;

	params_text(&params, after);
	params_text(&params, up_to);
	if (conn == v->source)
		params_i64(&params, LARGE_OBJECTS_AT_ONCE);
	else
		params_null(&params);
	if (!attempt_query(v->clone->attempt, conn, &sql_clone_large_objects, &params, &objects, e))
		return err_in(e, "comparing large objects");
	*ret_last = NULL;
	for (int row = 0; row < PQntuples(objects); row++) {
		facts_add(facts, "large object", row_text(objects, row, "oid"),
			row_text(objects, row, "definition"));
		*ret_last = facts->rows[facts->count - 1].name;
	}
	return true;
}

/* The source gives so many at a time, the clone what it has up to the last of them. */
bool contents_compare_large_objects(struct verification *v, struct err *e)
{
	char after[16] = "0";
	bool is_last = false;

	while (!is_last) {
		struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};
		const char *last, *ignored;

		if (!read_large_objects(v, v->source, after, NULL, &here, &last, e) ||
			!read_large_objects(v, v->staging, after, last, &there, &ignored, e))
			return false;
		v->large_objects += (int64_t)here.count;
		is_last = !last;
		if (last)
			snprintf(after, sizeof(after), "%s", last);
		verification_compare(v, &here, &there);
	}
	return true;
}
