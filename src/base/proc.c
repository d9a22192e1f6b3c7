/* SPDX-License-Identifier: PostgreSQL */
/* Child processes that die with us. */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

/* What a child that could not become the program tells its parent. */
struct failure {
	int error;
	bool is_exec; /* else it was about preparing it */
};

/* Both ends of a child's standard descriptor while it is being started. */
struct stream {
	int ours, theirs; /* -1: none, or PROC_INHERIT */
};

static bool pipe_for(struct stream *stream, int number, struct err *e)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, ERR_TRANSIENT, "pipe");
	stream->theirs = ends[number == STDIN_FILENO ? 0 : 1];
	stream->ours = ends[number == STDIN_FILENO ? 1 : 0];
	if (fcntl(stream->ours, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(e, ERR_TRANSIENT, "making a pipe non-blocking");
	return true;
}

static bool stream_open(struct stream *stream, int wanted, int number, struct err *e)
{
	if (wanted == PROC_INHERIT)
		return true;
	if (wanted == PROC_PIPE)
		return pipe_for(stream, number, e);
	stream->theirs = wanted == PROC_NULL ? open("/dev/null", O_RDWR | O_CLOEXEC)
					     : fcntl(wanted, F_DUPFD_CLOEXEC, 3);
	if (stream->theirs < 0)
		return err_errno(e, ERR_TRANSIENT, "opening a tool's descriptor %d", number);
	return true;
}

static void streams_close(struct stream (*streams)[3])
{
	for (int i = 0; i < 3; i++) {
		proc_close(&(*streams)[i].ours);
		proc_close(&(*streams)[i].theirs);
	}
}

/* In the child. */
static void reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * In the child. The descriptors are moved out of the way first: one of them may be 0, 1 or 2
 * itself, in a parent that was started without.
 */
static bool place_descriptors(const struct proc_spec *spec, const struct stream *streams)
{
	int high[3];

	for (int i = 0; i < 3; i++) {
		high[i] = streams[i].theirs;
		if (high[i] >= 0 && (high[i] = fcntl(high[i], F_DUPFD_CLOEXEC, 3)) < 0)
			return false;
	}
	for (int i = 0; i < 3; i++)
		if (high[i] >= 0 && dup2(high[i], i) < 0)
			return false;
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return false;
	for (size_t i = 0; i < spec->keep_count; i++)
		if (fcntl(spec->keep[i], F_SETFD, 0) < 0)
			return false;
	return true;
}

/* In the child. The array is const for callers; exec takes it as it took it in 1970. */
static void exec_program(const struct proc_spec *spec)
{
	union {
		const char *const *given;
		char *const *taken;
	} argv = {.given = spec->argv};

	execvpe(spec->argv[0], argv.taken, spec->environment ? spec->environment : environ);
}

/* In the child. The death signal comes last: the kernel forgets it when the user changes. */
static bool change_self(const struct proc_spec *spec)
{
	if (spec->is_apart && setsid() < 0)
		return false;
	if (spec->user &&
		(setgroups(0, NULL) < 0 || setgid(spec->user->gid) < 0 ||
			setuid(spec->user->uid) < 0))
		return false;
	return prctl(PR_SET_PDEATHSIG, spec->death_signal ? spec->death_signal : SIGKILL) == 0;
}

/* In the child: does not return. `parent` is who must still be there. */
static void become(
	const struct proc_spec *spec, const struct stream *streams, int report, pid_t parent)
{
	struct failure failure = {0};
	bool is_changed;

	reset_signals();
	is_changed = change_self(spec);
	/* Died before or after the prctl: either we see another parent, or the signal comes. */
	if (getppid() != parent)
		_exit(127);
	report = fcntl(report, F_DUPFD_CLOEXEC, 3);
	if (is_changed && place_descriptors(spec, streams) &&
		(!spec->directory || chdir(spec->directory) == 0)) {
		failure.is_exec = true;
		exec_program(spec);
	}
	failure.error = errno;
	if (write(report, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

/* The report's pipe closes without a word when exec has worked. */
static bool exec_worked(const struct proc_spec *spec, int report, struct err *e)
{
	struct failure failure;
	ssize_t length;

	do
		length = read(report, &failure, sizeof(failure));
	while (length < 0 && errno == EINTR);
	if (length == 0)
		return true;
	errno = length == (ssize_t)sizeof(failure) ? failure.error : EIO;
	if (errno == ENOMEM || errno == EAGAIN || errno == EMFILE || errno == ENFILE)
		return err_errno(e, ERR_TRANSIENT, "starting %s", spec->argv[0]);
	err_errno(e, ERR_PERMANENT, "%s %s", failure.is_exec ? "executing" : "preparing to start",
		spec->argv[0]);
	snprintf(e->code, sizeof(e->code), "exec_failed");
	return false;
}

static bool start(struct proc *proc, const struct proc_spec *spec, const struct stream *streams,
	struct err *e)
{
	int read_end CLEANUP(close_fd) = -1;
	pid_t parent = getpid();
	int report[2];

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(e, ERR_TRANSIENT, "pipe");
	read_end = report[0];
	proc->pid = fork();
	if (proc->pid == 0)
		become(spec, streams, report[1], parent);
	close(report[1]);
	if (proc->pid < 0) {
		proc->pid = 0;
		return err_errno(e, ERR_TRANSIENT, "starting %s", spec->argv[0]);
	}
	if (!exec_worked(spec, read_end, e))
		return false;
	proc->pidfd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
	if (proc->pidfd < 0)
		return err_errno(e, ERR_TRANSIENT, "pidfd_open");
	return true;
}

bool proc_spawn(struct proc *ret_proc, const struct proc_spec *spec, struct err *e)
{
	struct stream streams[3] CLEANUP(streams_close) = {{-1, -1}, {-1, -1}, {-1, -1}};
	const int wanted[3] = {spec->in, spec->out, spec->err};
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;

	for (int i = 0; i < 3; i++)
		if (!stream_open(&streams[i], wanted[i], i, e))
			return false;
	if (!start(&proc, spec, streams, e))
		return false;
	proc.in = streams[0].ours;
	proc.out = streams[1].ours;
	proc.err = streams[2].ours;
	for (int i = 0; i < 3; i++)
		streams[i].ours = -1;
	*ret_proc = proc;
	proc = PROC_NONE;
	return true;
}

static bool reap(struct proc *proc, int flags)
{
	int status;
	pid_t pid;

	if (proc->pid == 0)
		return proc->ended;
	do
		pid = waitpid(proc->pid, &status, flags);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	proc->pid = 0;
	proc_close(&proc->pidfd);
	proc->ended = true;
	/* Somebody else reaped it: that is a bug, but no reason to call it a success. */
	proc->exit_status = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	proc->term_signal = pid > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return true;
}

bool proc_reap(struct proc *proc)
{
	return reap(proc, WNOHANG);
}

bool proc_succeeded(const struct proc *proc)
{
	return proc->ended && proc->exit_status == 0;
}

void proc_describe(const struct proc *proc, char *text, size_t size)
{
	if (!proc->ended)
		snprintf(text, size, "still running");
	else if (proc->term_signal)
		snprintf(text, size, "signal %d (%s)", proc->term_signal,
			strsignal(proc->term_signal));
	else
		snprintf(text, size, "exit status %d", proc->exit_status);
}

void proc_signal(struct proc *proc, int number)
{
	if (proc->pid > 0)
		kill(proc->pid, number);
}

void proc_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void proc_kill(struct proc *proc)
{
	proc_signal(proc, SIGKILL);
	reap(proc, 0);
}

void proc_clear(struct proc *proc)
{
	proc_kill(proc);
	proc_close(&proc->pidfd);
	proc_close(&proc->in);
	proc_close(&proc->out);
	proc_close(&proc->err);
	*proc = PROC_NONE;
}

static void env_add(struct proc_env *env, char *entry)
{
	env->entries = xreallocarray(env->entries, env->count + 2, sizeof(*env->entries));
	env->entries[env->count++] = entry;
	env->entries[env->count] = NULL;
}

void proc_env_init(struct proc_env *ret_env)
{
	*ret_env = (struct proc_env){0};
	for (char **entry = environ; entry && *entry; entry++)
		env_add(ret_env, xstrdup(*entry));
}

void proc_env_drop(struct proc_env *env, const char *prefix)
{
	size_t kept = 0;

	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->entries[i], prefix, strlen(prefix)) == 0)
			free(env->entries[i]);
		else
			env->entries[kept++] = env->entries[i];
	}
	env->count = kept;
	if (env->entries)
		env->entries[kept] = NULL;
}

void proc_env_set(struct proc_env *env, const char *name, const char *fmt, ...)
{
	char *prefix CLEANUP(free_ptr) = xasprintf("%s=", name);
	char *value CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	value = xvasprintf(fmt, ap);
	va_end(ap);
	proc_env_drop(env, prefix);
	env_add(env, xasprintf("%s%s", prefix, value));
}

void proc_env_clear(struct proc_env *env)
{
	for (size_t i = 0; i < env->count; i++)
		free(env->entries[i]);
	free(env->entries);
	*env = (struct proc_env){0};
}
