/* SPDX-License-Identifier: PostgreSQL */
#include "s3/answers.h"

#include <string.h>

#include "s3/xml.h"
#include "suite.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

START_TEST(an_error_is_read)
{
	static const char text[] = HEAD "<Error><Code>AuthorizationHeaderMalformed</Code>"
					"<Message>the region &apos;x&apos; is wrong</Message>"
					"<Region>eu-west-1</Region><HostId>z</HostId></Error>";
	struct answer_error error;

	ck_assert(answer_error(text, strlen(text), &error));
	ck_assert_str_eq(error.code, "AuthorizationHeaderMalformed");
	ck_assert_str_eq(error.message, "the region 'x' is wrong");
	ck_assert_str_eq(error.region, "eu-west-1");
}
END_TEST

START_TEST(what_is_no_error_is_none)
{
	static const char *const texts[] = {"", "oops", "<Error>", "<Error></Error>",
		"<html><Error><Code>X</Code></Error></html>", "<Error><Code> </Code></Error>",
		"<Error><Code>X</Code></Error><Error/>",
		"<!DOCTYPE Error [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>"};
	struct answer_error error;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
		ck_assert_msg(!answer_error(texts[i], strlen(texts[i]), &error), "%s", texts[i]);
}
END_TEST

START_TEST(one_value_is_found_by_its_path)
{
	static const char text[] =
		HEAD "\n\n <CompleteMultipartUploadResult xmlns=\"http://s3.test/\">"
		     "<Location>x</Location><ETag>\n&quot;3858f6-2&quot; </ETag>"
		     "</CompleteMultipartUploadResult>";
	static const char blank[] = "<CompleteMultipartUploadResult><ETag></ETag>"
				    "</CompleteMultipartUploadResult>";
	struct buf value CLEANUP(buf_clear) = {0};
	char etag[S3_ETAG_BYTES];

	ck_assert(!answer_text(blank, strlen(blank), "CompleteMultipartUploadResult/ETag", &value));
	ck_assert(!answer_text(text, strlen(text), "ETag", &value));
	ck_assert(answer_text(text, strlen(text), "CompleteMultipartUploadResult/ETag", &value));
	answer_etag(value.bytes, etag);
	ck_assert_str_eq(etag, "3858f6-2");
}
END_TEST

static struct arena arena;

static bool read_page(const char *text, struct answer_page *page)
{
	struct err e;

	return answer_page(text, strlen(text), &arena, page, &e);
}

START_TEST(a_page_of_objects)
{
	struct answer_page page;

	ck_assert(read_page(HEAD "<ListBucketResult><IsTruncated>true</IsTruncated>"
				 "<EncodingType>url</EncodingType><Prefix>a</Prefix>"
				 "<NextContinuationToken>t%2F</NextContinuationToken><Contents>"
				 "<Key>a%2Fb+c</Key><LastModified>2026-01-31T12:00:01.5Z"
				 "</LastModified><ETag>\"x\"</ETag><Size>123456789012</Size>"
				 "<Owner><ID>Key</ID></Owner></Contents><Contents><Key>d</Key>"
				 "<Size>-1</Size></Contents></ListBucketResult>",
		&page));
	ck_assert_uint_eq(page.count, 2);
	ck_assert(page.is_truncated);
	ck_assert_str_eq(page.next, "t%2F");
	ck_assert_str_eq(page.entries[0].key, "a/b c");
	ck_assert_str_eq(page.entries[0].etag, "x");
	ck_assert_int_eq(page.entries[0].bytes, 123456789012);
	ck_assert_int_eq(page.entries[0].at_s, 1769860801);
	ck_assert_str_eq(page.entries[1].key, "d");
	ck_assert_int_eq(page.entries[1].bytes, 0);
	ck_assert_str_eq(page.entries[1].etag, "");
	arena_clear(&arena);
}
END_TEST

START_TEST(a_page_of_uploads_and_one_of_parts)
{
	struct answer_page page;

	ck_assert(read_page("<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
			    "<NextKeyMarker>k%2F1</NextKeyMarker>"
			    "<NextUploadIdMarker>u1</NextUploadIdMarker>"
			    "<IsTruncated>true</IsTruncated><Upload><Key>k%2F1</Key>"
			    "<UploadId>u1</UploadId><Initiated>2026-01-31T12:00:00Z</Initiated>"
			    "</Upload></ListMultipartUploadsResult>",
		&page));
	ck_assert_str_eq(page.next, "k/1");
	ck_assert_str_eq(page.next_upload, "u1");
	ck_assert_str_eq(page.entries[0].upload, "u1");
	ck_assert(
		read_page("<ListPartsResult><UploadId>u</UploadId><Part><PartNumber>7</PartNumber>"
			  "<Size>5</Size></Part></ListPartsResult>",
			&page));
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(page.entries[0].part, 7);
	ck_assert(!page.is_truncated);
	arena_clear(&arena);
}
END_TEST

START_TEST(a_page_that_makes_no_sense)
{
	struct answer_page page;

	ck_assert(!read_page(
		"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", &page));
	ck_assert(!read_page("<ListBucketResult><Contents>", &page));
	ck_assert(read_page("<ListBucketResult/>", &page));
	ck_assert_uint_eq(page.count, 0);
	arena_clear(&arena);
}
END_TEST

START_TEST(many_entries)
{
	struct buf text CLEANUP(buf_clear) = {0};
	struct answer_page page;

	buf_text(&text, "<L>");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "<Contents><Key>%d</Key></Contents>", i);
	buf_text(&text, "</L>");
	ck_assert(read_page(text.bytes, &page));
	ck_assert_uint_eq(page.count, 1000);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(strtol(page.entries[i].key, NULL, 10), i);
	arena_clear(&arena);
}
END_TEST

START_TEST(times)
{
	ck_assert_int_eq(answer_time("2026-01-31T12:00:00.000Z"), 1769860800);
	ck_assert_int_eq(answer_time("Sat, 31 Jan 2026 12:00:00 GMT"), 1769860800);
	ck_assert_int_eq(answer_time("soon"), 0);
	ck_assert_int_eq(answer_time(""), 0);
}
END_TEST

static void nothing(void *context, const char *path, const char *text)
{
	(void)context, (void)path, (void)text;
}

static bool is_read(const struct buf *text)
{
	struct err e;

	return xml_read(text->bytes, text->length, &(struct xml_taker){.take = nothing}, &e);
}

START_TEST(documents_have_limits)
{
	struct buf text CLEANUP(buf_clear) = {0};

	for (int depth = 1; depth <= 17; depth++) {
		buf_reset(&text);
		for (int i = 0; i < depth; i++)
			buf_text(&text, "<a>");
		for (int i = 0; i < depth; i++)
			buf_text(&text, "</a>");
		ck_assert(is_read(&text) == (depth <= 16));
	}
	buf_reset(&text);
	buf_text(&text, "<a>");
	memset(buf_reserve(&text, 20000), 'x', 20000);
	buf_added(&text, 20000);
	buf_text(&text, "</a>");
	ck_assert(!is_read(&text));
}
END_TEST

Suite *suite_s3_answers(void)
{
	const TTest *const tests[] = {
		an_error_is_read,
		what_is_no_error_is_none,
		one_value_is_found_by_its_path,
		a_page_of_objects,
		a_page_of_uploads_and_one_of_parts,
		a_page_that_makes_no_sense,
		many_entries,
		times,
		documents_have_limits,
		NULL,
	};

	return suite_of("s3_answers", tests);
}
