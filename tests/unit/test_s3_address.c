/* SPDX-License-Identifier: PostgreSQL */
/* Where a bucket is, who we are to it, how large parts are, and what refusals mean. */
#include "s3/address.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/redact.h"
#include "s3/credentials.h"
#include "s3/failure.h"
#include "s3/s3_upload.h"
#include "suite.h"

static void check_address(const struct config_s3 *settings, const char *expected)
{
	struct address address CLEANUP(address_clear) = {0};
	struct buf url CLEANUP(buf_clear) = {0};
	struct err e = {0};

	ck_assert_msg(address_init(&address, settings, &e), "%s", e.text);
	buf_printf(&url, "%s %s %s", address.region, address.scheme, address.authority);
	address_path(&address, "a b/c", &url);
	ck_assert_str_eq(url.bytes, expected);
}

START_TEST(hosts_of_providers)
{
	check_address(&(struct config_s3){.bucket = "bee", .region = "eu-west-1"},
		"eu-west-1 https bee.s3.eu-west-1.amazonaws.com/a%20b/c");
	check_address(&(struct config_s3){.bucket = "bee.x"},
		"us-east-1 https s3.us-east-1.amazonaws.com/bee.x/a%20b/c");
	check_address(&(struct config_s3){.bucket = "bee", .style = "path"},
		"us-east-1 https s3.us-east-1.amazonaws.com/bee/a%20b/c");
	check_address(&(struct config_s3){.bucket = "bee", .provider = "r2", .account_id = "f00"},
		"auto https f00.r2.cloudflarestorage.com/bee/a%20b/c");
	check_address(&(struct config_s3){.bucket = "bee",
			      .provider = "cloudflare-r2",
			      .account_id = "f00",
			      .style = "host"},
		"auto https bee.f00.r2.cloudflarestorage.com/a%20b/c");
}
END_TEST

START_TEST(hosts_of_endpoints)
{
	check_address(&(struct config_s3){.bucket = "bee", .endpoint = "http://127.0.0.1:9000"},
		"us-east-1 http 127.0.0.1:9000/bee/a%20b/c");
	check_address(&(struct config_s3){.bucket = "bee", .endpoint = "https://s3.test:443/"},
		"us-east-1 https s3.test/bee/a%20b/c");
	check_address(
		&(struct config_s3){
			.bucket = "bee", .endpoint = "http://localhost:81", .style = "host"},
		"us-east-1 http bee.localhost:81/a%20b/c");
	check_address(&(struct config_s3){.bucket = "bee", .endpoint = "http://[::1]:9"},
		"us-east-1 http [::1]:9/bee/a%20b/c");
}
END_TEST

START_TEST(the_bucket_itself)
{
	struct address address CLEANUP(address_clear) = {0};
	struct buf path CLEANUP(buf_clear) = {0};
	struct err e;

	ck_assert(address_init(&address, &(struct config_s3){.bucket = "bee"}, &e));
	address_path(&address, "", &path);
	ck_assert_str_eq(path.bytes, "/");
	address_clear(&address);
	buf_reset(&path);
	ck_assert(
		address_init(&address, &(struct config_s3){.bucket = "bee", .style = "path"}, &e));
	address_path(&address, "", &path);
	ck_assert_str_eq(path.bytes, "/bee");
}
END_TEST

START_TEST(settings_that_cannot_be)
{
	const struct config_s3 cases[] = {
		{0},
		{.bucket = "ab"},
		{.bucket = "a/b"},
		{.bucket = "..."},
		{.bucket = "bee", .region = "eu west"},
		{.bucket = "bee", .region = "x@evil.test/"},
		{.bucket = "bee", .provider = "r2"},
		{.bucket = "bee", .provider = "r2", .account_id = "a.evil.test/"},
		{.bucket = "bee", .endpoint = "s3.test"},
		{.bucket = "bee", .endpoint = "ftp://s3.test"},
		{.bucket = "bee", .endpoint = "https://s3.test/path"},
		{.bucket = "bee", .endpoint = "https://user:secret@s3.test"},
		{.bucket = "bee", .endpoint = "https://s3.test/?x"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct address address CLEANUP(address_clear) = {0};
		struct err e = {0};

		ck_assert_msg(!address_init(&address, &cases[i], &e), "case %zu", i);
		ck_assert_int_eq(e.kind, ERR_CONFIG);
		ck_assert_ptr_null(strstr(e.text, "secret"));
	}
}
END_TEST

START_TEST(credentials_of_a_file)
{
	static const char text[] = "# mine\n[default]\naws_access_key_id = AK1\r\n"
				   "aws_secret_access_key=one/two+three\n\n[other]\n"
				   "AWS_ACCESS_KEY_ID=AK2\n aws_session_token = tok-en\n"
				   "; aws_secret_access_key = no\naws_secret_access_key = four\n";
	struct credentials found CLEANUP(credentials_clear) = {0};
	char *masked CLEANUP(free_ptr) = NULL;
	struct err e = {0};

	ck_assert_msg(credentials_parse(&found, text, "default", &e), "%s", e.text);
	ck_assert_str_eq(found.access_key_id, "AK1");
	ck_assert_str_eq(found.secret, "one/two+three");
	ck_assert_ptr_null(found.token);
	credentials_clear(&found);
	ck_assert(credentials_parse(&found, text, "other", &e));
	ck_assert_str_eq(found.access_key_id, "AK2");
	ck_assert_str_eq(found.secret, "four");
	ck_assert_str_eq(found.token, "tok-en");
	masked = redact_dup("x one/two+three y tok-en z");
	ck_assert_str_eq(masked, "x *** y *** z");
	credentials_clear(&found);
	ck_assert(!credentials_parse(&found, text, "third", &e));
	ck_assert(!credentials_parse(&found, "", "default", &e));
	ck_assert(!credentials_parse(&found, "[default]\naws_access_key_id = AK\n", "default", &e));
	ck_assert_str_eq(
		e.text, "backup.s3: no aws_secret_access_key under [default] of credentials_file");
}
END_TEST

START_TEST(settings_come_before_the_environment)
{
	struct credentials found CLEANUP(credentials_clear) = {0};
	struct err e = {0};

	setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret-env", 1);
	setenv("AWS_SESSION_TOKEN", "token-env", 1);
	ck_assert(credentials_find(&found,
		&(struct config_s3){.access_key_id = "AK", .secret_access_key = "mine"}, &e));
	ck_assert_str_eq(found.secret, "mine");
	ck_assert_ptr_null(found.token); /* never mixed */
	credentials_clear(&found);
	ck_assert(credentials_find(&found, &(struct config_s3){0}, &e));
	ck_assert_str_eq(found.access_key_id, "AKENV");
	ck_assert_str_eq(found.token, "token-env");
	credentials_clear(&found);
	ck_assert(!credentials_find(&found, &(struct config_s3){.access_key_id = "AK"}, &e));
	ck_assert(!credentials_find(&found,
		&(struct config_s3){.access_key_id = "AK", .secret_access_key = "a\r\nb"}, &e));
	ck_assert(!credentials_find(
		&found, &(struct config_s3){.credentials_file = "no/such/file"}, &e));
	unsetenv("AWS_ACCESS_KEY_ID");
	ck_assert(!credentials_find(&found, &(struct config_s3){0}, &e));
	ck_assert_int_eq(e.kind, ERR_CONFIG);
}
END_TEST

START_TEST(parts_grow_so_that_ten_thousand_hold_the_largest_object)
{
	const int64_t first = 8 << 20;
	int64_t all = 0;

	ck_assert_int_eq(s3_part_bytes(first, 1), first);
	ck_assert_int_eq(s3_part_bytes(first, 1000), first);
	ck_assert_int_eq(s3_part_bytes(first, 1001), 2 * first);
	ck_assert_int_eq(s3_part_bytes(first, 3000), 4 * first);
	for (int n = 1; n <= S3_PARTS_MAX; n++)
		all += s3_part_bytes(first, n);
	ck_assert_int_ge(all, INT64_C(5) << 40);
	ck_assert_int_le(s3_part_bytes(INT64_C(1) << 30, S3_PARTS_MAX), INT64_C(5) << 30);
}
END_TEST

static void check_meaning(const struct failure *failure, enum err_kind kind, const char *code,
	const char *part_of_text)
{
	struct err e = {0};

	ck_assert(!failure_of_answer(failure, &e));
	ck_assert_int_eq(e.kind, kind);
	ck_assert_str_eq(e.code, code);
	ck_assert_msg(strstr(e.text, part_of_text), "%s", e.text);
}

START_TEST(what_refusals_mean)
{
	check_meaning(&(struct failure){.what = "GET k",
			      .status = 404,
			      .error = {.code = "NoSuchKey", .message = "none"}},
		ERR_PERMANENT, "s3_not_found", "GET k: the server answers 404 NoSuchKey: none");
	check_meaning(&(struct failure){.what = "x", .status = 503, .error = {.code = "SlowDown"}},
		ERR_TRANSIENT, "s3_busy", "503 SlowDown");
	check_meaning(
		&(struct failure){.what = "x", .status = 200, .error = {.code = "InternalError"}},
		ERR_TRANSIENT, "s3_server", "InternalError");
	check_meaning(
		&(struct failure){.what = "x", .status = 418}, ERR_PERMANENT, "s3_refused", "418");
	check_meaning(
		&(struct failure){.what = "x", .status = 500}, ERR_TRANSIENT, "s3_server", "500");
	check_meaning(
		&(struct failure){.what = "x", .status = 429}, ERR_TRANSIENT, "s3_busy", "429");
	check_meaning(&(struct failure){.what = "x", .status = 400, .error = {.code = "BadDigest"}},
		ERR_TRANSIENT, "s3_checksum", "");
	check_meaning(
		&(struct failure){.what = "x", .status = 403, .error = {.code = "AccessDenied"}},
		ERR_PERMANENT, "s3_denied", "");
}
END_TEST

START_TEST(what_refusals_advise)
{
	check_meaning(&(struct failure){.what = "x", .status = 301, .region = "eu-west-1"},
		ERR_PERMANENT, "s3_wrong_region", "; set backup.s3.region to eu-west-1");
	check_meaning(&(struct failure){.what = "x",
			      .status = 400,
			      .error = {.code = "AuthorizationHeaderMalformed", .region = "ap-1"}},
		ERR_PERMANENT, "s3_wrong_region", "; set backup.s3.region to ap-1");
	check_meaning(&(struct failure){.what = "x", .status = 307}, ERR_PERMANENT,
		"s3_wrong_region", "; check backup.s3.endpoint and region");
	check_meaning(&(struct failure){.what = "x",
			      .status = 403,
			      .error = {.code = "RequestTimeTooSkewed"},
			      .skew_s = 1200},
		ERR_TRANSIENT, "s3_clock", "; our clock is 1200 s behind the server's");
	check_meaning(&(struct failure){.what = "HEAD x", .status = 403, .skew_s = -1000},
		ERR_TRANSIENT, "s3_clock", "; our clock is 1000 s ahead of the server's");
	check_meaning(&(struct failure){.what = "HEAD x", .status = 403, .skew_s = 20},
		ERR_PERMANENT, "s3_denied", "403");
	check_meaning(&(struct failure){.what = "x",
			      .status = 400,
			      .error = {.code = "ExpiredToken"},
			      .request_id = "r1"},
		ERR_PERMANENT, "s3_expired", "must be renewed (request r1)");
}
END_TEST

Suite *suite_s3_address(void)
{
	const TTest *const tests[] = {
		hosts_of_providers,
		hosts_of_endpoints,
		the_bucket_itself,
		settings_that_cannot_be,
		credentials_of_a_file,
		settings_come_before_the_environment,
		parts_grow_so_that_ten_thousand_hold_the_largest_object,
		what_refusals_mean,
		what_refusals_advise,
		NULL,
	};

	return suite_of("s3_address", tests);
}
