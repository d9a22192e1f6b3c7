/* SPDX-License-Identifier: PostgreSQL */
/* The S3 client behind the interface of stores. */
#include "s3/s3_store.h"

#include <string.h>

#include "base/mem.h"
#include "s3/s3_download.h"
#include "s3/s3_list.h"
#include "s3/s3_upload.h"

enum { READ_BYTES = 128 * 1024 };

struct bucket {
	struct store store;
	struct s3 *s3;
	char *prefix; /* "" or with a slash at its end */
	char *place;
};

struct bucket_upload {
	struct store_upload upload;
	struct s3_upload *s3_upload;
};

static struct bucket *bucket_of(struct store *store)
{
	return (struct bucket *)store;
}

static struct s3_upload *upload_of(struct store_upload *upload)
{
	return ((struct bucket_upload *)upload)->s3_upload;
}

/* The words that all stores have for it. */
static bool as_store(bool ok, struct err *e)
{
	static const struct {
		const char *ours, *theirs;
	} words[] = {{"s3_not_found", "no_object"}, {"s3_no_such_bucket", "no_bucket"},
		{"s3_denied", "denied"}};

	if (ok)
		return true;
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(e->code, words[i].ours) == 0)
			snprintf(e->code, sizeof(e->code), "%s", words[i].theirs);
	if (e->kind == ERR_CONFIG)
		e->kind = ERR_PERMANENT;
	return false;
}

static char *full_key(struct store *store, const char *key)
{
	return xasprintf("%s%s", bucket_of(store)->prefix, key);
}

/* What is ours of a key that a listing found: the prefix was asked for. */
static const char *own_key(struct store *store, const char *key)
{
	size_t length = strlen(bucket_of(store)->prefix);

	return strncmp(key, bucket_of(store)->prefix, length) == 0 ? key + length : key;
}

/*
 * Writing.
 */

static bool bucket_begin(
	struct store *store, const char *key, struct store_upload **ret_upload, struct err *e)
{
	static const struct config_pair headers[] = {
		{"content-type", "application/octet-stream"}, {0}};
	char *full CLEANUP(free_ptr) = full_key(store, key);
	struct bucket_upload *upload;
	struct s3_upload *s3_upload;

	if (!as_store(s3_upload_begin(bucket_of(store)->s3, full, headers, &s3_upload, e), e))
		return false;
	upload = xcalloc(1, sizeof(*upload));
	upload->s3_upload = s3_upload;
	upload->upload = (struct store_upload){
		.store = store, .key = xstrdup(key), .id = xstrdup(s3_upload_id(s3_upload))};
	*ret_upload = &upload->upload;
	return true;
}

static bool bucket_write(
	struct store_upload *upload, const void *bytes, size_t length, struct err *e)
{
	return as_store(s3_upload_write(upload_of(upload), bytes, length, e), e);
}

static bool bucket_complete(struct store_upload *upload, struct err *e)
{
	struct s3_object object;

	return as_store(s3_upload_complete(upload_of(upload), &object, e), e);
}

static bool bucket_abort(struct store_upload *upload, struct err *e)
{
	return as_store(s3_upload_abort(upload_of(upload), e), e);
}

static void bucket_upload_free(struct store_upload *upload)
{
	s3_upload_free(upload_of(upload));
	free(upload->key);
	free(upload->id);
	free(upload);
}

/*
 * Reading.
 */

static bool bucket_stat(
	struct store *store, const char *key, struct store_object *ret_object, struct err *e)
{
	char *full CLEANUP(free_ptr) = full_key(store, key);
	struct s3_object object;

	if (!as_store(s3_head(bucket_of(store)->s3, full, &object, e), e))
		return false;
	*ret_object = (struct store_object){
		.key = key, .bytes = object.bytes, .modified_s = object.modified_s};
	return true;
}

static bool read_all(struct s3_download *in, store_take *take, void *context, struct err *e)
{
	char *bytes CLEANUP(free_ptr) = xmalloc(READ_BYTES);

	for (;;) {
		size_t length;

		if (!as_store(s3_download_read(in, bytes, READ_BYTES, &length, e), e))
			return false;
		if (length == 0)
			return true;
		if (!take(context, bytes, length, e))
			return false;
	}
}

static bool bucket_read(
	struct store *store, const char *key, store_take *take, void *context, struct err *e)
{
	struct s3_download *in CLEANUP(s3_download_clear) = NULL;
	char *full CLEANUP(free_ptr) = full_key(store, key);
	struct s3_object object;

	return as_store(s3_download_open(bucket_of(store)->s3, full, 0, -1, &object, &in, e), e) &&
		read_all(in, take, context, e);
}

/*
 * Listing.
 */

struct listing {
	struct store *store;
	store_each_object *each_object;
	store_each_upload *each_upload;
	void *context;
	bool is_theirs; /* the error: of `each` */
};

static bool take_object(void *context, const struct s3_entry *entry, struct err *e)
{
	struct listing *listing = context;
	const struct store_object object = {.key = own_key(listing->store, entry->key),
		.bytes = entry->bytes,
		.modified_s = entry->at_s};

	listing->is_theirs = !listing->each_object(listing->context, &object, e);
	return !listing->is_theirs;
}

static bool take_upload(void *context, const struct s3_entry *entry, struct err *e)
{
	struct listing *listing = context;
	const struct store_unfinished upload = {.key = own_key(listing->store, entry->key),
		.id = entry->upload,
		.begun_s = entry->at_s};

	listing->is_theirs = !listing->each_upload(listing->context, &upload, e);
	return !listing->is_theirs;
}

static bool bucket_list(struct store *store, const char *prefix, store_each_object *each,
	void *context, struct err *e)
{
	char *full CLEANUP(free_ptr) = full_key(store, prefix);
	struct listing listing = {.store = store, .each_object = each, .context = context};
	const struct s3_taker taker = {take_object, &listing};
	bool ok = s3_list(bucket_of(store)->s3, full, &taker, e);

	return listing.is_theirs ? ok : as_store(ok, e);
}

static bool bucket_uploads(struct store *store, const char *prefix, store_each_upload *each,
	void *context, struct err *e)
{
	char *full CLEANUP(free_ptr) = full_key(store, prefix);
	struct listing listing = {.store = store, .each_upload = each, .context = context};
	const struct s3_taker taker = {take_upload, &listing};
	bool ok = s3_list_uploads(bucket_of(store)->s3, full, &taker, e);

	return listing.is_theirs ? ok : as_store(ok, e);
}

/*
 * The rest.
 */

static bool bucket_discard(struct store *store, const char *key, const char *id, struct err *e)
{
	char *full CLEANUP(free_ptr) = full_key(store, key);

	return as_store(s3_abort(bucket_of(store)->s3, full, id, e), e);
}

static bool bucket_remove(struct store *store, const char *key, struct err *e)
{
	char *full CLEANUP(free_ptr) = full_key(store, key);

	return as_store(s3_delete(bucket_of(store)->s3, full, e), e);
}

static bool bucket_wait(struct store *store, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e)
{
	return s3_wait(bucket_of(store)->s3, fds, count, timeout_ms, ret_ready, e);
}

static void bucket_free(struct store *store)
{
	struct bucket *bucket = bucket_of(store);

	s3_close(bucket->s3);
	free(bucket->prefix);
	free(bucket->place);
	free(bucket);
}

static const struct store_driver driver = {
	.name = "s3",
	.begin = bucket_begin,
	.write = bucket_write,
	.complete = bucket_complete,
	.abort = bucket_abort,
	.upload_free = bucket_upload_free,
	.stat = bucket_stat,
	.read = bucket_read,
	.list = bucket_list,
	.uploads = bucket_uploads,
	.discard = bucket_discard,
	.remove = bucket_remove,
	.wait = bucket_wait,
	.free = bucket_free,
};

/* "a/b/" of "a/b" and of "a/b/". */
static char *make_prefix(const char *prefix)
{
	size_t length = prefix ? strlen(prefix) : 0;

	while (length > 0 && prefix[length - 1] == '/')
		length--;
	return length == 0 ? xstrdup("") : xasprintf("%.*s/", (int)length, prefix);
}

static bool check_prefix(const char *prefix, struct err *e)
{
	char *without_slash CLEANUP(free_ptr) = make_prefix(prefix);
	size_t length = strlen(without_slash);

	if (length > 0)
		without_slash[length - 1] = '\0';
	return length == 0 || store_key_is_valid(without_slash) ||
		err_code(e, ERR_PERMANENT, "s3_config",
			"backup.s3: prefix must be letters, digits and ._-=, with / in between");
}

bool s3_store_open(const struct config_s3 *settings, const struct store_wait *wait,
	struct store **ret_store, struct err *e)
{
	const struct s3_waiter waiter = {.wait = wait->wait, .context = wait->context};
	struct bucket *bucket;
	struct s3 *s3;

	if (!check_prefix(settings->prefix, e) || !as_store(s3_open(settings, &waiter, &s3, e), e))
		return false;
	bucket = xcalloc(1, sizeof(*bucket));
	bucket->s3 = s3;
	bucket->prefix = make_prefix(settings->prefix);
	bucket->place = xasprintf("s3://%s/%.*s", settings->bucket,
		(int)(*bucket->prefix ? strlen(bucket->prefix) - 1 : 0), bucket->prefix);
	bucket->store = (struct store){.driver = &driver, .wait = *wait, .place = bucket->place};
	*ret_store = &bucket->store;
	return true;
}
