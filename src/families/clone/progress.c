/* SPDX-License-Identifier: PostgreSQL */
/* One bar for two kinds of bytes. */
#include "families/clone/progress.h"

#include <inttypes.h>

#include "base/clock.h"
#include "db/query.h"

enum { TOLD_AT_ONCE = 8 };

/* What may take long; of what copy.c sends in one go only the last statement does. */
static const char long_ones[] = "^(ALTER TABLE|BEGIN; TRUNCATE|COPY|CREATE INDEX|CREATE UNIQUE "
				"INDEX|REFRESH) ";
static const char copy_begins[] = "; COPY ";

static int64_t to_compare(const struct clone *clone)
{
	return clone->verify == CLONE_VERIFY_NONE ? 0 : clone->table_bytes;
}

void progress_piped(struct clone *clone)
{
	int64_t piped = clone->piped_bytes;
	/* One byte short of it, so that the bar is not full before the dump is restored. */
	int64_t dump = piped < clone->table_bytes ? clone->table_bytes : piped + 1;

	attempt_progress(clone->attempt, piped, dump + to_compare(clone), "bytes");
}

void progress_verified(struct clone *clone, int64_t compared_bytes)
{
	int64_t total = clone->piped_bytes + to_compare(clone);
	int64_t done = clone->piped_bytes + compared_bytes;

	attempt_progress(clone->attempt, done < total ? done : total - 1, total, "bytes");
}

static void tell(const PGresult *rows, int row, struct buf *text, json_t *list)
{
	const char *whole = row_text(rows, row, "statement");
	const char *copy = strstr(whole, copy_begins);
	const char *statement = copy ? copy + strlen("; ") : whole;
	int64_t seconds = row_i64(rows, row, "seconds");
	json_t *told = json_pack("{s:s%, s:I, s:s}", "statement", statement, strlen(statement),
		"seconds", (json_int_t)seconds, "phase", row_text(rows, row, "phase"));

	buf_printf(text, "%s%s", row > 0 ? "; " : "", statement);
	if (!row_is_null(rows, row, "percent")) {
		int64_t percent = row_i64(rows, row, "percent");

		json_object_set_new(told, "percent", json_integer(percent));
		buf_printf(text, ": %s, %" PRId64 " %%", row_text(rows, row, "phase"), percent);
	}
	if (!row_is_null(rows, row, "bytes")) {
		int64_t bytes = row_i64(rows, row, "bytes");

		json_object_set_new(told, "bytes", json_integer(bytes));
		json_object_set_new(told, "rows", json_integer(row_i64(rows, row, "rows")));
		buf_printf(text, ": %" PRId64 " bytes", bytes);
	}
	buf_printf(text, " in %" PRId64 " s", seconds);
	json_array_append_new(list, told);
}

bool progress_look(struct clone *clone, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	struct buf text CLEANUP(buf_clear) = {0};
	int64_t now_ms = clock_boot_ms();
	json_t *list;

	if (clone->looked_ms == 0)
		clone->looked_ms = now_ms;
	if (now_ms - clone->looked_ms < PROGRESS_LOOK_MS)
		return true;
	clone->looked_ms = now_ms;
	params_text(&params, clone->staging);
	params_text(&params, clone->application);
	params_i64(&params, TOLD_AT_ONCE);
	params_text(&params, long_ones);
	if (!attempt_query(
		    clone->attempt, &clone->target.conn, &sql_clone_doing, &params, &rows, e))
		return err_in(e, "looking how far it is");
	if (PQntuples(rows) == 0)
		return true;
	list = json_array();
	for (int row = 0; row < PQntuples(rows); row++)
		tell(rows, row, &text, list);
	attempt_event(clone->attempt, EVENT_INFO, "progress", json_pack("{s:o}", "doing", list),
		"%s", text.bytes);
	return true;
}

void progress_complete(struct clone *clone)
{
	int64_t total = clone->piped_bytes + to_compare(clone);

	attempt_progress(clone->attempt, total, total, "bytes");
}
