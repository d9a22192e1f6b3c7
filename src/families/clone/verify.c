/* SPDX-License-Identifier: PostgreSQL */
/* Asking both ends, and judging the answers. */
#include "families/clone/verify.h"

#include <inttypes.h>

#include "base/utf8.h"
#include "db/query.h"
#include "families/clone/progress.h"
#include "families/clone/verification.h"

/*
 * Each returns (kind, name, definition). One with a parameter wants to know whether both servers
 * are of one major version.
 */
static const struct sql_statement *const definitions[] = {
	&sql_clone_def_schemas,
	&sql_clone_def_types,
	&sql_clone_def_relations,
	&sql_clone_def_columns,
	&sql_clone_def_constraints,
	&sql_clone_def_indexes,
	&sql_clone_def_on_relations,
	&sql_clone_def_functions,
	&sql_clone_def_operators,
	&sql_clone_def_others,
	&sql_clone_def_rights,
	&sql_clone_def_words,
	&sql_clone_def_texts,
};

/* Differences that are reported and do not fail the clone; verify.h says why. */
static const char *const lenient[] = {"extension version", "rows of materialized view"};

enum {
	EVENTS_MAX = 50,
	NAMED_MAX = 5,	     /* in the error itself */
	EXCERPT_BEFORE = 24, /* bytes before the first difference */
	EXCERPT_BYTES = 72,
};

struct source_state {
	uint64_t digests[ARRAY_LENGTH(definitions)];
	struct sequences sequences;
};

void pair_clear(struct pair *pair)
{
	PQclear(pair->source);
	PQclear(pair->staging);
}

static void add_parameter(
	struct params *params, const struct clone *clone, const struct sql_statement *statement)
{
	if (statement->nparams > 0)
		params_bool(
			params, conn_major(&clone->source.conn) == conn_major(&clone->target.conn));
}

void verification_add(struct facts *facts, const PGresult *rows)
{
	for (int row = 0; row < PQntuples(rows); row++)
		facts_add(facts, row_text(rows, row, "kind"), row_text(rows, row, "name"),
			row_text(rows, row, "definition"));
}

/*
 * Functions that deparse look at the newest catalogs, and fail on what has been dropped since the
 * snapshot. Another attempt will not see it any more.
 */
static bool source_failed(struct err *e)
{
	static const char *const gone[] = {"XX000", "42P01", "42704", "42883", "3F000"};

	for (size_t i = 0; i < ARRAY_LENGTH(gone); i++)
		if (strcmp(e->sqlstate, gone[i]) == 0) {
			e->kind = ERR_TRANSIENT;
			snprintf(e->code, sizeof(e->code), "source_changed");
		}
	return err_in(e, "source");
}

static bool read_definitions(struct clone *clone, const struct sql_statement *statement,
	struct facts *facts, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	add_parameter(&params, clone, statement);
	if (!attempt_query(clone->attempt, &clone->source.conn, statement, &params, &rows, e))
		return source_failed(e);
	verification_add(facts, rows);
	return true;
}

bool verify_remember(struct clone *clone, struct err *e)
{
	struct source_state *state = xcalloc(1, sizeof(*state));

	clone->before = state;
	for (size_t i = 0; i < ARRAY_LENGTH(definitions); i++) {
		struct facts facts CLEANUP(facts_clear) = {0};

		if (!read_definitions(clone, definitions[i], &facts, e))
			return false;
		state->digests[i] = facts_digest(&facts);
	}
	return sequences_read(clone->attempt, &clone->source.conn, &state->sequences, e) ||
		err_in(e, "reading the source's sequences");
}

void source_state_free(struct source_state *state)
{
	if (!state)
		return;
	sequences_clear(&state->sequences);
	free(state);
}

bool verification_receive(struct verification *v, struct conn *source, struct conn *staging,
	struct pair *ret_pair, struct err *e)
{
	struct pair pair CLEANUP(pair_clear) = {0};

	if (!attempt_receive(v->clone->attempt, source, &pair.source, e))
		return source_failed(e);
	if (!attempt_receive(v->clone->attempt, staging, &pair.staging, e))
		return err_in(e, "%s", v->clone->staging);
	*ret_pair = pair;
	pair = (struct pair){0};
	return true;
}

bool verification_ask(struct verification *v, const char *source_sql, const char *staging_sql,
	const struct params *params, struct pair *ret_pair, struct err *e)
{
	return attempt_send(v->source, source_sql, params, e) &&
		attempt_send(v->staging, staging_sql, params, e) &&
		verification_receive(v, v->source, v->staging, ret_pair, e);
}

int verify_percent(const struct clone *clone)
{
	if (clone->verify == CLONE_VERIFY_SAMPLE)
		return clone->sample_percent;
	return clone->verify == CLONE_VERIFY_FULL ? 100 : 0;
}

/* The text behind `"owner": "..."`, and how much stands before it; all of it if there is none. */
static const char *after_owner(const char *definition, size_t *ret_before)
{
	static const char key[] = "\"owner\": \"";
	const char *owner = strstr(definition, key);

	*ret_before = owner ? (size_t)(owner - definition) : 0;
	if (!owner)
		return definition;
	for (owner += strlen(key); *owner && *owner != '"'; owner++)
		owner += *owner == '\\';
	return owner;
}

/* Without owners and rights: those that the payload does not want to be the source's. */
static bool is_owners_only(const struct difference *d)
{
	static const char *const kinds[] = {"rights", "changed rights", "default rights",
		"right on database", "owner of database", "setting of database"};
	const char *here, *there;
	size_t before_here, before_there;

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		if (strcmp(d->kind, kinds[i]) == 0)
			return true;
	if (!d->source || !d->target)
		return false;
	if (strcmp(d->kind, "large object") == 0) /* owner, size, rights, digest */
		return strcmp(strrchr(d->source, ' '), strrchr(d->target, ' ')) == 0;
	here = after_owner(d->source, &before_here);
	there = after_owner(d->target, &before_there);
	return before_here == before_there && strncmp(d->source, d->target, before_here) == 0 &&
		strcmp(here, there) == 0;
}

static bool is_lenient(const struct verification *v, const char *kind)
{
	for (size_t i = 0; i < ARRAY_LENGTH(lenient); i++)
		if (strcmp(kind, lenient[i]) == 0)
			return true;
	return v->is_lenient;
}

/* Where two texts part, without half a character at either end. */
static size_t excerpt_start(const char *one, const char *other)
{
	size_t same = 0, start;

	while (one[same] && one[same] == other[same])
		same++;
	start = same > EXCERPT_BEFORE ? same - EXCERPT_BEFORE : 0;
	while (start > 0 && ((unsigned char)one[start] & 0xc0) == 0x80)
		start--;
	return start;
}

static void add_excerpt(struct buf *text, const char *definition, size_t start)
{
	size_t left = strlen(definition), length, end = start;

	while (end < left && end - start < EXCERPT_BYTES) {
		length = utf8_length(definition + end, left - end);
		buf_add(text, length ? definition + end : "?", length ? length : 1);
		end += length ? length : 1;
	}
	if (end < left)
		buf_text(text, "...");
}

static void describe(struct buf *text, const struct difference *d)
{
	size_t start;

	buf_printf(text, "%s%s%s ", d->kind, d->name[0] ? " " : "", d->name);
	if (!d->target) {
		buf_text(text, "is missing in the clone");
	} else if (!d->source) {
		buf_text(text, "is in the clone only");
	} else {
		start = excerpt_start(d->source, d->target);
		buf_text(text, "differs: source has ");
		add_excerpt(text, d->source, start);
		buf_text(text, ", clone has ");
		add_excerpt(text, d->target, start);
	}
}

static void on_difference(void *context, const struct difference *difference)
{
	struct verification *v = context;
	bool is_warning = is_lenient(v, difference->kind);
	struct buf text CLEANUP(buf_clear) = {0};

	if (v->clone->skips_owners && is_owners_only(difference))
		return;
	describe(&text, difference);
	if (v->differences + v->warnings < EVENTS_MAX)
		attempt_event(v->clone->attempt, is_warning ? EVENT_WARN : EVENT_ERROR,
			"verification_difference",
			json_pack("{s:s, s:s%, s:s}", "kind", difference->kind, "name",
				difference->name, strlen(difference->name), "differs",
				!difference->target	      ? "missing"
					: !difference->source ? "unexpected"
							      : "changed"),
			"%s", text.bytes);
	if (is_warning) {
		v->warnings++;
		return;
	}
	if (v->differences++ < NAMED_MAX)
		buf_printf(&v->first, "%s%s", v->first.length ? "; " : "", text.bytes);
}

void verification_compare(struct verification *v, struct facts *source, struct facts *staging)
{
	facts_compare(source, staging, on_difference, v);
	facts_clear(source);
	facts_clear(staging);
}

static bool compare_statement(
	struct verification *v, size_t which, bool *ret_source_changed, struct err *e)
{
	const struct sql_statement *statement = definitions[which];
	struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};
	struct params params CLEANUP(params_clear) = {0};
	struct pair answers CLEANUP(pair_clear) = {0};

	add_parameter(&params, v->clone, statement);
	if (!verification_ask(v, statement->text, statement->text, &params, &answers, e))
		return err_in(e, "%s", statement->name);
	verification_add(&here, answers.source);
	v->definitions += (int64_t)here.count;
	*ret_source_changed = facts_digest(&here) != v->clone->before->digests[which];
	if (statement != &sql_clone_def_texts) {
		verification_add(&there, answers.staging);
	} else {
		facts_clear(&here);
		if (!texts_add(v, &answers, &here, &there, e))
			return false;
	}
	verification_compare(v, &here, &there);
	return true;
}

static bool compare_definitions(struct verification *v, bool *ret_source_changed, struct err *e)
{
	*ret_source_changed = false;
	for (size_t i = 0; i < ARRAY_LENGTH(definitions); i++) {
		bool changed = false;

		if (!compare_statement(v, i, &changed, e))
			return false;
		*ret_source_changed = *ret_source_changed || changed;
	}
	return true;
}

static bool read_database(struct verification *v, struct conn *conn, const char *database,
	struct facts *facts, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, database);
	if (!attempt_query(v->clone->attempt, conn, &sql_clone_def_database, &params, &rows, e))
		return err_in(e, "comparing what belongs to the database");
	verification_add(facts, rows);
	return true;
}

/* What could not be copied is known already, so that it is no failure to find it missing. */
static bool compare_database(struct verification *v, struct err *e)
{
	struct facts here CLEANUP(facts_clear) = {0}, there CLEANUP(facts_clear) = {0};

	if (!read_database(v, v->source, v->clone->source.database, &here, e) ||
		!read_database(v, v->staging, v->clone->staging, &there, e))
		return false;
	v->is_lenient = v->clone->not_copied > 0;
	verification_compare(v, &here, &there);
	v->is_lenient = false;
	return true;
}

static const char *plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

static void report(struct verification *v)
{
	bool passed = v->differences == 0;

	attempt_event(v->clone->attempt, passed ? EVENT_INFO : EVENT_ERROR, "verification_result",
		json_pack("{s:b, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I}", "passed", passed,
			"percent", verify_percent(v->clone), "differences", v->differences,
			"warnings", v->warnings, "definitions", (json_int_t)v->definitions,
			"tables", (json_int_t)v->tables, "rows", (json_int_t)v->rows, "sequences",
			(json_int_t)v->sequences, "large_objects", (json_int_t)v->large_objects),
		"%s: %" PRId64 " definition%s, %" PRId64 " table%s with %" PRId64 " row%s, %" PRId64
		" sequence%s, %" PRId64 " large object%s",
		passed ? "the clone equals its source" : "the clone differs from its source",
		v->definitions, plural(v->definitions), v->tables, plural(v->tables), v->rows,
		plural(v->rows), v->sequences, plural(v->sequences), v->large_objects,
		plural(v->large_objects));
}

static void verification_clear(struct verification *v)
{
	buf_clear(&v->first);
}

bool verify_run(struct clone *clone, struct conn *staging, const struct lanes *lanes, struct err *e)
{
	struct verification v CLEANUP(verification_clear) = {
		.clone = clone, .source = &clone->source.conn, .staging = staging, .lanes = lanes};
	bool source_changed = false;

	if (!compare_definitions(&v, &source_changed, e) || !compare_database(&v, e) ||
		!contents_compare_sequences(&v, &clone->before->sequences, e) ||
		!contents_compare_large_objects(&v, e) || !contents_compare_tables(&v, e))
		return false;
	report(&v);
	if (v.differences == 0)
		return true;
	if (source_changed)
		return err_code(e, ERR_TRANSIENT, "source_changed",
			"objects of the source changed while it was cloned: %s", v.first.bytes);
	return err_code(e, ERR_PERMANENT, "verification_failed",
		"the clone differs from its source in %d places: %s", v.differences, v.first.bytes);
}
