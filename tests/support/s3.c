/* SPDX-License-Identifier: PostgreSQL */
/*
 * Drives the S3 client by itself: s3 COMMAND ARGUMENT..., with the settings of the environment.
 *
 *     put KEY, upload KEY		one request, or many, of what comes on stdin
 *     begin KEY			an upload that is never completed; prints its id
 *     get KEY [OFFSET [LENGTH]]	to stdout
 *     head KEY, delete KEY, abort KEY ID
 *     list [PREFIX], uploads [PREFIX], parts KEY ID
 *
 *     store KEY			stdin as an object of a store (store/store.h), all that can
 *				be done with it, and gone again
 *
 * stderr tells of retries, of the error that it ended with, and how much memory it took at most.
 * The status is 0, or 1 after an error.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/mem.h"
#include "s3/s3_download.h"
#include "s3/s3_list.h"
#include "s3/s3_store.h"
#include "s3/s3_store.h"
#include "s3/s3_upload.h"
#include "s3/sigv4.h"

enum { READ_BYTES = 64 * 1024 };

static void on_retry(void *context, const struct err *why, int64_t pause_ms)
{
	(void)context, (void)pause_ms;
	fprintf(stderr, "retry %s %s\n", why->code, why->text);
}

static bool print_object(const struct s3_object *object)
{
	printf("%" PRId64 " %s %" PRId64 "\n", object->bytes, object->etag, object->modified_s);
	return true;
}

static bool take(void *context, const struct s3_entry *entry, struct err *e)
{
	(void)context, (void)e;
	printf("%d\t%" PRId64 "\t%s\t%" PRId64 "\t%s\t%s\n", entry->part, entry->bytes, entry->etag,
		entry->at_s, entry->upload, entry->key);
	return true;
}

static const struct s3_taker taker = {.take = take};
static const struct config_pair headers[] = {{"content-type", "application/octet-stream"},
	{"x-amz-meta-label", "a  label with  blanks"}, {0}};

static bool put(struct s3 *s3, char **args, struct err *e)
{
	struct buf bytes CLEANUP(buf_clear) = {0};
	size_t n;

	while ((n = fread(buf_reserve(&bytes, READ_BYTES), 1, READ_BYTES, stdin)) > 0)
		buf_added(&bytes, n);
	return s3_put(s3, args[0], bytes.bytes, bytes.length, headers, e);
}

static bool send_all(struct s3_upload *upload, struct err *e)
{
	char bytes[READ_BYTES];
	size_t n;

	while ((n = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
		if (!s3_upload_write(upload, bytes, n, e))
			return false;
	return true;
}

static bool upload(struct s3 *s3, char **args, struct err *e)
{
	struct s3_upload *out CLEANUP(s3_upload_clear) = NULL;
	struct s3_object object;
	json_t *parts;

	if (!s3_upload_begin(s3, args[0], headers, &out, e))
		return false;
	if (!send_all(out, e) || !s3_upload_complete(out, &object, e)) {
		struct err other;

		err_ignored(s3_upload_abort(out, &other), "the first error counts");
		return false;
	}
	parts = s3_upload_parts(out);
	json_dumpf(parts, stderr, JSON_COMPACT);
	fputc('\n', stderr);
	json_decref(parts);
	return s3_upload_acknowledged(out) == object.bytes && print_object(&object);
}

static bool begin(struct s3 *s3, char **args, struct err *e)
{
	struct s3_upload *out CLEANUP(s3_upload_clear) = NULL;

	if (!s3_upload_begin(s3, args[0], headers, &out, e) || !send_all(out, e))
		return false;
	puts(s3_upload_id(out));
	return true;
}

static bool get(struct s3 *s3, char **args, struct err *e)
{
	struct s3_download *in CLEANUP(s3_download_clear) = NULL;
	int64_t offset = args[1] ? strtoll(args[1], NULL, 10) : 0;
	int64_t length = args[1] && args[2] ? strtoll(args[2], NULL, 10) : -1;
	struct s3_object object;
	char bytes[READ_BYTES];
	size_t n;

	if (!s3_download_open(s3, args[0], offset, length, &object, &in, e))
		return false;
	do {
		if (!s3_download_read(in, bytes, sizeof(bytes), &n, e))
			return false;
		fwrite(bytes, 1, n, stdout);
	} while (n > 0);
	return true;
}

static bool head(struct s3 *s3, char **args, struct err *e)
{
	struct s3_object object;

	return s3_head(s3, args[0], &object, e) && print_object(&object);
}

static bool delete (struct s3 *s3, char **args, struct err *e)
{
	return s3_delete(s3, args[0], e);
}

static bool list(struct s3 *s3, char **args, struct err *e)
{
	return s3_list(s3, args[0] ? args[0] : "", &taker, e);
}

static bool uploads(struct s3 *s3, char **args, struct err *e)
{
	return s3_list_uploads(s3, args[0] ? args[0] : "", &taker, e);
}

static bool parts(struct s3 *s3, char **args, struct err *e)
{
	return s3_list_parts(s3, args[0], args[1], &taker, e);
}

static bool abort_upload(struct s3 *s3, char **args, struct err *e)
{
	return s3_abort(s3, args[0], args[1], e);
}

/*
 * As a store.
 */

static bool print_unfinished(
	void *context, const struct store_unfinished *unfinished, struct err *e)
{
	struct store *store = context;

	printf("%s\n", unfinished->key);
	return store_discard(store, unfinished->key, "another", e);
}

static bool print_stored(void *context, const struct store_object *object, struct err *e)
{
	(void)context, (void)e;
	printf("%s %" PRId64 "\n", object->key, object->bytes);
	return true;
}

static bool hash(void *context, const void *bytes, size_t length, struct err *e)
{
	(void)e;
	return EVP_DigestUpdate(context, bytes, length) == 1;
}

static bool print_hash(struct store *store, const char *key, struct err *e)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char bytes[32];
	char hex[SIGV4_HEX_BYTES];
	bool ok;

	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	ok = store_read(store, key, hash, digest, e);
	EVP_DigestFinal_ex(digest, bytes, NULL);
	EVP_MD_CTX_free(digest);
	hex_of(bytes, sizeof(bytes), hex);
	if (ok)
		printf("%s\n", hex);
	return ok;
}

static bool write_stored(struct store *store, const char *key, struct err *e)
{
	struct store_upload *out CLEANUP(store_upload_free) = NULL;
	char bytes[READ_BYTES];
	size_t n;

	if (!store_begin(store, key, &out, e) ||
		!store_uploads(store, key, print_unfinished, store, e))
		return false;
	while ((n = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
		if (!store_write(out, bytes, n, e))
			return false;
	return store_complete(out, e);
}

/* One that is given up. */
static bool begin_stored(struct store *store, const char *key, struct err *e)
{
	struct store_upload *out CLEANUP(store_upload_free) = NULL;

	return store_begin(store, key, &out, e) && store_write(out, "x", 1, e);
}

/* What is printed, line by line, is compared by the test. */
static bool use_store(struct store *store, const char *key, struct err *e)
{
	struct store_object object;
	struct err gone;

	puts(store->place);
	if (!begin_stored(store, key, e) || !write_stored(store, key, e) ||
		!store_stat(store, key, &object, e))
		return false;
	printf("%" PRId64 "\n", object.bytes);
	if (!store_list(store, "", print_stored, NULL, e) || !print_hash(store, key, e) ||
		!store_remove(store, key, e) || !store_remove(store, key, e))
		return false;
	puts(store_stat(store, key, &object, &gone) ? "there" : gone.code);
	return true;
}

static bool wait_in_poll(
	void *context, struct pollfd *fds, int count, int timeout_ms, int *ret_ready, struct err *e)
{
	(void)context, (void)e;
	*ret_ready = poll(fds, (nfds_t)count, timeout_ms);
	return true;
}

static bool store(const struct config_s3 *settings, const char *key, struct err *e)
{
	struct store *bucket CLEANUP(store_free) = NULL;
	const struct store_wait wait = {.wait = wait_in_poll};

	return s3_store_open(settings, &wait, &bucket, e) && use_store(bucket, key, e);
}

static const struct {
	const char *name;
	int least, most; /* arguments */
	bool (*run)(struct s3 *s3, char **args, struct err *e);
} commands[] = {
	{"put", 1, 1, put},
	{"upload", 1, 1, upload},
	{"begin", 1, 1, begin},
	{"get", 1, 3, get},
	{"head", 1, 1, head},
	{"delete", 1, 1, delete},
	{"list", 0, 1, list},
	{"uploads", 0, 1, uploads},
	{"parts", 2, 2, parts},
	{"abort", 2, 2, abort_upload},
};

static bool run(int argc, char **argv, struct err *e)
{
	struct config *config CLEANUP(config_clear) = NULL;
	const struct s3_waiter waiter = {.on_retry = on_retry};
	struct s3 *s3 CLEANUP(s3_clear) = NULL;

	if (!config_load(NULL, &config, e))
		return false;
	if (argc == 3 && strcmp(argv[1], "store") == 0)
		return store(&config->backup_s3, argv[2], e);
	if (!s3_open(&config->backup_s3, &waiter, &s3, e))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (argc > 1 && strcmp(argv[1], commands[i].name) == 0 &&
			argc - 2 >= commands[i].least && argc - 2 <= commands[i].most)
			return commands[i].run(s3, argv + 2, e);
	return err_set(e, ERR_CONFIG, "no such command, or too few arguments");
}

int main(int argc, char **argv)
{
	struct rusage usage;
	struct err e = {0};
	bool ok = run(argc, argv, &e);

	if (!ok)
		fprintf(stderr, "error %s %s %s\n", err_kind_name(e.kind), e.code, e.text);
	getrusage(RUSAGE_SELF, &usage);
	fprintf(stderr, "memory %ld\n", usage.ru_maxrss);
	return ok ? 0 : 1;
}
