/* SPDX-License-Identifier: PostgreSQL */
#include "base/utf8.h"

#include <string.h>

#include "suite.h"

START_TEST(text_is_what_postgres_takes)
{
	ck_assert(utf8_is_text(""));
	ck_assert(utf8_is_text("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x98\xf4\x8f\xbf\xbf"));
	ck_assert(!utf8_is_text("\xc0\x80"));	      /* overlong */
	ck_assert(!utf8_is_text("\xed\xa0\x80"));     /* surrogate */
	ck_assert(!utf8_is_text("\xf4\x90\x80\x80")); /* beyond U+10FFFF */
	ck_assert(!utf8_is_text("\xe2\x82"));	      /* cut */
	ck_assert_uint_eq(utf8_length("\0", 1), 0);
}
END_TEST

START_TEST(repair_replaces_byte_by_byte)
{
	char text[] = "a\xff\xc3\xbc\0\xe2\x82z\xe2\x82";

	utf8_repair(text, sizeof(text) - 1);
	ck_assert_mem_eq(text, "a?\xc3\xbc???z??", sizeof(text));
	utf8_repair(NULL, 0);
}
END_TEST

START_TEST(fit_keeps_characters_whole)
{
	static const char text[] = "a\xc3\xbc\xf0\x9f\x90\x98";
	const size_t expected[] = {0, 1, 1, 3, 3, 3, 3, 7, 7};

	for (size_t most = 0; most < sizeof(expected) / sizeof(expected[0]); most++)
		ck_assert_uint_eq(utf8_fit(text, most), expected[most]);
}
END_TEST

Suite *suite_utf8(void)
{
	const TTest *const tests[] = {
		text_is_what_postgres_takes,
		repair_replaces_byte_by_byte,
		fit_keeps_characters_whole,
		NULL,
	};

	return suite_of("utf8", tests);
}
