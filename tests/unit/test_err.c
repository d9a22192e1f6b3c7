/* SPDX-License-Identifier: PostgreSQL */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "suite.h"

START_TEST(setters_return_false_and_fill)
{
	struct err e = {0};

	ck_assert(!err_set(&e, ERR_CONFIG, "no %s in line %d", "url", 7));
	ck_assert_int_eq(e.kind, ERR_CONFIG);
	ck_assert_str_eq(e.text, "no url in line 7");
	ck_assert(!err_code(&e, ERR_PERMANENT, "target_exists", "there is a %s", "shop"));
	ck_assert_int_eq(e.kind, ERR_PERMANENT);
	ck_assert_str_eq(e.code, "target_exists");
	ck_assert_str_eq(e.text, "there is a shop");
}
END_TEST

START_TEST(setting_forgets_what_was_there)
{
	struct err e = {0};

	err_code(&e, ERR_PERMANENT, "target_exists", "there");
	strcpy(e.sqlstate, "42P04");
	err_set(&e, ERR_TRANSIENT, "gone");
	ck_assert_str_eq(e.code, "");
	ck_assert_str_eq(e.sqlstate, "");
	ck_assert_str_eq(e.text, "gone");
}
END_TEST

START_TEST(errno_is_appended)
{
	struct err e = {0};

	errno = ENOENT;
	ck_assert(!err_errno(&e, ERR_TRANSIENT, "opening %s", "/x"));
	ck_assert_str_eq(e.text, "opening /x: No such file or directory");
}
END_TEST

START_TEST(context_goes_in_front_and_keeps_the_kind)
{
	struct err e = {0};

	err_code(&e, ERR_TIMEOUT, "late", "too slow");
	ck_assert(!err_in(&e, "job %d", 42));
	ck_assert_str_eq(e.text, "job 42: too slow");
	ck_assert_str_eq(e.code, "late");
	ck_assert_int_eq(e.kind, ERR_TIMEOUT);
}
END_TEST

START_TEST(long_texts_are_cut_not_overrun)
{
	struct err e = {0};
	char longer[sizeof(e.text) + 100];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&e, ERR_TRANSIENT, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	err_in(&e, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	errno = ENOENT;
	err_errno(&e, ERR_TRANSIENT, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	err_code(&e, ERR_PERMANENT, longer, "short");
	ck_assert_uint_eq(strlen(e.code), sizeof(e.code) - 1);
}
END_TEST

START_TEST(kinds_have_words)
{
	for (int kind = ERR_NONE; kind <= ERR_CONFIG; kind++)
		ck_assert_int_eq(err_kind_find(err_kind_name((enum err_kind)kind)), kind);
	ck_assert_str_eq(err_kind_name(ERR_LEASE_LOST), "lease_lost");
	ck_assert_int_eq(err_kind_find("never heard of"), ERR_PERMANENT);
}
END_TEST

START_TEST(transient_and_timeout_are_worth_a_retry)
{
	for (int kind = ERR_NONE; kind <= ERR_CONFIG; kind++) {
		struct err e = {.kind = (enum err_kind)kind};
		bool expected = kind == ERR_TRANSIENT || kind == ERR_TIMEOUT;

		ck_assert_int_eq(err_is_retryable(&e), expected);
	}
}
END_TEST

Suite *suite_err(void)
{
	const TTest *const tests[] = {
		setters_return_false_and_fill,
		setting_forgets_what_was_there,
		errno_is_appended,
		context_goes_in_front_and_keeps_the_kind,
		long_texts_are_cut_not_overrun,
		kinds_have_words,
		transient_and_timeout_are_worth_a_retry,
		NULL,
	};

	return suite_of("err", tests);
}
