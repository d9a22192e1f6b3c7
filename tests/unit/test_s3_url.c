/* SPDX-License-Identifier: PostgreSQL */
#include "s3/url.h"

#include <string.h>

#include "base/mem.h"
#include "suite.h"

static void check_encoding(const char *text, bool is_path, const char *expected)
{
	struct buf out CLEANUP(buf_clear) = {0};

	url_encode(&out, text, is_path);
	ck_assert_str_eq(out.bytes ? out.bytes : "", expected);
}

START_TEST(all_but_the_unreserved_is_encoded)
{
	check_encoding("", true, "");
	check_encoding("AZaz09-._~", false, "AZaz09-._~");
	check_encoding("a/b c+d", true, "a/b%20c%2Bd");
	check_encoding("a/b", false, "a%2Fb");
	check_encoding("%20", true, "%2520");
	check_encoding("\xc3\xa4\x01\x7f!*'()", true, "%C3%A4%01%7F%21%2A%27%28%29");
	check_encoding("../a//b/.", true, "../a//b/.");
}
END_TEST

START_TEST(queries_are_sorted_by_name_then_value)
{
	const struct config_pair pairs[] = {{"prefix", "a/b c"}, {"uploads", ""}, {"max-keys", "2"},
		{"max", "9"}, {"Zoo", "1"}, {"max", "10"}, {0}};
	struct buf out CLEANUP(buf_clear) = {0};

	url_query(&out, pairs);
	ck_assert_str_eq(out.bytes, "Zoo=1&max=10&max=9&max-keys=2&prefix=a%2Fb%20c&uploads=");
	buf_reset(&out);
	url_query(&out, NULL);
	ck_assert_uint_eq(out.length, 0);
}
END_TEST

START_TEST(decoding_takes_what_servers_send)
{
	const struct {
		const char *text, *expected;
	} cases[] = {{"a%2Fb", "a/b"}, {"a+b%20c%2Bd", "a b c+d"}, {"%c3%A4", "\xc3\xa4"},
		{"100%", "100%"}, {"%zz%4", "%zz%4"}, {"%00a", "%00a"}, {"", ""}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *text CLEANUP(free_ptr) = xstrdup(cases[i].text);

		url_decode(text);
		ck_assert_str_eq(text, cases[i].expected);
	}
}
END_TEST

START_TEST(what_was_encoded_is_decoded)
{
	char text[256];
	struct buf out CLEANUP(buf_clear) = {0};

	for (int i = 0; i < 255; i++)
		text[i] = (char)(i + 1);
	text[255] = '\0';
	url_encode(&out, text, false);
	url_decode(out.bytes);
	ck_assert_str_eq(out.bytes, text);
}
END_TEST

Suite *suite_s3_url(void)
{
	const TTest *const tests[] = {
		all_but_the_unreserved_is_encoded,
		queries_are_sorted_by_name_then_value,
		decoding_takes_what_servers_send,
		what_was_encoded_is_decoded,
		NULL,
	};

	return suite_of("s3_url", tests);
}
