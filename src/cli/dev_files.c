/* SPDX-License-Identifier: PostgreSQL */
/* Looking around on the machine. */
#include "cli/dev_files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static bool has_server(const char *bin)
{
	char *initdb CLEANUP(free_ptr) = xasprintf("%s/initdb", bin);
	char *postgres CLEANUP(free_ptr) = xasprintf("%s/postgres", bin);

	return access(initdb, X_OK) == 0 && access(postgres, X_OK) == 0;
}

/* Of /usr/lib/postgresql/N/bin the greatest N, or `major` when it is not 0. */
static char *find_installed(int major)
{
	char *best = NULL;
	int best_major = 0;
	glob_t found;

	if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *name = found.gl_pathv[i] + strlen("/usr/lib/postgresql/");
			int own = (int)strtol(name, NULL, 10);

			if (own <= best_major || (major && own != major) ||
				!has_server(found.gl_pathv[i]))
				continue;
			free(best);
			best = xstrdup(found.gl_pathv[i]);
			best_major = own;
		}
	}
	globfree(&found);
	return best;
}

/* The folder in PATH that has both programs. */
static char *find_in_path(void)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t length = strcspn(path, ":");
		char *bin CLEANUP(free_ptr) = xstrndup(path, length);

		if (length > 0 && has_server(bin))
			return TAKE(bin);
		path += length + (path[length] == ':');
	}
	return NULL;
}

/* Of the cluster in `data`; 0 when there is none. */
static int cluster_major(const char *data)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/PG_VERSION", data);
	FILE *file CLEANUP(close_file) = fopen(path, "re");
	char line[32] = "";

	return file && fgets(line, sizeof(line), file) ? (int)strtol(line, NULL, 10) : 0;
}

bool dev_files_find_bin(const char *data, char **ret_bin, struct err *e)
{
	const char *chosen = getenv("ATHENA_PG_BIN");
	int major = cluster_major(data);
	char *bin;

	if (chosen && chosen[0]) {
		if (!has_server(chosen))
			return err_set(e, ERR_CONFIG, "ATHENA_PG_BIN: no initdb and postgres in %s",
				chosen);
		*ret_bin = xstrdup(chosen);
		return true;
	}
	bin = find_installed(major);
	if (!bin)
		bin = find_in_path();
	if (!bin && major)
		return err_code(e, ERR_CONFIG, "no_server",
			"%s was made by PostgreSQL %d, whose server is not installed", data, major);
	if (!bin)
		return err_code(e, ERR_CONFIG, "no_server",
			"no PostgreSQL server in /usr/lib/postgresql or PATH");
	*ret_bin = bin;
	return true;
}

static bool find_unprivileged(struct proc_user *ret_user, struct err *e)
{
	static const char *const names[] = {"postgres", "nobody"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		const struct passwd *entry = getpwnam(names[i]);

		if (entry) {
			*ret_user = (struct proc_user){entry->pw_uid, entry->pw_gid};
			return true;
		}
	}
	return err_set(e, ERR_CONFIG,
		"as root the server has to run as another user, and there is neither postgres nor "
		"nobody");
}

bool dev_files_server_user(
	const char *data, struct proc_user *ret_user, bool *ret_is_other, struct err *e)
{
	bool is_root = geteuid() == 0;
	bool is_there;
	struct stat status;

	is_there = stat(data, &status) == 0 && status.st_uid != 0;
	*ret_is_other = is_root;
	if (is_root && is_there) {
		*ret_user = (struct proc_user){status.st_uid, status.st_gid};
		return true;
	}
	if (!is_root && is_there && status.st_uid != geteuid())
		return err_set(e, ERR_CONFIG, "the cluster in %s belongs to another user (uid %d)",
			data, (int)status.st_uid);
	return !is_root || find_unprivileged(ret_user, e);
}

/* With the effective ids of the user; the real ones stay root's, so that we can come back. */
static bool may_pass(const char *directory, const struct proc_user *user)
{
	bool ok;

	if (setegid(user->gid) < 0 || seteuid(user->uid) < 0)
		return true; /* the server will say */
	ok = faccessat(AT_FDCWD, directory, X_OK, AT_EACCESS) == 0;
	if (seteuid(0) < 0 || setegid(0) < 0)
		abort();
	return ok;
}

bool dev_files_may_enter(const char *directory, const struct proc_user *user, struct err *e)
{
	const struct passwd *entry = getpwuid(user->uid);
	const char *name = entry ? entry->pw_name : "the server's user";
	char *path CLEANUP(free_ptr) = xstrdup(directory);

	for (char *end = path;; end++) {
		char c;

		if (*end != '/' && *end != '\0')
			continue;
		c = *end;
		*end = '\0';
		if (!may_pass(path[0] ? path : "/", user))
			return err_code(e, ERR_CONFIG, "no_access",
				"as root the server runs as user %s, who may not enter %s", name,
				path);
		*end = c;
		if (!c)
			return true;
	}
}

int dev_files_live_server(const char *pid_file)
{
	FILE *file CLEANUP(close_file) = fopen(pid_file, "re");
	FILE *name_file CLEANUP(close_file) = NULL;
	char line[32];
	char path[64];
	int pid;

	if (!file || !fgets(line, sizeof(line), file))
		return 0;
	pid = (int)strtol(line, NULL, 10);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	name_file = fopen(path, "re");
	if (!name_file || !fgets(line, sizeof(line), name_file))
		return 0;
	return strcmp(line, "postgres\n") == 0 ? pid : 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path) != 0 && errno != ENOENT;
}

void dev_files_remove(const char *directory)
{
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
