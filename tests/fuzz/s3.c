/* SPDX-License-Identifier: PostgreSQL */
/* What a server may answer to the S3 client, as every kind of answer. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "s3/answers.h"
#include "s3/failure.h"
#include "s3/url.h"

static bool is_text(const char *text, size_t size)
{
	return strlen(text) < size && utf8_is_text(text);
}

static void read_error(const char *bytes, size_t length)
{
	struct failure failure = {.what = "GET x", .status = 400};
	struct err e = {0};

	if (!answer_error(bytes, length, &failure.error))
		return;
	assert(failure.error.code[0]);
	assert(is_text(failure.error.code, sizeof(failure.error.code)));
	assert(is_text(failure.error.message, sizeof(failure.error.message)));
	assert(!failure_of_answer(&failure, &e));
	assert(e.kind != ERR_NONE && e.code[0] && e.text[0]);
}

static void read_page(const char *bytes, size_t length)
{
	struct arena arena = {0};
	struct answer_page page;
	struct err e = {0};

	if (answer_page(bytes, length, &arena, &page, &e)) {
		assert(!page.is_truncated || page.next[0]);
		for (size_t i = 0; i < page.count; i++) {
			const struct s3_entry *entry = &page.entries[i];

			assert(entry->key && entry->upload && strlen(entry->etag) < S3_ETAG_BYTES);
			assert(entry->bytes >= 0 && entry->at_s >= 0);
			assert(entry->part >= 0 && entry->part <= S3_LIST_PARTS_MAX);
		}
	} else {
		assert(e.kind == ERR_PERMANENT);
	}
	arena_clear(&arena);
}

static void read_text(const char *bytes, size_t length)
{
	struct buf text CLEANUP(buf_clear) = {0};
	char etag[S3_ETAG_BYTES];

	if (!answer_text(bytes, length, "CompleteMultipartUploadResult/ETag", &text))
		return;
	assert(text.length > 0);
	answer_etag(text.bytes, etag);
	assert(strlen(etag) < S3_ETAG_BYTES);
}

/* What is encoded can be decoded, whatever it is. */
static void encode(const char *bytes, size_t length)
{
	char *text CLEANUP(free_ptr) = xstrndup(bytes, length);
	struct buf out CLEANUP(buf_clear) = {0};

	url_encode(&out, text, false);
	if (out.length == 0)
		return;
	url_decode(out.bytes);
	assert(strcmp(out.bytes, text) == 0);
	url_decode(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;

	read_error(bytes, size);
	read_page(bytes, size);
	read_text(bytes, size);
	encode(bytes, size);
	return 0;
}
