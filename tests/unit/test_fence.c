/* SPDX-License-Identifier: PostgreSQL */
#include "worker/fence.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "suite.h"

enum { LIMIT_MS = 800, MS = 1000000 };

/* What an executor that was fenced leaves behind. */
static _Atomic int64_t *fenced_after_ns;

static void share_end(void)
{
	fenced_after_ns = mmap(NULL, sizeof(*fenced_after_ns), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(fenced_after_ns, MAP_FAILED);
}

static void wait_ms(int ms)
{
	poll(NULL, 0, ms);
}

/*
 * An executor that guards an attempt which computes and never waits for anything. It writes its
 * pid to `tell` (or -1) once it has joined.
 */
static pid_t start_executor(int fd, bool guards, int tell)
{
	pid_t parent = getpid(), pid = fork();
	struct err e;

	if (pid != 0)
		return pid;
	if (!fence_join(fd, parent, fenced_after_ns, &e))
		_exit(7);
	pid = getpid();
	if (tell >= 0 && write(tell, &pid, sizeof(pid)) < 0)
		_exit(7);
	if (guards)
		fence_guard(LIMIT_MS * (int64_t)MS);
	for (;;)
		;
}

/* It must die by SIGKILL. */
static void wait_killed(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

START_TEST(falls_so_long_after_the_last_beat)
{
	struct fence_page *page;
	struct err e;
	int64_t sent_ns = clock_boot_ns();
	int fd;

	share_end();
	ck_assert(fence_new(&page, &fd, &e));
	fence_beat(page, sent_ns);
	ck_assert_int_eq(fence_last_beat_ns(page), sent_ns);
	wait_killed(start_executor(fd, true, -1));
	ck_assert_int_ge(clock_boot_ns() - sent_ns, LIMIT_MS * (int64_t)MS);
	ck_assert_int_ge(*fenced_after_ns, LIMIT_MS * (int64_t)MS);
	ck_assert_int_le(*fenced_after_ns, clock_boot_ns() - sent_ns);
	fence_free(page, fd);
}
END_TEST

START_TEST(beats_put_it_off)
{
	struct fence_page *page;
	struct err e;
	pid_t pid;
	int fd;

	share_end();
	ck_assert(fence_new(&page, &fd, &e));
	fence_beat(page, clock_boot_ns());
	pid = start_executor(fd, true, -1);
	for (int i = 0; i < 20; i++) {
		wait_ms(LIMIT_MS / 10);
		fence_beat(page, clock_boot_ns());
	}
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ck_assert_int_eq(*fenced_after_ns, 0);
	wait_killed(pid);
	ck_assert_int_ge(*fenced_after_ns, LIMIT_MS * (int64_t)MS);
	fence_free(page, fd);
}
END_TEST

START_TEST(whoever_does_nothing_is_not_fenced)
{
	struct fence_page *page;
	struct err e;
	pid_t pid;
	int fd;

	share_end();
	ck_assert(fence_new(&page, &fd, &e));
	fence_beat(page, clock_boot_ns());
	pid = start_executor(fd, false, -1);
	wait_ms(2 * LIMIT_MS);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	wait_killed(pid);
	ck_assert_int_eq(*fenced_after_ns, 0);
	fence_free(page, fd);
}
END_TEST

/* The middle process is the worker. */
START_TEST(dies_with_its_worker)
{
	int ends[2];
	pid_t worker, executor = 0;
	struct err e;

	share_end();
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	worker = fork();
	if (worker == 0) {
		struct fence_page *page;
		int fd;

		if (!fence_new(&page, &fd, &e))
			_exit(7);
		fence_beat(page, clock_boot_ns());
		start_executor(fd, false, ends[1]);
		pause();
	}
	ck_assert_int_eq(read(ends[0], &executor, sizeof(executor)), sizeof(executor));
	ck_assert_int_eq(getpgid(executor), executor);
	kill(worker, SIGKILL);
	ck_assert_int_eq(waitpid(worker, NULL, 0), worker);
	wait_killed(executor);
	ck_assert_int_eq(*fenced_after_ns, 0);
}
END_TEST

START_TEST(a_worker_that_is_gone_already_is_noticed)
{
	struct fence_page *page;
	struct err e;
	int fd, status;
	pid_t pid;

	share_end();
	ck_assert(fence_new(&page, &fd, &e));
	pid = fork();
	if (pid == 0) {
		struct err inner;

		_exit(fence_join(fd, 1, fenced_after_ns, &inner) ? 0 : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	fence_free(page, fd);
}
END_TEST

Suite *suite_fence(void)
{
	const TTest *const tests[] = {
		falls_so_long_after_the_last_beat,
		beats_put_it_off,
		whoever_does_nothing_is_not_fenced,
		dies_with_its_worker,
		a_worker_that_is_gone_already_is_noticed,
		NULL,
	};

	return suite_of("fence", tests);
}
