/* SPDX-License-Identifier: PostgreSQL */
#include "families/clone/compare.h"

#include "base/buf.h"
#include "base/mem.h"
#include "suite.h"

static void collect(void *context, const struct difference *d)
{
	buf_printf(context, "%s %s: %s/%s\n", d->kind, d->name, d->source ? d->source : "-",
		d->target ? d->target : "-");
}

START_TEST(equal_lists_have_no_differences_in_any_order)
{
	struct facts source CLEANUP(facts_clear) = {0}, target CLEANUP(facts_clear) = {0};
	struct buf got CLEANUP(buf_clear) = {0};

	facts_add(&source, "index", "a", "x");
	facts_add(&source, "table", "a", NULL);
	facts_add(&target, "table", "a", "");
	facts_add(&target, "index", "a", "x");
	ck_assert_uint_eq(facts_digest(&source), facts_digest(&target));
	ck_assert_uint_eq(facts_compare(&source, &target, collect, &got), 0);
	ck_assert_ptr_null(got.bytes);
}
END_TEST

START_TEST(each_difference_is_named_once_and_in_order)
{
	struct facts source CLEANUP(facts_clear) = {0}, target CLEANUP(facts_clear) = {0};
	struct buf got CLEANUP(buf_clear) = {0};

	facts_add(&source, "table", "changed", "x");
	facts_add(&source, "table", "same", "x");
	facts_add(&source, "index", "lost", "x");
	facts_add(&target, "table", "same", "x");
	facts_add(&target, "table", "changed", "y");
	facts_add(&target, "view", "added", "x");
	ck_assert_uint_eq(facts_compare(&source, &target, collect, &got), 3);
	ck_assert_str_eq(got.bytes, "index lost: x/-\ntable changed: x/y\nview added: -/x\n");
}
END_TEST

START_TEST(an_empty_list_differs_in_everything)
{
	struct facts source CLEANUP(facts_clear) = {0}, target CLEANUP(facts_clear) = {0};
	struct buf got CLEANUP(buf_clear) = {0};

	ck_assert_uint_eq(facts_compare(&source, &target, collect, &got), 0);
	facts_add(&target, "table", "a", "");
	ck_assert_uint_eq(facts_compare(&source, &target, collect, &got), 1);
	ck_assert_str_eq(got.bytes, "table a: -/\n");
}
END_TEST

START_TEST(a_name_that_stands_twice_is_compared_twice)
{
	struct facts source CLEANUP(facts_clear) = {0}, target CLEANUP(facts_clear) = {0};
	struct buf got CLEANUP(buf_clear) = {0};

	facts_add(&source, "cast", "a", "2");
	facts_add(&source, "cast", "a", "1");
	facts_add(&target, "cast", "a", "1");
	ck_assert_uint_eq(facts_compare(&source, &target, collect, &got), 1);
	ck_assert_str_eq(got.bytes, "cast a: 2/-\n");
}
END_TEST

START_TEST(texts_do_not_run_into_each_other_in_the_digest)
{
	struct facts one CLEANUP(facts_clear) = {0}, other CLEANUP(facts_clear) = {0};

	facts_add(&one, "ab", "c", "");
	facts_add(&other, "a", "bc", "");
	ck_assert_uint_ne(facts_digest(&one), facts_digest(&other));
}
END_TEST

Suite *suite_clone_compare(void)
{
	const TTest *const tests[] = {equal_lists_have_no_differences_in_any_order,
		each_difference_is_named_once_and_in_order, an_empty_list_differs_in_everything,
		a_name_that_stands_twice_is_compared_twice,
		texts_do_not_run_into_each_other_in_the_digest, NULL};

	return suite_of("clone_compare", tests);
}
