/* SPDX-License-Identifier: PostgreSQL */
#include "http/exposition.h"

#include <math.h>

#include "base/mem.h"
#include "suite.h"

START_TEST(help_and_type_come_first)
{
	struct buf text CLEANUP(buf_clear) = {0};

	exposition_begin(&text, "athena_up", "gauge", "One \\ two\nthree \"four\".");
	ck_assert_str_eq(text.bytes,
		"# HELP athena_up One \\\\ two\\nthree \"four\".\n# TYPE athena_up gauge\n");
}
END_TEST

START_TEST(labels_are_escaped)
{
	struct buf text CLEANUP(buf_clear) = {0};

	exposition_i64(&text, "a", LABELS(), -3);
	exposition_i64(&text, "a", LABELS({"b", "x\"y"}, {"c", "\\\n"}), 4);
	exposition_text(&text, "a", LABELS({"b", ""}), "1e-05");
	ck_assert_str_eq(text.bytes, "a -3\na{b=\"x\\\"y\",c=\"\\\\\\n\"} 4\na{b=\"\"} 1e-05\n");
}
END_TEST

START_TEST(numbers_are_those_of_the_format)
{
	struct buf text CLEANUP(buf_clear) = {0};

	exposition_f64(&text, "a", LABELS(), 0.1);
	exposition_f64(&text, "a", LABELS(), 1e20);
	exposition_f64(&text, "a", LABELS(), NAN);
	exposition_f64(&text, "a", LABELS(), INFINITY);
	exposition_f64(&text, "a", LABELS(), -INFINITY);
	ck_assert_str_eq(text.bytes, "a 0.1\na 1e+20\na NaN\na +Inf\na -Inf\n");
}
END_TEST

START_TEST(buckets_of_a_histogram_add_up)
{
	struct buf text CLEANUP(buf_clear) = {0};
	struct histogram histogram = {0};

	histogram_observe(&histogram, 0.0005, 1);
	histogram_observe(&histogram, 0.0015, 1);
	histogram_observe(&histogram, 123456, 1);
	exposition_histogram(&text, "a", LABELS({"family", "noop"}), &histogram);
	ck_assert_ptr_nonnull(strstr(text.bytes, "a_bucket{family=\"noop\",le=\"0.001\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text.bytes, "a_bucket{family=\"noop\",le=\"0.002\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text.bytes, "a_bucket{family=\"noop\",le=\"10000\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text.bytes, "a_bucket{family=\"noop\",le=\"+Inf\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text.bytes, "a_sum{family=\"noop\"} 123456.002\n"));
	ck_assert_ptr_nonnull(strstr(text.bytes, "a_count{family=\"noop\"} 3\n"));
}
END_TEST

Suite *suite_exposition(void)
{
	const TTest *const tests[] = {
		help_and_type_come_first,
		labels_are_escaped,
		numbers_are_those_of_the_format,
		buckets_of_a_histogram_add_up,
		NULL,
	};

	return suite_of("exposition", tests);
}
