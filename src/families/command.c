/* SPDX-License-Identifier: PostgreSQL */
/*
 * Runs a command that the worker's configuration names, and nothing else: whoever may enqueue
 * decides about stdin and, in the family `command` itself, about further arguments.
 *
 * What it prints becomes events, its exit status decides about a retry. Everything that it starts
 * stays in the executor's process group, which the worker kills when the attempt has to end.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/utf8.h"
#include "families/attempt.h"
#include "families/family.h"

enum {
	OUTPUT_MAX = 1 << 20,	/* bytes of output that become events; the rest is dropped */
	OUTPUT_LINE_COST = 100, /* what a line counts for beside its text */
	LINGER_MS = 1000,	/* for output after the end, when a grandchild holds the pipe */
	PARK_EXIT = 100,	/* the job is to wait for an answer, where the entry allows that */
};

/* <sysexits.h>, without what may be over next time: 69, 71, 74 and 75; and the shell's two. */
static const int permanent_exits[] = {64, 65, 66, 67, 68, 70, 72, 73, 76, 77, 78, 126, 127, -1};

static const struct option_row command_payload[] = {
	{"name", OPTION_TEXT, OPTION_REQUIRED,
		.help = "which entry of the worker's families: with a command is run"},
	{"args", OPTION_LIST, .help = "arguments after those of the configuration"},
	{0},
};

struct command {
	struct attempt *attempt;
	const struct config_family *entry;
	struct proc proc;
	char *input; /* the payload, for its stdin */
	size_t input_length, input_sent;
	struct lines out, err;
	size_t output; /* so much of OUTPUT_MAX is used */
	char last_error[512];
	bool was_stopped; /* told to stop before it had ended by itself */
};

static void command_clear(struct command *command)
{
	proc_clear(&command->proc);
	lines_clear(&command->out);
	lines_clear(&command->err);
	free(command->input);
	command->attempt->state = NULL;
}

static bool unknown_command(const struct config *config, const char *name, struct err *e)
{
	struct buf names CLEANUP(buf_clear) = {0};

	for (size_t i = 0; i < config->family_count; i++)
		if (config->families[i].command)
			buf_printf(
				&names, "%s%s", names.length ? ", " : "", config->families[i].name);
	return err_code(e, ERR_PERMANENT, "unknown_command",
		"this worker's configuration names no command \"%s\"; it has: %s", name,
		names.length ? names.bytes : "none");
}

/* The entry of `families:` that says what to run. */
static bool find_entry(
	const struct attempt *attempt, const struct config_family **ret_entry, struct err *e)
{
	bool is_direct = strcmp(attempt->family_name, attempt->family->name) == 0;
	const char *name = is_direct ? option_text(command_payload, attempt->payload, "name")
				     : attempt->family_name;

	*ret_entry = config_family_find(attempt->config, name);
	if (!*ret_entry || !(*ret_entry)->command)
		return unknown_command(attempt->config, name, e);
	return true;
}

/* argv of the configuration, then `args` where the payload is one of `command` itself. */
static const char *const *make_argv(struct attempt *attempt, const struct config_family *entry)
{
	const json_t *args = family_payload(attempt->family, attempt->family_name)
		? json_object_get(attempt->payload, "args")
		: NULL;
	size_t own = 0;
	const char **argv;
	const json_t *arg;
	size_t i;

	while (entry->command[own])
		own++;
	argv = arena_alloc(&attempt->arena, (own + json_array_size(args) + 1) * sizeof(*argv));
	memcpy(argv, entry->command, own * sizeof(*argv));
	json_array_foreach (args, i, arg)
		argv[own + i] = json_string_value(arg);
	argv[own + json_array_size(args)] = NULL;
	return argv;
}

/* An environment is private to the user, as the command line is not. */
static void add_wait(struct proc_env *env, const struct attempt *attempt, const char *token)
{
	const json_t *answer = attempt_answer(attempt, "");
	char *text CLEANUP(free_ptr) = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);

	if (token)
		proc_env_set(env, "ATHENA_JOB_TOKEN", "%s", token);
	if (text)
		proc_env_set(env, "ATHENA_JOB_ANSWER", "%s", text);
}

/* The worker's own settings and credentials are none of the command's business. */
static void make_environment(struct proc_env *ret_env, const struct attempt *attempt,
	const struct config_family *entry, const char *token)
{
	proc_env_init(ret_env);
	proc_env_drop(ret_env, "PG");
	proc_env_drop(ret_env, "ATHENA_");
	proc_env_drop(ret_env, "NOTIFY_SOCKET"); /* those of a supervisor, too */
	proc_env_drop(ret_env, "WATCHDOG_");
	for (const struct config_pair *pair = entry->env; pair->name; pair++)
		proc_env_set(ret_env, pair->name, "%s", pair->value);
	proc_env_set(ret_env, "ATHENA_JOB_ID", "%lld", (long long)attempt->job_id);
	proc_env_set(ret_env, "ATHENA_JOB_TICKET", "%lld", (long long)attempt->ticket);
	proc_env_set(ret_env, "ATHENA_JOB_ATTEMPT", "%d", attempt->number);
	proc_env_set(ret_env, "ATHENA_JOB_FAMILY", "%s", attempt->family_name);
	proc_env_set(ret_env, "ATHENA_JOB_KIND", "%s", attempt->kind);
	add_wait(ret_env, attempt, token);
}

static bool command_start(struct command *command, struct err *e)
{
	struct proc_env env CLEANUP(proc_env_clear) = {0};
	const char *token = NULL;

	if (command->entry->wait_timeout_ms > 0 &&
		!attempt_open_wait(command->attempt, "", &token, e))
		return false;
	command->input = json_dumps(command->attempt->payload, JSON_COMPACT);
	if (!command->input)
		return err_set(e, ERR_PERMANENT, "payload: cannot be written as JSON");
	command->input_length = strlen(command->input);
	make_environment(&env, command->attempt, command->entry, token);
	return proc_spawn(&command->proc,
		&(struct proc_spec){.argv = make_argv(command->attempt, command->entry),
			.environment = env.entries,
			.in = PROC_PIPE,
			.out = PROC_PIPE,
			.err = PROC_PIPE},
		e);
}

/* A command that does not read all of its stdin is none the worse for it. */
static void write_input(struct command *command)
{
	ssize_t length = write(command->proc.in, command->input + command->input_sent,
		command->input_length - command->input_sent);

	if (length > 0)
		command->input_sent += (size_t)length;
	if (command->input_sent == command->input_length ||
		(length < 0 && errno != EAGAIN && errno != EINTR))
		proc_close(&command->proc.in);
}

static void take_line(struct command *command, const char *kind, const char *line)
{
	if (command->output > OUTPUT_MAX)
		return;
	command->output += strlen(line) + OUTPUT_LINE_COST;
	if (command->output > OUTPUT_MAX)
		attempt_event(command->attempt, EVENT_WARN, "output_cut", NULL,
			"the command has printed more than %d KiB, the rest is not kept",
			OUTPUT_MAX / 1024);
	else
		attempt_event(command->attempt, EVENT_INFO, kind, NULL, "%s", line);
}

static void take_out(void *context, const char *line)
{
	take_line(context, "stdout", line);
}

static void take_err(void *context, const char *line)
{
	struct command *command = context;

	if (*line)
		snprintf(command->last_error, sizeof(command->last_error), "%.*s",
			(int)utf8_fit(line, sizeof(command->last_error) - 1), line);
	take_line(command, "stderr", line);
}

static void read_output(int *fd, struct lines *lines)
{
	char bytes[16384];
	ssize_t length = read(*fd, bytes, sizeof(bytes));

	if (length > 0) {
		lines_add(lines, bytes, (size_t)length);
	} else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
		lines_end(lines);
		proc_close(fd);
	}
}

/* Waits for whatever comes first: room on its stdin, output, its end, or for `timeout_ms`. */
static bool command_step(struct command *command, int timeout_ms, struct err *e)
{
	struct proc *proc = &command->proc;
	struct pollfd fds[] = {
		{.fd = proc->in, .events = POLLOUT},
		{.fd = proc->out, .events = POLLIN},
		{.fd = proc->err, .events = POLLIN},
		{.fd = proc->pidfd, .events = POLLIN},
	};
	int ready;

	if (!attempt_wait(command->attempt, fds, ARRAY_LENGTH(fds), timeout_ms, &ready, e))
		return false;
	if (fds[0].revents)
		write_input(command);
	if (fds[1].revents)
		read_output(&proc->out, &command->out);
	if (fds[2].revents)
		read_output(&proc->err, &command->err);
	return true;
}

/*
 * SIGTERM for the command and all that it has started, once. An executor leads a process group of
 * its own, in which there is nobody else; a signal that is ignored when it is sent leaves no trace.
 */
static void stop_all(struct command *command)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction before;

	if (getpgrp() != getpid()) {
		proc_signal(&command->proc, SIGTERM);
		return;
	}
	sigaction(SIGTERM, &ignore, &before);
	kill(0, SIGTERM);
	sigaction(SIGTERM, &before, NULL);
}

/* Called by attempt_wait() when the attempt is to stop; what has ended by itself stays so. */
static void command_cancel(struct attempt *attempt)
{
	struct command *command = attempt->state;

	if (!command || proc_reap(&command->proc))
		return;
	command->was_stopped = true;
	stop_all(command);
}

static bool is_open(const struct command *command)
{
	return command->proc.out >= 0 || command->proc.err >= 0;
}

/*
 * Until the command has ended and its output is read. Output is waited for a moment only: whoever
 * the command left behind may hold the pipes for ever. Told to stop, it goes on waiting: the
 * worker ends that with SIGKILL when the grace time is over.
 */
static bool command_wait(struct command *command, struct err *e)
{
	int64_t ended_ms = 0;

	while (!command->proc.ended || is_open(command)) {
		int timeout_ms = -1;

		if (command->proc.ended) {
			timeout_ms = (int)(ended_ms + LINGER_MS - clock_boot_ms());
			if (timeout_ms <= 0)
				break;
		}
		if (!command_step(command, timeout_ms, e) && e->kind != ERR_CANCELLED)
			return false;
		if (ended_ms == 0 && proc_reap(&command->proc))
			ended_ms = clock_boot_ms();
	}
	if (is_open(command))
		attempt_event(command->attempt, EVENT_WARN, "left_behind", NULL,
			"the command has ended but left processes that hold its output; they are "
			"told to stop");
	lines_end(&command->out);
	lines_end(&command->err);
	return true;
}

static bool is_permanent(const struct config_family *entry, int exit_status)
{
	const int *exits = entry->permanent_exits ? entry->permanent_exits : permanent_exits;

	for (; *exits >= 0; exits++)
		if (*exits == exit_status)
			return true;
	return false;
}

/* What its end means for the job. */
static bool command_verdict(const struct command *command, struct err *e)
{
	const struct proc *proc = &command->proc;
	char how[64];
	char code[32];

	if (command->was_stopped)
		return err_set(e, ERR_CANCELLED, "the command was told to stop");
	if (proc_succeeded(proc))
		return true;
	if (proc->exit_status == PARK_EXIT && command->entry->wait_timeout_ms > 0) {
		attempt_park(command->attempt, command->entry->wait_timeout_ms);
		return true;
	}
	proc_describe(proc, how, sizeof(how));
	snprintf(code, sizeof(code), proc->term_signal ? "signal_%d" : "exit_%d",
		proc->term_signal ? proc->term_signal : proc->exit_status);
	return err_code(e,
		is_permanent(command->entry, proc->exit_status) ? ERR_PERMANENT : ERR_TRANSIENT,
		code, "%s: %s%s%s", command->entry->command[0], how,
		*command->last_error ? ": " : "", command->last_error);
}

static bool command_execute(struct attempt *attempt, struct err *e)
{
	struct command command CLEANUP(command_clear) = {
		.attempt = attempt,
		.proc = PROC_NONE,
		.out = {.longest = (size_t)config_limit("event_line_bytes") - 3, .take = take_out},
		.err = {.longest = (size_t)config_limit("event_line_bytes") - 3, .take = take_err},
	};

	command.out.context = command.err.context = &command;
	if (!find_entry(attempt, &command.entry, e) || !command_start(&command, e))
		return false;
	attempt->state = &command;
	if (!command_wait(&command, e))
		return false;
	stop_all(&command);
	return command_verdict(&command, e);
}

static bool command_check_entry(const struct config_family *entry, struct err *e)
{
	return entry->command ||
		err_set(e, ERR_CONFIG,
			"%s: family \"%s\" needs a line `command: [PROGRAM, ARGUMENT...]`",
			entry->where, entry->name);
}

const struct family command_family = {
	.name = "command",
	.summary = "runs a command that the worker's configuration names",
	.payload = command_payload,
	.is_frame = true,
	.lease_s = 20,
	.max_attempts = 5,
	.check_entry = command_check_entry,
	.execute = command_execute,
	.cancel = command_cancel,
};
