/* SPDX-License-Identifier: PostgreSQL */
/* Which store, which keys. */
#include <errno.h>
#include <fcntl.h>

#include "base/fault.h"
#include "base/redact.h"
#include "db/query.h"
#include "families/backup/backup.h"
#include "s3/s3_store.h"
#include "store/local.h"

enum { KEY_FILE_MAX = 16 * 1024 };

static bool wait_in_attempt(
	void *context, struct pollfd *fds, int count, int timeout_ms, int *ret_ready, struct err *e)
{
	return attempt_wait(context, fds, count, timeout_ms, ret_ready, e);
}

static bool read_key_file(struct seal_keys *keys, const char *path, struct err *e)
{
	int fd CLEANUP(close_fd) = open(path, O_RDONLY | O_CLOEXEC);
	struct buf text CLEANUP(buf_clear) = {0};
	ssize_t n;

	if (fd < 0)
		return err_errno(e, ERR_PERMANENT, "backup.key_file: opening %s", path);
	do {
		n = read(fd, buf_reserve(&text, 1024), 1024);
		if (n > 0)
			buf_added(&text, (size_t)n);
	} while ((n > 0 && text.length < KEY_FILE_MAX) || (n < 0 && errno == EINTR));
	if (n < 0)
		return err_errno(e, ERR_PERMANENT, "backup.key_file: reading %s", path);
	return seal_keys_add(keys, text.bytes ? text.bytes : "", path, e);
}

/* Keys that cannot be read end the attempt: nothing is stored unencrypted by mistake. */
static bool load_keys(struct attempt *attempt, struct seal_keys *keys, struct err *e)
{
	const struct config *config = attempt->config;

	if ((config->backup.key && !seal_keys_add(keys, config->backup.key, "backup.key", e)) ||
		(config->backup.key_file && !read_key_file(keys, config->backup.key_file, e))) {
		e->kind = ERR_PERMANENT;
		snprintf(e->code, sizeof(e->code), "bad_key");
		return false;
	}
	if ((config->backup.key || config->backup.key_file) && keys->count == 0)
		return err_code(e, ERR_PERMANENT, "bad_key", "backup.key_file: it holds no key");
	return true;
}

static bool open_store(struct attempt *attempt, struct store **ret_store, struct err *e)
{
	const struct store_wait wait = {wait_in_attempt, attempt};
	const struct config *config = attempt->config;

	if (config->backup.directory && config->backup_s3.bucket)
		return err_code(e, ERR_PERMANENT, "no_store",
			"the worker's configuration says twice where backups are kept "
			"(backup.directory and backup.s3.bucket)");
	if (config->backup_s3.bucket)
		return s3_store_open(&config->backup_s3, &wait, ret_store, e);
	if (config->backup.directory)
		return store_local_open(config->backup.directory, &wait, ret_store, e);
	return err_code(e, ERR_PERMANENT, "no_store",
		"the worker's configuration does not say where backups are kept "
		"(backup.directory or backup.s3.bucket)");
}

bool place_open(struct attempt *attempt, struct place *ret_place, struct err *e)
{
	const struct config *config = attempt->config;
	struct place place CLEANUP(place_clear) = {.prefix = config->backup.prefix};

	if (place.prefix && !store_key_is_valid(place.prefix))
		return err_code(e, ERR_PERMANENT, "bad_prefix",
			"backup.prefix: \"%s\" cannot be the beginning of a name", place.prefix);
	if (!load_keys(attempt, &place.keys, e) || !open_store(attempt, &place.store, e))
		return false;
	*ret_place = place;
	place.store = NULL;
	return true;
}

void place_clear(struct place *place)
{
	store_free(&place->store);
	seal_keys_clear(&place->keys);
}

bool place_holds(const struct place *place, const PGresult *backup, struct err *e)
{
	const char *store = row_text(backup, 0, "store"), *where = row_text(backup, 0, "place");

	if (strcmp(store, place->store->driver->name) == 0 &&
		strcmp(where, place->store->place) == 0)
		return true;
	return err_code(e, ERR_PERMANENT, "other_store",
		"it is kept in %s (%s), and this worker's backups are in %s (%s)", where, store,
		place->store->place, place->store->driver->name);
}

struct sweep {
	struct place *place;
	struct attempt *attempt;
	int removed;
};

static bool discard_upload(void *context, const struct store_unfinished *upload, struct err *e)
{
	struct sweep *sweep = context;

	sweep->removed++;
	return store_discard(sweep->place->store, upload->key, upload->id, e);
}

static bool remove_object(void *context, const struct store_object *object, struct err *e)
{
	struct sweep *sweep = context;

	sweep->removed++;
	return store_remove(sweep->place->store, object->key, e);
}

bool place_sweep(struct place *place, struct attempt *attempt, const char *stem, struct err *e)
{
	struct sweep sweep = {.place = place, .attempt = attempt};
	const char *prefix = backup_key(attempt, stem, "");

	if (FAULT_FAILS("backup_sweep", "send", -1, e) ||
		!store_uploads(place->store, prefix, discard_upload, &sweep, e) ||
		!store_list(place->store, prefix, remove_object, &sweep, e) ||
		FAULT_FAILS("backup_sweep", "answered", -1, e))
		return err_in(e, "removing what is left of %s", stem);
	if (sweep.removed > 0)
		attempt_event(attempt, EVENT_INFO, "cleanup_done",
			json_pack("{s:s, s:s, s:i}", "what", "objects", "name", stem, "count",
				sweep.removed),
			"removed %d objects of %s", sweep.removed, stem);
	return true;
}
