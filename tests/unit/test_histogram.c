/* SPDX-License-Identifier: PostgreSQL */
#include "base/histogram.h"

#include "suite.h"

START_TEST(a_bound_belongs_to_its_own_bucket)
{
	struct histogram h = {0};

	histogram_observe(&h, 0.002, 1);
	histogram_observe(&h, 0.0020001, 1);
	ck_assert_uint_eq(h.counts[1], 1);
	ck_assert_uint_eq(h.counts[2], 1);
	ck_assert_double_eq_tol(h.sum_s, 0.0040001, 1e-9);
}
END_TEST

START_TEST(nothing_is_left_out)
{
	struct histogram h = {0};

	histogram_observe(&h, 0, 1);
	histogram_observe(&h, 1e9, 1);
	ck_assert_uint_eq(h.counts[0], 1);
	ck_assert_uint_eq(h.counts[HISTOGRAM_BOUNDS], 1);
}
END_TEST

START_TEST(time_does_not_run_backwards)
{
	struct histogram h = {0};

	histogram_observe(&h, -5, 1);
	ck_assert_uint_eq(h.counts[0], 1);
	ck_assert_double_eq(h.sum_s, 0);
}
END_TEST

START_TEST(bounds_ascend)
{
	for (int i = 1; i < HISTOGRAM_BOUNDS; i++)
		ck_assert_double_lt(histogram_bounds_s[i - 1], histogram_bounds_s[i]);
}
END_TEST

Suite *suite_histogram(void)
{
	const TTest *const tests[] = {
		a_bound_belongs_to_its_own_bucket,
		nothing_is_left_out,
		time_does_not_run_backwards,
		bounds_ascend,
		NULL,
	};

	return suite_of("histogram", tests);
}
