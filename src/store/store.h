/* SPDX-License-Identifier: PostgreSQL */
/*
 * Where backups are kept: objects with names, written once, whole or not at all.
 *
 * A store is a local directory (store/local.h) or a bucket; whoever uses it sees this header only,
 * and opens one with the driver's own function. It belongs to one process and does one thing at a
 * time. Every call may block, and while it does it waits in wait() of struct store_wait only, so
 * that an attempt that is to stop stops; what wait() fails with is handed on as it is.
 *
 * Keys are relative paths of URL-safe ASCII: A-Z a-z 0-9 . _ - =, with / in between, no empty part
 * and none that begins with a dot, 512 bytes at most (store_key_is_valid()).
 *
 * Writing an object:
 *
 *     struct store_upload *upload CLEANUP(store_upload_free) = NULL;
 *
 *     if (!store_begin(store, key, &upload, e))
 *             return false;
 *     ... remember upload->id durably, before the first byte ...
 *     while (there is more)
 *             if (!store_write(upload, bytes, length, e))
 *                     return false;
 *     return store_complete(upload, e);
 *
 * Nothing is to be seen under the key before store_complete(), and all of it, durable, once that
 * has returned true. When it fails the object may be there or not, for the answer may have been
 * lost: store_stat() decides. An upload that is freed before that is aborted. If the process dies,
 * what it had written is still there, costs room and is seen by nobody but store_uploads(); whoever
 * remembers key and id removes it with store_discard(), and a sweep does without.
 *
 * Errors: ERR_TRANSIENT for what may work later (network, disk full with code "disk_full", service
 * unavailable), ERR_PERMANENT for what will not (code "no_object", "denied", "bad_key",
 * "no_bucket", ...), ERR_CONFIG never. Secrets are in no text.
 */
#ifndef ATHENA_STORE_STORE_H
#define ATHENA_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct pollfd;
struct store;

enum { STORE_KEY_MAX = 512, STORE_ID_MAX = 1024 };

/* How to wait; the same contract as attempt_wait(), whatever stands behind it. */
struct store_wait {
	bool (*wait)(void *context, struct pollfd *fds, int count, int timeout_ms, int *ret_ready,
		struct err *e);
	void *context;
};

/* What is known of an object without reading it. */
struct store_object {
	const char *key; /* only as long as the call lasts */
	int64_t bytes;
	int64_t modified_s; /* since 1970 */
};

/* One that was begun and neither completed nor aborted. */
struct store_unfinished {
	const char *key, *id; /* only as long as the call lasts */
	int64_t begun_s;      /* since 1970 */
};

/* An object that is being written. Drivers embed it as their first member. */
struct store_upload {
	struct store *store;
	char *key;
	char *id; /* the driver's name for it, at most STORE_ID_MAX bytes; "" where it needs none */
	int64_t bytes; /* taken by store_write() so far */
	bool is_over;  /* completed or aborted: nothing to undo */
};

/* What a read hands over, piece by piece; false ends the read with the error that it set. */
typedef bool store_take(void *context, const void *bytes, size_t length, struct err *e);
typedef bool store_each_object(void *context, const struct store_object *object, struct err *e);
typedef bool store_each_upload(void *context, const struct store_unfinished *upload, struct err *e);

/*
 * A driver. All functions are there; their contracts are those of the calls below. upload_free()
 * releases memory only; the caller has ended the upload before.
 */
struct store_driver {
	const char *name; /* "local", "s3": the catalog keeps it */
	bool (*begin)(
		struct store *, const char *key, struct store_upload **ret_upload, struct err *);
	bool (*write)(struct store_upload *, const void *bytes, size_t length, struct err *);
	bool (*complete)(struct store_upload *, struct err *);
	bool (*abort)(struct store_upload *, struct err *);
	void (*upload_free)(struct store_upload *);
	bool (*stat)(
		struct store *, const char *key, struct store_object *ret_object, struct err *);
	bool (*read)(
		struct store *, const char *key, store_take *take, void *context, struct err *);
	bool (*list)(struct store *, const char *prefix, store_each_object *each, void *context,
		struct err *);
	bool (*uploads)(struct store *, const char *prefix, store_each_upload *each, void *context,
		struct err *);
	bool (*discard)(struct store *, const char *key, const char *id, struct err *);
	bool (*remove)(struct store *, const char *key, struct err *);
	bool (*wait)(struct store *, struct pollfd *fds, int count, int timeout_ms, int *ret_ready,
		struct err *); /* NULL: nothing is ever under way between calls */
	void (*free)(struct store *);
};

/* Drivers embed it as their first member. */
struct store {
	const struct store_driver *driver;
	struct store_wait wait;
	const char *place; /* for people and the catalog: "/var/backups", "s3://bucket/prefix" */
};

bool store_key_is_valid(const char *key);

/* Nothing is visible yet. ERR_PERMANENT "bad_key" for a key that is not valid. */
MUSTCHECK bool store_begin(
	struct store *store, const char *key, struct store_upload **ret_upload, struct err *e);

/* Takes all of it, blocking while it must. After a failure only freeing is left. */
MUSTCHECK bool store_write(
	struct store_upload *upload, const void *bytes, size_t length, struct err *e);
MUSTCHECK bool store_complete(struct store_upload *upload, struct err *e);

/* Aborts what is not over, as well as it can, and releases it. Accepts NULL inside. For CLEANUP().
 */
void store_upload_free(struct store_upload **upload);

/* ERR_PERMANENT "no_object" when there is none. ret_object->key is `key`. */
MUSTCHECK bool store_stat(
	struct store *store, const char *key, struct store_object *ret_object, struct err *e);

/* All bytes of an object from the first to the last, in pieces of any size. */
MUSTCHECK bool store_read(
	struct store *store, const char *key, store_take *take, void *context, struct err *e);

/* Objects whose keys begin with `prefix`, in the order of their keys. */
MUSTCHECK bool store_list(struct store *store, const char *prefix, store_each_object *each,
	void *context, struct err *e);

/* Uploads, of whomever, that were begun under `prefix` and never ended. */
MUSTCHECK bool store_uploads(struct store *store, const char *prefix, store_each_upload *each,
	void *context, struct err *e);

/* Aborts an upload of a process that is gone. None of that id is fine. */
MUSTCHECK bool store_discard(struct store *store, const char *key, const char *id, struct err *e);

/* Deletes an object. None of that key is fine. */
MUSTCHECK bool store_remove(struct store *store, const char *key, struct err *e);

/*
 * Waits for something else, as store_wait.wait, while what was written goes on its way: whoever
 * reads what he writes from a pipe waits for the pipe here.
 */
MUSTCHECK bool store_wait(struct store *store, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e);

/* Accepts NULL inside. For CLEANUP(). */
void store_free(struct store **store);

#endif
