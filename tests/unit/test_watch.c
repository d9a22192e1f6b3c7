/* SPDX-License-Identifier: PostgreSQL */
#include "maintenance/watch.h"

#include "suite.h"

enum { LEASE_MS = 6000 };

/* One look at one worker, answered 10 ms after it was sent. */
static enum verdict look(
	struct watch *watch, int64_t sent_ms, const struct sight *sight, int64_t *ret_watched_ms)
{
	enum verdict verdict;

	watch_begin(watch, sent_ms, sent_ms + 10, LEASE_MS);
	verdict = watch_see(watch, sight, ret_watched_ms);
	watch_end(watch);
	return verdict;
}

static const struct sight still = {.worker_id = "a", .heartbeat = "12:00"};
static const struct sight beaten = {.worker_id = "a", .heartbeat = "12:05"};
static const struct sight gone = {.worker_id = "a", .heartbeat = "12:00", .is_gone = true};

START_TEST(silent_after_the_whole_lease)
{
	struct watch watch = {0};
	int64_t watched_ms;

	for (int64_t ms = 1000; ms < 7010; ms += 1000)
		ck_assert_int_eq(look(&watch, ms, &still, &watched_ms), VERDICT_LEAVE);
	/* First shown by the answer at 1010; this look is sent a whole lease later. */
	ck_assert_int_eq(look(&watch, 7010, &still, &watched_ms), VERDICT_SILENT);
	ck_assert_int_eq(watched_ms, LEASE_MS);
	watch_clear(&watch);
}
END_TEST

START_TEST(a_heartbeat_begins_anew)
{
	struct watch watch = {0};
	int64_t watched_ms;

	for (int64_t ms = 1000; ms <= 6000; ms += 1000)
		look(&watch, ms, &still, &watched_ms);
	ck_assert_int_eq(watched_ms, 4990);
	ck_assert_int_eq(look(&watch, 7000, &beaten, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(watched_ms, 0);
	ck_assert_int_eq(look(&watch, 8000, &beaten, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(watched_ms, 990);
	watch_clear(&watch);
}
END_TEST

/* Even if the value shown is one that was there before: a failover can do that. */
START_TEST(an_older_heartbeat_is_another_one)
{
	struct watch watch = {0};
	int64_t watched_ms;

	look(&watch, 1000, &still, &watched_ms);
	look(&watch, 2000, &beaten, &watched_ms);
	look(&watch, 3000, &still, &watched_ms);
	ck_assert_int_eq(watched_ms, 0);
	watch_clear(&watch);
}
END_TEST

START_TEST(a_gap_of_a_third_of_the_lease_is_allowed)
{
	struct watch watch = {0};
	int64_t watched_ms;

	look(&watch, 1000, &still, &watched_ms);
	look(&watch, 3000, &still, &watched_ms);
	ck_assert_int_eq(watched_ms, 1990);
	watch_clear(&watch);
}
END_TEST

START_TEST(a_longer_gap_begins_anew_for_everybody)
{
	const struct sight other = {.worker_id = "b", .heartbeat = "11:00"};
	struct watch watch = {0};
	int64_t watched_ms, other_ms;

	for (int64_t ms = 1000; ms <= 8000; ms += 1000) {
		watch_begin(&watch, ms, ms, LEASE_MS);
		watch_see(&watch, &still, &watched_ms);
		watch_see(&watch, &other, &other_ms);
		watch_end(&watch);
	}
	ck_assert_int_eq(other_ms, 7000);
	watch_begin(&watch, 9000, 10001, LEASE_MS);
	ck_assert_int_eq(watch_see(&watch, &still, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(watch_see(&watch, &other, &other_ms), VERDICT_LEAVE);
	watch_end(&watch);
	ck_assert_int_eq(watched_ms, 0);
	ck_assert_int_eq(other_ms, 0);
	watch_clear(&watch);
}
END_TEST

/* A server that stands still answers late; what queued up there is served in any order. */
START_TEST(a_late_answer_is_a_gap)
{
	struct watch watch = {0};
	int64_t watched_ms;

	for (int64_t ms = 1000; ms <= 7000; ms += 1000)
		look(&watch, ms, &still, &watched_ms);
	watch_begin(&watch, 8000, 38000, LEASE_MS);
	ck_assert_int_eq(watch_see(&watch, &still, &watched_ms), VERDICT_LEAVE);
	watch_end(&watch);
	ck_assert_int_eq(look(&watch, 38001, &still, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(watched_ms, 1);
	watch_clear(&watch);
}
END_TEST

START_TEST(dead_when_seen_gone_twice_a_second_apart)
{
	struct watch watch = {0};
	int64_t watched_ms;

	ck_assert_int_eq(look(&watch, 1000, &gone, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(look(&watch, 1999, &gone, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(look(&watch, 2000, &gone, &watched_ms), VERDICT_DEAD);
	ck_assert_int_eq(look(&watch, 2001, &gone, &watched_ms), VERDICT_DEAD);
	watch_clear(&watch);
}
END_TEST

START_TEST(seen_alive_in_between_is_not_dead)
{
	struct watch watch = {0};
	int64_t watched_ms;

	look(&watch, 1000, &gone, &watched_ms);
	look(&watch, 1500, &still, &watched_ms);
	ck_assert_int_eq(look(&watch, 2500, &gone, &watched_ms), VERDICT_LEAVE);
	watch_clear(&watch);
}
END_TEST

START_TEST(who_is_not_shown_is_forgotten)
{
	struct watch watch = {0};
	int64_t watched_ms;

	for (int64_t ms = 1000; ms <= 8000; ms += 1000)
		look(&watch, ms, &still, &watched_ms);
	watch_begin(&watch, 9000, 9010, LEASE_MS);
	watch_end(&watch);
	ck_assert_uint_eq(watch.count, 0);
	ck_assert_int_eq(look(&watch, 10000, &still, &watched_ms), VERDICT_LEAVE);
	ck_assert_int_eq(watched_ms, 0);
	watch_clear(&watch);
}
END_TEST

Suite *suite_watch(void)
{
	const TTest *const tests[] = {
		silent_after_the_whole_lease,
		a_heartbeat_begins_anew,
		an_older_heartbeat_is_another_one,
		a_gap_of_a_third_of_the_lease_is_allowed,
		a_longer_gap_begins_anew_for_everybody,
		a_late_answer_is_a_gap,
		dead_when_seen_gone_twice_a_second_apart,
		seen_alive_in_between_is_not_dead,
		who_is_not_shown_is_forgotten,
		NULL,
	};

	return suite_of("watch", tests);
}
