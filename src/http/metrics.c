/* SPDX-License-Identifier: PostgreSQL */
/* The table of metrics, and those that a process knows by itself. */
#include "http/metrics.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/query.h"
#include "http/exposition.h"
#include "sql_migrations.h"
#include "version.h"

/* --- Of the program */

static int newest_migration(void)
{
	int number = 0;

	for (const struct sql_migration *m = sql_migrations; m->number; m++)
		number = m->number;
	return number;
}

static void write_build(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	char schema[16];

	(void)program;
	snprintf(schema, sizeof(schema), "%d", newest_migration());
	exposition_i64(text, metric->name,
		LABELS({"version", ATHENA_VERSION}, {"schema", schema}, {"commit", ATHENA_COMMIT}),
		1);
}

static void write_uptime(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	exposition_f64(text, metric->name, LABELS(),
		(double)(clock_boot_ms() - program->started_ms) / 1000);
}

static void write_up(const struct metric *metric, const struct program *program, struct buf *text)
{
	exposition_i64(text, metric->name, LABELS(), program->is_up);
}

static void write_listener(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	const struct worker *worker = *program->worker;

	if (worker)
		exposition_i64(text, metric->name, LABELS(),
			session_is_up(worker->pulse) && worker->line_count > 0 &&
				worker->lines[0].sleeper.can_listen);
}

static void write_leader(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	const char *lane;
	bool leads;

	for (size_t i = 0; (lane = maintenance_lane(*program->maintenance, i, &leads)); i++)
		exposition_i64(text, metric->name, LABELS({"lane", lane}), leads);
}

/* --- Of each family that a worker serves */

typedef int64_t line_number(const struct line *line);

static void write_lines(const struct metric *metric, const struct program *program,
	struct buf *text, line_number *number)
{
	const struct worker *worker = *program->worker;

	for (int i = 0; worker && i < worker->line_count; i++) {
		const struct line *line = &worker->lines[i];

		exposition_i64(text, metric->name, LABELS({"family", line->name}), number(line));
	}
}

static int64_t claimed(const struct line *line)
{
	return (int64_t)line->counters.claimed;
}

static int64_t failed(const struct line *line)
{
	return (int64_t)line->counters.failed;
}

static int64_t slots(const struct line *line)
{
	return line->slot_count;
}

static int64_t slots_busy(const struct line *line)
{
	int64_t busy = 0;

	for (int i = 0; i < line->slots_made; i++)
		busy += line->slots[i]->count > 0;
	return busy;
}

static void write_claimed(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	write_lines(metric, program, text, claimed);
}

static void write_failed(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	write_lines(metric, program, text, failed);
}

static void write_slots(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	write_lines(metric, program, text, slots);
}

static void write_slots_busy(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	write_lines(metric, program, text, slots_busy);
}

static void write_finished(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	const struct worker *worker = *program->worker;

	for (int i = 0; worker && i < worker->line_count; i++) {
		const struct line *line = &worker->lines[i];

		for (int o = 0; o < OUTCOMES; o++)
			exposition_i64(text, metric->name,
				LABELS({"family", line->name}, {"outcome", outcome_names[o]}),
				(int64_t)line->counters.finished[o]);
	}
}

static void write_waits(
	const struct metric *metric, const struct program *program, struct buf *text)
{
	const struct worker *worker = *program->worker;

	for (int i = 0; worker && i < worker->line_count; i++)
		exposition_histogram(text, metric->name, LABELS({"family", worker->lines[i].name}),
			&worker->lines[i].counters.waits);
}

static void write_runs(const struct metric *metric, const struct program *program, struct buf *text)
{
	const struct worker *worker = *program->worker;

	for (int i = 0; worker && i < worker->line_count; i++)
		exposition_histogram(text, metric->name, LABELS({"family", worker->lines[i].name}),
			&worker->lines[i].counters.runs);
}

/* --- The table */

#define WHOLE " Of the whole database: use max, not sum."

const struct metric metrics[] = {
	{"athena_build_info", "gauge",
		"What this program is: its version, its newest migration, its commit.",
		.write = write_build},
	{"athena_uptime_seconds", "gauge", "Since this process started.", .write = write_uptime},
	{"athena_up", "gauge",
		"1 when Postgres answered all questions of this scrape in time; else what was not "
		"answered is missing.",
		.write = write_up},

	{"athena_jobs_claimed_total", "counter", "Jobs that this process has claimed.",
		.write = write_claimed},
	{"athena_jobs_finished_total", "counter",
		"Jobs that ended for good in this process, by how.", .write = write_finished},
	{"athena_attempts_failed_total", "counter",
		"Attempts in this process that failed, whether tried again or not.",
		.write = write_failed},
	{"athena_job_wait_seconds", "histogram",
		"From when a job fell due until its first attempt began in this process.",
		.write = write_waits},
	{"athena_job_run_seconds", "histogram",
		"How long attempts ran in this process, however they ended.", .write = write_runs},
	{"athena_slots", "gauge", "How many attempts this process may run at once.",
		.write = write_slots},
	{"athena_slots_busy", "gauge", "How many it is running.", .write = write_slots_busy},
	{"athena_listener_connected", "gauge",
		"1 when this worker hears notifications; else it finds jobs by its slow poll.",
		.write = write_listener},
	{"athena_maintenance_leader", "gauge", "1 when this process did the lane's last step.",
		.write = write_leader},

	{"athena_queue_depth", "gauge", "Jobs by where they are." WHOLE,
		.statement = &sql_metrics_depth, .value = "jobs", .labels = {"family", "state"}},
	{"athena_queue_oldest_age_seconds", "gauge",
		"For how long the first ready job of the longest waiting lane could have been "
		"claimed." WHOLE,
		.statement = &sql_metrics_oldest, .value = "age_s", .labels = {"family"}},
	{"athena_jobs_enqueued_total", "counter", "Jobs that were ever put into the queue." WHOLE,
		.statement = &sql_metrics_enqueued, .value = "jobs", .labels = {"family"}},
	{"athena_jobs_rescued_total", "counter",
		"Attempts that were taken from their worker, by why." WHOLE,
		.statement = &sql_metrics_rescued, .value = "jobs", .labels = {"family", "reason"}},
	{"athena_family_max_running", "gauge",
		"How many jobs of the family may run at once; missing without such a limit." WHOLE,
		.statement = &sql_metrics_families, .value = "max_running", .labels = {"family"}},
	{"athena_family_max_running_per_key", "gauge",
		"How many of them with the same concurrency key; missing without such a "
		"limit." WHOLE,
		.statement = &sql_metrics_families, .value = "max_running_per_key",
		.labels = {"family"}},
	{"athena_family_rate_per_second", "gauge",
		"How many of them may start per second; missing without such a limit." WHOLE,
		.statement = &sql_metrics_families, .value = "rate", .labels = {"family"}},
	{"athena_family_held_back", "gauge",
		"1 while ready jobs of the family wait for this limit of it." WHOLE,
		.statement = &sql_metrics_families, .value = "is_holding",
		.labels = {"family", "limit"}},
	{"athena_schedules", "gauge", "Schedules by whether they are paused." WHOLE,
		.statement = &sql_metrics_schedules, .value = "schedules",
		.labels = {"family", "state"}},
	{"athena_schedule_overdue_seconds", "gauge",
		"For how long the schedule that has waited longest should have queued its job; 0 "
		"when none is due." WHOLE,
		.statement = &sql_metrics_schedules, .value = "overdue_s", .labels = {"family"}},
	{"athena_schedule_fires_total", "counter",
		"Fire times of the schedules that there are, by what became of them." WHOLE,
		.statement = &sql_metrics_schedules, .value = "fires",
		.labels = {"family", "outcome"}},
	{"athena_workers", "gauge",
		"Registered processes that said within 15 s that they live." WHOLE,
		.statement = &sql_metrics_workers, .value = "workers", .labels = {"kind"}},
	{"athena_maintenance_lane_seconds", "gauge", "How long the lane's last step took." WHOLE,
		.statement = &sql_metrics_lanes, .value = "took_s", .labels = {"lane"}},
	{"athena_maintenance_lane_age_seconds", "gauge",
		"Since the lane's last step; written down once a second." WHOLE,
		.statement = &sql_metrics_lanes, .value = "age_s", .labels = {"lane"}},
	{"athena_backup_age_seconds", "gauge",
		"Since the newest verified backup of the database was begun." WHOLE,
		.statement = &sql_metrics_backups, .value = "age_s", .labels = {"database"}},
	{"athena_backup_drill_age_seconds", "gauge",
		"Since a backup of the database was last restored for a trial." WHOLE,
		.statement = &sql_metrics_backups, .value = "drill_age_s", .labels = {"database"}},
	{"athena_oldest_xmin_age_seconds", "gauge",
		"For how long the oldest session or prepared transaction has kept dead rows from "
		"being removed; missing without the right to see it." WHOLE,
		.statement = &sql_metrics_horizon, .value = "age_s"},
	{"athena_oldest_xmin_age_transactions", "gauge",
		"The same in transactions, held by replication slots and standbys included." WHOLE,
		.statement = &sql_metrics_horizon, .value = "age_xids"},
	{"athena_table_dead_rows", "gauge", "Rows that vacuum has still to remove." WHOLE,
		.statement = &sql_metrics_tables, .value = "dead", .labels = {"table"}},
	{0},
};

size_t metrics_count(void)
{
	return ARRAY_LENGTH(metrics) - 1;
}

void metric_write(const struct metric *metric, const struct buf *samples, struct buf *text)
{
	if (samples->length == 0)
		return;
	exposition_begin(text, metric->name, metric->type, metric->help);
	buf_add(text, samples->bytes, samples->length);
}

void metric_write_rows(const struct metric *metric, const PGresult *rows, struct buf *samples)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		struct label labels[METRIC_LABELS + 1] = {0};
		const char *value = row_text(rows, row, metric->value);

		for (int i = 0; i < METRIC_LABELS && metric->labels[i]; i++)
			labels[i] = (struct label){
				metric->labels[i], row_text(rows, row, metric->labels[i])};
		if (value)
			exposition_text(samples, metric->name, labels, value);
	}
}
