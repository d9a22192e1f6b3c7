/* SPDX-License-Identifier: PostgreSQL */
#include "families/clone/sequences.h"

#include "base/buf.h"
#include "base/mem.h"
#include "suite.h"

static void collect(void *context, const struct difference *d)
{
	buf_printf(context, "%s %s: %s/%s", d->kind, d->name, d->source ? d->source : "-",
		d->target ? d->target : "-");
}

static struct sequence at(int64_t last, bool is_called, int64_t step, bool cycles)
{
	static char name[] = "s";

	return (struct sequence){
		.name = name, .last = last, .step = step, .is_called = is_called, .cycles = cycles};
}

/* What is said of a sequence that stood at `before`, then at `after`, and in the clone at `target`.
 */
static char *judge(struct sequence before, struct sequence after, struct sequence target)
{
	struct facts source CLEANUP(facts_clear) = {0}, staging CLEANUP(facts_clear) = {0};
	struct buf got = {0};

	sequences_add(&(struct sequences){&before, 1}, &(struct sequences){&after, 1},
		&(struct sequences){&target, 1}, &source, &staging);
	facts_compare(&source, &staging, collect, &got);
	return buf_take(&got);
}

static void assert_judged(
	const char *wanted, struct sequence before, struct sequence after, struct sequence target)
{
	char *got CLEANUP(free_ptr) = judge(before, after, target);

	ck_assert_str_eq(got, wanted);
}

START_TEST(at_rest_it_must_be_equal)
{
	assert_judged("", at(5, true, 1, false), at(5, true, 1, false), at(5, true, 1, false));
	assert_judged("value of sequence s: 5/6", at(5, true, 1, false), at(5, true, 1, false),
		at(6, true, 1, false));
	assert_judged("value of sequence s: 1, not yet called/1", at(1, false, 1, false),
		at(1, false, 1, false), at(1, true, 1, false));
	assert_judged("value of sequence s: 5/6", at(5, true, 1, true), at(5, true, 1, true),
		at(6, true, 1, true));
}
END_TEST

START_TEST(in_motion_it_must_lie_between)
{
	struct sequence before = at(5, true, 2, false), after = at(9, true, 2, false);

	assert_judged("", before, after, at(5, true, 2, false));
	assert_judged("", before, after, at(7, true, 2, false));
	assert_judged("", before, after, at(9, true, 2, false));
	assert_judged("value of sequence s: 9/3", before, after, at(3, true, 2, false));
	assert_judged("value of sequence s: 9/11", before, after, at(11, true, 2, false));
	assert_judged(
		"value of sequence s: 9/5, not yet called", before, after, at(5, false, 2, false));
}
END_TEST

START_TEST(downwards_between_is_the_other_way_round)
{
	struct sequence before = at(-5, true, -1, false), after = at(-9, true, -1, false);

	assert_judged("", before, after, at(-7, true, -1, false));
	assert_judged("value of sequence s: -9/-4", before, after, at(-4, true, -1, false));
	assert_judged("value of sequence s: -9/-10", before, after, at(-10, true, -1, false));
}
END_TEST

START_TEST(in_motion_around_a_cycle_anything_is_possible)
{
	assert_judged("", at(9, true, 1, true), at(2, true, 1, true), at(10, true, 1, true));
}
END_TEST

START_TEST(one_that_is_missing_is_named)
{
	struct sequence own = at(5, true, 1, false);
	struct facts source CLEANUP(facts_clear) = {0}, staging CLEANUP(facts_clear) = {0};
	struct buf got CLEANUP(buf_clear) = {0};

	sequences_add(&(struct sequences){&own, 1}, &(struct sequences){&own, 1},
		&(struct sequences){0}, &source, &staging);
	ck_assert_uint_eq(facts_compare(&source, &staging, collect, &got), 1);
	ck_assert_str_eq(got.bytes, "value of sequence s: 5/-");
}
END_TEST

Suite *suite_clone_sequences(void)
{
	const TTest *const tests[] = {
		at_rest_it_must_be_equal,
		in_motion_it_must_lie_between,
		downwards_between_is_the_other_way_round,
		in_motion_around_a_cycle_anything_is_possible,
		one_that_is_missing_is_named,
		NULL,
	};

	return suite_of("clone_sequences", tests);
}
