/* SPDX-License-Identifier: PostgreSQL */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/mem.h"
#include "suite.h"

static void read_to_end(int fd, struct buf *out)
{
	ssize_t n;

	do {
		struct pollfd ready = {.fd = fd, .events = POLLIN};

		poll(&ready, 1, -1);
		n = read(fd, buf_reserve(out, 4096), 4096);
		if (n > 0)
			buf_added(out, (size_t)n);
	} while (n != 0);
}

static void wait_for_end(struct proc *proc)
{
	struct pollfd ended = {.fd = proc->pidfd, .events = POLLIN};

	ck_assert_int_eq(poll(&ended, 1, 10000), 1);
	ck_assert(proc_reap(proc));
}

/* Runs a shell script to its end; its stdout is in `out`. */
static void run(
	struct proc *proc, const char *script, const struct proc_spec *like, struct buf *out)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct proc_spec spec = *like;
	struct err e;

	spec.argv = argv;
	spec.out = PROC_PIPE;
	ck_assert_msg(proc_spawn(proc, &spec, &e), "%s", e.text);
	read_to_end(proc->out, out);
	wait_for_end(proc);
}

START_TEST(output_and_exit_status_arrive)
{
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct buf out CLEANUP(buf_clear) = {0};
	char how[64];

	run(&proc, "echo hello; exit 3", &(struct proc_spec){0}, &out);
	ck_assert_str_eq(out.bytes, "hello\n");
	ck_assert_int_eq(proc.exit_status, 3);
	ck_assert_int_eq(proc.term_signal, 0);
	ck_assert(!proc_succeeded(&proc));
	proc_describe(&proc, how, sizeof(how));
	ck_assert_str_eq(how, "exit status 3");
}
END_TEST

START_TEST(input_ends_when_our_end_is_closed)
{
	const char *const argv[] = {"cat", NULL};
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct buf out CLEANUP(buf_clear) = {0};
	struct err e;

	ck_assert(proc_spawn(
		&proc, &(struct proc_spec){.argv = argv, .in = PROC_PIPE, .out = PROC_PIPE}, &e));
	ck_assert_int_eq(write(proc.in, "x", 1), 1);
	proc_close(&proc.in);
	read_to_end(proc.out, &out);
	ck_assert_str_eq(out.bytes, "x");
	wait_for_end(&proc);
	ck_assert(proc_succeeded(&proc));
}
END_TEST

START_TEST(a_signal_is_told_apart_from_an_exit)
{
	const char *const argv[] = {"sleep", "1000", NULL};
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct err e;
	char how[64];

	ck_assert(proc_spawn(&proc, &(struct proc_spec){.argv = argv}, &e));
	ck_assert(!proc_reap(&proc));
	proc_signal(&proc, SIGTERM);
	wait_for_end(&proc);
	ck_assert_int_eq(proc.exit_status, -1);
	proc_describe(&proc, how, sizeof(how));
	ck_assert_str_eq(how, "signal 15 (Terminated)");
	proc_signal(&proc, SIGKILL); /* whose pid it was may be somebody else's by now */
}
END_TEST

START_TEST(a_missing_program_is_reported_by_name)
{
	const char *const argv[] = {"/no/such/program", NULL};
	struct proc proc = PROC_NONE;
	struct err e;

	ck_assert(!proc_spawn(&proc, &(struct proc_spec){.argv = argv}, &e));
	ck_assert_int_eq(e.kind, ERR_PERMANENT);
	ck_assert_str_eq(e.code, "exec_failed");
	ck_assert_str_eq(e.text, "executing /no/such/program: No such file or directory");
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(a_missing_directory_is_reported)
{
	const char *const argv[] = {"true", NULL};
	struct proc proc = PROC_NONE;
	struct err e;

	ck_assert(!proc_spawn(
		&proc, &(struct proc_spec){.argv = argv, .directory = "/no/such/folder"}, &e));
	ck_assert_str_eq(e.text, "preparing to start true: No such file or directory");
}
END_TEST

START_TEST(only_what_is_kept_is_inherited)
{
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct buf out CLEANUP(buf_clear) = {0};
	int secret CLEANUP(close_fd) = open("/dev/null", O_RDONLY);
	int kept CLEANUP(close_fd) = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct proc_spec spec = {.keep = &kept, .keep_count = 1};
	char wanted[64];

	ck_assert_int_gt(secret, 2);
	/* Asked for by number, since listing the folder would open one more. */
	run(&proc, "for f in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$f ] || echo $f; done",
		&spec, &out);
	snprintf(wanted, sizeof(wanted), "0\n1\n2\n%d\n", kept);
	ck_assert_str_eq(out.bytes, wanted);
}
END_TEST

/* But 32 and 33, which are libc's own: posix_spawn(3), as in make, leaves them ignored. */
START_TEST(no_signal_is_blocked_or_ignored)
{
	const unsigned long long internal = 3ULL << 31;
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct buf out CLEANUP(buf_clear) = {0};
	unsigned long long blocked, ignored;
	sigset_t all;

	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	run(&proc, "grep -E 'Sig(Blk|Ign)' /proc/self/status", &(struct proc_spec){0}, &out);
	ck_assert_int_eq(sscanf(out.bytes, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	ck_assert_uint_eq(blocked, 0);
	ck_assert_uint_eq(ignored & ~internal, 0);
}
END_TEST

START_TEST(the_environment_is_what_was_made_of_ours)
{
	struct proc_env env CLEANUP(proc_env_clear) = {0};
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct buf out CLEANUP(buf_clear) = {0};

	setenv("PGPASSWORD", "secret", 1);
	setenv("KEPT", "before", 1);
	proc_env_init(&env);
	proc_env_drop(&env, "PG");
	proc_env_set(&env, "KEPT", "%s", "after");
	proc_env_set(&env, "NEW", "%d", 7);
	run(&proc, "echo \"$KEPT $NEW ${PGPASSWORD-none}\"",
		&(struct proc_spec){.environment = env.entries}, &out);
	ck_assert_str_eq(out.bytes, "after 7 none\n");
}
END_TEST

START_TEST(a_child_dies_with_its_parent)
{
	int ends[2];
	pid_t parent;
	char byte;

	ck_assert_int_eq(pipe(ends), 0);
	parent = fork();
	if (parent == 0) {
		const char *const argv[] = {"sleep", "1000", NULL};
		struct proc proc = PROC_NONE;
		struct err e;

		/* The sleeper holds the pipe open for as long as it lives. */
		if (!proc_spawn(&proc, &(struct proc_spec){.argv = argv, .out = ends[1]}, &e))
			_exit(1);
		_exit(0);
	}
	close(ends[1]);
	waitpid(parent, NULL, 0);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}
END_TEST

Suite *suite_proc(void)
{
	const TTest *const tests[] = {output_and_exit_status_arrive,
		input_ends_when_our_end_is_closed, a_signal_is_told_apart_from_an_exit,
		a_missing_program_is_reported_by_name, a_missing_directory_is_reported,
		only_what_is_kept_is_inherited, no_signal_is_blocked_or_ignored,
		the_environment_is_what_was_made_of_ours, a_child_dies_with_its_parent, NULL};

	return suite_of("proc", tests);
}
