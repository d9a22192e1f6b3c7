/* SPDX-License-Identifier: PostgreSQL */
/* Rows, sequences and large objects of both ends. */
#include <poll.h>

#include "db/query.h"
#include "families/clone/left_out.h"
#include "families/clone/progress.h"
#include "families/clone/row_index.h"
#include "families/clone/verification.h"
#include "families/clone/verify.h"

enum { LARGE_OBJECTS_AT_ONCE = 500 };

static void add_rows(
	struct facts *facts, const char *kind, const char *name, const PGresult *answer)
{
	const char *digest = row_text(answer, 0, "digest");
	char *text CLEANUP(free_ptr) = xasprintf("%s rows%s%s", row_text(answer, 0, "rows"),
		digest ? ", digest " : "", digest ? digest : "");

	facts_add(facts, kind, name, text);
}

/* The tables of both ends, and how far we are. */
struct table_list {
	struct verification *v;
	struct pair tables;
	struct row_index index; /* of tables.staging */
	int next;
	int64_t compared_bytes;
};

/* Two sessions, and the row of the table that they are asked about; -1: none. */
struct comparer {
	struct conn *source, *staging;
	int row;
};

static void table_list_clear(struct table_list *list)
{
	row_index_clear(&list->index);
	pair_clear(&list->tables);
}

static bool read_tables(struct table_list *list, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, verify_percent(list->v->clone));
	left_out_add(list->v->clone, &params);
	if (!verification_ask(list->v, sql_clone_tables.text, sql_clone_tables.text, &params,
		    &list->tables, e))
		return err_in(e, "listing tables");
	row_index_make(&list->index, list->tables.staging);
	return true;
}

static void table_is_done(struct table_list *list, int row)
{
	list->v->tables++;
	list->compared_bytes += row_i64(list->tables.source, row, "bytes");
	progress_verified(list->v->clone, list->compared_bytes);
}

static void miss_table(struct table_list *list, int row)
{
	struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};

	facts_add(&here, row_text(list->tables.source, row, "kind"),
		row_text(list->tables.source, row, "name"), "there");
	verification_compare(list->v, &here, &there);
	table_is_done(list, row);
}

/* Asks about the next table that both ends have; there may be none. */
static bool ask(struct table_list *list, struct comparer *comparer, struct err *e)
{
	const PGresult *source = list->tables.source, *staging = list->tables.staging;

	while (comparer->row < 0 && list->next < PQntuples(source)) {
		int row = list->next++;
		int other = row_index_find(
			&list->index, row_text(source, row, "kind"), row_text(source, row, "name"));

		if (other < 0) {
			miss_table(list, row);
			continue;
		}
		comparer->row = row;
		if (!attempt_send(comparer->source, row_text(source, row, "statement"), NULL, e) ||
			!attempt_send(
				comparer->staging, row_text(staging, other, "statement"), NULL, e))
			return err_in(e, "comparing %s", row_text(source, row, "name"));
	}
	return true;
}

/* Whether the answer can be taken without waiting; a broken session has nothing more to say. */
static bool has_answered(struct conn *conn)
{
	return PQflush(conn->pg) < 0 || !PQconsumeInput(conn->pg) || !PQisBusy(conn->pg);
}

static bool take_answer(struct table_list *list, struct comparer *comparer, struct err *e)
{
	struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};
	const char *kind = row_text(list->tables.source, comparer->row, "kind");
	const char *name = row_text(list->tables.source, comparer->row, "name");
	struct pair answers CLEANUP(pair_clear) = {0};

	if (!verification_receive(list->v, comparer->source, comparer->staging, &answers, e))
		return err_in(e, "comparing %s %s", kind, name);
	add_rows(&here, kind, name, answers.source);
	add_rows(&there, kind, name, answers.staging);
	list->v->rows += row_i64(answers.source, 0, "rows");
	verification_compare(list->v, &here, &there);
	table_is_done(list, comparer->row);
	comparer->row = -1;
	return true;
}

/* The sessions that have been asked; how many descriptors. */
static int watch(const struct comparer *comparers, int count, struct pollfd *fds)
{
	int watched = 0;

	for (int i = 0; i < count; i++) {
		if (comparers[i].row < 0)
			continue;
		fds[watched++] =
			(struct pollfd){.fd = PQsocket(comparers[i].source->pg), .events = POLLIN};
		fds[watched++] =
			(struct pollfd){.fd = PQsocket(comparers[i].staging->pg), .events = POLLIN};
	}
	return watched;
}

static bool compare_all(
	struct table_list *list, struct comparer *comparers, int count, struct err *e)
{
	struct pollfd *fds CLEANUP(free_ptr) = xcalloc(2 * (size_t)count, sizeof(*fds));

	for (;;) {
		int watched, ready;

		for (int i = 0; i < count; i++) {
			struct comparer *comparer = &comparers[i];

			if (comparer->row >= 0 && has_answered(comparer->source) &&
				has_answered(comparer->staging) && !take_answer(list, comparer, e))
				return false;
			if (comparer->row < 0 && !ask(list, comparer, e))
				return false;
		}
		watched = watch(comparers, count, fds);
		if (watched == 0)
			return true;
		if (!attempt_wait(list->v->clone->attempt, fds, watched, -1, &ready, e))
			return false;
	}
}

bool contents_compare_tables(struct verification *v, struct err *e)
{
	struct table_list list CLEANUP(table_list_clear) = {.v = v};
	int count = v->lanes->count + 1;
	struct comparer *comparers CLEANUP(free_ptr) = xcalloc((size_t)count, sizeof(*comparers));

	comparers[0] = (struct comparer){v->source, v->staging, -1};
	for (int i = 1; i < count; i++)
		comparers[i] = (struct comparer){
			&v->lanes->rows[i - 1].source, &v->lanes->rows[i - 1].staging, -1};
	return read_tables(&list, e) && compare_all(&list, comparers, count, e);
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
