/* SPDX-License-Identifier: PostgreSQL */
#include "queue/lease.h"

#include "base/mem.h"
#include "suite.h"

static struct lease *lease(int64_t ticket, int priority)
{
	struct lease *made = lease_new(NULL, NULL);

	made->ticket = ticket;
	made->priority = priority;
	return made;
}

START_TEST(found_by_ticket_until_dropped)
{
	struct lease_table table = {0};

	for (int64_t ticket = 1; ticket <= 1000; ticket++)
		lease_table_add(&table, lease(ticket << 32, 5));
	ck_assert_int_eq(lease_table_count(&table), 1000);
	ck_assert_int_eq(lease_table_find(&table, (int64_t)7 << 32)->ticket, (int64_t)7 << 32);
	ck_assert_ptr_null(lease_table_find(&table, 7));
	lease_table_drop(&table, lease_table_find(&table, (int64_t)7 << 32));
	ck_assert_ptr_null(lease_table_find(&table, (int64_t)7 << 32));
	ck_assert_int_eq(lease_table_count(&table), 999);
	for (int64_t ticket = 1; ticket <= 1000; ticket++)
		if (ticket != 7)
			lease_table_drop(&table, lease_table_find(&table, ticket << 32));
	ck_assert_int_eq(lease_table_count(&table), 0);
}
END_TEST

START_TEST(smaller_priority_first_then_smaller_ticket)
{
	struct lease a = {.last_ticket = 9, .priority = 0}, b = {.last_ticket = 1, .priority = 5};
	struct lease c = {.last_ticket = 2, .priority = 5};

	ck_assert_int_lt(lease_compare(&a, &b), 0);
	ck_assert_int_gt(lease_compare(&b, &a), 0);
	ck_assert_int_lt(lease_compare(&b, &c), 0);
	ck_assert_int_gt(lease_compare(&c, &b), 0);
	ck_assert_int_eq(lease_compare(&c, &c), 0);
}
END_TEST

START_TEST(a_result_owns_its_words_and_may_be_replaced)
{
	struct lease_table table = {0};
	struct lease *one = lease(1, 5);
	char text[] = "words";

	lease_table_add(&table, one);
	lease_set_result(one, RESULT_FAILED, "transient", "", text);
	text[0] = 'W';
	ck_assert_str_eq(one->result.error, "words");
	ck_assert_ptr_null(one->result.code);
	lease_set_result(one, RESULT_FAILED, "permanent", "code", one->result.error);
	ck_assert_str_eq(one->result.error, "words");
	ck_assert_str_eq(one->result.error_kind, "permanent");
	lease_set_result(one, RESULT_RETURNED, NULL, NULL, NULL);
	ck_assert_ptr_null(one->result.error);
	ck_assert_str_eq(result_name(one->result.kind), "returned");
	lease_table_drop(&table, one);
}
END_TEST

Suite *suite_lease(void)
{
	const TTest *const tests[] = {
		found_by_ticket_until_dropped,
		smaller_priority_first_then_smaller_ticket,
		a_result_owns_its_words_and_may_be_replaced,
		NULL,
	};

	return suite_of("lease", tests);
}
