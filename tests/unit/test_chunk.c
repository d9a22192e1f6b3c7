/* SPDX-License-Identifier: PostgreSQL */
#include "queue/chunk.h"

#include "base/mem.h"
#include "suite.h"

static const char lines[] = "7 {\"a\": \"x\\ny\"}\n8 \"a \\\"kind\\\\\"{}\n10 [1, 2]";

static struct lease *chunk(int size)
{
	struct lease *lease = lease_new(NULL, lines);

	lease->job_id = 7;
	chunk_init(lease, size, 3);
	return lease;
}

/* The table frees it. */
static void drop(struct lease *lease)
{
	struct lease_table table = {0};

	lease_table_add(&table, lease);
	lease_table_drop(&table, lease);
}

static void assert_text(const char *text, size_t length, const char *wanted)
{
	ck_assert_uint_eq(length, strlen(wanted));
	ck_assert_int_eq(strncmp(text, wanted, length), 0);
}

START_TEST(lines_are_read_one_by_one)
{
	const char *text = lines;
	struct chunk_line line;

	ck_assert(chunk_next_line(&text, &line));
	ck_assert_int_eq(line.job_id, 7);
	ck_assert_ptr_null(line.kind);
	assert_text(line.payload, line.payload_length, "{\"a\": \"x\\ny\"}");
	ck_assert(chunk_next_line(&text, &line));
	ck_assert_int_eq(line.job_id, 8);
	assert_text(line.kind, line.kind_length, "\"a \\\"kind\\\\\"");
	assert_text(line.payload, line.payload_length, "{}");
	ck_assert(chunk_next_line(&text, &line));
	assert_text(line.payload, line.payload_length, "[1, 2]");
	ck_assert(!chunk_next_line(&text, &line));
}
END_TEST

START_TEST(jobs_have_places)
{
	struct lease *lease = chunk(3);

	ck_assert_int_eq(lease->jobs, 3);
	ck_assert_int_eq(chunk_job(lease, 0), 7);
	ck_assert_int_eq(chunk_job(lease, 2), 10);
	ck_assert_int_eq(chunk_place(lease, 8), 1);
	ck_assert_int_eq(chunk_place(lease, 9), -1);
	drop(lease);
}
END_TEST

START_TEST(it_has_succeeded_when_all_have_and_all_were_there)
{
	struct lease *whole = chunk(3), *lacking = chunk(4), *failed = chunk(3);

	whole->done = 2;
	ck_assert(!chunk_has_succeeded(whole));
	whole->done = lacking->done = failed->done = 3;
	chunk_set_result(failed, 1, RESULT_FAILED, "transient", NULL, "no");
	ck_assert(chunk_has_succeeded(whole));
	ck_assert(!chunk_has_succeeded(lacking));
	ck_assert(!chunk_has_succeeded(failed));
	drop(whole);
	drop(lacking);
	drop(failed);
}
END_TEST

START_TEST(results_are_told_of_what_has_ended)
{
	struct lease *lease = chunk(3);
	char *text CLEANUP(free_ptr) = NULL;
	const char *error;

	chunk_set_result(lease, 1, RESULT_FAILED, "transient", NULL, "no");
	lease->done = 2;
	text = chunk_results(lease);
	ck_assert_str_eq(text,
		"{\"7\":{\"result\":\"succeeded\"},"
		"\"8\":{\"result\":\"failed\",\"error_kind\":\"transient\",\"error\":\"no\"}}");
	ck_assert_str_eq(chunk_result_name(lease, 7, &error), "succeeded");
	ck_assert_ptr_null(error);
	ck_assert_str_eq(chunk_result_name(lease, 8, &error), "failed");
	ck_assert_str_eq(error, "no");
	ck_assert_str_eq(chunk_result_name(lease, 10, &error), "returned");
	drop(lease);
}
END_TEST

START_TEST(refused_words_are_dropped_and_the_rest_stays)
{
	struct lease *lease = chunk(3);
	char *text CLEANUP(free_ptr) = NULL;

	chunk_set_result(lease, 0, RESULT_FAILED, "transient", NULL, "poison");
	chunk_set_result(lease, 1, RESULT_RETURNED, NULL, NULL, NULL);
	lease->done = 3;
	chunk_drop_words(lease, "unreportable", "gone");
	text = chunk_results(lease);
	ck_assert_str_eq(text,
		"{\"7\":{\"result\":\"failed\",\"error_kind\":\"permanent\",\"error\":\"gone\","
		"\"code\":\"unreportable\"},"
		"\"8\":{\"result\":\"returned\"},\"10\":{\"result\":\"succeeded\"}}");
	drop(lease);
}
END_TEST

START_TEST(a_cancel_is_noted_once)
{
	struct lease *lease = chunk(3);

	ck_assert(!chunk_is_cancelled(lease, 1));
	ck_assert(chunk_note_cancel(lease, 8));
	ck_assert(!chunk_note_cancel(lease, 8));
	ck_assert(chunk_is_cancelled(lease, 1));
	ck_assert(!chunk_is_cancelled(lease, 0));
	drop(lease);
}
END_TEST

Suite *suite_chunk(void)
{
	const TTest *const tests[] = {
		lines_are_read_one_by_one,
		jobs_have_places,
		it_has_succeeded_when_all_have_and_all_were_there,
		results_are_told_of_what_has_ended,
		refused_words_are_dropped_and_the_rest_stays,
		a_cancel_is_noted_once,
		NULL,
	};

	return suite_of("chunk", tests);
}
