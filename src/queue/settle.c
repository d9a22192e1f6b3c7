/* SPDX-License-Identifier: PostgreSQL */
/* Settling results, in batches and one by one. */
#include "queue/settle.h"

#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "queue/chunk.h"

enum { BATCH_MAX = 4000, RETRY_MS = 500 };

/* Leases that one statement is about, in the order of its parameters. */
struct batch {
	struct settler *settler;
	size_t count;
	struct lease *leases[];
};

static struct batch *batch_new(struct settler *settler, size_t size)
{
	struct batch *batch = xmalloc(sizeof(*batch) + size * sizeof(batch->leases[0]));

	batch->settler = settler;
	batch->count = 0;
	return batch;
}

void settler_add(struct settler *settler, struct lease *lease)
{
	lease->state = LEASE_SETTLING;
	DL_APPEND(settler->queue, lease);
	settler->queued++;
}

static struct lease *settler_take(struct settler *settler, struct lease *lease)
{
	DL_DELETE(settler->queue, lease);
	settler->queued--;
	return lease;
}

static void settler_end(struct settler *settler, struct lease *lease, const char *answer,
	const char *state, const char *run_at)
{
	settler->ended(settler->context, lease, lease->job_id, answer, state, run_at);
	lease_table_drop(settler->leases, lease);
}

/* Back into the queue: after a lost connection as it was, after an error one by one. */
static void batch_again(struct batch *batch, bool alone)
{
	for (size_t i = 0; i < batch->count; i++) {
		batch->leases[i]->alone |= alone;
		settler_add(batch->settler, batch->leases[i]);
	}
}

/* For an error that may pass. A lost connection is tried as soon as there is a new one. */
static void settler_wait(struct settler *settler, const struct err *e)
{
	if (strcmp(e->code, "connection_lost") != 0)
		settler->wait_until_ms = clock_boot_ms() + RETRY_MS;
}

static void on_recalled(void *context, const PGresult *result, const struct err *e)
{
	struct batch *batch CLEANUP(free_ptr) = context;
	struct settler *settler = batch->settler;

	settler->flying--;
	if (e) { /* settled or not, asking again is harmless */
		settler_wait(settler, e);
		batch_again(batch, false);
		return;
	}
	for (int row = 0; row < PQntuples(result); row++) {
		struct lease *lease =
			lease_table_find(settler->leases, row_i64(result, row, "ticket"));

		settler_end(settler, lease, row_text(result, row, "answer"), "succeeded", NULL);
	}
}

static void settler_recall(struct settler *settler, struct batch *missing)
{
	struct params params = {0};
	int64_t *numbers CLEANUP(free_ptr) = xreallocarray(NULL, missing->count, sizeof(*numbers));

	params_text(&params, settler->worker_id);
	for (size_t i = 0; i < missing->count; i++)
		numbers[i] = missing->leases[i]->job_id;
	params_i64s(&params, numbers, missing->count);
	for (size_t i = 0; i < missing->count; i++)
		numbers[i] = missing->leases[i]->ticket;
	params_i64s(&params, numbers, missing->count);
	settler->flying++;
	session_send(settler->session, &sql_settle_recall, &params, on_recalled, missing);
	session_sync(settler->session);
}

/* "{5,7,9}": the tickets that the statement did not find. */
static bool is_missing(const char *list, int64_t ticket)
{
	char *end;

	for (const char *at = list; at && *at && *at != '}'; at = end) {
		if (strtoll(at + 1, &end, 10) == ticket)
			return true;
		if (end == at + 1)
			return false;
	}
	return false;
}

static void on_batch_settled(void *context, const PGresult *result, const struct err *e)
{
	struct batch *batch CLEANUP(free_ptr) = context;
	struct settler *settler = batch->settler;
	struct batch *missing;
	const char *list;

	settler->flying--;
	if (e) {
		settler_wait(settler, e);
		batch_again(batch,
			strcmp(e->code, "connection_lost") != 0 &&
				strcmp(e->code, "group_failed") != 0);
		return;
	}
	list = row_text(result, 0, "missing");
	missing = list ? batch_new(settler, batch->count) : NULL;
	for (size_t i = 0; i < batch->count; i++)
		if (missing && is_missing(list, batch->leases[i]->ticket))
			missing->leases[missing->count++] = batch->leases[i];
		else
			settler_end(settler, batch->leases[i], "settled", "succeeded", NULL);
	if (missing && session_is_up(settler->session)) {
		settler_recall(settler, missing);
	} else if (missing) {
		batch_again(missing, false);
		free(missing);
	}
}

/* A result that Postgres refuses for what it is: keep the job, drop the words. */
static void settler_refused(struct settler *settler, struct lease *lease, const struct err *e)
{
	static const char unreportable[] = "unreportable";
	char *error CLEANUP(free_ptr) = NULL;

	if (lease->result.code && strcmp(lease->result.code, unreportable) == 0) {
		log_error("settle_failed", LOG_I("job", lease->job_id),
			LOG_I("ticket", lease->ticket), LOG_S("error", e->text));
		settler_end(settler, lease, "lost", NULL, NULL);
		return;
	}
	error = xasprintf("unreportable result (%s)", e->sqlstate[0] ? e->sqlstate : "no code");
	log_error("settle_refused", LOG_I("job", lease->job_id), LOG_S("error", e->text));
	if (lease->result.kind == RESULT_APART) {
		chunk_drop_words(lease, unreportable, error);
		lease_set_result(lease, RESULT_APART, NULL, unreportable, NULL);
	} else {
		lease_set_result(lease, RESULT_FAILED, "permanent", unreportable, error);
	}
	settler_add(settler, lease);
}

static void settler_failed(struct settler *settler, struct lease *lease, const struct err *e)
{
	if (err_is_retryable(e) || e->kind == ERR_CANCELLED) {
		settler_wait(settler, e);
		settler_add(settler, lease);
	} else {
		settler_refused(settler, lease, e);
	}
}

static void on_one_settled(void *context, const PGresult *result, const struct err *e)
{
	struct batch *batch CLEANUP(free_ptr) = context;
	struct settler *settler = batch->settler;
	struct lease *lease = batch->leases[0];

	settler->flying--;
	if (e)
		settler_failed(settler, lease, e);
	else
		settler_end(settler, lease, row_text(result, 0, "answer"),
			row_text(result, 0, "state"), row_text(result, 0, "run_at"));
}

static void on_chunk_settled(void *context, const PGresult *rows, const struct err *e)
{
	struct batch *batch CLEANUP(free_ptr) = context;
	struct settler *settler = batch->settler;
	struct lease *lease = batch->leases[0];

	settler->flying--;
	if (e) {
		settler_failed(settler, lease, e);
		return;
	}
	for (int row = 0; row < PQntuples(rows); row++)
		settler->ended(settler->context, lease, row_i64(rows, row, "job_id"),
			row_text(rows, row, "answer"), row_text(rows, row, "state"),
			row_text(rows, row, "run_at"));
	lease_table_drop(settler->leases, lease);
}

/* A lease by itself, not with others of its kind. */
static void settler_send_single(struct settler *settler, struct lease *lease,
	const struct sql_statement *statement, struct params *params, session_done *done)
{
	struct batch *batch = batch_new(settler, 1);

	batch->leases[batch->count++] = lease;
	settler->flying++;
	session_send(settler->session, statement, params, done, batch);
	session_sync(settler->session);
}

static void settler_send_apart(struct settler *settler, struct lease *lease)
{
	struct params params = {0};

	params_text(&params, settler->worker_id);
	params_i64(&params, lease->ticket);
	params_give(&params, chunk_results(lease));
	settler_send_single(settler, lease, &sql_settle_chunk, &params, on_chunk_settled);
}

static void settler_send_one(struct settler *settler, struct lease *lease)
{
	struct params params = {0};

	params_text(&params, settler->worker_id);
	params_i64(&params, lease->job_id);
	params_i64(&params, lease->ticket);
	params_text(&params, result_name(lease->result.kind));
	params_text(&params, lease->result.error);
	params_text(&params, lease->result.error_kind);
	params_text(&params, lease->result.code);
	params_ms(&params, lease->result.kind == RESULT_PARKED ? lease->result.wait_ms : -1);
	settler_send_single(settler, lease, &sql_settle, &params, on_one_settled);
}

/* False when there is nothing in it; it is freed in any case. */
static bool settler_send_batch(
	struct settler *settler, struct batch *batch, const struct sql_statement *statement)
{
	struct params params = {0};
	int64_t *tickets CLEANUP(free_ptr) = NULL;

	if (batch->count == 0) {
		free(batch);
		return false;
	}
	tickets = xreallocarray(NULL, batch->count, sizeof(*tickets));
	for (size_t i = 0; i < batch->count; i++)
		tickets[i] = batch->leases[i]->ticket;
	params_text(&params, settler->worker_id);
	params_i64s(&params, tickets, batch->count);
	settler->flying++;
	session_send(settler->session, statement, &params, on_batch_settled, batch);
	return true;
}

bool settler_flush(struct settler *settler)
{
	struct batch *singles, *chunks;
	struct lease *lease, *next;
	size_t most;
	bool owes_sync;

	if (!settler->queue || settler->flying > 0 || !session_is_up(settler->session) ||
		clock_boot_ms() < settler->wait_until_ms)
		return false;
	most = settler->queued < BATCH_MAX ? (size_t)settler->queued : BATCH_MAX;
	singles = batch_new(settler, most);
	chunks = batch_new(settler, most);
	DL_FOREACH_SAFE (settler->queue, lease, next) {
		struct batch *batch = lease->chunk ? chunks : singles;

		if (lease->result.kind == RESULT_APART)
			settler_send_apart(settler, settler_take(settler, lease));
		else if (lease->result.kind != RESULT_SUCCEEDED || lease->alone)
			settler_send_one(settler, settler_take(settler, lease));
		else if (batch->count < most)
			batch->leases[batch->count++] = settler_take(settler, lease);
	}
	owes_sync = settler_send_batch(settler, singles, &sql_settle_succeeded);
	return settler_send_batch(settler, chunks, &sql_settle_chunks) || owes_sync;
}

bool settler_is_idle(const struct settler *settler)
{
	return !settler->queue && settler->flying == 0;
}
