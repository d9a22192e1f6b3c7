/* SPDX-License-Identifier: PostgreSQL */
/* Moments in order. */
#include "cli/story.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/listing.h"
#include "cli/when.h"
#include "db/query.h"

static struct moment *add(struct story *story, int64_t at_us, enum moment_rank rank, int depth,
	enum style style, char *text)
{
	struct moment *moment;

	story->moments = xreallocarray(story->moments, story->count + 1, sizeof(*story->moments));
	moment = &story->moments[story->count++];
	*moment = (struct moment){at_us, -1, rank, depth, style, text};
	return moment;
}

static int64_t row_time(const PGresult *rows, int row, const char *column)
{
	return when_from_postgres(row_text(rows, row, column));
}

static void add_queued(struct story *story, const PGresult *job)
{
	int64_t created_us = row_time(job, 0, "created_at");
	const char *state = row_text(job, 0, "state");
	const char *unique = row_text(job, 0, "unique_key");
	const char *concurrency = row_text(job, 0, "concurrency_key");
	struct buf text = {0};
	char in[WHEN_TEXT];

	buf_text(&text, "queued");
	if (unique)
		buf_printf(&text, ", unique key \"%s\"", unique);
	if (concurrency)
		buf_printf(&text, ", concurrency key \"%s\"", concurrency);
	if (strcmp(state, "scheduled") == 0 && row_i64(job, 0, "attempt") == 0)
		buf_printf(&text, ", to run %s after that",
			when_length(row_time(job, 0, "run_at") - created_us, in));
	add(story, created_us, MOMENT_BEGIN, 0, STYLE_PLAIN, buf_take(&text));
}

static void add_start(struct story *story, const PGresult *job)
{
	const char *worker = row_text(job, 0, "worker");

	if (row_is_null(job, 0, "started_at"))
		return;
	add(story, row_time(job, 0, "started_at"), MOMENT_BEGIN, 0, STYLE_PLAIN,
		xasprintf("attempt %s%s%s", row_text(job, 0, "attempt"),
			worker ? ", claimed by " : " claimed", worker ? worker : ""));
}

static char *end_text(const PGresult *job, const char *state)
{
	bool has_taken = !row_is_null(job, 0, "took_s");
	char took[WHEN_TEXT] = "";

	if (has_taken)
		when_length((int64_t)(row_f64(job, 0, "took_s") * 1e6), took);
	if (strcmp(state, "dead") != 0)
		return xasprintf("%s%s%s", state, has_taken ? " after " : "", took);
	if (row_i64(job, 0, "attempt") >= row_i64(job, 0, "max_attempts"))
		return xasprintf("dead, as that was the last attempt");
	return xasprintf("dead, as trying again would not help");
}

/* finished_at is when the last transaction began, which is before it wrote the failure. */
static void add_end(struct story *story, const PGresult *job)
{
	const char *state = row_text(job, 0, "state");
	int64_t at_us;

	if (row_is_null(job, 0, "finished_at"))
		return;
	at_us = row_time(job, 0, "finished_at");
	if (at_us < story->failed_last_us && strcmp(state, "dead") == 0)
		at_us = story->failed_last_us;
	add(story, at_us, MOMENT_END, 0, listing_state_style(state), end_text(job, state));
}

void story_add_job(struct story *story, const PGresult *job)
{
	add_queued(story, job);
	add_start(story, job);
	if (!row_is_null(job, 0, "cancel_requested_at"))
		add(story, row_time(job, 0, "cancel_requested_at"), MOMENT_INSIDE, 0, STYLE_YELLOW,
			xstrdup("asked to stop"));
	add_end(story, job);
}

void story_add_failures(struct story *story, const PGresult *failures)
{
	for (int row = 0; row < PQntuples(failures); row++) {
		const char *worker = row_text(failures, row, "worker");
		const char *retry_at = row_text(failures, row, "retry_at");
		const char *code = row_text(failures, row, "code");
		int64_t at_us = row_time(failures, row, "at");
		struct buf text = {0};
		char in[WHEN_TEXT];

		buf_printf(&text, "attempt %s failed%s%s (%s%s%s): %s",
			row_text(failures, row, "attempt"), worker ? " on " : "",
			worker ? worker : "", row_text(failures, row, "kind"), code ? ", " : "",
			code ? code : "", row_text(failures, row, "error"));
		add(story, at_us, MOMENT_END, 0, STYLE_RED, buf_take(&text));
		story->failed_last_us = at_us;
		if (retry_at && when_from_postgres(retry_at) > at_us)
			add(story, at_us, MOMENT_END, 0, STYLE_DIM,
				xasprintf("to be tried again after %s",
					when_length(when_from_postgres(retry_at) - at_us, in)));
	}
}

/* A phase gets its length when it is known what followed: see measure(). */
static const int64_t open_phase = -2;

static enum style level_style(const char *level)
{
	if (strcmp(level, "error") == 0)
		return STYLE_RED;
	return strcmp(level, "warn") == 0 ? STYLE_YELLOW : STYLE_DIM;
}

void story_add_events(struct story *story, const PGresult *events)
{
	for (int row = 0; row < PQntuples(events); row++) {
		const char *kind = row_text(events, row, "kind");
		const char *level = row_text(events, row, "level");
		const char *phase = row_text(events, row, "phase");
		const char *message = row_text(events, row, "message");
		int64_t at_us = row_time(events, row, "at");

		if (strcmp(kind, "phase_started") == 0 && phase)
			add(story, at_us, MOMENT_INSIDE, 1, STYLE_CYAN, xstrdup(phase))->length_us =
				open_phase;
		else if (strcmp(level, "debug") == 0 || strcmp(kind, "tool_output") == 0)
			story->quiet++;
		else
			add(story, at_us, MOMENT_INSIDE, 2, level_style(level),
				xstrdup(message[0] ? message : kind));
	}
}

/* qsort() is not stable: moments that are equal keep the order in which they were added. */
struct sortable {
	struct moment moment;
	size_t index;
};

static int by_time(const void *a, const void *b)
{
	const struct sortable *one = a, *other = b;

	if (one->moment.at_us != other->moment.at_us)
		return one->moment.at_us < other->moment.at_us ? -1 : 1;
	if (one->moment.rank != other->moment.rank)
		return one->moment.rank < other->moment.rank ? -1 : 1;
	return one->index < other->index ? -1 : 1;
}

static void sort(struct story *story)
{
	struct sortable *list CLEANUP(free_ptr) = xcalloc(story->count, sizeof(*list));

	for (size_t i = 0; i < story->count; i++)
		list[i] = (struct sortable){story->moments[i], i};
	qsort(list, story->count, sizeof(*list), by_time);
	for (size_t i = 0; i < story->count; i++)
		story->moments[i] = list[i].moment;
}

/* Down to the next phase, or to whatever else happened to the job as a whole. */
static void measure(struct story *story)
{
	int64_t next_us = -1;

	for (size_t i = story->count; i-- > 0;) {
		struct moment *moment = &story->moments[i];

		if (moment->length_us == open_phase)
			moment->length_us = next_us < 0 ? -1 : next_us - moment->at_us;
		if (moment->depth < 2)
			next_us = moment->at_us;
	}
}

static void print_moment(const struct terminal *terminal, const struct moment *moment)
{
	struct buf text CLEANUP(buf_clear) = {0};
	char at[WHEN_TEXT], length[WHEN_TEXT] = "";

	if (moment->length_us >= 0)
		when_length(moment->length_us, length);
	text_clean(&text, moment->text);
	terminal_printf(terminal, STYLE_DIM, "  %s", when_clock(moment->at_us, at));
	fprintf(terminal->file, "  %12s  %*s", length, moment->depth * 2, "");
	terminal_printf(terminal, moment->style, "%s", text.bytes ? text.bytes : "");
	fputc('\n', terminal->file);
}

/* Each day has its heading. */
void story_print(struct story *story, const struct terminal *terminal)
{
	char day[WHEN_TEXT] = "", previous[WHEN_TEXT] = "";
	const size_t date = strlen("2026-01-31");

	sort(story);
	measure(story);
	for (size_t i = 0; i < story->count; i++) {
		when_local(story->moments[i].at_us, 0, day);
		day[date] = '\0';
		if (strcmp(day, previous) != 0) {
			terminal_printf(terminal, STYLE_DIM, "  %s", day);
			fputc('\n', terminal->file);
		}
		print_moment(terminal, &story->moments[i]);
		memcpy(previous, day, sizeof(previous));
	}
}

void story_clear(struct story *story)
{
	for (size_t i = 0; i < story->count; i++)
		free(story->moments[i].text);
	free(story->moments);
	*story = (struct story){0};
}
