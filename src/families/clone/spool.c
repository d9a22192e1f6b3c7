/* SPDX-License-Identifier: PostgreSQL */
/* Making a folder, and removing folders that nobody holds. */
#include "families/clone/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PREFIX "athena_spool_"

enum { OPEN_FOLDERS = 8 };

static const char *root(void)
{
	const char *folder = getenv("TMPDIR");

	return folder && folder[0] ? folder : "/tmp";
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static bool remove_folder(const char *path)
{
	return nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) == 0;
}

/* Locked, and still the one that the name stands for: a sweep may have been quicker. */
static bool hold(const char *path, int *ret_lock)
{
	int lock CLEANUP(close_fd) = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat held, named;

	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || fstat(lock, &held) < 0 ||
		lstat(path, &named) < 0 || held.st_ino != named.st_ino || held.st_uid != geteuid())
		return false;
	*ret_lock = lock;
	lock = -1;
	return true;
}

bool spool_make(struct spool *spool, const struct clone *clone, struct err *e)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/" PREFIX "%" PRId64 "_%" PRId64 "_%s", root(),
		clone->attempt->job_id, clone->attempt->ticket, clone->tag);
	int lock;

	if (mkdir(path, 0700) < 0)
		return err_errno(e, ERR_TRANSIENT, "making %s", path);
	if (!hold(path, &lock))
		return err_set(e, ERR_TRANSIENT, "%s was taken away", path);
	spool->path = TAKE(path);
	spool->lock = lock;
	return true;
}

int64_t spool_bytes(const struct spool *spool)
{
	DIR *folder = opendir(spool->path);
	const struct dirent *entry;
	struct stat status;
	int64_t bytes = 0;

	while (folder && (entry = readdir(folder)))
		if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(status.st_mode))
			bytes += status.st_size;
	if (folder)
		closedir(folder);
	return bytes;
}

int64_t spool_free_bytes(void)
{
	struct statvfs status;

	if (statvfs(root(), &status) < 0)
		return -1;
	return (int64_t)status.f_bavail * (int64_t)status.f_frsize;
}

void spool_remove(struct spool *spool)
{
	if (!spool->path)
		return;
	remove_folder(spool->path);
	close(spool->lock);
	free(spool->path);
	*spool = (struct spool){0};
}

void spool_sweep(void (*each)(void *context, const char *path), void *context)
{
	DIR *folder = opendir(root());
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		char *path CLEANUP(free_ptr) = xasprintf("%s/%s", root(), entry->d_name);
		int lock CLEANUP(close_fd) = -1;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 && hold(path, &lock) &&
			remove_folder(path))
			each(context, path);
	}
	if (folder)
		closedir(folder);
}
