/* SPDX-License-Identifier: PostgreSQL */
/* initdb, postgres, and the end of it. */
#include "cli/dev_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/dev_files.h"

enum {
	SOCKET_PATH_MAX = 107,
	START_MS = 60000, /* crash recovery included */
	STOP_MS = 30000,
	LEFTOVER_MS = 15000, /* a server whose athena dev was killed, and which is shutting down */
	LOOK_MS = 20,
};

static const char socket_name[] = "/.s.PGSQL.5432";

static char *path_in(const struct dev_cluster *cluster, const char *name)
{
	return xasprintf("%s/%s", cluster->directory, name);
}

static bool take_lock(struct dev_cluster *cluster, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_in(cluster, "lock");
	char pid[32] = "";
	int fd CLEANUP(close_fd) = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_errno(e, ERR_CONFIG, "opening %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (read(fd, pid, sizeof(pid) - 1) <= 0)
			snprintf(pid, sizeof(pid), "unknown\n");
		return err_code(e, ERR_CONFIG, "running",
			"athena dev runs in %s already (process %.*s)", cluster->directory,
			(int)strcspn(pid, "\n"), pid);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return err_errno(e, ERR_CONFIG, "writing %s", path);
	cluster->lock = fd;
	fd = -1;
	return true;
}

/* The folder itself is ours; what the server writes lies in folders of its own user. */
static bool make_folder(struct dev_cluster *cluster, const char *directory, struct err *e)
{
	struct stat status;

	if (mkdir(directory, 0755) < 0 &&
		(errno != EEXIST || stat(directory, &status) < 0 || !S_ISDIR(status.st_mode)))
		return err_errno(e, ERR_CONFIG, "making the folder %s", directory);
	cluster->directory = realpath(directory, NULL);
	if (!cluster->directory)
		return err_errno(e, ERR_CONFIG, "%s", directory);
	if (access(cluster->directory, W_OK | X_OK) < 0)
		return err_errno(e, ERR_CONFIG, "writing to %s", cluster->directory);
	return true;
}

static bool give_to_server(const struct dev_cluster *cluster, const char *path, struct err *e)
{
	if (cluster->has_user && chown(path, cluster->user.uid, cluster->user.gid) < 0)
		return err_errno(e, ERR_CONFIG, "giving %s to the server's user", path);
	return true;
}

static const struct proc_user *server_user(const struct dev_cluster *cluster)
{
	return cluster->has_user ? &cluster->user : NULL;
}

static bool make_short_socket_dir(struct dev_cluster *cluster, struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *base = runtime && runtime[0] == '/' && !cluster->has_user ? runtime : "/tmp";
	char *path = xasprintf("%s/athena-dev-XXXXXX", base);

	cluster->socket_dir = path;
	if (!mkdtemp(path))
		return err_errno(
			e, ERR_CONFIG, "making a folder for the server's socket in %s", base);
	cluster->has_short_socket_dir = true;
	return give_to_server(cluster, path, e);
}

static bool make_socket_dir(struct dev_cluster *cluster, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_in(cluster, "run");

	if (strlen(path) + strlen(socket_name) > SOCKET_PATH_MAX)
		return make_short_socket_dir(cluster, e);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_errno(e, ERR_CONFIG, "making the folder %s", path);
	cluster->socket_dir = TAKE(path);
	return give_to_server(cluster, cluster->socket_dir, e);
}

static void add_percent(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./",
			    *text))
			buf_char(out, *text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

char *dev_cluster_url(const struct dev_cluster *cluster, const char *database)
{
	struct buf url = {0};

	buf_text(&url, "postgresql:///");
	add_percent(&url, database);
	buf_text(&url, "?host=");
	add_percent(&url, cluster->socket_dir);
	buf_text(&url, "&port=5432&user=" DEV_USER);
	return buf_take(&url);
}

/* True when it has ended within the time. */
static bool wait_for_end(struct proc *proc, int timeout_ms)
{
	int64_t deadline_ms = clock_boot_ms() + timeout_ms;

	while (!proc_reap(proc)) {
		struct pollfd end = {.fd = proc->pidfd, .events = POLLIN};
		int64_t left_ms = deadline_ms - clock_boot_ms();

		if (left_ms <= 0)
			return false;
		poll(&end, 1, (int)left_ms);
	}
	return true;
}

static int open_log(const struct dev_cluster *cluster, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_in(cluster, "postgres.log");
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		err_errno(e, ERR_CONFIG, "opening %s", path);
	return fd;
}

void dev_cluster_log_tail(const struct dev_cluster *cluster, char *text, size_t size)
{
	char *path CLEANUP(free_ptr) = path_in(cluster, "postgres.log");
	FILE *file CLEANUP(close_file) = fopen(path, "re");
	long length;
	size_t used;

	text[0] = '\0';
	if (!file || fseek(file, 0, SEEK_END) != 0)
		return;
	length = ftell(file);
	fseek(file, length < (long)size ? 0 : length - (long)size + 1, SEEK_SET);
	used = fread(text, 1, size - 1, file);
	while (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
}

/* initdb goes to a name of its own, so that a half-made cluster is never taken for a whole one. */
static bool run_initdb(struct dev_cluster *cluster, int log, struct err *e)
{
	char *fresh CLEANUP(free_ptr) = path_in(cluster, "data.new");
	char *initdb CLEANUP(free_ptr) = xasprintf("%s/initdb", cluster->bin);
	struct proc proc CLEANUP(proc_clear) = PROC_NONE;
	const char *argv[] = {initdb, "--no-sync", "--auth=trust", "--username=" DEV_USER,
		"--encoding=UTF8", "--locale=C.UTF-8", "-D", fresh, NULL};
	char tail[400];

	dev_files_remove(fresh);
	if (mkdir(fresh, 0700) < 0)
		return err_errno(e, ERR_CONFIG, "making the folder %s", fresh);
	if (!give_to_server(cluster, fresh, e))
		return false;
	if (!proc_spawn(&proc,
		    &(struct proc_spec){.argv = argv,
			    .directory = fresh,
			    .out = log,
			    .err = log,
			    .user = server_user(cluster)},
		    e))
		return false;
	if (wait_for_end(&proc, START_MS) && proc_succeeded(&proc))
		return true;
	dev_cluster_log_tail(cluster, tail, sizeof(tail));
	return err_set(e, ERR_PERMANENT, "initdb failed: %s", tail);
}

static bool make_data(struct dev_cluster *cluster, const char *data, int log, struct err *e)
{
	char *fresh CLEANUP(free_ptr) = path_in(cluster, "data.new");
	struct stat status;

	if (stat(data, &status) == 0)
		return true;
	if (!run_initdb(cluster, log, e))
		return false;
	if (rename(fresh, data) < 0)
		return err_errno(e, ERR_CONFIG, "renaming %s to %s", fresh, data);
	cluster->is_new = true;
	return true;
}

/* A server whose athena dev was killed is told so by the kernel, and needs a moment to end. */
static bool wait_for_leftover(const char *data, struct err *e)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/postmaster.pid", data);
	int64_t deadline_ms = clock_boot_ms() + LEFTOVER_MS;
	int pid;

	while ((pid = dev_files_live_server(path)) > 0) {
		if (clock_boot_ms() > deadline_ms)
			return err_code(e, ERR_CONFIG, "running",
				"another server (process %d) uses %s", pid, data);
		clock_sleep_ms(LOOK_MS);
	}
	return true;
}

/* GUC lists take names in double quotes. */
static char *socket_setting(const struct dev_cluster *cluster)
{
	struct buf setting = {0};

	buf_text(&setting, "unix_socket_directories=\"");
	for (const char *c = cluster->socket_dir; *c; c++)
		buf_printf(&setting, "%s%c", *c == '"' ? "\"" : "", *c);
	buf_char(&setting, '"');
	return buf_take(&setting);
}

static bool spawn_server(struct dev_cluster *cluster, const char *data, int log, struct err *e)
{
	char *postgres CLEANUP(free_ptr) = xasprintf("%s/postgres", cluster->bin);
	char *sockets CLEANUP(free_ptr) = socket_setting(cluster);
	const char *argv[] = {postgres, "-D", data, "-c", "listen_addresses=", "-c", sockets, "-c",
		"unix_socket_permissions=0700", "-c", "port=5432", "-c", "cluster_name=athena-dev",
		"-c", "logging_collector=off", "-c", "log_destination=stderr", NULL};

	return proc_spawn(&cluster->server,
		&(struct proc_spec){.argv = argv,
			.directory = data,
			.out = log,
			.err = log,
			.user = server_user(cluster),
			.death_signal = SIGINT,
			.is_apart = true},
		e);
}

static bool wait_for_answer(struct dev_cluster *cluster, struct err *e)
{
	char *url CLEANUP(free_ptr) = dev_cluster_url(cluster, "postgres");
	int64_t deadline_ms = clock_boot_ms() + START_MS;
	char tail[400];

	while (PQping(url) != PQPING_OK) {
		if (!proc_reap(&cluster->server) && clock_boot_ms() < deadline_ms) {
			clock_sleep_ms(LOOK_MS);
			continue;
		}
		dev_cluster_log_tail(cluster, tail, sizeof(tail));
		return err_set(e, ERR_PERMANENT, "the server in %s did not start: %s",
			cluster->directory, tail);
	}
	return true;
}

bool dev_cluster_start(struct dev_cluster *ret_cluster, const char *directory, struct err *e)
{
	struct dev_cluster cluster CLEANUP(dev_cluster_stop) = DEV_CLUSTER_NONE;
	char *data CLEANUP(free_ptr) = NULL;
	int log CLEANUP(close_fd) = -1;

	if (!make_folder(&cluster, directory, e) || !take_lock(&cluster, e))
		return false;
	data = path_in(&cluster, "data");
	if (!dev_files_server_user(data, &cluster.user, &cluster.has_user, e))
		return false;
	if (cluster.has_user && !dev_files_may_enter(cluster.directory, &cluster.user, e))
		return false;
	log = open_log(&cluster, e);
	if (log < 0 || !dev_files_find_bin(data, &cluster.bin, e) ||
		!make_data(&cluster, data, log, e) || !wait_for_leftover(data, e) ||
		!make_socket_dir(&cluster, e))
		return false;
	cluster.url = dev_cluster_url(&cluster, DEV_DATABASE);
	if (!spawn_server(&cluster, data, log, e) || !wait_for_answer(&cluster, e))
		return false;
	*ret_cluster = cluster;
	cluster = DEV_CLUSTER_NONE;
	return true;
}

void dev_cluster_stop(struct dev_cluster *cluster)
{
	static const int signals[] = {SIGINT, SIGQUIT}; /* fast, then immediate */

	for (size_t i = 0; i < ARRAY_LENGTH(signals) && cluster->server.pid; i++) {
		proc_signal(&cluster->server, signals[i]);
		wait_for_end(&cluster->server, STOP_MS);
	}
	proc_clear(&cluster->server);
	if (cluster->has_short_socket_dir)
		rmdir(cluster->socket_dir);
	free(cluster->directory);
	free(cluster->bin);
	free(cluster->socket_dir);
	free(cluster->url);
	close_fd(&cluster->lock);
	*cluster = DEV_CLUSTER_NONE;
}
