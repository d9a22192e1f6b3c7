/* SPDX-License-Identifier: PostgreSQL */
/* Listings, page by page. */
#include "s3/s3_list.h"

#include <string.h>

#include "s3/answers.h"
#include "s3/call.h"

/* One page, `query` says which; in place of the one before it, whose arena may be another. */
static bool read_page(struct s3 *s3, const char *key, const struct config_pair *query,
	struct arena *arena, struct answer_page *page, struct err *e)
{
	struct call call CLEANUP(call_clear) = {0};
	const struct answer_page last = *page;

	if (!call_make(&call, s3,
		    &(struct call_request){.method = "GET", .key = key, .query = query}, e) ||
		!answer_page(
			call.body.bytes ? call.body.bytes : "", call.body.length, arena, page, e))
		return false;
	if (page->is_truncated && strcmp(page->next, last.next) == 0 &&
		strcmp(page->next_upload, last.next_upload) == 0)
		return err_code(e, ERR_PERMANENT, "s3_refused", "a list that never ends");
	return true;
}

static bool give(const struct answer_page *page, const struct s3_taker *taker, struct err *e)
{
	for (size_t i = 0; i < page->count; i++)
		if (!taker->take(taker->context, &page->entries[i], e))
			return false;
	return true;
}

/*
 * All pages. `own` says what is listed; the names of where to go on differ, and are NULL where
 * there is no such thing. One arena per page, but the last page's says where the next begins.
 */
static bool read_all(struct s3 *s3, const char *key, const struct config_pair *own,
	const char *next_name, const char *next_upload_name, const struct s3_taker *taker,
	struct err *e)
{
	struct arena arenas[2] = {{0}};
	struct answer_page page = {.is_truncated = true, .next = "", .next_upload = ""};
	bool ok = true;

	for (int i = 0; ok && page.is_truncated; i = !i) {
		struct config_pair query[8] = {{0}};
		size_t count = 0;

		for (; own[count].name; count++)
			query[count] = own[count];
		if (page.next[0])
			query[count++] = (struct config_pair){next_name, page.next};
		if (page.next_upload[0] && next_upload_name)
			query[count++] = (struct config_pair){next_upload_name, page.next_upload};
		arena_clear(&arenas[i]);
		ok = read_page(s3, key, query, &arenas[i], &page, e) && give(&page, taker, e);
	}
	arena_clear(&arenas[0]);
	arena_clear(&arenas[1]);
	return ok;
}

bool s3_list(struct s3 *s3, const char *prefix, const struct s3_taker *taker, struct err *e)
{
	const struct config_pair own[] = {
		{"list-type", "2"}, {"encoding-type", "url"}, {"prefix", prefix}, {0}};

	return read_all(s3, "", own, "continuation-token", NULL, taker, e);
}

bool s3_list_uploads(struct s3 *s3, const char *prefix, const struct s3_taker *taker, struct err *e)
{
	const struct config_pair own[] = {
		{"uploads", ""}, {"encoding-type", "url"}, {"prefix", prefix}, {0}};

	return read_all(s3, "", own, "key-marker", "upload-id-marker", taker, e);
}

bool s3_list_parts(struct s3 *s3, const char *key, const char *upload_id,
	const struct s3_taker *taker, struct err *e)
{
	const struct config_pair own[] = {{"uploadId", upload_id}, {0}};

	return read_all(s3, key, own, "part-number-marker", NULL, taker, e);
}
