/* SPDX-License-Identifier: PostgreSQL */
/* Cursors and floors of a family's lanes; cursor.h has the proof. */
#include "queue/cursor.h"

#include <stdio.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/query.h"

enum {
	FAIR_TURN = 8,
	LOOK_EVERY_MS = 1000,
	LOOK_SHARE = 20, /* looks take a twentieth of the time at most */
	ASK_EVERY_MS = 250,
};

/* What an answer is for: void on a later connection. */
struct asked {
	struct cursor *cursor;
	int epoch;
};

static struct asked *ask(struct cursor *cursor)
{
	struct asked *asked = xmalloc(sizeof(*asked));

	*asked = (struct asked){cursor, cursor->epoch};
	return asked;
}

/* The cursor, if the answer still counts; frees the question. */
static struct cursor *answered(void *context)
{
	struct asked *asked CLEANUP(free_ptr) = context;

	return asked->epoch == asked->cursor->epoch ? asked->cursor : NULL;
}

void cursor_reset(struct cursor *cursor)
{
	*cursor = (struct cursor){.epoch = cursor->epoch + 1};
	for (int i = 0; i < LANES; i++)
		cursor->heads[i] = INT64_MAX;
}

static void cursor_begin_look(struct cursor *cursor)
{
	cursor->wants_look = false;
	memcpy(cursor->after, cursor->floors, sizeof(cursor->after));
	cursor->looked_ms = clock_boot_ms();
}

static bool look_is_due(const struct cursor *cursor)
{
	int64_t pause_ms = LOOK_SHARE * cursor->look_cost_ms;

	if (pause_ms < LOOK_EVERY_MS)
		pause_ms = LOOK_EVERY_MS;
	return clock_boot_ms() - cursor->looked_ms >= pause_ms;
}

/* Insertion sort: lanes stay in order of priority where they have no heads. */
static void sort_by_age(const struct cursor *cursor, int64_t *lanes)
{
	for (int i = 1; i < LANES; i++)
		for (int k = i; k > 0 && cursor->heads[lanes[k]] < cursor->heads[lanes[k - 1]];
			k--) {
			int64_t lane = lanes[k];

			lanes[k] = lanes[k - 1];
			lanes[k - 1] = lane;
		}
}

bool cursor_is_fair_turn(int turn)
{
	return turn % FAIR_TURN == 0;
}

void cursor_lanes(struct cursor *cursor, int turn, int64_t *ret_lanes, int64_t *ret_after)
{
	if (cursor->wants_look || look_is_due(cursor))
		cursor_begin_look(cursor);
	cursor->is_look = memcmp(cursor->after, cursor->floors, sizeof(cursor->after)) == 0;
	for (int i = 0; i < LANES; i++)
		ret_lanes[i] = i;
	if (cursor_is_fair_turn(turn))
		sort_by_age(cursor, ret_lanes);
	for (int i = 0; i < LANES; i++)
		ret_after[i] = cursor->after[ret_lanes[i]];
}

bool cursor_claimed(struct cursor *cursor, const struct lease *leases, bool is_short)
{
	const struct lease *lease;

	if (cursor->is_look)
		cursor->look_cost_ms = clock_boot_ms() - cursor->looked_ms;
	DL_FOREACH (leases, lease)
		if (lease->last_ticket > cursor->after[lease->priority])
			cursor->after[lease->priority] = lease->last_ticket;
	if (!is_short || cursor->is_look)
		return false;
	cursor->wants_look = true;
	return true;
}

static void on_xid(void *context, const PGresult *rows, const struct err *e)
{
	struct cursor *cursor = answered(context);

	if (!cursor)
		return;
	cursor->mark = e ? MARK_NONE : MARK_SET;
	if (!e)
		snprintf(
			cursor->mark_xid, sizeof(cursor->mark_xid), "%s", row_text(rows, 0, "xid"));
}

static void on_number(void *context, const PGresult *rows, const struct err *e)
{
	struct cursor *cursor = answered(context);

	if (cursor && !e)
		cursor->mark_number = row_i64(rows, 0, "number");
}

/* Two transactions, in this order: the sync in between ends the first. */
static void cursor_draw_mark(struct cursor *cursor, struct session *session)
{
	cursor->mark = MARK_DRAWING;
	session_send(session, &sql_cursor_number, NULL, on_number, ask(cursor));
	session_sync(session);
	session_send(session, &sql_own_xid, NULL, on_xid, ask(cursor));
	session_sync(session);
}

static void cursor_move_floor(struct cursor *cursor, int lane, bool has_head)
{
	int64_t floor = cursor->mark_number;

	if (has_head && cursor->heads[lane] - 1 < floor)
		floor = cursor->heads[lane] - 1;
	if (floor > cursor->floors[lane])
		cursor->floors[lane] = floor;
}

static void on_heads(void *context, const PGresult *rows, const struct err *e)
{
	struct cursor *cursor = answered(context);
	bool has_passed = !e && row_bool(rows, 0, "has_passed");

	if (!cursor)
		return;
	cursor->is_asking = false;
	for (int row = 0; !e && row < PQntuples(rows); row++) {
		int lane = (int)row_i64(rows, row, "lane");
		bool has_head = !row_is_null(rows, row, "head");

		cursor->heads[lane] = has_head ? row_i64(rows, row, "head") : INT64_MAX;
		if (has_passed)
			cursor_move_floor(cursor, lane, has_head);
	}
	if (has_passed) { /* what was late has appeared */
		cursor->mark = MARK_NONE;
		cursor->wants_look = true;
	}
}

static void cursor_ask_heads(struct cursor *cursor, struct session *session, const char *family)
{
	struct params params = {0};

	cursor->is_asking = true;
	params_text(&params, family);
	params_text(&params, cursor->mark_xid);
	params_i64s(&params, cursor->floors, LANES);
	params_i64s(&params, cursor->after, LANES);
	session_send(session, &sql_cursor_heads, &params, on_heads, ask(cursor));
	session_sync(session);
}

void cursor_advance(struct cursor *cursor, struct session *session, const char *family)
{
	int64_t now_ms = clock_boot_ms();

	if (now_ms - cursor->asked_ms < ASK_EVERY_MS || cursor->is_asking)
		return;
	cursor->asked_ms = now_ms;
	if (cursor->mark == MARK_NONE)
		cursor_draw_mark(cursor, session);
	else if (cursor->mark == MARK_SET)
		cursor_ask_heads(cursor, session, family);
}
