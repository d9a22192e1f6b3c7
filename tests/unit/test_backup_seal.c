/* SPDX-License-Identifier: PostgreSQL */
#include "families/backup/seal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "suite.h"

static const char first[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
static const char second[] = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

static struct err e;

static bool append(void *context, const void *bytes, size_t length, struct err *error)
{
	(void)error;
	buf_add(context, bytes, length);
	return true;
}

static struct seal_keys keys_of(const char *text)
{
	struct seal_keys keys = {0};

	ck_assert_msg(seal_keys_add(&keys, text, "test", &e), "%s", e.text);
	return keys;
}

static void make_plain(struct buf *plain, size_t length)
{
	srandom((unsigned)length);
	for (size_t i = 0; i < length; i++)
		buf_char(plain, (char)random());
}

static void seal(const struct seal_keys *keys, const struct buf *plain, struct buf *sealed)
{
	struct sealer sealer CLEANUP(sealer_clear) = {0};

	ck_assert(sealer_begin(&sealer, &keys->keys[0], append, sealed, &e));
	for (size_t at = 0; at < plain->length;) {
		size_t n = (size_t)(random() % 100000) + 1;

		n = n < plain->length - at ? n : plain->length - at;
		ck_assert(sealer_add(&sealer, plain->bytes + at, n, &e));
		at += n;
	}
	ck_assert(sealer_end(&sealer, &e));
}

/* What comes out, and whether all of it was right. */
static bool unseal(
	const struct seal_keys *keys, const char *bytes, size_t length, struct buf *plain)
{
	struct opener opener CLEANUP(opener_clear) = {0};

	opener_begin(&opener, keys, append, plain);
	for (size_t at = 0; at < length;) {
		size_t n = (size_t)(random() % 100000) + 1;

		n = n < length - at ? n : length - at;
		if (!opener_add(&opener, bytes + at, n, &e))
			return false;
		at += n;
	}
	return opener_end(&opener, &e);
}

static void check_round(size_t length)
{
	struct seal_keys keys = keys_of(first);
	struct buf plain CLEANUP(buf_clear) = {0}, sealed CLEANUP(buf_clear) = {0};
	struct buf again CLEANUP(buf_clear) = {0};

	make_plain(&plain, length);
	seal(&keys, &plain, &sealed);
	ck_assert_msg(unseal(&keys, sealed.bytes, sealed.length, &again), "%s", e.text);
	ck_assert_uint_eq(again.length, length);
	ck_assert(length == 0 || memcmp(again.bytes, plain.bytes, length) == 0);
}

START_TEST(what_is_sealed_comes_back)
{
	static const size_t lengths[] = {0, 1, 1000, SEAL_CHUNK_BYTES - 1, SEAL_CHUNK_BYTES,
		SEAL_CHUNK_BYTES + 1, 3 * SEAL_CHUNK_BYTES, 1000000};

	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++)
		check_round(lengths[i]);
}
END_TEST

START_TEST(every_flipped_bit_is_found)
{
	struct seal_keys keys = keys_of(first);
	struct buf plain CLEANUP(buf_clear) = {0}, sealed CLEANUP(buf_clear) = {0};

	make_plain(&plain, 100);
	seal(&keys, &plain, &sealed);
	for (size_t at = 0; at < sealed.length; at++) {
		struct buf again CLEANUP(buf_clear) = {0};

		sealed.bytes[at] = (char)(sealed.bytes[at] ^ (1 << (at % 8)));
		ck_assert_msg(!unseal(&keys, sealed.bytes, sealed.length, &again),
			"a bit of byte %zu", at);
		ck_assert_int_eq(e.kind, ERR_PERMANENT);
		ck_assert_uint_eq(again.length, 0);
		sealed.bytes[at] = (char)(sealed.bytes[at] ^ (1 << (at % 8)));
	}
}
END_TEST

START_TEST(every_cut_is_found)
{
	struct seal_keys keys = keys_of(first);
	struct buf plain CLEANUP(buf_clear) = {0}, sealed CLEANUP(buf_clear) = {0};
	size_t chunk = SEAL_CHUNK_BYTES + 20;

	make_plain(&plain, 2 * SEAL_CHUNK_BYTES + 100);
	seal(&keys, &plain, &sealed);
	for (size_t cut = 0; cut < sealed.length; cut += cut < 200 ? 1 : 50000) {
		struct buf again CLEANUP(buf_clear) = {0};

		ck_assert(!unseal(&keys, sealed.bytes, cut, &again));
		ck_assert_str_eq(e.code, "damaged");
	}
	/* Exactly between two chunks, too. */
	{
		struct buf again CLEANUP(buf_clear) = {0};

		ck_assert(!unseal(&keys, sealed.bytes, 76 + chunk, &again));
		ck_assert_uint_eq(again.length, SEAL_CHUNK_BYTES);
	}
}
END_TEST

START_TEST(chunks_that_change_places_are_found)
{
	struct seal_keys keys = keys_of(first);
	struct buf plain CLEANUP(buf_clear) = {0}, sealed CLEANUP(buf_clear) = {0};
	struct buf again CLEANUP(buf_clear) = {0};
	size_t chunk = SEAL_CHUNK_BYTES + 20;
	char *kept CLEANUP(free_ptr) = xmalloc(chunk);

	make_plain(&plain, 2 * SEAL_CHUNK_BYTES + 100);
	seal(&keys, &plain, &sealed);
	memcpy(kept, sealed.bytes + 76, chunk);
	memcpy(sealed.bytes + 76, sealed.bytes + 76 + chunk, chunk);
	memcpy(sealed.bytes + 76 + chunk, kept, chunk);
	ck_assert(!unseal(&keys, sealed.bytes, sealed.length, &again));
	ck_assert_str_eq(e.code, "damaged");
}
END_TEST

START_TEST(what_follows_the_end_is_found)
{
	struct seal_keys keys = keys_of(first);
	struct buf plain CLEANUP(buf_clear) = {0}, sealed CLEANUP(buf_clear) = {0};
	struct buf again CLEANUP(buf_clear) = {0};

	make_plain(&plain, 10);
	seal(&keys, &plain, &sealed);
	buf_char(&sealed, 'x');
	ck_assert(!unseal(&keys, sealed.bytes, sealed.length, &again));
	ck_assert_str_eq(e.code, "damaged");
}
END_TEST

START_TEST(old_keys_open_what_they_sealed)
{
	char both[160];
	struct seal_keys old = keys_of(first), other = keys_of(second), all;
	struct buf plain CLEANUP(buf_clear) = {0}, sealed CLEANUP(buf_clear) = {0};
	struct buf again CLEANUP(buf_clear) = {0};

	snprintf(both, sizeof(both), "# of this year\n%s\n\n%s  \r\n", second, first);
	all = keys_of(both);
	ck_assert_int_eq(all.count, 2);
	make_plain(&plain, 10);
	seal(&old, &plain, &sealed);
	ck_assert(unseal(&all, sealed.bytes, sealed.length, &again));
	ck_assert(!unseal(&other, sealed.bytes, sealed.length, &again));
	ck_assert_str_eq(e.code, "no_key");
	ck_assert_ptr_nonnull(strstr(e.text, old.keys[0].id));
	ck_assert_ptr_null(strstr(e.text, "00112233"));
}
END_TEST

START_TEST(what_is_no_key_is_refused_and_not_shown)
{
	static const char *const bad[] = {"0f", "0011",
		("zz112233445566778899aabbccddeeff00112233445566"
		 "778899AABBCCDDEEFF"),
		"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF0"};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct seal_keys keys = {0};

		ck_assert(!seal_keys_add(&keys, bad[i], "key file", &e));
		ck_assert_int_eq(e.kind, ERR_CONFIG);
		ck_assert_ptr_null(strstr(e.text, bad[i]));
	}
}
END_TEST

Suite *suite_backup_seal(void)
{
	const TTest *const tests[] = {
		what_is_sealed_comes_back,
		every_flipped_bit_is_found,
		every_cut_is_found,
		chunks_that_change_places_are_found,
		what_follows_the_end_is_found,
		old_keys_open_what_they_sealed,
		what_is_no_key_is_refused_and_not_shown,
		NULL,
	};

	return suite_of("backup_seal", tests);
}
