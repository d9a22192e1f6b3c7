/* SPDX-License-Identifier: PostgreSQL */
#include "families/backup/retention.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "suite.h"

enum { HISTORIES = 10000, MOST = 60, DAY_S = 86400 };

static const int64_t noon_s = 1767268800; /* Thursday, 2026-01-01 12:00 */

static struct retention_backup good(int64_t at_s)
{
	return (struct retention_backup){.at_s = at_s, .is_complete = true, .is_verified = true};
}

static size_t kept(const struct retention_backup *backups, size_t count, const char *reason)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += !backups[i].goes && strcmp(backups[i].reason, reason) == 0;
	return n;
}

START_TEST(one_a_day_for_two_years)
{
	struct retention_policy policy = {.last = 3};
	struct retention_backup backups[730];
	size_t stays = 0;

	policy.spans[RETENTION_DAY] = 7;
	policy.spans[RETENTION_WEEK] = 4;
	policy.spans[RETENTION_MONTH] = 12;
	policy.spans[RETENTION_YEAR] = 2;
	for (int i = 0; i < 730; i++)
		backups[i] = good(noon_s - (int64_t)i * DAY_S);
	retention_judge(&policy, noon_s, backups, ARRAY_LENGTH(backups));
	ck_assert_uint_eq(kept(backups, 730, "last"), 3);
	ck_assert_uint_eq(kept(backups, 730, "daily"), 4);
	/* Of weeks: the current one, which is kept already, and three Sundays, of which one is. */
	ck_assert_uint_eq(kept(backups, 730, "weekly"), 2);
	ck_assert_uint_eq(kept(backups, 730, "monthly"), 10);
	for (int i = 0; i < 730; i++)
		stays += !backups[i].goes;
	ck_assert_uint_eq(stays, 3 + 4 + 2 + 10);
	/* Sunday, and the last days of months. */
	ck_assert(!backups[4].goes && !backups[11].goes && !backups[18].goes);
	ck_assert(!backups[1 + 31].goes && backups[1 + 30].goes);
}
END_TEST

START_TEST(a_policy_that_says_nothing_keeps_everything)
{
	struct retention_policy policy = {.min_age_s = 5};
	struct retention_backup backups[] = {good(noon_s - 100), good(noon_s - 200)};

	retention_judge(&policy, noon_s, backups, 2);
	ck_assert(!backups[0].goes && !backups[1].goes);
	ck_assert_str_eq(backups[0].reason, "no_policy");
}
END_TEST

START_TEST(unverified_ones_take_no_place)
{
	struct retention_policy policy = {.last = 2};
	struct retention_backup backups[] = {good(noon_s), good(noon_s - 10), good(noon_s - 20),
		good(noon_s - 30), good(noon_s - 40)};

	backups[1].is_verified = false;
	backups[3].is_verified = false;
	retention_judge(&policy, noon_s, backups, 5);
	ck_assert(!backups[0].goes && !backups[2].goes);
	ck_assert(!backups[1].goes); /* newer than a good one that stays */
	ck_assert(backups[3].goes && backups[4].goes);
}
END_TEST

START_TEST(nothing_goes_while_the_newest_is_not_proved)
{
	struct retention_policy policy = {.last = 1};
	struct retention_backup backups[] = {good(noon_s), good(noon_s - 10), good(noon_s - 20)};

	backups[0].is_verified = false;
	retention_judge(&policy, noon_s, backups, 3);
	ck_assert(!backups[0].goes && !backups[1].goes && !backups[2].goes);
	backups[0].is_complete = false; /* it runs, or has failed */
	retention_judge(&policy, noon_s, backups, 3);
	ck_assert(!backups[0].goes && !backups[1].goes && !backups[2].goes);
}
END_TEST

START_TEST(pins_and_youth)
{
	struct retention_policy policy = {.last = 1, .min_age_s = 15};
	struct retention_backup backups[] = {
		good(noon_s), good(noon_s - 10), good(noon_s - 20), good(noon_s - 30)};

	backups[3].is_pinned = true;
	retention_judge(&policy, noon_s, backups, 4);
	ck_assert_str_eq(backups[1].reason, "young");
	ck_assert(backups[2].goes);
	ck_assert_str_eq(backups[3].reason, "pinned");
}
END_TEST

static int64_t random_below(int64_t limit)
{
	return ((int64_t)random() << 20 ^ random()) % limit;
}

static int by_age(const void *a, const void *b)
{
	const struct retention_backup *one = a, *other = b;

	return one->at_s < other->at_s ? 1 : one->at_s > other->at_s ? -1 : 0;
}

static size_t make_history(struct retention_backup *backups)
{
	static const int64_t reaches_s[] = {
		7200, 10 * DAY_S, 900 * DAY_S, 20 * 365 * (int64_t)DAY_S};
	int64_t reach_s = reaches_s[random() % 4];
	size_t count = (size_t)(random() % (MOST + 1));

	for (size_t i = 0; i < count; i++)
		backups[i] = (struct retention_backup){.at_s = noon_s - random_below(reach_s),
			.is_complete = random() % 10 > 0,
			.is_verified = random() % 5 > 0,
			.is_pinned = random() % 20 == 0};
	qsort(backups, count, sizeof(*backups), by_age);
	return count;
}

static struct retention_policy make_policy(void)
{
	struct retention_policy policy = {.last = random() % 3 ? random() % 8 : 0};

	for (int span = 0; span < RETENTION_SPANS; span++)
		policy.spans[span] = random() % 2 ? random() % 15 : 0;
	policy.min_age_s = random() % 3 ? 0 : random_below(30 * DAY_S);
	return policy;
}

static bool is_good(const struct retention_backup *backup)
{
	return backup->is_complete && backup->is_verified;
}

/* What must hold whatever the policy; `count` > 0. */
static void check_laws(
	const struct retention_policy *policy, const struct retention_backup *backups, size_t count)
{
	bool seen_good = false;
	int64_t good_stay = 0, good_all = 0;

	for (size_t i = 0; i < count; i++) {
		ck_assert_ptr_nonnull(backups[i].reason);
		if (is_good(&backups[i]) && !seen_good) {
			seen_good = true;
			ck_assert_msg(!backups[i].goes, "the newest verified one goes");
		}
		good_all += is_good(&backups[i]);
		good_stay += is_good(&backups[i]) && !backups[i].goes;
		ck_assert(!backups[i].goes || backups[i].is_complete);
		ck_assert(!backups[i].goes || !backups[i].is_pinned);
		ck_assert(!backups[i].goes || noon_s - backups[i].at_s >= policy->min_age_s);
		ck_assert(!backups[i].goes || is_good(&backups[0]));
		ck_assert(!backups[i].goes || !retention_is_empty(policy));
	}
	ck_assert_int_ge(good_stay, good_all < policy->last ? good_all : policy->last);
}

/* What a sweep leaves is what the next one leaves. */
static void check_idempotent(
	const struct retention_policy *policy, const struct retention_backup *backups, size_t count)
{
	struct retention_backup left[MOST];
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!backups[i].goes)
			left[n++] = backups[i];
	retention_judge(policy, noon_s, left, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(!left[i].goes, "a second sweep takes more");
}

/* Whoever asks for more keeps at least as much. */
static void check_monotonic(
	struct retention_policy policy, const struct retention_backup *backups, size_t count)
{
	struct retention_backup again[MOST];

	if (retention_is_empty(&policy))
		return;
	policy.last += random() % 3;
	policy.spans[random() % RETENTION_SPANS] += random() % 3;
	memcpy(again, backups, count * sizeof(*backups));
	retention_judge(&policy, noon_s, again, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(
			backups[i].goes || !again[i].goes, "more is asked for, and less stays");
}

START_TEST(ten_thousand_histories)
{
	srandom(20260101);
	for (int i = 0; i < HISTORIES; i++) {
		struct retention_backup backups[MOST];
		struct retention_policy policy = make_policy();
		size_t count = make_history(backups);

		retention_judge(&policy, noon_s, backups, count);
		check_laws(&policy, backups, count);
		check_idempotent(&policy, backups, count);
		check_monotonic(policy, backups, count);
	}
}
END_TEST

Suite *suite_backup_retention(void)
{
	const TTest *const tests[] = {
		one_a_day_for_two_years,
		a_policy_that_says_nothing_keeps_everything,
		unverified_ones_take_no_place,
		nothing_goes_while_the_newest_is_not_proved,
		pins_and_youth,
		ten_thousand_histories,
		NULL,
	};

	return suite_of("backup_retention", tests);
}
