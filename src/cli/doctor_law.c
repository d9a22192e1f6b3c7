/* SPDX-License-Identifier: PostgreSQL */
/* The conservation law on a live system, window by window. */
#include <inttypes.h>

#include "base/clock.h"
#include "cli/doctor.h"
#include "db/query.h"
#include "sql_statements.h"

enum { WINDOW_IDS = 100000, SHOWN_MAX = 5 };

/* The windows that were looked through. */
struct walk {
	int64_t first, last; /* ids there are */
	int64_t next;	     /* the highest id not yet looked at */
	int windows, offenders;
};

static bool ask(struct doctor *doctor, int64_t from, int64_t to, PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, from);
	params_i64(&params, to);
	return query_rows(&doctor->cli->conn, &sql_doctor_window, &params, ret_rows, e);
}

static void report(struct doctor *doctor, struct walk *walk, const PGresult *rows)
{
	char finding[256], remedy[64];

	for (int row = 0; row < PQntuples(rows) && walk->offenders < SHOWN_MAX; row++) {
		snprintf(finding, sizeof(finding), "job %s: %s (%s)", row_text(rows, row, "job_id"),
			row_text(rows, row, "problem"), row_text(rows, row, "detail"));
		snprintf(remedy, sizeof(remedy), "athena job show %s",
			row_text(rows, row, "job_id"));
		doctor_add(doctor, "conservation", "wrong", finding, remedy);
		walk->offenders++;
	}
}

static bool look(struct doctor *doctor, struct walk *walk, struct err *e)
{
	int64_t from = walk->next - WINDOW_IDS + 1;
	PGresult *rows CLEANUP(clear_result) = NULL;
	PGresult *again CLEANUP(clear_result) = NULL;

	if (!ask(doctor, from, walk->next, &rows, e))
		return false;
	if (PQntuples(rows) > 0) {
		if (!ask(doctor, from, walk->next, &again, e))
			return false;
		report(doctor, walk, again);
	}
	walk->next = from - 1;
	walk->windows++;
	return true;
}

static void conclude(struct doctor *doctor, const struct walk *walk)
{
	int64_t seen = walk->last - (walk->next < walk->first ? walk->first - 1 : walk->next);
	int64_t all = walk->last - walk->first + 1;
	char finding[256];

	if (walk->offenders)
		return;
	snprintf(finding, sizeof(finding),
		"each job of the last %" PRId64 " ids (%" PRId64
		" %% of all) is in exactly one place",
		seen, 100 * seen / all);
	doctor_add(doctor, "conservation", seen < all ? "note" : "good", finding,
		seen < all ? "athena doctor --deep looks at all of them" : NULL);
}

bool doctor_check_law(struct doctor *doctor, int64_t budget_ms, struct err *e)
{
	int64_t until_ms = clock_boot_ms() + budget_ms;
	PGresult *ids CLEANUP(clear_result) = NULL;
	struct walk walk = {0};

	if (!query_rows(&doctor->cli->conn, &sql_doctor_ids, NULL, &ids, e))
		return false;
	if (row_is_null(ids, 0, "last")) {
		doctor_add(doctor, "conservation", "good", "there are no jobs", NULL);
		return true;
	}
	walk.first = row_i64(ids, 0, "first");
	walk.last = walk.next = row_i64(ids, 0, "last");
	do {
		if (!look(doctor, &walk, e))
			return false;
	} while (walk.next >= walk.first && (!budget_ms || clock_boot_ms() < until_ms));
	conclude(doctor, &walk);
	return true;
}
