/* SPDX-License-Identifier: PostgreSQL */
#include "store/local.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "suite.h"

static char folder[64];
static struct store *store;
static struct err e;
static bool is_to_stop;

static bool wait_for_nothing(void *context, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *error)
{
	(void)context, (void)fds, (void)count, (void)timeout_ms;
	*ret_ready = 0;
	return !is_to_stop || err_set(error, ERR_CANCELLED, "asked to stop");
}

static void open_store(void)
{
	static const struct store_wait wait = {.wait = wait_for_nothing};

	snprintf(folder, sizeof(folder), "/tmp/athena-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_msg(store_local_open(folder, &wait, &store, &e), "%s", e.text);
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *ftw)
{
	(void)facts, (void)kind, (void)ftw;
	return remove(path);
}

static void close_store(void)
{
	store_free(&store);
	nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *key, const char *bytes)
{
	struct store_upload *upload CLEANUP(store_upload_free) = NULL;

	ck_assert_msg(store_begin(store, key, &upload, &e), "%s", e.text);
	ck_assert_msg(store_write(upload, bytes, strlen(bytes), &e), "%s", e.text);
	ck_assert_msg(store_complete(upload, &e), "%s", e.text);
}

static bool append(void *context, const void *bytes, size_t length, struct err *error)
{
	(void)error;
	buf_add(context, bytes, length);
	return true;
}

static bool append_key(void *context, const struct store_object *object, struct err *error)
{
	(void)error;
	buf_printf(context, "%s:%d ", object->key, (int)object->bytes);
	return true;
}

static bool append_upload(void *context, const struct store_unfinished *upload, struct err *error)
{
	(void)error;
	buf_printf(context, "%s#%s ", upload->key, upload->id);
	return true;
}

static const char *list(const char *prefix, struct buf *text)
{
	buf_reset(text);
	ck_assert_msg(store_list(store, prefix, append_key, text, &e), "%s", e.text);
	return text->length ? text->bytes : "";
}

static const char *uploads(const char *prefix, struct buf *text)
{
	buf_reset(text);
	ck_assert_msg(store_uploads(store, prefix, append_upload, text, &e), "%s", e.text);
	return text->length ? text->bytes : "";
}

START_TEST(an_object_appears_whole)
{
	struct store_upload *upload CLEANUP(store_upload_free) = NULL;
	struct buf text CLEANUP(buf_clear) = {0};
	struct store_object object;

	ck_assert(store_begin(store, "a/b/c.dump", &upload, &e));
	ck_assert(store_write(upload, "12", 2, &e));
	ck_assert(!store_stat(store, "a/b/c.dump", &object, &e));
	ck_assert_str_eq(e.code, "no_object");
	ck_assert_str_eq(list("", &text), "");
	ck_assert(store_write(upload, "345", 3, &e));
	ck_assert(store_complete(upload, &e));
	ck_assert_int_eq(upload->bytes, 5);
	ck_assert(store_stat(store, "a/b/c.dump", &object, &e));
	ck_assert_int_eq(object.bytes, 5);
	ck_assert_str_eq(uploads("", &text), "");
	buf_reset(&text);
	ck_assert(store_read(store, "a/b/c.dump", append, &text, &e));
	ck_assert_str_eq(text.bytes, "12345");
}
END_TEST

START_TEST(files_are_of_their_owner_only)
{
	char path[128];
	struct stat facts;

	put("a/b", "x");
	snprintf(path, sizeof(path), "%s/a/b", folder);
	ck_assert_int_eq(stat(path, &facts), 0);
	ck_assert_int_eq(facts.st_mode & 07777, 0600);
	snprintf(path, sizeof(path), "%s/a", folder);
	ck_assert_int_eq(stat(path, &facts), 0);
	ck_assert_int_eq(facts.st_mode & 07777, 0700);
}
END_TEST

START_TEST(what_is_freed_unfinished_leaves_nothing)
{
	struct buf text CLEANUP(buf_clear) = {0};

	{
		struct store_upload *upload CLEANUP(store_upload_free) = NULL;

		ck_assert(store_begin(store, "a/b", &upload, &e));
		ck_assert(store_write(upload, "12", 2, &e));
	}
	ck_assert_str_eq(uploads("", &text), "");
	ck_assert_str_eq(list("", &text), "");
}
END_TEST

/* As if the process had died. */
START_TEST(what_died_is_found_and_discarded)
{
	struct store_upload *upload = NULL;
	struct buf text CLEANUP(buf_clear) = {0};
	char expected[128];

	ck_assert(store_begin(store, "shop/x-1.dump", &upload, &e));
	snprintf(expected, sizeof(expected), "shop/x-1.dump#%s ", upload->id);
	ck_assert_str_eq(uploads("shop/", &text), expected);
	ck_assert_str_eq(uploads("shop/x-2", &text), "");
	ck_assert_str_eq(list("", &text), "");
	ck_assert(store_discard(store, upload->key, upload->id, &e));
	ck_assert_str_eq(uploads("", &text), "");
	ck_assert(store_discard(store, upload->key, upload->id, &e));
	ck_assert(store_discard(store, upload->key, "../../../etc/passwd", &e));
	store_upload_free(&upload);
}
END_TEST

START_TEST(nothing_is_replaced)
{
	struct store_upload *upload CLEANUP(store_upload_free) = NULL;
	struct buf text CLEANUP(buf_clear) = {0};

	put("a", "first");
	ck_assert(store_begin(store, "a", &upload, &e));
	ck_assert(store_write(upload, "second", 6, &e));
	ck_assert(!store_complete(upload, &e));
	ck_assert_str_eq(e.code, "object_exists");
	ck_assert(store_read(store, "a", append, &text, &e));
	ck_assert_str_eq(text.bytes, "first");
}
END_TEST

START_TEST(lists_by_prefix_in_the_order_of_keys)
{
	struct buf text CLEANUP(buf_clear) = {0};

	put("a/b", "1");
	put("a-b", "22");
	put("a/c/d", "333");
	put("b", "4444");
	ck_assert_str_eq(list("", &text), "a-b:2 a/b:1 a/c/d:3 b:4 ");
	ck_assert_str_eq(list("a/", &text), "a/b:1 a/c/d:3 ");
	ck_assert_str_eq(list("a/c/d", &text), "a/c/d:3 ");
	ck_assert_str_eq(list("c", &text), "");
	ck_assert(store_remove(store, "a/b", &e));
	ck_assert(store_remove(store, "a/b", &e));
	ck_assert_str_eq(list("a/", &text), "a/c/d:3 ");
}
END_TEST

START_TEST(stops_when_it_is_told_to)
{
	struct store_upload *upload CLEANUP(store_upload_free) = NULL;
	struct buf text CLEANUP(buf_clear) = {0};

	put("a", "1");
	ck_assert(store_begin(store, "b", &upload, &e));
	is_to_stop = true;
	ck_assert(!store_read(store, "a", append, &text, &e));
	ck_assert_int_eq(e.kind, ERR_CANCELLED);
	ck_assert(!store_write(upload, "1", 1, &e));
	ck_assert_int_eq(e.kind, ERR_CANCELLED);
}
END_TEST

START_TEST(errors_say_what_is_wrong)
{
	static const struct store_wait wait = {.wait = wait_for_nothing};
	struct store *other CLEANUP(store_free) = NULL;
	struct store_upload *upload CLEANUP(store_upload_free) = NULL;
	char name[STORE_KEY_MAX];

	ck_assert(!store_local_open("relative", &wait, &other, &e));
	ck_assert_str_eq(e.code, "bad_directory");
	ck_assert(!store_local_open("/nowhere/at/all", &wait, &other, &e));
	ck_assert_int_eq(e.kind, ERR_PERMANENT);
	ck_assert(!store_begin(store, "../x", &upload, &e));
	ck_assert_str_eq(e.code, "bad_key");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ck_assert(!store_begin(store, name, &upload, &e));
	ck_assert_str_eq(e.code, "bad_key");
}
END_TEST

START_TEST(a_full_disk_has_a_name)
{
	static const struct store_wait wait = {.wait = wait_for_nothing};
	struct store *full CLEANUP(store_free) = NULL;
	struct store_upload *upload CLEANUP(store_upload_free) = NULL;

	ck_assert(store_local_open(folder, &wait, &full, &e));
	ck_assert(store_begin(full, "x", &upload, &e));
	/* The file becomes the device whose disk is always full. */
	{
		char path[160];
		int fd CLEANUP(close_fd) = open("/dev/full", O_WRONLY | O_CLOEXEC);

		snprintf(path, sizeof(path), "%s/.x.%s", folder, upload->id);
		for (int n = 3; n < 64; n++) {
			char link[160], name[32];
			ssize_t length;

			snprintf(name, sizeof(name), "/proc/self/fd/%d", n);
			length = readlink(name, link, sizeof(link) - 1);
			if (length > 0 && (link[length] = '\0', strcmp(link, path) == 0))
				ck_assert_int_eq(dup2(fd, n), n);
		}
	}
	ck_assert(!store_write(upload, "x", 1, &e));
	ck_assert_str_eq(e.code, "disk_full");
	ck_assert_int_eq(e.kind, ERR_TRANSIENT);
}
END_TEST

Suite *suite_store_local(void)
{
	const TTest *const tests[] = {
		an_object_appears_whole,
		files_are_of_their_owner_only,
		what_is_freed_unfinished_leaves_nothing,
		what_died_is_found_and_discarded,
		nothing_is_replaced,
		lists_by_prefix_in_the_order_of_keys,
		stops_when_it_is_told_to,
		errors_say_what_is_wrong,
		a_full_disk_has_a_name,
		NULL,
	};
	Suite *suite = suite_create("store_local");
	TCase *fixture = tcase_create("store_local");

	tcase_add_checked_fixture(fixture, open_store, close_store);
	for (const TTest *const *test = tests; *test; test++)
		tcase_add_test(fixture, *test);
	suite_add_tcase(suite, fixture);
	return suite;
}
