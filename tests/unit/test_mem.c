/* SPDX-License-Identifier: PostgreSQL */
#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/resource.h>

#include "suite.h"

static int released;

static void count_release(char **text)
{
	if (*text)
		released++;
	free(*text);
}

static char *hand_out(bool keep)
{
	char *text CLEANUP(count_release) = xstrdup("kept");

	return keep ? TAKE(text) : NULL;
}

START_TEST(cleanup_releases_at_the_end_of_a_scope)
{
	released = 0;
	ck_assert_ptr_null(hand_out(false));
	ck_assert_int_eq(released, 1);
}
END_TEST

START_TEST(take_keeps_what_cleanup_would_release)
{
	char *text;

	released = 0;
	text = hand_out(true);
	ck_assert_int_eq(released, 0);
	ck_assert_str_eq(text, "kept");
	free(text);
}
END_TEST

START_TEST(files_and_descriptors_are_closed)
{
	int copy;

	{
		int fd CLEANUP(close_fd) = open("/dev/null", O_RDONLY | O_CLOEXEC);
		int none CLEANUP(close_fd) = -1;
		FILE *nothing CLEANUP(close_file) = NULL;

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(none, -1);
		ck_assert_ptr_null(nothing);
		copy = fd;
	}
	ck_assert_int_eq(fcntl(copy, F_GETFD), -1);
}
END_TEST

START_TEST(nothing_asked_is_still_something)
{
	void *block = xmalloc(0);

	ck_assert_ptr_nonnull(block);
	block = xreallocarray(block, 0, 8);
	ck_assert_ptr_nonnull(block);
	free(block);
}
END_TEST

START_TEST(formatted_strings)
{
	char *text CLEANUP(free_ptr) = xasprintf("%s-%d", "job", 42);
	char *cut CLEANUP(free_ptr) = xstrndup("abcdef", 3);

	ck_assert_str_eq(text, "job-42");
	ck_assert_str_eq(cut, "abc");
}
END_TEST

/* SIZE_MAX as a count overflows, which reallocarray reports as being out of memory. */
START_TEST(no_memory_aborts)
{
	const struct rlimit no_core = {0, 0};
	volatile size_t count = SIZE_MAX;

	setrlimit(RLIMIT_CORE, &no_core);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	free(xreallocarray(NULL, count, 16));
}
END_TEST

START_TEST(arenas_hand_out_aligned_separate_memory)
{
	struct arena arena CLEANUP(arena_clear) = {0};
	char *blocks[100];

	for (size_t i = 0; i < ARRAY_LENGTH(blocks); i++) {
		blocks[i] = arena_alloc(&arena, 300 + i);
		ck_assert_uint_eq((uintptr_t)blocks[i] % alignof(max_align_t), 0);
		memset(blocks[i], (int)i, 300 + i);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(blocks); i++)
		for (size_t at = 0; at < 300 + i; at++)
			ck_assert_int_eq(blocks[i][at], (char)i);
}
END_TEST

START_TEST(arenas_take_more_than_a_block)
{
	struct arena arena CLEANUP(arena_clear) = {0};
	char *big = arena_alloc(&arena, 1 << 20);

	memset(big, 1, 1 << 20);
	ck_assert_str_eq(arena_strdup(&arena, "after"), "after");
	ck_assert_str_eq(arena_printf(&arena, "%d/%s", 7, "x"), "7/x");
}
END_TEST

START_TEST(a_cleared_arena_can_be_used_again)
{
	struct arena arena = {0};

	arena_strdup(&arena, "first");
	arena_clear(&arena);
	ck_assert_ptr_null(arena.blocks);
	ck_assert_str_eq(arena_strdup(&arena, "second"), "second");
	arena_clear(&arena);
	arena_clear(&arena);
}
END_TEST

Suite *suite_mem(void)
{
	const TTest *const tests[] = {
		cleanup_releases_at_the_end_of_a_scope,
		take_keeps_what_cleanup_would_release,
		files_and_descriptors_are_closed,
		nothing_asked_is_still_something,
		formatted_strings,
		arenas_hand_out_aligned_separate_memory,
		arenas_take_more_than_a_block,
		a_cleared_arena_can_be_used_again,
		NULL,
	};
	Suite *suite = suite_of("mem", tests);
	TCase *aborting = tcase_create("aborting");

	tcase_add_test_raise_signal(aborting, no_memory_aborts, SIGABRT);
	suite_add_tcase(suite, aborting);
	return suite;
}
