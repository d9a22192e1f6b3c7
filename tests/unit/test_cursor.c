/* SPDX-License-Identifier: PostgreSQL */
#include "queue/cursor.h"

#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "suite.h"

/* Nothing claimed, nothing known, and the last look a moment ago. */
static struct cursor cursor_just_looked(void)
{
	struct cursor cursor = {0};

	cursor_reset(&cursor);
	cursor.looked_ms = clock_boot_ms();
	return cursor;
}

/* Sends a claim and answers it with one ticket of `lane`, or with nothing for 0. */
static bool claim(struct cursor *cursor, int lane, int64_t ticket, bool is_short)
{
	int64_t lanes[LANES], after[LANES];
	struct lease lease = {.priority = lane, .last_ticket = ticket};
	struct lease *leases = NULL;

	cursor_lanes(cursor, 1, lanes, after);
	if (ticket > 0)
		DL_APPEND(leases, &lease);
	return cursor_claimed(cursor, leases, is_short);
}

START_TEST(the_first_claim_begins_at_the_front_in_order_of_priority)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	cursor_lanes(&cursor, 1, lanes, after);
	for (int i = 0; i < LANES; i++) {
		ck_assert_int_eq(lanes[i], i);
		ck_assert_int_eq(after[i], 0);
	}
	ck_assert(cursor.is_look);
}
END_TEST

START_TEST(later_claims_begin_where_the_last_one_ended)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	ck_assert(!claim(&cursor, 5, 70, false));
	ck_assert(!claim(&cursor, 5, 60, false)); /* one that had come late */
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert_int_eq(after[5], 70);
	ck_assert_int_eq(after[4], 0);
	ck_assert(!cursor.is_look);
}
END_TEST

START_TEST(a_short_claim_is_followed_by_a_look_and_that_decides)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	claim(&cursor, 5, 70, false);
	ck_assert(claim(&cursor, 5, 0, true)); /* not empty yet: the cursor may have gone past it */
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert(cursor.is_look);
	ck_assert_int_eq(after[5], 0);
	ck_assert(!cursor_claimed(&cursor, NULL, true)); /* now it is */
}
END_TEST

START_TEST(a_look_comes_in_time_without_a_short_claim)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	claim(&cursor, 5, 70, false);
	cursor.looked_ms = clock_boot_ms() - 1000;
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert(cursor.is_look);
	ck_assert_int_eq(after[5], 0);
}
END_TEST

START_TEST(costly_looks_are_rare)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	claim(&cursor, 5, 70, false);
	cursor.look_cost_ms = 100;
	cursor.looked_ms = clock_boot_ms() - 1500;
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert(!cursor.is_look);
	cursor.looked_ms = clock_boot_ms() - 2000;
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert(cursor.is_look);
}
END_TEST

START_TEST(looks_begin_at_the_floors)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	claim(&cursor, 5, 70, false);
	cursor.floors[5] = 40;
	cursor.wants_look = true;
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert(cursor.is_look);
	ck_assert_int_eq(after[5], 40);
}
END_TEST

START_TEST(every_eighth_claim_begins_with_the_oldest_line)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];

	cursor.heads[0] = 300;
	cursor.heads[4] = 200;
	cursor.heads[9] = 100;
	cursor.after[9] = 99;
	for (int turn = 1; turn < 8; turn++) {
		cursor_lanes(&cursor, turn, lanes, after);
		ck_assert_int_eq(lanes[0], 0);
	}
	cursor_lanes(&cursor, 8, lanes, after);
	ck_assert_int_eq(lanes[0], 9);
	ck_assert_int_eq(after[0], 99);
	ck_assert_int_eq(lanes[1], 4);
	ck_assert_int_eq(lanes[2], 0);
	ck_assert_int_eq(lanes[3], 1); /* the empty ones in order of priority */
}
END_TEST

START_TEST(a_new_connection_knows_nothing)
{
	struct cursor cursor = cursor_just_looked();
	int64_t lanes[LANES], after[LANES];
	int epoch = cursor.epoch;

	claim(&cursor, 5, 70, false);
	cursor.floors[5] = 40;
	cursor.mark = MARK_SET;
	cursor_reset(&cursor);
	cursor_lanes(&cursor, 1, lanes, after);
	ck_assert_int_eq(after[5], 0);
	ck_assert_int_eq(cursor.mark, MARK_NONE);
	ck_assert_int_ne(cursor.epoch, epoch);
}
END_TEST

Suite *suite_cursor(void)
{
	const TTest *const tests[] = {
		the_first_claim_begins_at_the_front_in_order_of_priority,
		later_claims_begin_where_the_last_one_ended,
		a_short_claim_is_followed_by_a_look_and_that_decides,
		a_look_comes_in_time_without_a_short_claim,
		costly_looks_are_rare,
		looks_begin_at_the_floors,
		every_eighth_claim_begins_with_the_oldest_line,
		a_new_connection_knows_nothing,
		NULL,
	};

	return suite_of("cursor", tests);
}
