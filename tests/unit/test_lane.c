/* SPDX-License-Identifier: PostgreSQL */
#include "maintenance/lane.h"

#include "suite.h"

enum { EVERY_MS = 250 };

START_TEST(an_idle_lane_waits_for_its_interval)
{
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_FULL, EVERY_MS, 0, 3), EVERY_MS);
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_FULL, EVERY_MS, LANE_MOST - 1, 3), EVERY_MS);
}
END_TEST

START_TEST(a_full_step_is_repeated_at_once)
{
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_FULL, EVERY_MS, LANE_MOST, 100), 0);
}
END_TEST

START_TEST(pruning_goes_on_at_half_speed)
{
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_ANY, 10000, 1, 60), 60);
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_ANY, 10000, 1, 60000), 10000);
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_ANY, 10000, 0, 60), 10000);
}
END_TEST

START_TEST(a_dear_lane_is_run_less_often)
{
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_FULL, EVERY_MS, 0, 20), 1000);
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_FULL, EVERY_MS, 0, 100000), 2000);
}
END_TEST

START_TEST(who_does_not_lead_asks_once_a_second)
{
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_FULL, EVERY_MS, -1, 3), 1000);
	ck_assert_int_eq(lane_pause_ms(LANE_AGAIN_NEVER, 10000, -1, 3), 10000);
}
END_TEST

START_TEST(pauses_after_errors_double)
{
	ck_assert_int_eq(lane_back_off_ms(EVERY_MS, 1), 250);
	ck_assert_int_eq(lane_back_off_ms(EVERY_MS, 3), 1000);
	ck_assert_int_eq(lane_back_off_ms(EVERY_MS, 1000), 4000);
	ck_assert_int_eq(lane_back_off_ms(10000, 1000), 30000);
	ck_assert_int_eq(lane_back_off_ms(60000, 3), 60000);
}
END_TEST

START_TEST(a_lock_that_others_hold_is_waited_for)
{
	struct err locked = {.sqlstate = "55P03"}, broken = {.sqlstate = "42P01"};

	ck_assert(!lane_is_failing(&locked, 1));
	ck_assert(!lane_is_failing(&locked, 3));
	ck_assert(lane_is_failing(&locked, 4));
	ck_assert(lane_is_failing(&broken, 1));
}
END_TEST

Suite *suite_lane(void)
{
	const TTest *const tests[] = {
		an_idle_lane_waits_for_its_interval,
		a_full_step_is_repeated_at_once,
		pruning_goes_on_at_half_speed,
		a_dear_lane_is_run_less_often,
		who_does_not_lead_asks_once_a_second,
		pauses_after_errors_double,
		a_lock_that_others_hold_is_waited_for,
		NULL,
	};

	return suite_of("lane", tests);
}
