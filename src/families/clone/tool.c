/* SPDX-License-Identifier: PostgreSQL */
/* A running pg_dump or pg_restore. */
#include "families/clone/tool.h"

#include <poll.h>
#include <signal.h>

#include "base/redact.h"
#include "families/clone/progress.h"
#include "families/clone/tool_error.h"
#include "families/clone/tools.h"

enum {
	LINE_BYTES_MAX = 2048,
	EVENT_LINES_MAX = 500, /* per tool; a restore that goes wrong can print one per row */
	READ_BYTES = 4096,
	END_WITHIN_MS = 2000,
};

/*
 * The first line that means something decides, since what follows is its consequence; unless it
 * means only that something failed, and the server's own words come in the lines after it.
 */
static void judge_line(struct tool *tool, const char *line)
{
	char *before CLEANUP(free_ptr) = NULL;
	enum err_kind kind;
	const char *code = tool_error_code(line, &kind);

	if (!code ||
		(tool->reason &&
			(strcmp(tool->code, TOOL_ERROR_VAGUE) != 0 ||
				strcmp(code, TOOL_ERROR_VAGUE) == 0)))
		return;
	before = TAKE(tool->reason);
	tool->code = code;
	tool->kind = kind;
	tool->reason = xasprintf("%s%s%s", before ? before : "", before ? "; " : "", line);
}

static void take_line(void *context, const char *line)
{
	struct tool *tool = context;
	char *clean = redact_dup(line);
	char **place = &tool->last[tool->printed % TOOL_LAST_LINES];

	free(*place);
	*place = clean;
	if (tool->printed++ < EVENT_LINES_MAX)
		attempt_event(tool->attempt, EVENT_WARN, "tool_output",
			json_pack("{s:s}", "tool", tool->name), "%s", clean);
	judge_line(tool, clean);
}

void tool_environment(struct proc_env *ret_env, int passfile)
{
	proc_env_init(ret_env);
	proc_env_drop(ret_env, "PG");
	proc_env_drop(ret_env, "ATHENA_"); /* the password of the control plane, too */
	proc_env_drop(ret_env, "AWS_");
	proc_env_drop(ret_env, "LC_");
	proc_env_drop(ret_env, "LANG");
	proc_env_set(ret_env, "LC_ALL", "C");
	proc_env_set(ret_env, "PGCONNECT_TIMEOUT", "10");
	if (passfile >= 0)
		proc_env_set(ret_env, "PGPASSFILE", "/proc/self/fd/%d", passfile);
}

static bool make_address(
	const struct tool_target *target, char **ret_conninfo, int *ret_passfile, struct err *e)
{
	return !target ||
		(tools_conninfo(target, ret_conninfo, e) &&
			tools_passfile(target->conn, ret_passfile, e));
}

bool tool_start(struct tool *tool, struct attempt *attempt, const char *const *argv,
	const struct tool_target *target, int in, int out, struct err *e)
{
	struct proc_env env CLEANUP(proc_env_clear) = {0};
	char *conninfo CLEANUP(free_ptr) = NULL;
	int passfile CLEANUP(close_fd) = -1;
	const char **args CLEANUP(free_ptr) = NULL;
	size_t n = 0;

	*tool = (struct tool){
		.attempt = attempt,
		.name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0],
		.proc = PROC_NONE,
		.stderr_lines = {.longest = LINE_BYTES_MAX, .take = take_line, .context = tool},
	};
	if (!make_address(target, &conninfo, &passfile, e))
		return false;
	while (argv[n])
		n++;
	args = xcalloc(n + 3, sizeof(*args));
	memcpy(args, argv, n * sizeof(*args));
	if (target) {
		args[n++] = "-d";
		args[n++] = conninfo;
	}
	tool_environment(&env, passfile);
	return proc_spawn(&tool->proc,
		&(struct proc_spec){.argv = args,
			.environment = env.entries,
			.in = in,
			.out = out,
			.err = PROC_PIPE,
			.keep = &passfile,
			.keep_count = passfile >= 0 ? 1 : 0},
		e);
}

void tool_read_stderr(struct tool *tool)
{
	char bytes[READ_BYTES];
	ssize_t n;

	if (tool->proc.err < 0)
		return;
	while ((n = read(tool->proc.err, bytes, sizeof(bytes))) > 0)
		lines_add(&tool->stderr_lines, bytes, (size_t)n);
	if (n == 0) {
		lines_end(&tool->stderr_lines);
		proc_close(&tool->proc.err);
	}
}

static json_t *last_lines(const struct tool *tool)
{
	json_t *lines = json_array();
	int first = tool->printed > TOOL_LAST_LINES ? tool->printed - TOOL_LAST_LINES : 0;

	for (int i = first; i < tool->printed; i++)
		json_array_append_new(lines, json_string(tool->last[i % TOOL_LAST_LINES]));
	return lines;
}

static bool wait_for_end(struct tool *tool, struct clone *clone, struct err *e)
{
	while (!proc_reap(&tool->proc)) {
		struct pollfd fds[] = {{.fd = tool->proc.err, .events = POLLIN},
			{.fd = tool->proc.pidfd, .events = POLLIN},
			{.fd = PQsocket(clone->source.conn.pg), .events = POLLIN}};
		int ready;

		if (!attempt_wait(
			    tool->attempt, fds, ARRAY_LENGTH(fds), PROGRESS_LOOK_MS, &ready, e) ||
			!endpoint_is_there(&clone->source, e) || !progress_look(clone, e))
			return false;
		tool_read_stderr(tool);
	}
	tool_read_stderr(tool);
	return proc_succeeded(&tool->proc) || tool_failed(tool, e);
}

/* Those that a tool has forked go with it, if it is asked and not killed. */
static void ask_to_end(struct tool *tool)
{
	struct pollfd fd = {.fd = tool->proc.pidfd, .events = POLLIN};
	struct err ignored;
	int ready;

	proc_signal(&tool->proc, SIGTERM);
	err_ignored(attempt_wait(tool->attempt, &fd, 1, END_WITHIN_MS, &ready, &ignored),
		"it is killed then");
}

bool tool_run(struct clone *clone, const char *const *argv, const struct tool_target *target,
	int out, struct err *e)
{
	struct tool tool CLEANUP(tool_clear) = {.proc = PROC_NONE};
	bool ok;

	if (!tool_start(&tool, clone->attempt, argv, target, PROC_NULL, out, e))
		return false;
	ok = wait_for_end(&tool, clone, e);
	if (!tool.proc.ended)
		ask_to_end(&tool);
	tool_report(&tool, 0);
	return ok;
}

void tool_report(struct tool *tool, int64_t bytes)
{
	char how[64];
	bool was_killed = !tool->proc.ended && tool->proc.pid > 0;

	if (was_killed)
		proc_kill(&tool->proc);
	tool_read_stderr(tool);
	proc_describe(&tool->proc, how, sizeof(how));
	attempt_event(tool->attempt, proc_succeeded(&tool->proc) ? EVENT_INFO : EVENT_ERROR,
		"tool_finished",
		json_pack("{s:s, s:i, s:i, s:b, s:I, s:o}", "tool", tool->name, "exit_status",
			tool->proc.exit_status, "signal", tool->proc.term_signal, "stopped_by_us",
			was_killed, "bytes", (json_int_t)bytes, "output", last_lines(tool)),
		"%s: %s%s", tool->name, how, was_killed ? ", stopped by us" : "");
}

bool tool_failed(const struct tool *tool, struct err *e)
{
	char how[64];

	proc_describe(&tool->proc, how, sizeof(how));
	if (tool->reason)
		return err_code(
			e, tool->kind, tool->code, "%s: %s: %s", tool->name, how, tool->reason);
	return err_code(e, ERR_TRANSIENT, TOOL_ERROR_VAGUE, "%s: %s%s%s", tool->name, how,
		tool->printed ? ": " : "",
		tool->printed ? tool->last[(tool->printed - 1) % TOOL_LAST_LINES] : "");
}

void tool_clear(struct tool *tool)
{
	proc_clear(&tool->proc);
	lines_clear(&tool->stderr_lines);
	for (int i = 0; i < TOOL_LAST_LINES; i++)
		free(tool->last[i]);
	free(tool->reason);
	*tool = (struct tool){.proc = PROC_NONE};
}
