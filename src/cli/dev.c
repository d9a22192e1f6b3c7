/* SPDX-License-Identifier: PostgreSQL */
/*
 * athena dev: a private Postgres with Athena in it, and a worker for everything, in one command.
 *
 * One process watches what it has started: server, worker and, after "--", a command. When one of
 * them ends, or a signal comes, the others are ended in order: command, worker (drained), server.
 * SIGHUP has worker and server read their configuration anew; but with its terminal gone it ends.
 * If this process is killed, the kernel ends them: the worker and the command at once, the server
 * by a fast shutdown.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/proc.h"
#include "cli/cli.h"
#include "cli/command_table.h"
#include "cli/dev_cluster.h"
#include "cli/dev_url.h"
#include "db/migrate.h"
#include "db/query.h"
#include "families/family.h"

enum { MIGRATE_PATIENCE_MS = 60000, KILL_MS = 10000 };

static const struct option_row dev_options[] = {
	{.name = "dir",
		.type = OPTION_TEXT,
		.unit = "FOLDER",
		.fallback = DEV_DIRECTORY,
		.help = "where the cluster lives"},
	{.name = "no_worker",
		.type = OPTION_BOOL,
		.help = "only the server, with the schema in it"},
	{0},
};

struct dev {
	struct cli *cli;
	const struct config *config;
	struct dev_cluster cluster;
	struct proc_env env; /* of worker and command */
	struct proc worker;
	struct proc command;
	int signals; /* signalfd */
	bool has_terminal;
};

static void dev_clear(struct dev *dev)
{
	proc_clear(&dev->command);
	proc_clear(&dev->worker);
	if (dev->cluster.directory)
		dev_url_remove(dev->cluster.directory);
	dev_cluster_stop(&dev->cluster);
	proc_env_clear(&dev->env);
	close_fd(&dev->signals);
}

static bool block_signals(struct dev *dev, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	dev->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return dev->signals >= 0 || err_errno(e, ERR_TRANSIENT, "signalfd");
}

static bool finds_terminal(void)
{
	int fd CLEANUP(close_fd) = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	return fd >= 0;
}

static bool make_database(const struct dev *dev, struct err *e)
{
	char *url CLEANUP(free_ptr) = dev_cluster_url(&dev->cluster, "postgres");
	struct conn conn CLEANUP(conn_close) = {0};

	return conn_open(&conn, url, "athena dev", 0, e) &&
		!FAULT_FAILS("dev", "create", PQsocket(conn.pg), e) &&
		query_command(&conn, "CREATE DATABASE " DEV_DATABASE, e);
}

static void count_migration(void *context, const struct migration *migration, int64_t took_ms)
{
	(void)migration;
	(void)took_ms;
	++*(int *)context;
}

static bool migrate(const struct dev *dev, struct err *e)
{
	struct conn conn CLEANUP(conn_close) = {0};
	int count = 0;
	const struct migrate_observer observer = {.on_applied = count_migration, .context = &count};

	if (!conn_open(&conn, dev->cluster.url, "athena dev", 0, e)) {
		if (strcmp(e->code, "no_such_database_or_role") != 0 || !make_database(dev, e) ||
			!conn_open(&conn, dev->cluster.url, "athena dev", 0, e))
			return false;
	}
	if (!query_run(&conn, &sql_cli_session, NULL, NULL, e) ||
		!migrate_run(&conn, MIGRATE_PATIENCE_MS, &observer, e))
		return false;
	if (count > 0)
		fprintf(stderr, "athena dev: %d migration%s applied\n", count,
			count == 1 ? "" : "s");
	return true;
}

/* The folder of this very program, where athena-worker is, too. */
static char *program_folder(void)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/usr/bin");
}

/* PGSERVICE, PGPASSWORD and the like are about some other server: nobody here is to see them. */
static void forget_other_servers(void)
{
	struct proc_env env;

	proc_env_init(&env);
	for (size_t i = 0; i < env.count; i++) {
		char *name CLEANUP(free_ptr) =
			xstrndup(env.entries[i], strcspn(env.entries[i], "="));

		if (strncmp(name, "PG", 2) == 0)
			unsetenv(name);
	}
	proc_env_clear(&env);
}

/* What worker and command see: this database whatever they look at, and our programs. */
static void make_environment(struct dev *dev)
{
	const char *old_path = getenv("PATH");
	char *folder CLEANUP(free_ptr) = program_folder();
	char *path CLEANUP(free_ptr) =
		xasprintf("%s:%s", folder, old_path ? old_path : "/usr/bin:/bin");

	setenv("PATH", path, 1); /* where the command itself is looked for, too */
	proc_env_init(&dev->env);
	proc_env_set(&dev->env, "PGHOST", "%s", dev->cluster.socket_dir);
	proc_env_set(&dev->env, "PGPORT", "5432");
	proc_env_set(&dev->env, "PGUSER", DEV_USER);
	proc_env_set(&dev->env, "PGDATABASE", DEV_DATABASE);
	proc_env_set(&dev->env, "ATHENA_DATABASE_URL", "%s", dev->cluster.url);
	proc_env_set(&dev->env, "ATHENA_DATABASE_DIRECT_URL", "%s", dev->cluster.url);
}

/* Built-in families, and what the configuration adds. */
static char *all_families(const struct config *config)
{
	struct buf list = {0};

	for (const struct family *const *family = families; *family; family++)
		buf_printf(&list, "%s%s", list.length ? "," : "", (*family)->name);
	for (size_t i = 0; i < config->family_count; i++)
		if (!family_find(config->families[i].name))
			buf_printf(&list, ",%s", config->families[i].name);
	return buf_take(&list);
}

/* With a command its output would be in the way: it goes to a file then. */
static int worker_log(const struct dev *dev, bool to_file, struct err *e)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/worker.log", dev->cluster.directory);
	int fd = to_file ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)
			 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		err_errno(e, ERR_CONFIG, "opening %s", path);
	return fd;
}

static bool start_worker(struct dev *dev, bool log_to_file, struct err *e)
{
	char *folder CLEANUP(free_ptr) = program_folder();
	char *program CLEANUP(free_ptr) = xasprintf("%s/athena-worker", folder);
	char *list CLEANUP(free_ptr) = all_families(dev->config);
	char *family CLEANUP(free_ptr) = xasprintf("--family=%s", list);
	int log CLEANUP(close_fd) = worker_log(dev, log_to_file, e);
	const char *config = cli_text(dev->cli, "config");
	const char *argv[] = {program, family, config ? "--config" : NULL, config, NULL};

	return log >= 0 &&
		proc_spawn(&dev->worker,
			&(struct proc_spec){.argv = argv,
				.environment = dev->env.entries,
				.out = log,
				.err = log,
				.is_apart = true},
			e);
}

static bool start_command(struct dev *dev, const char *const *argv, struct err *e)
{
	if (proc_spawn(&dev->command,
		    &(struct proc_spec){.argv = argv,
			    .environment = dev->env.entries,
			    .in = PROC_INHERIT,
			    .out = PROC_INHERIT,
			    .err = PROC_INHERIT},
		    e))
		return true;
	e->kind = ERR_CONFIG;
	return false;
}

/* 'It''s' for a shell. */
static void add_quoted(struct buf *out, const char *word)
{
	if (word[strspn(word,
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		    "-_./:=@%+,")] == '\0') {
		buf_text(out, word);
		return;
	}
	buf_char(out, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_text(out, "'\\''");
		else
			buf_char(out, *word);
	buf_char(out, '\'');
}

static char *psql_line(const char *socket_dir)
{
	struct buf line = {0};

	buf_text(&line, "psql -h ");
	add_quoted(&line, socket_dir);
	buf_text(&line, " -p 5432 -U " DEV_USER " " DEV_DATABASE);
	return buf_take(&line);
}

enum { FACT_COLUMNS = 13 };

static void print_welcome(const struct dev *dev)
{
	const struct terminal *out = &dev->cli->out;
	char *psql CLEANUP(free_ptr) = psql_line(dev->cluster.socket_dir);
	bool is_default = strcmp(cli_text(dev->cli, "dir"), DEV_DIRECTORY) == 0;

	terminal_printf(out, STYLE_BOLD, "Athena runs in %s", dev->cluster.directory);
	fputs("\n\n", stdout);
	terminal_fact(out, FACT_COLUMNS, "connect", "%s", psql);
	terminal_fact(out, FACT_COLUMNS, "queue a job",
		"INSERT INTO athena.jobs (family, payload) VALUES ('noop', '{}');");
	if (is_default)
		terminal_fact(out, FACT_COLUMNS, "or, in here", "athena enqueue noop --wait");
	else
		terminal_fact(out, FACT_COLUMNS, "or",
			"ATHENA_DATABASE_URL='%s' athena enqueue noop --wait", dev->cluster.url);
	terminal_fact(out, FACT_COLUMNS, "look",
		"athena job list, athena job show 1, athena worker list");
	terminal_fact(out, FACT_COLUMNS, "server log", "%s/postgres.log", dev->cluster.directory);
	fputs("\n^C stops everything; what is in the database stays.\n\n", stdout);
	fflush(stdout);
}

/* The next signal, or 0. */
static int take_signal(const struct dev *dev)
{
	struct signalfd_siginfo info;

	return read(dev->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)
		? (int)info.ssi_signo
		: 0;
}

/* Until a signal is there, one of ours has ended, or the time is over (< 0: never). */
static void wait_for_anything(const struct dev *dev, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = dev->signals, .events = POLLIN},
		{.fd = dev->cluster.server.pidfd, .events = POLLIN},
		{.fd = dev->worker.pidfd, .events = POLLIN},
		{.fd = dev->command.pidfd, .events = POLLIN},
	};

	poll(fds, ARRAY_LENGTH(fds), timeout_ms);
}

static bool has_ended(struct proc *proc)
{
	return proc->pid != 0 && proc_reap(proc);
}

static bool ended_unexpectedly(
	const struct dev *dev, const struct proc *proc, const char *name, struct err *e)
{
	char how[64], tail[400] = "";

	proc_describe(proc, how, sizeof(how));
	if (proc == &dev->cluster.server)
		dev_cluster_log_tail(&dev->cluster, tail, sizeof(tail));
	return err_set(e, ERR_PERMANENT, "%s ended unexpectedly, with %s%s%s", name, how,
		tail[0] ? ": " : "", tail);
}

/*
 * A terminal sends ^C to the command as well, which may live on (psql does): then so do we. Other
 * signals are passed on to it, and it is for the command to end.
 */
static void pass_on(struct dev *dev, int number)
{
	if (number != SIGINT)
		proc_signal(&dev->command, number);
}

/* False when it was the end of the terminal instead, to which what runs in it belongs. */
static bool reload(struct dev *dev)
{
	if (dev->has_terminal && !finds_terminal())
		return false;
	fputs("\nreloading\n", stderr);
	proc_signal(&dev->worker, SIGHUP);
	proc_signal(&dev->cluster.server, SIGHUP);
	return true;
}

/* Until there is a reason to stop. False when it is a bad one. */
static bool watch(struct dev *dev, struct err *e)
{
	bool has_command = dev->command.pid != 0;

	for (;;) {
		int number = take_signal(dev);

		if (has_ended(&dev->cluster.server))
			return ended_unexpectedly(dev, &dev->cluster.server, "the server", e);
		if (has_ended(&dev->worker))
			return ended_unexpectedly(dev, &dev->worker, "athena-worker", e);
		if (has_command && has_ended(&dev->command))
			return true;
		if (number == SIGHUP && reload(dev))
			continue;
		if (number && !has_command)
			return true;
		if (number)
			pass_on(dev, number);
		wait_for_anything(dev, -1);
	}
}

/* Drained; a second ^C hurries the worker, and what is left after its drain time is killed. */
static void stop_worker(struct dev *dev)
{
	int64_t deadline_ms = clock_boot_ms() + dev->config->worker.drain_ms +
		dev->config->worker.cancel_grace_ms + KILL_MS;

	proc_signal(&dev->worker, SIGTERM);
	while (dev->worker.pid && !proc_reap(&dev->worker)) {
		int64_t left_ms = deadline_ms - clock_boot_ms();
		int number;

		if (left_ms <= 0)
			break;
		wait_for_anything(dev, (int)left_ms);
		number = take_signal(dev);
		if (number && number != SIGHUP)
			proc_signal(&dev->worker, SIGTERM);
		if (has_ended(&dev->cluster.server))
			break; /* without its database it has nothing to drain to */
	}
	proc_clear(&dev->worker);
}

static int command_status(const struct proc *command)
{
	return command->term_signal ? 128 + command->term_signal : command->exit_status;
}

static void stop(struct dev *dev)
{
	bool is_quiet = dev->command.ended;

	proc_clear(&dev->command);
	dev_url_remove(dev->cluster.directory);
	if (!is_quiet)
		fputs("\nstopping\n", stderr);
	stop_worker(dev);
}

static bool start(struct dev *dev, struct err *e)
{
	const char *directory = cli_text(dev->cli, "dir");

	if (!dev_cluster_start(&dev->cluster, directory, e)) {
		if (strcmp(e->code, "no_access") == 0)
			cli_next(dev->cli, "athena dev --dir /var/tmp/athena-dev");
		else if (strcmp(e->code, "no_server") == 0)
			cli_next(dev->cli, "apt-get install postgresql");
		else if (strcmp(e->code, "running") == 0)
			cli_next(dev->cli,
				"use that one, or another folder: athena dev --dir FOLDER");
		return false;
	}
	if (!migrate(dev, e))
		return false;
	make_environment(dev);
	return dev_url_write(dev->cluster.directory, dev->cluster.url, e);
}

static bool run(struct cli *cli, struct err *e)
{
	struct dev dev CLEANUP(dev_clear) = {.cli = cli,
		.cluster = DEV_CLUSTER_NONE,
		.worker = PROC_NONE,
		.command = PROC_NONE,
		.signals = -1};
	bool has_command = cli->arg_count > 0;
	bool ok;

	forget_other_servers();
	dev.has_terminal = finds_terminal();
	if (!block_signals(&dev, e) || !cli_config(cli, &dev.config, e) || !start(&dev, e))
		return false;
	if (!cli_bool(cli, "no_worker") && !start_worker(&dev, has_command, e))
		return false;
	if (has_command && !start_command(&dev, cli->args, e))
		return false;
	if (!has_command)
		print_welcome(&dev);
	ok = watch(&dev, e);
	if (ok && has_command)
		cli->status = command_status(&dev.command);
	stop(&dev);
	return ok;
}

const struct command command_dev = {
	.name = "dev",
	.args = "[-- COMMAND...]",
	.summary = "a private Postgres with Athena and a worker in it, until ^C",
	.help = "The cluster lives in .athena, listens on a socket there and nowhere else, and is "
		"used\n"
		"again by the next start. While it runs, athena in the same folder uses it. "
		"SIGHUP\n"
		"has server and worker reload their configuration.\n\n"
		"  athena dev\n"
		"  athena dev -- psql                 # PGHOST and the like are set\n"
		"  athena dev -- make integration     # ends with the status of the command\n",
	.options = dev_options,
	.takes_hangup = true,
	.run = run,
};
