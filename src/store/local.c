/* SPDX-License-Identifier: PostgreSQL */
/* Objects as files. */
#include "store/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
	ID_BYTES = 8, /* random; two characters each */
	NAME_BYTES_MAX = 255 - 2 - 2 * ID_BYTES,
	READ_BYTES = 256 * 1024,
	WRITE_BACK_BYTES = 8 * 1024 * 1024, /* so that the last flush is not all of it */
};

struct local {
	struct store store;
	char *directory;
};

struct local_upload {
	struct store_upload upload;
	char *path, *hidden; /* the name, and what is written */
	int64_t flushed;
	int fd;
};

static struct local *local_of(struct store *store)
{
	return (struct local *)store;
}

static bool failed(struct err *e, const char *doing, const char *path)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
		return err_code(
			e, ERR_TRANSIENT, "disk_full", "%s %s: the disk is full", doing, path);
	case EACCES:
	case EPERM:
	case EROFS:
		err_errno(e, ERR_PERMANENT, "%s %s", doing, path);
		snprintf(e->code, sizeof(e->code), "denied");
		return false;
	case ENOENT:
		return err_code(e, ERR_PERMANENT, "no_object", "%s %s: there is none", doing, path);
	case ENAMETOOLONG:
		return err_code(
			e, ERR_PERMANENT, "bad_key", "%s %s: the name is too long", doing, path);
	default:
		err_errno(e, ERR_TRANSIENT, "%s %s", doing, path);
		snprintf(e->code, sizeof(e->code), "disk_error");
		return false;
	}
}

static char *path_of(struct store *store, const char *key)
{
	return xasprintf("%s/%s", local_of(store)->directory, key);
}

/* What `.NAME.ID` of a key is called. */
static char *hidden_of(struct store *store, const char *key, const char *id)
{
	const char *slash = strrchr(key, '/');
	int folder = slash ? (int)(slash + 1 - key) : 0;

	return xasprintf(
		"%s/%.*s.%s.%s", local_of(store)->directory, folder, key, key + folder, id);
}

/* A name that was made, renamed or removed is durable when its folder is. */
static bool flush_folder(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *folder CLEANUP(free_ptr) = xstrndup(path, slash > path ? (size_t)(slash - path) : 1);
	int fd CLEANUP(close_fd) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return (fd >= 0 && fsync(fd) == 0) || failed(e, "flushing", folder);
}

static bool make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0700) == 0)
		return flush_folder(path, e);
	if (errno == ENOENT)
		return err_code(e, ERR_PERMANENT, "bad_directory",
			"making %s: the directory that it is to be in does not exist", path);
	return errno == EEXIST || failed(e, "making", path);
}

static bool make_folders_above(struct store *store, const char *path, struct err *e)
{
	const char *slash = path + strlen(local_of(store)->directory);

	while ((slash = strchr(slash + 1, '/'))) {
		char *folder CLEANUP(free_ptr) = xstrndup(path, (size_t)(slash - path));

		if (!make_folder(folder, e))
			return false;
	}
	return true;
}

static bool make_id(char *id, struct err *e)
{
	unsigned char bytes[ID_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_errno(e, ERR_TRANSIENT, "drawing a random number");
	for (int i = 0; i < ID_BYTES; i++)
		snprintf(id + i * 2, 3, "%02x", bytes[i]);
	return true;
}

static void local_upload_free(struct store_upload *upload)
{
	struct local_upload *local = (struct local_upload *)upload;

	close_fd(&local->fd);
	free(local->path);
	free(local->hidden);
	free(upload->key);
	free(upload->id);
	free(local);
}

static bool local_begin(
	struct store *store, const char *key, struct store_upload **ret_upload, struct err *e)
{
	const char *slash = strrchr(key, '/');
	struct local_upload *local;
	char id[ID_BYTES * 2 + 1];

	if (strlen(slash ? slash + 1 : key) > NAME_BYTES_MAX)
		return err_code(e, ERR_PERMANENT, "bad_key", "\"%s\" is too long a name", key);
	if (!make_id(id, e))
		return false;
	local = xcalloc(1, sizeof(*local));
	local->upload =
		(struct store_upload){.store = store, .key = xstrdup(key), .id = xstrdup(id)};
	local->path = path_of(store, key);
	local->hidden = hidden_of(store, key, id);
	local->fd = -1;
	if (make_folders_above(store, local->path, e)) {
		local->fd = open(local->hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (local->fd < 0)
			failed(e, "making", local->hidden);
	}
	if (local->fd < 0) {
		local_upload_free(&local->upload);
		return false;
	}
	*ret_upload = &local->upload;
	return true;
}

static bool ask_to_go_on(struct store *store, struct err *e)
{
	int ready;

	return store->wait.wait(store->wait.context, NULL, 0, 0, &ready, e);
}

static bool local_write(
	struct store_upload *upload, const void *bytes, size_t length, struct err *e)
{
	struct local_upload *local = (struct local_upload *)upload;
	const char *next = bytes;
	int64_t end = upload->bytes + (int64_t)length;

	while (length > 0) {
		ssize_t n = write(local->fd, next, length);

		if (n < 0 && errno != EINTR)
			return failed(e, "writing", local->hidden);
		if (n > 0) {
			next += n;
			length -= (size_t)n;
		}
	}
	if (end - local->flushed >= WRITE_BACK_BYTES) {
		/* Only a hint: what goes wrong shows when the file is flushed. */
		sync_file_range(
			local->fd, local->flushed, end - local->flushed, SYNC_FILE_RANGE_WRITE);
		local->flushed = end;
	}
	return ask_to_go_on(upload->store, e);
}

/* File systems that cannot refuse to replace are trusted: keys hold a ticket, and occur once. */
static int rename_new(const char *from, const char *to)
{
	int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

	return result < 0 && errno == EINVAL ? rename(from, to) : result;
}

static bool local_complete(struct store_upload *upload, struct err *e)
{
	struct local_upload *local = (struct local_upload *)upload;

	if (fsync(local->fd) < 0)
		return failed(e, "flushing", local->hidden);
	if (rename_new(local->hidden, local->path) < 0) {
		if (errno == EEXIST)
			return err_code(
				e, ERR_PERMANENT, "object_exists", "%s exists", local->path);
		return failed(e, "renaming", local->hidden);
	}
	return flush_folder(local->path, e);
}

static bool local_abort(struct store_upload *upload, struct err *e)
{
	struct local_upload *local = (struct local_upload *)upload;

	return unlink(local->hidden) == 0 || errno == ENOENT ||
		failed(e, "removing", local->hidden);
}

static bool local_stat(
	struct store *store, const char *key, struct store_object *ret_object, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_of(store, key);
	struct stat facts;

	if (stat(path, &facts) < 0 || (!S_ISREG(facts.st_mode) && (errno = ENOENT)))
		return failed(e, "looking at", path);
	*ret_object = (struct store_object){
		.key = key, .bytes = facts.st_size, .modified_s = facts.st_mtime};
	return true;
}

static bool local_read(
	struct store *store, const char *key, store_take *take, void *context, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_of(store, key);
	char *bytes CLEANUP(free_ptr) = xmalloc(READ_BYTES);
	int fd CLEANUP(close_fd) = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return failed(e, "opening", path);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while ((n = read(fd, bytes, READ_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(e, "reading", path);
		if (!take(context, bytes, (size_t)n, e) || !ask_to_go_on(store, e))
			return false;
	}
	return true;
}

/* All files below the root, as their paths from there; hidden ones or the others. */
struct files {
	char **keys;
	size_t count;
};

static void files_clear(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->keys[i]);
	free(files->keys);
}

static void files_add(struct files *files, const char *folder, const char *name)
{
	files->keys = xreallocarray(files->keys, files->count + 1, sizeof(*files->keys));
	files->keys[files->count++] = xasprintf("%s%s", folder, name);
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether something below this folder, or the folder itself, can begin with the prefix. */
static bool may_hold(const char *folder, const char *prefix)
{
	return begins_with(folder, prefix) || begins_with(prefix, folder);
}

static void close_folder(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

static bool walk(struct store *store, const char *below, const char *prefix, bool hidden,
	struct files *files, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_of(store, below);
	DIR *folder CLEANUP(close_folder) = opendir(path);
	struct dirent *entry;

	if (!folder)
		return failed(e, "opening", path);
	while ((errno = 0, entry = readdir(folder))) {
		char *inner CLEANUP(free_ptr) = xasprintf("%s%s/", below, entry->d_name);
		bool is_hidden = entry->d_name[0] == '.';
		struct stat facts;

		if (fstatat(dirfd(folder), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* gone meanwhile */
		if (S_ISREG(facts.st_mode) && is_hidden == hidden)
			files_add(files, below, entry->d_name);
		else if (S_ISDIR(facts.st_mode) && !is_hidden && may_hold(inner, prefix) &&
			!walk(store, inner, prefix, hidden, files, e))
			return false;
	}
	return errno == 0 || failed(e, "reading", path);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool find(
	struct store *store, const char *prefix, bool hidden, struct files *files, struct err *e)
{
	if (!walk(store, "", prefix, hidden, files, e))
		return false;
	if (files->count > 0)
		qsort(files->keys, files->count, sizeof(*files->keys), by_key);
	return ask_to_go_on(store, e);
}

static bool local_list(struct store *store, const char *prefix, store_each_object *each,
	void *context, struct err *e)
{
	struct files files CLEANUP(files_clear) = {0};

	if (!find(store, prefix, false, &files, e))
		return false;
	for (size_t i = 0; i < files.count; i++) {
		struct store_object object;

		if (!begins_with(files.keys[i], prefix) || !store_key_is_valid(files.keys[i]) ||
			!local_stat(store, files.keys[i], &object, e))
			continue;
		if (!each(context, &object, e))
			return false;
	}
	return true;
}

/* `a/.NAME.ID` apart, in place: the key and the id. False when it is none of ours. */
static bool split_hidden(char *path, const char **ret_id)
{
	char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *dot = strrchr(name, '.');

	if (dot == name || strlen(dot + 1) != ID_BYTES * 2)
		return false;
	*dot = '\0';
	memmove(name, name + 1, strlen(name));
	*ret_id = dot + 1;
	return store_key_is_valid(path);
}

static bool local_uploads(struct store *store, const char *prefix, store_each_upload *each,
	void *context, struct err *e)
{
	struct files files CLEANUP(files_clear) = {0};

	if (!find(store, prefix, true, &files, e))
		return false;
	for (size_t i = 0; i < files.count; i++) {
		char *path CLEANUP(free_ptr) = path_of(store, files.keys[i]);
		struct store_unfinished upload = {.key = files.keys[i]};
		struct stat facts;

		if (stat(path, &facts) < 0 || !split_hidden(files.keys[i], &upload.id) ||
			!begins_with(upload.key, prefix))
			continue;
		upload.begun_s = facts.st_ctime;
		if (!each(context, &upload, e))
			return false;
	}
	return true;
}

static bool unlink_path(const char *path, struct err *e)
{
	if (unlink(path) == 0)
		return flush_folder(path, e);
	return errno == ENOENT || failed(e, "removing", path);
}

static bool local_discard(struct store *store, const char *key, const char *id, struct err *e)
{
	char *hidden CLEANUP(free_ptr) = hidden_of(store, key, id);

	if (strlen(id) != ID_BYTES * 2 || strspn(id, "0123456789abcdef") != ID_BYTES * 2)
		return true;
	return unlink_path(hidden, e);
}

static bool local_remove(struct store *store, const char *key, struct err *e)
{
	char *path CLEANUP(free_ptr) = path_of(store, key);

	return unlink_path(path, e);
}

static void local_free(struct store *store)
{
	free(local_of(store)->directory);
	free(store);
}

static const struct store_driver local_driver = {
	.name = "local",
	.begin = local_begin,
	.write = local_write,
	.complete = local_complete,
	.abort = local_abort,
	.upload_free = local_upload_free,
	.stat = local_stat,
	.read = local_read,
	.list = local_list,
	.uploads = local_uploads,
	.discard = local_discard,
	.remove = local_remove,
	.free = local_free,
};

bool store_local_open(const char *directory, const struct store_wait *wait,
	struct store **ret_store, struct err *e)
{
	struct local *local;

	if (directory[0] != '/')
		return err_code(e, ERR_PERMANENT, "bad_directory",
			"%s: a directory for backups is named from the root", directory);
	if (!make_folder(directory, e))
		return false;
	local = xcalloc(1, sizeof(*local));
	local->directory = xstrdup(directory);
	local->store =
		(struct store){.driver = &local_driver, .wait = *wait, .place = local->directory};
	*ret_store = &local->store;
	return true;
}
