/* SPDX-License-Identifier: PostgreSQL */
/* Claims, and the leases that they answer. */
#include "queue/claim.h"

#include <assert.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/query.h"

static char *copied(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static struct lease *lease_read(
	const struct claim *claim, const PGresult *rows, int row, int64_t now_ms)
{
	struct lease *lease = xcalloc(1, sizeof(*lease));

	lease->ticket = row_i64(rows, row, "ticket");
	lease->job_id = row_i64(rows, row, "job_id");
	lease->attempt = (int)row_i64(rows, row, "attempt");
	lease->priority = (int)row_i64(rows, row, "priority");
	lease->timeout_ms = row_i64(rows, row, "timeout_ms");
	lease->kind = copied(row_text(rows, row, "kind"));
	lease->payload = copied(row_text(rows, row, "payload"));
	lease->waited_s = row_is_null(rows, row, "waited_s") ? -1 : row_f64(rows, row, "waited_s");
	lease->asked_ns = claim->asked_ns;
	lease->answered_ms = now_ms;
	return lease;
}

static void on_claimed(void *context, const PGresult *rows, const struct err *e)
{
	struct claim *claim = context;
	struct lease *leases = NULL;
	int64_t now_ms = clock_boot_ms();
	int count = e ? 0 : PQntuples(rows);

	claim->flying = false;
	for (int row = 0; row < count; row++) {
		struct lease *lease = lease_read(claim, rows, row, now_ms);

		DL_APPEND(leases, lease);
	}
	DL_SORT(leases, lease_compare); /* rows come in heap order */
	claim->found = count >= claim->limit ? CLAIM_PLENTY : CLAIM_LITTLE;
	if (!e && cursor_claimed(&claim->cursor, leases, count < claim->limit))
		claim->found = CLAIM_AGAIN;
	claim->done(claim->context, leases, count, e);
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

void claim_send(struct claim *claim, int limit)
{
	struct params params = {0};

	assert(!claim->flying);
	claim->flying = true;
	claim->limit = limit;
	claim->asked_ns = clock_boot_ns();
	claim->turn++;
	params_text(&params, claim->family);
	params_text(&params, claim->worker_id);
	params_i64(&params, limit);
	add_lanes(&params, claim);
	if (claim->is_limited) {
		params_bool(&params, cursor_is_fair_turn(claim->turn));
		session_send(claim->session, &sql_claim_limited, &params, on_claimed, claim);
		ask_wait(claim);
	} else {
		session_send(claim->session, &sql_claim, &params, on_claimed, claim);
	}
	session_sync(claim->session);
	cursor_advance(&claim->cursor, claim->session, claim->family);
}
