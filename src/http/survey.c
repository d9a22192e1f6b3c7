/* SPDX-License-Identifier: PostgreSQL */
/* Questions to Postgres, and who waits for their answers. */
#include "http/survey.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/conn.h"
#include "db/migrate.h"
#include "db/query.h"
#include "http/starts.h"

enum {
	SHARE = 20,	   /* asking takes a twentieth of the time at most */
	SILENT_MS = 10000, /* twice the limit of a statement: the connection is dead */
};

static const char lock_timeout_ms[] = "500";
static const char statement_timeout_ms[] = "5000";

/* The limits, then the questions, the cheap ones first. */
static const struct sql_statement *const statements[] = {
	&sql_metrics_limits,
	&sql_migrations_list,
	&sql_metrics_depth,
	&sql_metrics_enqueued,
	&sql_metrics_rescued,
	&sql_metrics_workers,
	&sql_metrics_families,
	&sql_metrics_schedules,
	&sql_metrics_lanes,
	&sql_metrics_backups,
	&sql_metrics_horizon,
	&sql_metrics_tables,
	&sql_metrics_oldest,
	NULL,
};

enum { QUESTIONS = ARRAY_LENGTH(statements) - 2 };

struct question {
	struct survey *survey;
	const struct sql_statement *statement;
	bool is_answered;
};

struct survey {
	const struct program *program;
	struct session *session;
	uv_timer_t *timer; /* for who has waited long enough */
	struct survey_wait *waits;

	struct question questions[QUESTIONS];
	struct buf *samples;  /* of each row of metrics[] */
	struct err schema;    /* what is wrong with it; kind ERR_NONE: nothing */
	struct starts starts; /* of metrics_oldest */

	int flying;	  /* questions under way */
	struct err error; /* of one that failed; kind ERR_NONE: none did */
	struct err told;  /* the last one that was logged; forgotten once all is well */
	int64_t asked_ms; /* boot clock */
	int64_t heard_ms; /* the last answer */
};

/* --- Waiting */

static void survey_release(struct survey *survey, int64_t now_ms)
{
	while (survey->waits && survey->waits->until_ms <= now_ms) {
		struct survey_wait *wait = survey->waits;

		DL_DELETE(survey->waits, wait);
		wait->done(wait);
	}
}

static void on_timer(uv_timer_t *timer);

/* Whoever came first has waited longest. */
static void survey_arm(struct survey *survey)
{
	int64_t left_ms;

	if (!survey->waits) {
		uv_timer_stop(survey->timer);
		return;
	}
	left_ms = survey->waits->until_ms - clock_boot_ms();
	uv_timer_start(survey->timer, on_timer, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct survey *survey = timer->data;

	survey_release(survey, clock_boot_ms());
	survey_arm(survey);
}

static void survey_end(struct survey *survey)
{
	survey_release(survey, INT64_MAX);
	survey_arm(survey);
}

/* --- Answers */

static void survey_keep(struct survey *survey, const struct question *question,
	const PGresult *rows, int64_t took_ms)
{
	for (size_t i = 0; i < metrics_count(); i++)
		if (metrics[i].statement == question->statement)
			metric_write_rows(&metrics[i], rows, &survey->samples[i]);
	if (question->statement == &sql_metrics_oldest)
		starts_learn(&survey->starts, rows, took_ms);
	if (question->statement == &sql_migrations_list &&
		migrate_check_rows(rows, &survey->schema))
		survey->schema.kind = ERR_NONE;
}

/* Once per reason; a lost connection is the session's to tell. */
static void survey_fail(struct survey *survey, const struct question *question, const struct err *e)
{
	survey->error = *e;
	if (strcmp(e->code, "connection_lost") == 0 || strcmp(e->text, survey->told.text) == 0)
		return;
	survey->told = *e;
	log_warn("metrics_failed", LOG_S("statement", question->statement->name),
		LOG_S("error", e->text));
}

static void on_answer(void *context, const PGresult *rows, const struct err *e)
{
	struct question *question = context;
	struct survey *survey = question->survey;
	int64_t now_ms = clock_boot_ms();

	if (e) {
		survey_fail(survey, question, e);
		if (question->statement == &sql_metrics_oldest)
			starts_learn(&survey->starts, NULL, now_ms - survey->heard_ms);
	} else {
		question->is_answered = true;
		survey_keep(survey, question, rows, now_ms - survey->heard_ms);
	}
	survey->heard_ms = now_ms;
	if (--survey->flying > 0)
		return;
	if (survey_is_complete(survey))
		survey->told = (struct err){0};
	survey_end(survey);
}

/* --- Questions */

static void survey_forget(struct survey *survey)
{
	for (int i = 0; i < QUESTIONS; i++)
		survey->questions[i].is_answered = false;
	for (size_t i = 0; i < metrics_count(); i++)
		buf_reset(&survey->samples[i]);
	survey->error.kind = ERR_NONE;
}

static void survey_send(struct survey *survey, struct question *question, struct params *params)
{
	struct params limits = {0};

	params_text(&limits, lock_timeout_ms);
	params_text(&limits, statement_timeout_ms);
	session_send(survey->session, &sql_metrics_limits, &limits, session_unheard, NULL);
	session_send(survey->session, question->statement, params, on_answer, question);
	session_sync(survey->session);
	survey->flying++;
}

static void survey_ask(struct survey *survey)
{
	survey_forget(survey);
	survey->asked_ms = survey->heard_ms = clock_boot_ms();
	for (int i = 0; i < QUESTIONS; i++) {
		struct question *question = &survey->questions[i];
		struct params params CLEANUP(params_clear) = {0};

		if (question->statement != &sql_metrics_oldest ||
			starts_choose(&survey->starts, *survey->program->worker, &params))
			survey_send(survey, question, &params);
	}
}

static bool survey_is_fresh(const struct survey *survey)
{
	int64_t took_ms = survey->heard_ms - survey->asked_ms;

	return survey->flying == 0 && survey_is_complete(survey) &&
		clock_boot_ms() - survey->heard_ms < SHARE * took_ms;
}

void survey_wait(struct survey *survey, struct survey_wait *wait)
{
	int64_t now_ms = clock_boot_ms();

	if (survey->flying > 0 && now_ms - survey->heard_ms > SILENT_MS)
		session_reset(survey->session, "no answer to a question for metrics");
	if (!session_is_up(survey->session) || survey_is_fresh(survey)) {
		wait->done(wait);
		return;
	}
	if (survey->flying == 0)
		survey_ask(survey);
	wait->until_ms = now_ms + SURVEY_WAIT_MS;
	DL_APPEND(survey->waits, wait);
	survey_arm(survey);
}

/* --- What came of it */

bool survey_is_complete(const struct survey *survey)
{
	for (int i = 0; i < QUESTIONS; i++)
		if (!survey->questions[i].is_answered)
			return false;
	return true;
}

const struct buf *survey_samples(const struct survey *survey, size_t i)
{
	for (int q = 0; q < QUESTIONS; q++)
		if (survey->questions[q].statement == metrics[i].statement &&
			survey->questions[q].is_answered)
			return &survey->samples[i];
	return NULL;
}

bool survey_is_ready(const struct survey *survey, struct buf *reasons)
{
	if (!session_is_up(survey->session))
		buf_printf(reasons, "no connection to Postgres: %s\n",
			session_trouble(survey->session));
	else if (!survey->questions[0].is_answered)
		buf_printf(reasons, "no answer from Postgres: %s\n",
			survey->error.kind == ERR_NONE ? "not in time" : survey->error.text);
	else if (survey->schema.kind != ERR_NONE)
		buf_printf(reasons, "%s\n", survey->schema.text);
	else
		return true;
	return false;
}

/* --- Start and end */

/* What was known is not shown as if it still were. */
static void on_down(void *context, const struct err *e)
{
	(void)e;
	survey_forget(context);
}

static struct session *survey_connect(
	struct survey *survey, uv_loop_t *loop, const struct config *config)
{
	struct session_spec spec = session_spec_of(config, "http", "athena http", statements);

	spec.down = on_down;
	spec.context = survey;
	return session_new(loop, &spec);
}

struct survey *survey_new(
	uv_loop_t *loop, const struct config *config, const struct program *program)
{
	struct survey *survey = xcalloc(1, sizeof(*survey));

	survey->program = program;
	survey->samples = xcalloc(metrics_count(), sizeof(*survey->samples));
	for (int i = 0; i < QUESTIONS; i++)
		survey->questions[i] =
			(struct question){.survey = survey, .statement = statements[i + 1]};
	survey->timer = xcalloc(1, sizeof(*survey->timer));
	survey->timer->data = survey;
	uv_timer_init(loop, survey->timer);
	survey->session = survey_connect(survey, loop, config);
	return survey;
}

static void free_timer(uv_handle_t *timer)
{
	free(timer);
}

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	session_free(survey->session); /* answers what is unanswered */
	survey_release(survey, INT64_MAX);
	uv_close((uv_handle_t *)survey->timer, free_timer);
	for (size_t i = 0; i < metrics_count(); i++)
		buf_clear(&survey->samples[i]);
	free(survey->samples);
	starts_clear(&survey->starts);
	free(survey);
}
