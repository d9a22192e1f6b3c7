/* SPDX-License-Identifier: PostgreSQL */
/* Looking at a job until it ends. */
#include "cli/follow.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "cli/bar.h"
#include "cli/cli.h"
#include "cli/event_line.h"
#include "cli/listing.h"
#include "cli/when.h"
#include "db/query.h"
#include "sql_statements.h"

enum {
	LOOK_MIN_MS = 25,
	LOOK_MAX_MS = 500,
	RECONNECT_MAX_MS = 2000,
	STUCK_MS = 1000,
	EVENTS_PER_LOOK = 500
};

struct follow {
	struct cli *cli;
	enum follow_what what;
	int64_t job_id;
	int64_t after_seq;
	int64_t failures; /* already told */
	char state[16];	  /* already told */
	int64_t attempt;
	char phase[64]; /* the last one that began in this attempt, or "" */
	bool is_over;
	bool has_news;	  /* the last look found something */
	bool has_warned;  /* that nobody will run it */
	int64_t state_ms; /* since when it has been in `state` */
	struct bar bar;
};

/* Set by the first ^C; the second one kills, as the handler is gone by then. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* The job goes on; we end as the signal says. */
static void leave(struct follow *follow)
{
	bar_erase(&follow->bar);
	fprintf(stderr, "job %" PRId64 " goes on; athena job events %" PRId64 " --follow\n",
		follow->job_id, follow->job_id);
	fflush(stdout);
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

static bool look(struct follow *follow, const struct sql_statement *statement, bool is_events,
	PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, follow->job_id);
	if (is_events) {
		params_i64(&params, follow->after_seq);
		params_i64(&params, EVENTS_PER_LOOK);
	}
	return query_rows(&follow->cli->conn, statement, &params, ret_rows, e);
}

static bool is_quiet_event(const PGresult *rows, int row)
{
	return strcmp(row_text(rows, row, "level"), "debug") == 0 ||
		strcmp(row_text(rows, row, "level"), "info") == 0;
}

/* Without --follow's full list, what people want to see go by: phases, and what went wrong. */
static void tell_event(struct follow *follow, const PGresult *rows, int row)
{
	const struct cli *cli = follow->cli;
	const char *phase = row_text(rows, row, "phase");
	bool is_phase = strcmp(row_text(rows, row, "kind"), "phase_started") == 0;

	if (is_phase && phase)
		snprintf(follow->phase, sizeof(follow->phase), "%s", phase);
	if (follow->what == FOLLOW_EVENTS && cli->wants_json) {
		json_t *event = event_line_json(rows, row);

		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(event);
	} else if (follow->what == FOLLOW_EVENTS) {
		event_line_print(&cli->out, rows, row);
	} else if (is_phase || !is_quiet_event(rows, row)) {
		event_line_print(&cli->err, rows, row);
	}
}

static bool tell_events(struct follow *follow, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;
	int count;

	do {
		PQclear(rows);
		rows = NULL;
		if (!look(follow, &sql_job_events, true, &rows, e))
			return false;
		count = PQntuples(rows);
		if (count > 0)
			bar_erase(&follow->bar);
		for (int row = 0; row < count; row++) {
			tell_event(follow, rows, row);
			follow->after_seq = row_i64(rows, row, "seq");
			follow->has_news = true;
		}
	} while (count == EVENTS_PER_LOOK);
	fflush(stdout);
	return true;
}

static void tell(const struct follow *follow, int64_t at_us, enum style style, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* A line about the job itself, on stderr; at_us 0: now. */
static void tell(const struct follow *follow, int64_t at_us, enum style style, const char *fmt, ...)
{
	struct buf clean CLEANUP(buf_clear) = {0};
	char *text CLEANUP(free_ptr) = NULL;
	char at[WHEN_TEXT];
	va_list ap;

	if (follow->cli->wants_json)
		return;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	text_clean(&clean, text);
	terminal_printf(
		&follow->cli->err, STYLE_DIM, "%s", when_clock(at_us ? at_us : when_now(), at));
	fputs("      ", stderr);
	terminal_printf(&follow->cli->err, style, "%s", clean.bytes);
	fputc('\n', stderr);
}

static int64_t row_time(const PGresult *rows, int row, const char *column)
{
	const char *text = row_text(rows, row, column);

	return text ? when_from_postgres(text) : 0;
}

static bool tell_failures(struct follow *follow, int64_t count, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;
	char in[WHEN_TEXT];

	if (count <= follow->failures)
		return true;
	if (!look(follow, &sql_job_failures, false, &rows, e))
		return false;
	for (int row = (int)follow->failures; row < PQntuples(rows); row++) {
		const char *retry_at = row_text(rows, row, "retry_at");

		tell(follow, row_time(rows, row, "at"), STYLE_RED, "attempt %s failed (%s): %s%s%s",
			row_text(rows, row, "attempt"), row_text(rows, row, "kind"),
			row_text(rows, row, "error"), retry_at ? "; again " : "",
			retry_at ? when_ago(when_from_postgres(retry_at), when_now(), in) : "");
	}
	follow->failures = PQntuples(rows);
	return true;
}

static void tell_state(struct follow *follow, const PGresult *rows)
{
	const char *state = row_text(rows, 0, "state");
	const char *worker = row_text(rows, 0, "worker");
	int64_t attempt = row_i64(rows, 0, "attempt");
	char in[WHEN_TEXT];

	if (strcmp(state, follow->state) == 0 && attempt == follow->attempt)
		return;
	snprintf(follow->state, sizeof(follow->state), "%s", state);
	follow->attempt = attempt;
	follow->state_ms = clock_boot_ms();
	if (strcmp(state, "running") != 0)
		follow->phase[0] = '\0';
	follow->has_news = true;
	follow->has_warned = false;
	bar_erase(&follow->bar);
	if (strcmp(state, "running") == 0)
		tell(follow, row_time(rows, 0, "started_at"), STYLE_CYAN,
			"attempt %" PRId64 " runs%s%s", attempt, worker ? " on " : "",
			worker ? worker : "");
	else if (strcmp(state, "scheduled") == 0 && attempt == 0)
		tell(follow, 0, STYLE_PLAIN, "scheduled, ready %s",
			when_ago(when_from_postgres(row_text(rows, 0, "run_at")),
				when_from_postgres(row_text(rows, 0, "now")), in));
	else if (strcmp(state, "waiting") == 0)
		tell(follow, 0, STYLE_PLAIN, "waiting to be called back");
}

/* A job that stays ready: says why, once. */
static void warn_if_stuck(struct follow *follow, const PGresult *rows)
{
	const char *family = row_text(rows, 0, "family");

	if (follow->has_warned || strcmp(follow->state, "ready") != 0 ||
		clock_boot_ms() - follow->state_ms < STUCK_MS)
		return;
	follow->has_warned = true;
	bar_erase(&follow->bar);
	if (row_bool(rows, 0, "paused"))
		tell(follow, 0, STYLE_YELLOW, "family %s is paused: athena family resume %s",
			family, family);
	else if (row_i64(rows, 0, "workers") == 0)
		tell(follow, 0, STYLE_YELLOW, "no worker serves it: athena-worker --family=%s",
			family);
	else if (!row_is_null(rows, 0, "held_back"))
		tell(follow, 0, STYLE_PLAIN, "held back by %s", row_text(rows, 0, "held_back"));
	else
		tell(follow, 0, STYLE_PLAIN, "waiting for a worker");
}

static const char *member_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void draw(struct follow *follow, const PGresult *rows)
{
	const char *progress = row_text(rows, 0, "progress");
	json_auto_t *object = progress ? json_loads(progress, 0, NULL) : NULL;
	const json_t *total = json_object_get(object, "total");
	bool is_running = strcmp(follow->state, "running") == 0;
	struct bar_figures figures = {
		.label = is_running && follow->phase[0] ? follow->phase : follow->state,
		.done = json_integer_value(json_object_get(object, "done")),
		.total = json_is_integer(total) ? json_integer_value(total) : -1,
		.unit = member_text(object, "unit"),
		.elapsed_us = row_time(rows, 0, "now") -
			row_time(rows, 0, is_running ? "started_at" : "created_at"),
	};

	if (follow->cli->wants_json)
		return;
	if (is_running || follow->cli->err.is_tty)
		bar_draw(&follow->bar, &figures);
}

static void tell_end_json(const struct follow *follow, const PGresult *rows)
{
	static const struct listing_column columns[] = {
		{"job_id", NULL, LISTING_NUMBER, 0},
		{"family", NULL, LISTING_TEXT, 0},
		{"state", NULL, LISTING_STATE, 0},
		{"attempt", NULL, LISTING_NUMBER, 0},
		{"started_at", NULL, LISTING_TIME, 0},
		{"finished_at", NULL, LISTING_TIME, 0},
		{"took_s", NULL, LISTING_LENGTH, 0},
		{"error", NULL, LISTING_TEXT, 0},
		{0},
	};
	json_t *object = listing_row(columns, rows, 0);

	json_dumpf(object, stdout, follow->what == FOLLOW_EVENTS ? JSON_COMPACT : JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

/* Returns false while the job has not ended. */
static bool tell_end(struct follow *follow, const PGresult *rows)
{
	static const struct {
		const char *state;
		int status;
	} ends[] = {{"succeeded", 0}, {"dead", 1}, {"cancelled", 3}};
	char took[WHEN_TEXT] = "";
	size_t i = 0;

	while (i < ARRAY_LENGTH(ends) && strcmp(follow->state, ends[i].state) != 0)
		i++;
	if (i == ARRAY_LENGTH(ends))
		return false;
	bar_erase(&follow->bar);
	if (row_text(rows, 0, "took_s"))
		when_length((int64_t)(row_f64(rows, 0, "took_s") * 1e6), took);
	if (follow->cli->wants_json)
		tell_end_json(follow, rows);
	else
		tell(follow, row_time(rows, 0, "finished_at"), listing_state_style(follow->state),
			"job %" PRId64 " %s%s%s", follow->job_id,
			ends[i].status == 1 ? "is dead" : follow->state, took[0] ? " after " : "",
			took);
	follow->cli->status = ends[i].status;
	if (ends[i].status)
		fprintf(stderr, "  next: athena job show %" PRId64 "\n", follow->job_id);
	return true;
}

/*
 * One look. The state is read before the events, so that when it is a final one no event of that
 * attempt can come later.
 */
static bool look_once(struct follow *follow, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	follow->has_news = false;
	if (!look(follow, &sql_job_watch, false, &rows, e))
		return false;
	if (PQntuples(rows) == 0)
		return cli_no_job(follow->cli, follow->job_id, e);
	if (!tell_failures(follow, row_i64(rows, 0, "failures"), e))
		return false;
	tell_state(follow, rows);
	warn_if_stuck(follow, rows);
	if (!tell_events(follow, e))
		return false;
	follow->is_over = tell_end(follow, rows);
	if (!follow->is_over)
		draw(follow, rows);
	return true;
}

/* Until there is a connection again, or ^C. */
static void reconnect(struct follow *follow, const char *why)
{
	int64_t wait_ms = LOOK_MIN_MS;
	struct err e;

	bar_erase(&follow->bar);
	tell(follow, 0, STYLE_YELLOW, "connection lost, trying again: %s", why);
	while (!interrupted && !cli_reconnect(follow->cli, &e)) {
		clock_sleep_ms(wait_ms);
		wait_ms = wait_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : wait_ms * 2;
	}
}

bool follow_job(
	struct cli *cli, int64_t job_id, enum follow_what what, int64_t after_seq, struct err *e)
{
	struct follow follow = {.cli = cli,
		.what = what,
		.job_id = job_id,
		.after_seq = after_seq,
		.bar = {.terminal = &cli->err}};
	int64_t wait_ms = LOOK_MIN_MS;

	catch_signals();
	while (!interrupted) {
		if (look_once(&follow, e)) {
			if (follow.is_over)
				return true;
			wait_ms = follow.has_news ? LOOK_MIN_MS : wait_ms + wait_ms / 4;
			clock_sleep_ms(wait_ms > LOOK_MAX_MS ? LOOK_MAX_MS : wait_ms);
		} else if (cli_has_lost_connection(cli, e)) {
			reconnect(&follow, e->text);
		} else {
			return false;
		}
	}
	leave(&follow);
	return err_set(e, ERR_CANCELLED, "interrupted");
}
