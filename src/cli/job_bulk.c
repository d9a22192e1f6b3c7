/* SPDX-License-Identifier: PostgreSQL */
/* Retrying or cancelling jobs by their state. */
#include "cli/job_bulk.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/bar.h"
#include "cli/when.h"
#include "db/query.h"

enum {
	BATCH_JOBS = 500,
	SHOWN_MAX = 5, /* refusals that are told one by one */
};

/* One run. */
struct sweep {
	struct cli *cli;
	const struct job_bulk *how;
	struct bar bar;
	int64_t began_ms;
	int64_t total, done, refused;
	int64_t before; /* jobs from this id on were looked at */
};

bool job_bulk_is_meant(struct cli *cli, bool *ret_is_meant, struct err *e)
{
	bool has_filter = cli_is_given(cli, "state") || cli_is_given(cli, "family") ||
		cli_is_given(cli, "since") || cli_is_given(cli, "dry_run");

	*ret_is_meant = cli->arg_count == 0;
	if (cli->arg_count && has_filter)
		return err_set(e, ERR_CONFIG, "name jobs, or say --state: not both");
	if (!cli->arg_count && !cli_is_given(cli, "state"))
		return err_set(e, ERR_CONFIG, "which jobs? Name them, or say --state and --family");
	return true;
}

static void add_since(const struct cli *cli, struct params *params)
{
	if (cli_is_given(cli, "since"))
		params_ms(params, cli_int(cli, "since"));
	else
		params_null(params);
}

static bool count(struct sweep *sweep, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, cli_text(sweep->cli, "state"));
	params_text(&params, cli_text(sweep->cli, "family"));
	add_since(sweep->cli, &params);
	if (!query_rows(&sweep->cli->conn, &sql_job_bulk_count, &params, &rows, e))
		return false;
	sweep->total = row_i64(rows, 0, "jobs");
	return true;
}

static void announce(const struct sweep *sweep)
{
	const struct cli *cli = sweep->cli;
	struct buf jobs CLEANUP(buf_clear) = {0};
	char since[WHEN_TEXT];

	if (cli->wants_json)
		return;
	bar_amount(&jobs, sweep->total, sweep->total == 1 ? "job" : "jobs");
	printf("%s %s", jobs.bytes, cli_text(cli, "state"));
	if (cli_is_given(cli, "family"))
		printf(", family %s", cli_text(cli, "family"));
	if (cli_is_given(cli, "since"))
		printf(", of the last %s", when_length(cli_int(cli, "since") * 1000, since));
	putchar('\n');
	fflush(stdout);
}

static void draw(struct sweep *sweep)
{
	const struct bar_figures figures = {.label = sweep->how->verb,
		.done = sweep->done + sweep->refused,
		.total = sweep->total,
		.unit = sweep->total == 1 ? "job" : "jobs",
		.elapsed_us = (clock_boot_ms() - sweep->began_ms) * 1000};

	if (!sweep->cli->wants_json && sweep->total > 0)
		bar_draw(&sweep->bar, &figures);
}

static void refuse(struct sweep *sweep, int64_t job_id, const struct err *e)
{
	if (sweep->refused++ < SHOWN_MAX) {
		bar_erase(&sweep->bar);
		fprintf(stderr, "job %" PRId64 ": %s\n", job_id, e->text);
	}
}

/* False when nothing more can be done. */
static bool act_on_one(struct sweep *sweep, int64_t job_id, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, job_id);
	if (query_run(&sweep->cli->conn, sweep->how->one, &params, NULL, e)) {
		sweep->done++;
		return true;
	}
	if (!e->sqlstate[0] || cli_has_lost_connection(sweep->cli, e))
		return false;
	refuse(sweep, job_id, e);
	return true;
}

static bool act(struct sweep *sweep, const int64_t *ids, size_t count, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64s(&params, ids, count);
	if (query_run(&sweep->cli->conn, sweep->how->many, &params, NULL, e)) {
		sweep->done += (int64_t)count;
		return true;
	}
	if (!e->sqlstate[0] || cli_has_lost_connection(sweep->cli, e))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!act_on_one(sweep, ids[i], e))
			return false;
	return true;
}

/* The next jobs down the ids; *ret_more is false after the last. */
static bool next_batch(struct sweep *sweep, int64_t ids[BATCH_JOBS], size_t *ret_count,
	bool *ret_more, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	params_text(&params, cli_text(sweep->cli, "state"));
	params_text(&params, cli_text(sweep->cli, "family"));
	params_i64(&params, sweep->before);
	params_i64(&params, BATCH_JOBS);
	add_since(sweep->cli, &params);
	if (!query_rows(&sweep->cli->conn, &sql_job_bulk_ids, &params, &rows, e))
		return false;
	*ret_count = 0;
	for (int row = 0; row < PQntuples(rows); row++) {
		sweep->before = row_i64(rows, row, "job_id");
		if (row_bool(rows, row, "kept"))
			ids[(*ret_count)++] = sweep->before;
	}
	*ret_more = PQntuples(rows) == BATCH_JOBS;
	return true;
}

static bool work(struct sweep *sweep, struct err *e)
{
	int64_t ids[BATCH_JOBS];
	size_t count;
	bool more = true;

	while (more) {
		draw(sweep);
		if (!next_batch(sweep, ids, &count, &more, e) ||
			(count && !act(sweep, ids, count, e)))
			return false;
	}
	draw(sweep);
	return true;
}

static void conclude(const struct sweep *sweep)
{
	struct buf jobs CLEANUP(buf_clear) = {0};

	if (sweep->cli->wants_json) {
		cli_print_json(sweep->cli,
			json_pack("{s:I, s:I, s:I}", "jobs", (json_int_t)sweep->total, "done",
				(json_int_t)sweep->done, "refused", (json_int_t)sweep->refused));
		return;
	}
	bar_amount(&jobs, sweep->done, sweep->done == 1 ? "job" : "jobs");
	printf("%s: %s", jobs.bytes, sweep->how->done);
	if (sweep->refused)
		printf("; %" PRId64 " refused", sweep->refused);
	putchar('\n');
}

bool job_bulk_run(struct cli *cli, const struct job_bulk *bulk, struct err *e)
{
	struct sweep sweep = {.cli = cli,
		.how = bulk,
		.bar = {.terminal = &cli->err},
		.began_ms = clock_boot_ms(),
		.before = INT64_MAX};
	bool ok = true;

	if (!cli_connect(cli, e) || !count(&sweep, e))
		return false;
	announce(&sweep);
	if (!cli_bool(cli, "dry_run")) {
		ok = work(&sweep, e);
		bar_erase(&sweep.bar);
	}
	if (!cli_bool(cli, "dry_run") || cli->wants_json)
		conclude(&sweep);
	cli->status = sweep.refused ? 1 : 0;
	return ok;
}
