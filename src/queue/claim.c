/* SPDX-License-Identifier: PostgreSQL */
/* Claims, and the leases that they answer. */
#include "queue/claim.h"

#include <assert.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/binary.h"
#include "db/query.h"
#include "queue/chunk.h"

/* Of the answer, which has as many rows as jobs were asked for. */
struct columns {
	int ticket, job_id, attempt, priority, timeout_ms, kind, payload, answers, waited_s;
	int jobs, bodies, lines, last_ticket; /* only of claim_chunked */
};

static struct columns columns_find(const PGresult *rows, bool is_chunked)
{
	struct columns at = {
		.ticket = row_column(rows, "ticket"),
		.job_id = row_column(rows, "job_id"),
		.attempt = row_column(rows, "attempt"),
		.priority = row_column(rows, "priority"),
		.timeout_ms = row_column(rows, "timeout_ms"),
		.kind = row_column(rows, "kind"),
		.payload = row_column(rows, "payload"),
		.answers = row_column(rows, "answers"),
		.waited_s = row_column(rows, "waited_s"),
	};

	if (is_chunked) {
		at.jobs = row_column(rows, "jobs");
		at.bodies = row_column(rows, "bodies");
		at.lines = row_column(rows, "lines");
		at.last_ticket = row_column(rows, "last_ticket");
	}
	return at;
}

static struct lease *lease_read_body(
	const PGresult *rows, int row, const struct columns *at, bool is_chunked)
{
	int size = is_chunked ? (int)binary_int(rows, row, at->jobs) : 1;
	struct lease *lease;

	if (size == 1)
		return lease_new(
			binary_text(rows, row, at->kind), binary_jsonb(rows, row, at->payload));
	lease = lease_new(NULL, binary_text(rows, row, at->lines));
	chunk_init(lease, size, (int)binary_int(rows, row, at->bodies));
	return lease;
}

static struct lease *lease_read(
	const PGresult *rows, int row, const struct columns *at, bool is_chunked)
{
	struct lease *lease = lease_read_body(rows, row, at, is_chunked);

	lease->ticket = binary_int(rows, row, at->ticket);
	lease->last_ticket = is_chunked ? binary_int(rows, row, at->last_ticket) : lease->ticket;
	lease->job_id = binary_int(rows, row, at->job_id);
	lease->attempt = (int)binary_int(rows, row, at->attempt);
	lease->priority = (int)binary_int(rows, row, at->priority);
	lease->timeout_ms = binary_int(rows, row, at->timeout_ms);
	if (!PQgetisnull(rows, row, at->answers))
		lease->answers = xstrdup(binary_jsonb(rows, row, at->answers));
	lease->waited_s = PQgetisnull(rows, row, at->waited_s) || lease->answers
		? -1 /* a job that was answered has begun before */
		: binary_double(rows, row, at->waited_s);
	return lease;
}

static struct lease *leases_read(const struct claim *claim, const PGresult *rows)
{
	bool is_chunked = claim->tickets > 0;
	const struct columns at = columns_find(rows, is_chunked);
	int64_t now_ms = clock_boot_ms();
	struct lease *leases = NULL;

	for (int row = 0; row < PQntuples(rows); row++) {
		struct lease *lease = lease_read(rows, row, &at, is_chunked);

		lease->asked_ns = claim->asked_ns;
		lease->answered_ms = now_ms;
		DL_APPEND(leases, lease);
	}
	DL_SORT(leases, lease_compare); /* rows come in heap order */
	return leases;
}

/* What there was in the line: a chunk was one ticket, unless the claim has put it together. */
static void count_taken(const struct lease *leases, int *ret_jobs, int *ret_tickets)
{
	const struct lease *lease;

	*ret_jobs = *ret_tickets = 0;
	DL_FOREACH (leases, lease) {
		int jobs = lease->chunk ? lease->chunk->size : 1;

		*ret_jobs += jobs;
		*ret_tickets += lease->ticket == lease->last_ticket ? 1 : jobs;
	}
}

static void on_claimed(void *context, const PGresult *rows, const struct err *e)
{
	struct claim *claim = context;
	struct lease *leases = e ? NULL : leases_read(claim, rows);
	int jobs, tickets;
	bool is_short;

	count_taken(leases, &jobs, &tickets);
	is_short = jobs < claim->limit && (claim->tickets == 0 || tickets < claim->tickets);
	if (tickets > 0)
		claim->jobs_each = jobs / tickets;
	claim->flying = false;
	claim->found = is_short ? CLAIM_LITTLE : CLAIM_PLENTY;
	if (!e && cursor_claimed(&claim->cursor, leases, is_short))
		claim->found = CLAIM_AGAIN;
	claim->done(claim->context, leases, jobs, e);
}

static void on_waited(void *context, const PGresult *rows, const struct err *e)
{
	const struct claim *claim = context;

	if (!e && !row_is_null(rows, 0, "wait_ms"))
		claim->again(claim->context, row_i64(rows, 0, "wait_ms"));
}

/* Cursors follow the line; where keys decide who is next, only the floors hold. */
static void add_lanes(struct params *params, struct claim *claim)
{
	int64_t lanes[LANES], after[LANES];

	claim->cursor.wants_look |= claim->is_keyed;
	cursor_lanes(&claim->cursor, claim->turn, lanes, after);
	params_i64s(params, lanes, LANES);
	params_i64s(params, after, LANES);
}

static void ask_wait(struct claim *claim)
{
	struct params params = {0};

	params_text(&params, claim->family);
	session_send(claim->session, &sql_claim_wait, &params, on_waited, claim);
}

/* Those that are locked and not taken are in the way of other workers' claims for that time. */
static int tickets_for(const struct claim *claim)
{
	int each = claim->jobs_each > 1 ? claim->jobs_each : 1;

	return (claim->limit + each - 1) / each;
}

void claim_send(struct claim *claim, int limit)
{
	struct params params = {0};

	assert(!claim->flying);
	claim->flying = true;
	claim->limit = limit;
	claim->tickets = claim->is_chunked ? tickets_for(claim) : 0;
	claim->asked_ns = clock_boot_ns();
	claim->turn++;
	params_text(&params, claim->family);
	params_text(&params, claim->worker_id);
	params_i64(&params, limit);
	add_lanes(&params, claim);
	if (claim->is_limited) {
		params_bool(&params, cursor_is_fair_turn(claim->turn));
		session_send_for_many(
			claim->session, &sql_claim_limited, &params, on_claimed, claim);
		ask_wait(claim);
	} else if (claim->is_chunked) {
		params_i64(&params, claim->tickets);
		session_send_for_many(
			claim->session, &sql_claim_chunked, &params, on_claimed, claim);
	} else {
		session_send_for_many(claim->session, &sql_claim, &params, on_claimed, claim);
	}
	session_sync(claim->session);
	cursor_advance(&claim->cursor, claim->session, claim->family);
}
