/* SPDX-License-Identifier: PostgreSQL */
/* Lines of jobs that share a ticket, and their results. */
#include "queue/chunk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { NUMBER_TEXT = 24 };

/* Behind the closing quote of the JSON string that begins there. */
static const char *string_end(const char *text)
{
	for (text++; *text && *text != '"'; text++)
		if (*text == '\\' && text[1])
			text++;
	return *text ? text + 1 : text;
}

bool chunk_next_line(const char **text, struct chunk_line *ret_line)
{
	char *at;
	const char *end = strchr(*text, '\n');

	if (!**text)
		return false;
	if (!end)
		end = *text + strlen(*text);
	ret_line->job_id = strtoll(*text, &at, 10);
	assert(*at == ' ');
	ret_line->kind = at[1] == '"' ? at + 1 : NULL;
	ret_line->payload = ret_line->kind ? string_end(ret_line->kind) : at + 1;
	ret_line->kind_length = ret_line->kind ? (size_t)(ret_line->payload - ret_line->kind) : 0;
	ret_line->payload_length = (size_t)(end - ret_line->payload);
	*text = *end ? end + 1 : end;
	return true;
}

void chunk_init(struct lease *lease, int size, int bodies)
{
	lease->chunk = xcalloc(1, sizeof(*lease->chunk));
	lease->chunk->size = size;
	lease->chunk->stopping = lease->chunk->timed_out = -1;
	lease->jobs = bodies;
}

void chunk_free(struct chunk *chunk)
{
	if (!chunk)
		return;
	json_decref(chunk->cancels);
	json_decref(chunk->results);
	free(chunk);
}

int64_t chunk_job(const struct lease *lease, int place)
{
	const char *text = lease->payload;
	struct chunk_line line;

	while (chunk_next_line(&text, &line))
		if (place-- == 0)
			return line.job_id;
	return lease->job_id;
}

int chunk_place(const struct lease *lease, int64_t job_id)
{
	const char *text = lease->payload;
	struct chunk_line line;

	for (int place = 0; text && chunk_next_line(&text, &line); place++)
		if (line.job_id == job_id)
			return place;
	return -1;
}

static const char *key(int64_t job_id, char text[NUMBER_TEXT])
{
	snprintf(text, NUMBER_TEXT, "%" PRId64, job_id);
	return text;
}

bool chunk_note_cancel(struct lease *lease, int64_t job_id)
{
	char text[NUMBER_TEXT];

	if (json_object_get(lease->chunk->cancels, key(job_id, text)))
		return false;
	if (!lease->chunk->cancels)
		lease->chunk->cancels = json_object();
	json_object_set_new(lease->chunk->cancels, text, json_true());
	return true;
}

bool chunk_is_cancelled(const struct lease *lease, int place)
{
	char text[NUMBER_TEXT];

	return json_object_get(lease->chunk->cancels, key(chunk_job(lease, place), text));
}

/* Jansson wants UTF-8, and gets it: executors repair what they tell. */
static void set_words(json_t *result, const char *name, const char *text)
{
	if (text)
		json_object_set_new(result, name, json_string(text));
}

void chunk_set_result(struct lease *lease, int place, enum result_kind kind, const char *error_kind,
	const char *code, const char *error)
{
	json_t *result = json_object();
	char text[NUMBER_TEXT];

	set_words(result, "result", result_name(kind));
	set_words(result, "error_kind", error_kind);
	set_words(result, "code", code);
	set_words(result, "error", error);
	if (!lease->chunk->results)
		lease->chunk->results = json_object();
	json_object_set_new(lease->chunk->results, key(chunk_job(lease, place), text), result);
}

void chunk_drop_words(struct lease *lease, const char *code, const char *error)
{
	const char *job;
	json_t *result;

	json_object_foreach (lease->chunk->results, job, result)
		if (json_object_get(result, "error")) {
			set_words(result, "error_kind", "permanent");
			set_words(result, "code", code);
			set_words(result, "error", error);
		}
}

bool chunk_has_succeeded(const struct lease *lease)
{
	const struct chunk *chunk = lease->chunk;

	return lease->done == chunk->size && !chunk->results;
}

char *chunk_results(const struct lease *lease)
{
	json_auto_t *all = json_object();
	const char *text = lease->payload;
	struct chunk_line line;
	char number[NUMBER_TEXT];
	char *written;

	for (int place = 0; place < lease->done && chunk_next_line(&text, &line); place++)
		json_object_set_new(all, key(line.job_id, number),
			json_pack("{s:s}", "result", result_name(RESULT_SUCCEEDED)));
	json_object_update(all, lease->chunk->results);
	written = json_dumps(all, JSON_COMPACT);
	if (!written)
		abort();
	return written;
}

/* What is not named was not run. */
const char *chunk_result_name(const struct lease *lease, int64_t job_id, const char **ret_error)
{
	char text[NUMBER_TEXT];
	const json_t *result = json_object_get(lease->chunk->results, key(job_id, text));
	int place = chunk_place(lease, job_id);

	*ret_error = json_string_value(json_object_get(result, "error"));
	if (result)
		return json_string_value(json_object_get(result, "result"));
	return result_name(place >= 0 && place < lease->done ? RESULT_SUCCEEDED : RESULT_RETURNED);
}
