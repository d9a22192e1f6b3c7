/* SPDX-License-Identifier: PostgreSQL */
/* A server's answers in XML. */
#include "s3/answers.h"

#include <curl/curl.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "s3/url.h"
#include "s3/xml.h"

/*
 * Single values.
 */

static void copy(char *to, size_t size, const char *text)
{
	size_t length = strlen(text) < size ? strlen(text) : utf8_fit(text, size - 1);

	memcpy(to, text, length);
	to[length] = '\0';
}

static void take_error(void *context, const char *path, const char *text)
{
	struct answer_error *error = context;

	if (strcmp(path, "Error/Code") == 0)
		copy(error->code, sizeof(error->code), text);
	else if (strcmp(path, "Error/Message") == 0)
		copy(error->message, sizeof(error->message), text);
	else if (strcmp(path, "Error/Region") == 0)
		copy(error->region, sizeof(error->region), text);
}

bool answer_error(const char *bytes, size_t length, struct answer_error *ret_error)
{
	struct answer_error error = {0};
	struct err e;

	if (!xml_read(bytes, length, &(struct xml_taker){.take = take_error, .context = &error},
		    &e) ||
		!error.code[0])
		return false;
	*ret_error = error;
	return true;
}

struct wanted {
	const char *path;
	struct buf *text;
};

static void take_text(void *context, const char *path, const char *text)
{
	struct wanted *wanted = context;

	if (strcmp(path, wanted->path) == 0) {
		buf_reset(wanted->text);
		buf_text(wanted->text, text);
	}
}

bool answer_text(const char *bytes, size_t length, const char *path, struct buf *ret_text)
{
	struct wanted wanted = {.path = path, .text = ret_text};
	struct err e;

	buf_reset(ret_text);
	return xml_read(bytes, length, &(struct xml_taker){.take = take_text, .context = &wanted},
		       &e) &&
		ret_text->length > 0;
}

int64_t answer_time(const char *text)
{
	struct tm tm = {0};
	time_t at;

	if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		at = timegm(&tm);
	else
		at = curl_getdate(text, NULL);
	return at < 0 ? 0 : at;
}

void answer_etag(const char *text, char ret_etag[S3_ETAG_BYTES])
{
	size_t length = strlen(text);

	if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
		text++;
		length -= 2;
	}
	if (length >= S3_ETAG_BYTES)
		length = S3_ETAG_BYTES - 1;
	memcpy(ret_etag, text, length);
	ret_etag[length] = '\0';
}

/*
 * Pages.
 */

struct reading {
	struct answer_page *page;
	struct s3_entry entry; /* that is being read */
	size_t room;
	bool is_encoded;
	char *next_key; /* NULL: where to go on is no key */
};

static const struct s3_entry no_entry = {.key = "", .etag = "", .upload = ""};

static int64_t number_of(const char *text)
{
	char *end;
	int64_t number = strtoll(text, &end, 10);

	return *end == '\0' && number > 0 ? number : 0;
}

static void add_entry(struct reading *reading)
{
	struct answer_page *page = reading->page;

	if (page->count == reading->room) {
		struct s3_entry *old = page->entries;

		reading->room = reading->room ? 2 * reading->room : 64;
		page->entries = arena_alloc(page->arena, reading->room * sizeof(*old));
		if (page->count > 0)
			memcpy(page->entries, old, page->count * sizeof(*old));
	}
	page->entries[page->count++] = reading->entry;
	reading->entry = no_entry;
}

/* A member of an object, an upload or a part. */
static void take_member(struct reading *reading, const char *name, const char *text)
{
	struct s3_entry *entry = &reading->entry;
	struct arena *arena = reading->page->arena;
	char etag[S3_ETAG_BYTES];

	if (strcmp(name, "Key") == 0) {
		entry->key = arena_strdup(arena, text);
	} else if (strcmp(name, "UploadId") == 0) {
		entry->upload = arena_strdup(arena, text);
	} else if (strcmp(name, "ETag") == 0) {
		answer_etag(text, etag);
		entry->etag = arena_strdup(arena, etag);
	} else if (strcmp(name, "Size") == 0) {
		entry->bytes = number_of(text);
	} else if (strcmp(name, "PartNumber") == 0) {
		entry->part = number_of(text) > S3_LIST_PARTS_MAX ? 0 : (int)number_of(text);
	} else if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0) {
		entry->at_s = answer_time(text);
	}
}

/* A member of the page itself. */
static void take_own(struct reading *reading, const char *name, const char *text)
{
	struct answer_page *page = reading->page;

	if (strcmp(name, "Contents") == 0 || strcmp(name, "Upload") == 0 ||
		strcmp(name, "Part") == 0)
		add_entry(reading);
	else if (strcmp(name, "IsTruncated") == 0)
		page->is_truncated = strcmp(text, "true") == 0;
	else if (strcmp(name, "EncodingType") == 0)
		reading->is_encoded = strcmp(text, "url") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0 ||
		strcmp(name, "NextPartNumberMarker") == 0)
		page->next = arena_strdup(page->arena, text);
	else if (strcmp(name, "NextKeyMarker") == 0)
		reading->next_key = arena_strdup(page->arena, text);
	else if (strcmp(name, "NextUploadIdMarker") == 0)
		page->next_upload = arena_strdup(page->arena, text);
}

/* "Owner/ID" and the like are deeper, and so are passed over. */
static void take_of_page(void *context, const char *path, const char *text)
{
	const char *inner = strchr(path, '/');
	const char *member = inner ? strchr(inner + 1, '/') : NULL;

	if (member && !strchr(member + 1, '/'))
		take_member(context, member + 1, text);
	else if (inner && !member)
		take_own(context, inner + 1, text);
}

/* What `encoding-type=url` asks for: XML cannot hold every key. */
static void decode_keys(const struct reading *reading)
{
	struct answer_page *page = reading->page;

	for (size_t i = 0; i < page->count; i++) {
		char *key = arena_strdup(page->arena, page->entries[i].key);

		url_decode(key);
		page->entries[i].key = key;
	}
	if (reading->next_key)
		url_decode(reading->next_key);
}

bool answer_page(const char *bytes, size_t length, struct arena *arena,
	struct answer_page *ret_page, struct err *e)
{
	struct answer_page page = {.arena = arena, .next = "", .next_upload = ""};
	struct reading reading = {.page = &page, .entry = no_entry};

	if (!xml_read(bytes, length, &(struct xml_taker){.take = take_of_page, .context = &reading},
		    e))
		return false;
	if (reading.is_encoded)
		decode_keys(&reading);
	if (reading.next_key)
		page.next = reading.next_key;
	if (page.is_truncated && !page.next[0])
		return err_code(e, ERR_PERMANENT, "s3_refused",
			"a list that goes on, and does not say where");
	*ret_page = page;
	return true;
}
