/* SPDX-License-Identifier: PostgreSQL */
/*
 * Whether two texts mean the same, though Postgres tells them in different words.
 *
 * `status IN ('a', 'b')` becomes one text when it is parsed, and another one when that text has
 * been restored; so do literals in a UNION, and every major has its own ways. A text that differs
 * is therefore tried: the clone's server makes the thing anew from the source's text, as the
 * restore did, and tells it in its own words. If these are the clone's words, or those for the
 * clone's text when that has been made anew too, both mean the same. All of it happens in
 * transactions that are rolled back.
 */
#include "db/query.h"
#include "families/clone/row_index.h"
#include "families/clone/verification.h"

static bool command(struct verification *v, const char *sql, struct err *e)
{
	return !sql || attempt_command(v->clone->attempt, v->staging, sql, e);
}

/* Event triggers of the clone must not meddle; only a superuser can have made some. */
static bool tell_in_transaction(struct verification *v, const PGresult *recipe, const char *again,
	PGresult **ret_told, struct err *e)
{
	return (!conn_is_superuser(v->staging) ||
		       command(v, "SET LOCAL session_replication_role = replica", e)) &&
		command(v, row_text(recipe, 0, "before"), e) &&
		command(v, row_text(recipe, 0, "remake"), e) &&
		attempt_send(v->staging, again, NULL, e) &&
		attempt_receive(v->clone->attempt, v->staging, ret_told, e);
}

/* *ret_text is NULL when the server refuses what it is told to make. The caller frees it. */
static bool tell(struct verification *v, const PGresult *recipe, const char *again, char **ret_text,
	struct err *e)
{
	PGresult *told CLEANUP(clear_result) = NULL;
	struct err why = {0};
	bool is_told;

	if (!command(v, "BEGIN", e))
		return false;
	is_told = tell_in_transaction(v, recipe, again, &told, &why) && PQntuples(told) == 1;
	if (!is_told && why.kind != ERR_NONE && why.kind != ERR_PERMANENT) {
		*e = why;
		return false;
	}
	if (!command(v, "ROLLBACK", e))
		return false;
	is_told = is_told && !row_is_null(told, 0, "definition");
	*ret_text = is_told ? xstrdup(row_text(told, 0, "definition")) : NULL;
	return true;
}

static bool find_recipe(struct verification *v, struct conn *conn, const char *kind,
	const char *oid, PGresult **ret_recipe, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_text(&params, kind);
	params_text(&params, oid);
	return attempt_query(v->clone->attempt, conn, &sql_clone_remake, &params, ret_recipe, e);
}

static bool mean_the_same(struct verification *v, const char *kind, const char *source_oid,
	const char *staging_oid, const char *own, bool *ret_same, struct err *e)
{
	PGresult *source CLEANUP(clear_result) = NULL, *staging CLEANUP(clear_result) = NULL;
	char *told CLEANUP(free_ptr) = NULL, *told_own CLEANUP(free_ptr) = NULL;
	const char *again;

	*ret_same = false;
	if (!find_recipe(v, v->source, kind, source_oid, &source, e) ||
		!find_recipe(v, v->staging, kind, staging_oid, &staging, e))
		return false;
	if (PQntuples(source) != 1 || PQntuples(staging) != 1)
		return true;
	again = row_text(staging, 0, "again");
	if (!tell(v, source, again, &told, e))
		return false;
	*ret_same = told && strcmp(told, own) == 0;
	if (!told || *ret_same)
		return true;
	if (!tell(v, staging, again, &told_own, e))
		return false;
	*ret_same = told_own && strcmp(told, told_own) == 0;
	return true;
}

/* What is on one side only has a definition of its own that says so; a default has none. */
static bool counts_alone(const char *kind)
{
	return strncmp(kind, "default of", strlen("default of")) == 0;
}

/* Null for what has been dropped since the snapshot. */
static const char *definition_of(const PGresult *rows, int row)
{
	const char *text = row_text(rows, row, "definition");

	return text ? text : "";
}

/* A text that both sides have: the source's words for both, if they mean the same. */
static bool add_both(struct verification *v, const struct pair *answers, int source_row,
	int staging_row, struct facts *source, struct facts *staging, struct err *e)
{
	const char *kind = row_text(answers->source, source_row, "kind");
	const char *name = row_text(answers->source, source_row, "name");
	const char *other = definition_of(answers->source, source_row);
	const char *own = definition_of(answers->staging, staging_row);
	bool is_same = strcmp(own, other) == 0;

	if (!is_same &&
		!mean_the_same(v, kind, row_text(answers->source, source_row, "oid"),
			row_text(answers->staging, staging_row, "oid"), own, &is_same, e))
		return err_in(e, "comparing %s %s", kind, name);
	facts_add(source, kind, name, other);
	facts_add(staging, kind, name, is_same ? other : own);
	return true;
}

static void add_alone(struct facts *facts, const PGresult *rows, int row)
{
	const char *kind = row_text(rows, row, "kind");

	if (counts_alone(kind))
		facts_add(facts, kind, row_text(rows, row, "name"),
			row_text(rows, row, "definition"));
}

bool texts_add(struct verification *v, const struct pair *answers, struct facts *source,
	struct facts *staging, struct err *e)
{
	struct row_index theirs CLEANUP(row_index_clear) = {0};
	struct row_index ours CLEANUP(row_index_clear) = {0};

	row_index_make(&theirs, answers->source);
	row_index_make(&ours, answers->staging);
	for (int row = 0; row < PQntuples(answers->source); row++) {
		int other = row_index_find(&ours, row_text(answers->source, row, "kind"),
			row_text(answers->source, row, "name"));

		if (other < 0)
			add_alone(source, answers->source, row);
		else if (!add_both(v, answers, row, other, source, staging, e))
			return false;
	}
	for (int row = 0; row < PQntuples(answers->staging); row++)
		if (row_index_find(&theirs, row_text(answers->staging, row, "kind"),
			    row_text(answers->staging, row, "name")) < 0)
			add_alone(staging, answers->staging, row);
	return true;
}
