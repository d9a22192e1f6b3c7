/* SPDX-License-Identifier: PostgreSQL */
/* Finding pg_dump and pg_restore, and telling them how to connect. */
#include "families/clone/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/proc.h"

enum { VERSION_WITHIN_MS = 10000 };

/* The first line of `--version` ends in "15.18" or "15.18 (Debian ...)" or "18beta1". */
static int parse_major(const char *line)
{
	const char *number = strstr(line, "(PostgreSQL) ");

	return number ? (int)strtol(number + strlen("(PostgreSQL) "), NULL, 10) : 0;
}

static bool read_all(struct attempt *attempt, int fd, struct buf *out, struct err *e)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	ssize_t n;
	int ready;

	do {
		if (!attempt_wait(attempt, &poll_fd, 1, VERSION_WITHIN_MS, &ready, e))
			return false;
		n = ready ? read(fd, buf_reserve(out, 256), 256) : 0;
		if (n > 0)
			buf_added(out, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	return true;
}

/* 0 when it is no such tool. */
static bool ask_major(struct attempt *attempt, const char *path, int *ret_major, struct err *e)
{
	const char *const argv[] = {path, "--version", NULL};
	struct proc_env env CLEANUP(proc_env_clear) = {0};
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	struct buf out CLEANUP(buf_clear) = {0};

	*ret_major = 0;
	tool_environment(&env, -1);
	if (!proc_spawn(&proc,
		    &(struct proc_spec){.argv = argv, .environment = env.entries, .out = PROC_PIPE},
		    e))
		return err_is_retryable(e) ? false : true;
	if (!read_all(attempt, proc.out, &out, e))
		return false;
	*ret_major = parse_major(out.bytes ? out.bytes : "");
	return true;
}

/* Better is who can read the source, and of those the oldest; else the newest there is. */
static bool is_better(int major, int than, int least)
{
	if (major == 0 || than == 0)
		return major > 0;
	if (major >= least && than >= least)
		return major < than;
	return major > than;
}

static bool consider(struct attempt *attempt, struct tools_found *best, const char *path, int least,
	struct err *e)
{
	char resolved[PATH_MAX];
	int major;

	/* Debian's wrapper in /usr/bin chooses by rules of its own; what it chooses from is seen.
	 */
	if (access(path, X_OK) != 0 || (realpath(path, resolved) && strstr(resolved, "pg_wrapper")))
		return true;
	if (!ask_major(attempt, path, &major, e))
		return false;
	if (is_better(major, best->major, least))
		*best = (struct tools_found){arena_strdup(&attempt->arena, path), major};
	return true;
}

static bool search_path(struct attempt *attempt, struct tools_found *best, const char *name,
	int least, struct err *e)
{
	const char *folder = getenv("PATH");

	while (folder && *folder) {
		size_t length = strcspn(folder, ":");
		char *path CLEANUP(free_ptr) = xasprintf("%.*s/%s", (int)length, folder, name);

		if (length > 0 && !consider(attempt, best, path, least, e))
			return false;
		folder += length + (folder[length] == ':');
	}
	return true;
}

static bool search_debian(struct attempt *attempt, struct tools_found *best, const char *name,
	int least, struct err *e)
{
	char *pattern CLEANUP(free_ptr) = xasprintf("/usr/lib/postgresql/*/bin/%s", name);
	glob_t found CLEANUP(globfree) = {0};

	if (glob(pattern, 0, NULL, &found) != 0)
		return true;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (!consider(attempt, best, found.gl_pathv[i], least, e))
			return false;
	return true;
}

bool tools_find_one(struct attempt *attempt, const char *name, const char *configured, int least,
	struct tools_found *ret_found, struct err *e)
{
	struct tools_found best = {0};

	if (configured ? !consider(attempt, &best, configured, least, e)
		       : !search_path(attempt, &best, name, least, e) ||
				!search_debian(attempt, &best, name, least, e))
		return false;
	if (!best.path)
		return err_code(e, ERR_PERMANENT, "missing_tool",
			"there is no %s%s%s; the Debian package is postgresql-client", name,
			configured ? " at " : " in PATH", configured ? configured : "");
	*ret_found = best;
	return true;
}

/* From 17 on pg_restore sets a parameter that older servers do not know, and would stop there. */
static void judge(struct clone *clone, const struct tools_found *dump,
	const struct tools_found *restore, int source, int target)
{
	if (source > dump->major)
		findings_add(&clone->findings, clone->attempt, ERR_PERMANENT,
			"source_newer_than_pg_dump",
			"the source runs Postgres %d, and %s is of version %d only", source,
			dump->path, dump->major);
	if (restore->major < dump->major)
		findings_add(&clone->findings, clone->attempt, ERR_PERMANENT,
			"pg_restore_older_than_pg_dump",
			"%s is of version %d and cannot read what pg_dump %d writes", restore->path,
			restore->major, dump->major);
	if (restore->major >= 17 && target > 0 && target < 17)
		findings_add(&clone->findings, clone->attempt, ERR_PERMANENT,
			"target_older_than_pg_restore",
			"%s is of version %d, which cannot restore into Postgres %d; version %d "
			"could",
			restore->path, restore->major, target, target);
}

bool tools_find(struct clone *clone, struct err *e)
{
	const struct config *config = clone->attempt->config;
	int source = clone->source.conn.pg ? conn_major(&clone->source.conn) : 0;
	int target = clone->target.conn.pg ? conn_major(&clone->target.conn) : 0;
	struct tools_found dump, restore;

	if (!tools_find_one(clone->attempt, "pg_dump", config->pg_dump_path, source, &dump, e) ||
		!tools_find_one(clone->attempt, "pg_restore", config->pg_restore_path, dump.major,
			&restore, e))
		return false;
	clone->pg_dump = dump.path;
	clone->pg_restore = restore.path;
	attempt_event(clone->attempt, EVENT_INFO, "tools_found",
		json_pack("{s:s, s:i, s:s, s:i}", "pg_dump", dump.path, "pg_dump_version",
			dump.major, "pg_restore", restore.path, "pg_restore_version",
			restore.major),
		"%s %d, %s %d", dump.path, dump.major, restore.path, restore.major);
	judge(clone, &dump, &restore, source, target);
	return true;
}

static void add_keyword(struct buf *conninfo, const char *keyword, const char *value)
{
	buf_printf(conninfo, "%s%s='", conninfo->length ? " " : "", keyword);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			buf_char(conninfo, '\\');
		buf_char(conninfo, *value);
	}
	buf_char(conninfo, '\'');
}

/*
 * What our session uses and is not said in another way below. Secrets are marked "*" by libpq, and
 * the choice among several hosts has been made.
 */
static bool is_passed_on(const PQconninfoOption *option)
{
	static const char *const otherwise[] = {"host", "hostaddr", "port", "user", "dbname",
		"options", "application_name", "fallback_application_name", "passfile", "service",
		"target_session_attrs", "load_balance_hosts", "client_encoding", "replication"};

	if (!option->val || !option->val[0] || strchr(option->dispchar, '*') ||
		strchr(option->dispchar, 'D'))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(otherwise); i++)
		if (strcmp(option->keyword, otherwise[i]) == 0)
			return false;
	return true;
}

static void free_conninfo(PQconninfoOption **options)
{
	PQconninfoFree(*options);
}

/* The user's own options come first, so that ours win. */
static void add_options(struct buf *conninfo, const struct conn *conn, const char *given)
{
	char *options CLEANUP(free_ptr) = xasprintf(
		"%s -c client_connection_check_interval=2s -c statement_timeout=0 -c "
		"lock_timeout=0 "
		"-c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 "
		"-c default_transaction_read_only=off -c synchronous_commit=off%s%s",
		given ? given : "", conn_major(conn) >= 17 ? " -c transaction_timeout=0" : "",
		conn_is_superuser(conn) ? " -c lc_messages=C" : "");

	add_keyword(conninfo, "options", options);
}

bool tools_conninfo(const struct tool_target *target, char **ret_conninfo, struct err *e)
{
	const struct conn *conn = target->conn;
	PQconninfoOption *options CLEANUP(free_conninfo) = PQconninfo(conn->pg);
	const char *host = PQhost(conn->pg), *address = PQhostaddr(conn->pg), *given = NULL;
	struct buf conninfo CLEANUP(buf_clear) = {0};

	if (!options)
		return err_set(e, ERR_TRANSIENT, "libpq does not tell how it is connected");
	if (host && host[0])
		add_keyword(&conninfo, "host", host);
	if (address && address[0] && (!host || host[0] != '/'))
		add_keyword(&conninfo, "hostaddr", address);
	add_keyword(&conninfo, "port", PQport(conn->pg));
	add_keyword(&conninfo, "user", PQuser(conn->pg));
	add_keyword(&conninfo, "dbname", target->database);
	add_keyword(&conninfo, "application_name", target->application);
	for (const PQconninfoOption *option = options; option->keyword; option++) {
		if (is_passed_on(option))
			add_keyword(&conninfo, option->keyword, option->val);
		else if (strcmp(option->keyword, "options") == 0)
			given = option->val;
	}
	add_options(&conninfo, conn, given);
	*ret_conninfo = buf_take(&conninfo);
	return true;
}

static void add_escaped(struct buf *line, const char *password)
{
	for (; *password; password++) {
		if (*password == ':' || *password == '\\')
			buf_char(line, '\\');
		buf_char(line, *password);
	}
}

bool tools_passfile(const struct conn *conn, int *ret_fd, struct err *e)
{
	const char *password = PQpass(conn->pg);
	struct buf line CLEANUP(buf_clear) = {0};
	int fd CLEANUP(close_fd) = memfd_create("passfile", MFD_CLOEXEC);

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_errno(e, ERR_TRANSIENT, "making a password file");
	if (password && strpbrk(password, "\r\n"))
		return err_code(e, ERR_PERMANENT, "password",
			"a password with a line break cannot be handed to pg_dump in secret");
	if (password && password[0]) {
		buf_text(&line, "*:*:*:*:");
		add_escaped(&line, password);
		buf_char(&line, '\n');
		if (write(fd, line.bytes, line.length) != (ssize_t)line.length)
			return err_errno(e, ERR_TRANSIENT, "writing a password file");
	}
	*ret_fd = fd;
	fd = -1;
	return true;
}
