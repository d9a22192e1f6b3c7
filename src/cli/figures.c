/* SPDX-License-Identifier: PostgreSQL */
/* Looks at the queue. */
#include "cli/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/listing.h"
#include "cli/when.h"
#include "db/query.h"
#include "sql_statements.h"

static const char lock_timeout_ms[] = "500";
static const char statement_timeout_ms[] = "5000";

/* Columns of top_families.sql and members in JSON; the speeds are made of two looks. */
static const struct {
	const char *column, *member;
} names[FIGURES] = {
	[FIGURE_READY] = {"ready", "ready"},
	[FIGURE_SCHEDULED] = {"scheduled", "scheduled"},
	[FIGURE_RUNNING] = {"running", "running"},
	[FIGURE_WAITING] = {"waiting", "waiting"},
	[FIGURE_DEAD] = {"dead", "dead"},
	[FIGURE_ENQUEUED_PER_S] = {NULL, "enqueued_per_s"},
	[FIGURE_ENDED_PER_S] = {NULL, "ended_per_s"},
	[FIGURE_DEAD_PER_S] = {NULL, "dead_per_s"},
	[FIGURE_OLDEST_S] = {NULL, "oldest_s"},
};

/* Limits that hold for this transaction alone, so that it works behind poolers as well. */
static bool begin(struct conn *conn, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_text(&params, lock_timeout_ms);
	params_text(&params, statement_timeout_ms);
	return query_command(conn, "BEGIN READ ONLY", e) &&
		query_run(conn, &sql_metrics_limits, &params, NULL, e);
}

static void init(struct figures_family *family, const char *name)
{
	*family = (struct figures_family){.name = xstrdup(name)};
	for (int i = 0; i < FIGURES; i++)
		family->now[i] = NAN;
	for (int i = 0; i < FIGURES_HISTORY; i++)
		family->history[i] = NAN;
}

/* The family of the look before, or NULL. */
static struct figures_family *find(const struct figures *figures, const char *name)
{
	for (size_t i = 0; i < figures->family_count; i++)
		if (strcmp(figures->families[i].name, name) == 0)
			return &figures->families[i];
	return NULL;
}

static double speed(double now, double before, double seconds)
{
	return seconds > 0 && now > before ? (now - before) / seconds : 0;
}

static void remember(struct figures_family *family, const struct figures_family *before)
{
	memcpy(family->history, before->history + 1,
		(FIGURES_HISTORY - 1) * sizeof(family->history[0]));
	family->history[FIGURES_HISTORY - 1] = family->now[FIGURE_ENDED_PER_S];
}

/* before: the same family in the last look, `seconds` ago; or NULL. */
static void read_family(struct figures_family *family, const PGresult *rows, int row,
	const struct figures_family *before, double seconds)
{
	init(family, row_text(rows, row, "family"));
	family->is_paused = row_bool(rows, row, "paused");
	for (int i = 0; i < FIGURES; i++)
		if (names[i].column)
			family->now[i] = row_f64(rows, row, names[i].column);
	family->enqueued = row_f64(rows, row, "enqueued");
	family->ended = row_f64(rows, row, "ended");
	if (!before)
		return;
	family->now[FIGURE_ENQUEUED_PER_S] = speed(family->enqueued, before->enqueued, seconds);
	family->now[FIGURE_ENDED_PER_S] = speed(family->ended, before->ended, seconds);
	family->now[FIGURE_DEAD_PER_S] =
		speed(family->now[FIGURE_DEAD], before->now[FIGURE_DEAD], seconds);
	remember(family, before);
}

static void free_families(struct figures *figures)
{
	for (size_t i = 0; i < figures->family_count; i++)
		free(figures->families[i].name);
	free(figures->families);
	figures->families = NULL;
	figures->family_count = 0;
}

static void keep_families(struct figures *figures, const PGresult *rows)
{
	size_t count = (size_t)PQntuples(rows);
	struct figures_family *fresh = xcalloc(count + 1, sizeof(*fresh));
	double at_s = count ? row_f64(rows, 0, "at_s") : 0;

	for (size_t i = 0; i < count; i++) {
		const char *name = row_text(rows, (int)i, "family");
		const struct figures_family *before = find(figures, name);

		read_family(&fresh[i], rows, (int)i, before, at_s - figures->at_s);
	}
	free_families(figures);
	figures->families = fresh;
	figures->family_count = count;
	figures->at_s = at_s;
}

/* What is known of any. */
static double plus(double sum, double value)
{
	return isnan(sum) ? value : isnan(value) ? sum : sum + value;
}

static void sum_up(struct figures *figures)
{
	struct figures_family *all = &figures->all;

	free(all->name);
	init(all, "");
	for (size_t i = 0; i < figures->family_count; i++) {
		const struct figures_family *family = &figures->families[i];

		for (int k = 0; k < FIGURE_OLDEST_S; k++)
			all->now[k] = plus(all->now[k], family->now[k]);
		for (int k = 0; k < FIGURES_HISTORY; k++)
			all->history[k] = plus(all->history[k], family->history[k]);
		if (!isnan(family->now[FIGURE_OLDEST_S]) &&
			!(all->now[FIGURE_OLDEST_S] >= family->now[FIGURE_OLDEST_S]))
			all->now[FIGURE_OLDEST_S] = family->now[FIGURE_OLDEST_S];
	}
}

/* Ages of families with ready jobs; of others nothing is said. */
static void keep_ages(struct figures *figures, const PGresult *rows)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		struct figures_family *family = find(figures, row_text(rows, row, "family"));

		if (family && family->now[FIGURE_READY] > 0)
			family->now[FIGURE_OLDEST_S] = row_f64(rows, row, "age_s");
	}
}

static bool ask_ages(
	struct conn *conn, const struct params *params, PGresult **ret_rows, struct err *e)
{
	return begin(conn, e) && query_rows(conn, &sql_metrics_oldest, params, ret_rows, e) &&
		query_command(conn, "COMMIT", e);
}

/* In a transaction of its own: without the right to it, or when it takes too long, all else is
 * told. */
static bool look_at_ages(struct figures *figures, struct conn *conn, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	int64_t began_ms = clock_boot_ms();
	bool ok;

	if (figures->is_age_secret || !starts_choose(&figures->starts, NULL, &params))
		return true;
	ok = ask_ages(conn, &params, &rows, e);
	starts_learn(&figures->starts, ok ? rows : NULL, clock_boot_ms() - began_ms);
	if (ok) {
		keep_ages(figures, rows);
		return true;
	}
	figures->is_age_secret = strcmp(e->sqlstate, "42501") == 0;
	return e->sqlstate[0] && query_command(conn, "ROLLBACK", e);
}

static bool look(struct conn *conn, PGresult **ret_depth, PGresult **ret_workers,
	PGresult **ret_lanes, struct err *e)
{
	return begin(conn, e) && query_rows(conn, &sql_top_families, NULL, ret_depth, e) &&
		query_rows(conn, &sql_worker_list, NULL, ret_workers, e) &&
		query_rows(conn, &sql_maintenance_status, NULL, ret_lanes, e) &&
		query_command(conn, "COMMIT", e);
}

static void replace(PGresult **result, PGresult **fresh)
{
	PQclear(*result);
	*result = *fresh;
	*fresh = NULL;
}

bool figures_look(struct figures *figures, struct conn *conn, struct err *e)
{
	PGresult *depth CLEANUP(clear_result) = NULL;
	PGresult *workers CLEANUP(clear_result) = NULL;
	PGresult *lanes CLEANUP(clear_result) = NULL;

	if (!look(conn, &depth, &workers, &lanes, e))
		return false;
	keep_families(figures, depth);
	replace(&figures->workers, &workers);
	replace(&figures->lanes, &lanes);
	if (!look_at_ages(figures, conn, e))
		return false;
	sum_up(figures);
	return true;
}

static json_t *family_json(const struct figures_family *family)
{
	json_t *object =
		json_pack("{s:s, s:b}", "family", family->name, "paused", (int)family->is_paused);

	for (int i = 0; i < FIGURES; i++) {
		double value = family->now[i];

		json_object_set_new(object, names[i].member,
			isnan(value)		  ? json_null()
				: names[i].column ? json_integer((json_int_t)value)
						  : json_real(value));
	}
	return object;
}

static json_t *rows_json(const struct listing_column *columns, const PGresult *rows)
{
	json_t *list = json_array();

	for (int row = 0; row < PQntuples(rows); row++)
		json_array_append_new(list, listing_row(columns, rows, row));
	return list;
}

json_t *figures_json(const struct figures *figures)
{
	json_t *list = json_array();
	char at[WHEN_TEXT];

	for (size_t i = 0; i < figures->family_count; i++)
		json_array_append_new(list, family_json(&figures->families[i]));
	return json_pack("{s:s, s:o, s:o, s:o}", "at", when_utc((int64_t)(figures->at_s * 1e6), at),
		"families", list, "workers", rows_json(worker_columns, figures->workers), "lanes",
		rows_json(lane_columns, figures->lanes));
}

void figures_clear(struct figures *figures)
{
	free_families(figures);
	free(figures->all.name);
	PQclear(figures->workers);
	PQclear(figures->lanes);
	starts_clear(&figures->starts);
	*figures = (struct figures){0};
}
