/* SPDX-License-Identifier: PostgreSQL */
/* Against the vectors that AWS publishes: its signature suite, and the examples of S3's manual. */
#include "s3/sigv4.h"

#include "base/mem.h"
#include "s3/url.h"
#include "suite.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUITE_TOKEN                                                                                \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmx" \
	"fpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0K" \
	"PkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZb" \
	"qBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static const struct sigv4 of_suite = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	"us-east-1", "service", "20150830T123600Z"};
static const struct sigv4 of_manual = {"AKIAIOSFODNN7EXAMPLE",
	"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3", "20130524T000000Z"};

struct vector {
	const char *method, *path;
	struct config_pair query[3];
	struct config_pair headers[8];
	const char *payload, *expected;
};

#define SUITE_HOST                              \
	{                                       \
		"host", "example.amazonaws.com" \
	}
#define SUITE_DATE                               \
	{                                        \
		"x-amz-date", "20150830T123600Z" \
	}

static const struct vector suite_vectors[] = {
	{"GET", "/", {{0}}, {SUITE_DATE, SUITE_HOST}, EMPTY,
		"SignedHeaders=host;x-amz-date, "
		"Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"POST", "/", {{0}}, {SUITE_HOST, SUITE_DATE}, EMPTY,
		"SignedHeaders=host;x-amz-date, "
		"Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"GET", "/", {{"Param2", "value2"}, {"Param1", "value1"}}, {SUITE_HOST, SUITE_DATE}, EMPTY,
		"SignedHeaders=host;x-amz-date, "
		"Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"POST", "/", {{0}}, {SUITE_HOST, {"my-header1", "  VALUE1 "}, SUITE_DATE}, EMPTY,
		"SignedHeaders=host;my-header1;x-amz-date, "
		"Signature=cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
	{"POST", "/", {{0}}, {SUITE_HOST, {"x-amz-security-token", SUITE_TOKEN}, SUITE_DATE}, EMPTY,
		"SignedHeaders=host;x-amz-date;x-amz-security-token, "
		"Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

#define MANUAL_HOST                                      \
	{                                                \
		"host", "examplebucket.s3.amazonaws.com" \
	}
#define MANUAL_DATE                              \
	{                                        \
		"x-amz-date", "20130524T000000Z" \
	}
#define MANUAL_EMPTY                          \
	{                                     \
		"x-amz-content-sha256", EMPTY \
	}
#define MANUAL_BODY "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

static const struct vector manual_vectors[] = {
	{"GET", "/test.txt", {{0}},
		{MANUAL_HOST, {"range", "bytes=0-9"}, MANUAL_EMPTY, MANUAL_DATE}, EMPTY,
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"PUT", "/test%24file.text", {{0}},
		{MANUAL_HOST, {"date", "Fri, 24 May 2013 00:00:00 GMT"}, MANUAL_DATE,
			{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
			{"x-amz-content-sha256", MANUAL_BODY}},
		MANUAL_BODY,
		"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
		"Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"GET", "/", {{"lifecycle", ""}}, {MANUAL_HOST, MANUAL_DATE, MANUAL_EMPTY}, EMPTY,
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
		"Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {MANUAL_HOST, MANUAL_DATE, MANUAL_EMPTY},
		EMPTY,
		"SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
		"Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static void check_vector(const struct sigv4 *who, const struct vector *vector)
{
	struct buf query CLEANUP(buf_clear) = {0};
	struct buf out CLEANUP(buf_clear) = {0};
	struct buf expected CLEANUP(buf_clear) = {0};

	url_query(&query, vector->query);
	sigv4_sign(who,
		&(struct sigv4_request){vector->method, vector->path,
			query.bytes ? query.bytes : "", vector->headers, vector->payload},
		&out);
	buf_printf(&expected, "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, %s",
		who->access_key_id, who->time, who->service, vector->expected);
	ck_assert_str_eq(out.bytes, expected.bytes);
}

START_TEST(the_suite)
{
	for (size_t i = 0; i < ARRAY_LENGTH(suite_vectors); i++)
		check_vector(&of_suite, &suite_vectors[i]);
}
END_TEST

START_TEST(the_manual)
{
	for (size_t i = 0; i < ARRAY_LENGTH(manual_vectors); i++)
		check_vector(&of_manual, &manual_vectors[i]);
}
END_TEST

START_TEST(times_and_digests)
{
	char at[SIGV4_TIME_BYTES];
	char hex[SIGV4_HEX_BYTES];

	sigv4_time(1440938160, at);
	ck_assert_str_eq(at, "20150830T123600Z");
	sigv4_sha256("", 0, hex);
	ck_assert_str_eq(hex, EMPTY);
	sigv4_sha256("Welcome to Amazon S3.", 21, hex);
	ck_assert_str_eq(hex, MANUAL_BODY);
}
END_TEST

Suite *suite_s3_sigv4(void)
{
	const TTest *const tests[] = {the_suite, the_manual, times_and_digests, NULL};

	return suite_of("s3_sigv4", tests);
}
