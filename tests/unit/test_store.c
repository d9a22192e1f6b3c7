/* SPDX-License-Identifier: PostgreSQL */
#include "store/store.h"

#include <string.h>

#include "base/mem.h"
#include "suite.h"

START_TEST(keys_are_plain_relative_paths)
{
	static const char *const good[] = {"a", "backups/shop/2026/01/31/x_1-2.dump", "a=b/c.d"};
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.b",
		".tmp", "a b", "ä", "a%20b", "a\nb", "a\\b", "a?b", "a#b", "a+b"};

	for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
		ck_assert_msg(store_key_is_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		ck_assert_msg(!store_key_is_valid(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(a_key_has_a_longest_length)
{
	char key[STORE_KEY_MAX + 2];

	memset(key, 'k', sizeof(key));
	key[STORE_KEY_MAX] = '\0';
	ck_assert(store_key_is_valid(key));
	key[STORE_KEY_MAX] = 'k';
	key[STORE_KEY_MAX + 1] = '\0';
	ck_assert(!store_key_is_valid(key));
}
END_TEST

Suite *suite_store(void)
{
	const TTest *const tests[] = {
		keys_are_plain_relative_paths,
		a_key_has_a_longest_length,
		NULL,
	};

	return suite_of("store", tests);
}
