/* SPDX-License-Identifier: PostgreSQL */
/* What all stores have in common: keys, and the end of an upload. */
#include "store/store.h"

#include <string.h>

#include "base/mem.h"

static bool is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		(c && strchr("._-=", c));
}

bool store_key_is_valid(const char *key)
{
	bool is_start = true; /* of a part */

	if (strlen(key) > STORE_KEY_MAX)
		return false;
	for (const char *c = key; *c; c++) {
		if (is_start ? *c == '.' || !is_plain(*c) : *c != '/' && !is_plain(*c))
			return false;
		is_start = *c == '/';
	}
	return !is_start;
}

static bool check_key(const char *key, struct err *e)
{
	return store_key_is_valid(key) ||
		err_code(e, ERR_PERMANENT, "bad_key", "\"%.80s\" is no name for an object", key);
}

bool store_begin(
	struct store *store, const char *key, struct store_upload **ret_upload, struct err *e)
{
	return check_key(key, e) && store->driver->begin(store, key, ret_upload, e);
}

bool store_write(struct store_upload *upload, const void *bytes, size_t length, struct err *e)
{
	if (!upload->store->driver->write(upload, bytes, length, e))
		return false;
	upload->bytes += (int64_t)length;
	return true;
}

bool store_complete(struct store_upload *upload, struct err *e)
{
	if (!upload->store->driver->complete(upload, e))
		return false;
	upload->is_over = true;
	return true;
}

void store_upload_free(struct store_upload **upload)
{
	struct err ignored;

	if (!*upload)
		return;
	if (!(*upload)->is_over)
		err_ignored((*upload)->store->driver->abort(*upload, &ignored),
			"a sweep finds what could not be aborted");
	(*upload)->store->driver->upload_free(TAKE(*upload));
}

bool store_stat(
	struct store *store, const char *key, struct store_object *ret_object, struct err *e)
{
	return check_key(key, e) && store->driver->stat(store, key, ret_object, e);
}

bool store_read(
	struct store *store, const char *key, store_take *take, void *context, struct err *e)
{
	return check_key(key, e) && store->driver->read(store, key, take, context, e);
}

bool store_list(struct store *store, const char *prefix, store_each_object *each, void *context,
	struct err *e)
{
	return store->driver->list(store, prefix, each, context, e);
}

bool store_uploads(struct store *store, const char *prefix, store_each_upload *each, void *context,
	struct err *e)
{
	return store->driver->uploads(store, prefix, each, context, e);
}

bool store_discard(struct store *store, const char *key, const char *id, struct err *e)
{
	return check_key(key, e) && store->driver->discard(store, key, id, e);
}

bool store_remove(struct store *store, const char *key, struct err *e)
{
	return check_key(key, e) && store->driver->remove(store, key, e);
}

bool store_wait(struct store *store, struct pollfd *fds, int count, int timeout_ms, int *ret_ready,
	struct err *e)
{
	if (store->driver->wait)
		return store->driver->wait(store, fds, count, timeout_ms, ret_ready, e);
	return store->wait.wait(store->wait.context, fds, count, timeout_ms, ret_ready, e);
}

void store_free(struct store **store)
{
	if (*store)
		(*store)->driver->free(TAKE(*store));
}
