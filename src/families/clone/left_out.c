/* SPDX-License-Identifier: PostgreSQL */
/* From what a payload names to what SQL and pg_dump are told. */
#include "families/clone/left_out.h"

#include "db/query.h"

static bool ask(struct clone *clone, PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	size_t count = json_array_size(clone->exclude_data);
	const char **names CLEANUP(free_ptr) = xcalloc(count + 1, sizeof(*names));

	for (size_t i = 0; i < count; i++)
		names[i] = json_string_value(json_array_get(clone->exclude_data, i));
	params_texts(&params, names, count);
	return attempt_query(clone->attempt, &clone->source.conn, &sql_clone_left_out, &params,
		       ret_rows, e) ||
		err_in(e, "looking for tables without rows");
}

bool left_out_read(struct clone *clone, struct err *e)
{
	struct arena *arena = &clone->attempt->arena;
	PGresult *rows CLEANUP(clear_result) = NULL;
	size_t size;

	if (json_array_size(clone->exclude_data) == 0)
		return true;
	if (!ask(clone, &rows, e))
		return false;
	size = (size_t)PQntuples(rows) * sizeof(char *);
	clone->left_out = arena_alloc(arena, size);
	clone->left_out_options = arena_alloc(arena, size);
	for (int row = 0; row < PQntuples(rows); row++) {
		if (row_is_null(rows, row, "name")) {
			findings_add(&clone->findings, clone->attempt, ERR_PERMANENT,
				"no_such_table", "the source has no table %s, to exclude its rows",
				row_text(rows, row, "asked"));
			continue;
		}
		clone->left_out[clone->left_out_count] =
			arena_strdup(arena, row_text(rows, row, "name"));
		clone->left_out_options[clone->left_out_count++] = arena_printf(
			arena, "--exclude-table-data=%s", row_text(rows, row, "pattern"));
	}
	return true;
}

void left_out_add(const struct clone *clone, struct params *params)
{
	params_texts(params, clone->left_out, clone->left_out_count);
}

const char *const *left_out_argv(const struct clone *clone, const char *const *words)
{
	size_t count = 0;
	const char **argv;

	while (words[count])
		count++;
	argv = arena_alloc(
		&clone->attempt->arena, (count + clone->left_out_count + 1) * sizeof(*argv));
	for (size_t i = 0; i < count; i++)
		argv[i] = words[i];
	for (size_t i = 0; i < clone->left_out_count; i++)
		argv[count++] = clone->left_out_options[i];
	argv[count] = NULL;
	return argv;
}
