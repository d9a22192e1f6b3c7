/* SPDX-License-Identifier: PostgreSQL */
/* Hosts of buckets. */
#include "s3/address.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "s3/url.h"

enum { BUCKET_BYTES_MIN = 3, BUCKET_BYTES_MAX = 63 };

static bool refuse(struct err *e, const char *why)
{
	return err_code(e, ERR_CONFIG, "s3_config", "backup.s3: %s", why);
}

static bool is_r2(const struct config_s3 *settings)
{
	return settings->provider && strstr(settings->provider, "r2");
}

static bool has_only(const char *text, const char *others)
{
	for (; *text; text++)
		if (!(isascii((unsigned char)*text) && isalnum((unsigned char)*text)) &&
			!strchr(others, *text))
			return false;
	return true;
}

static bool check_bucket(const char *bucket, struct err *e)
{
	if (!bucket)
		return refuse(e, "bucket is not set");
	if (strlen(bucket) < BUCKET_BYTES_MIN || strlen(bucket) > BUCKET_BYTES_MAX ||
		!has_only(bucket, ".-_") || bucket[0] == '.')
		return refuse(
			e, "bucket must be 3 to 63 letters, digits, dots, dashes and underscores");
	return true;
}

/* The provider's own endpoint. */
static bool make_endpoint(
	const struct config_s3 *settings, const char *region, char **ret_endpoint, struct err *e)
{
	if (!is_r2(settings)) {
		*ret_endpoint = xasprintf("https://s3.%s.amazonaws.com", region);
		return true;
	}
	if (!settings->account_id || !has_only(settings->account_id, ""))
		return refuse(e, "account_id must be set to R2's account, or endpoint");
	*ret_endpoint = xasprintf("https://%s.r2.cloudflarestorage.com", settings->account_id);
	return true;
}

static char *part_of(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	char *own;

	if (curl_url_get(url, part, &text, part == CURLUPART_PORT ? CURLU_NO_DEFAULT_PORT : 0) !=
		CURLUE_OK)
		return NULL;
	own = xstrdup(text);
	curl_free(text);
	return own;
}

/* What an endpoint must not have. */
static bool has_more(CURLU *url)
{
	static const CURLUPart parts[] = {
		CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT};
	char *path CLEANUP(free_ptr) = part_of(url, CURLUPART_PATH);

	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		char *part CLEANUP(free_ptr) = part_of(url, parts[i]);

		if (part)
			return true;
	}
	return path && strcmp(path, "/") != 0;
}

static bool read_url(struct address *address, CURLU *url, const char *endpoint, struct err *e)
{
	char *host CLEANUP(free_ptr) = NULL;
	char *port CLEANUP(free_ptr) = NULL;

	if (curl_url_set(url, CURLUPART_URL, endpoint, 0) != CURLUE_OK || has_more(url))
		return refuse(e, "endpoint must be scheme, host and port: https://host:9000");
	address->scheme = part_of(url, CURLUPART_SCHEME);
	host = part_of(url, CURLUPART_HOST);
	port = part_of(url, CURLUPART_PORT);
	if (!address->scheme || !host ||
		(strcmp(address->scheme, "https") != 0 && strcmp(address->scheme, "http") != 0))
		return refuse(e, "endpoint must begin with https:// or http://");
	address->authority = xasprintf("%s%s%s%s%s", address->is_in_path ? "" : address->bucket,
		address->is_in_path ? "" : ".", host, port ? ":" : "", port ? port : "");
	return true;
}

static bool read_endpoint(struct address *address, const char *endpoint, struct err *e)
{
	CURLU *url = curl_url();
	bool ok;

	if (!url)
		abort();
	ok = read_url(address, url, endpoint, e);
	curl_url_cleanup(url);
	return ok;
}

static bool is_in_path(const struct config_s3 *settings)
{
	const char *style = settings->style ? settings->style : "auto";

	if (strcmp(style, "auto") != 0)
		return strcmp(style, "path") == 0;
	return settings->endpoint || is_r2(settings) || strchr(settings->bucket, '.');
}

bool address_init(struct address *ret_address, const struct config_s3 *settings, struct err *e)
{
	const char *region = settings->region ? settings->region
		: is_r2(settings)	      ? "auto"
					      : "us-east-1";
	char *endpoint CLEANUP(free_ptr) = NULL;

	*ret_address = (struct address){0};
	if (!check_bucket(settings->bucket, e))
		return false;
	if (!has_only(region, "-_"))
		return refuse(e, "region must be letters, digits and dashes");
	if (settings->endpoint)
		endpoint = xstrdup(settings->endpoint);
	else if (!make_endpoint(settings, region, &endpoint, e))
		return false;
	*ret_address = (struct address){.bucket = xstrdup(settings->bucket),
		.region = xstrdup(region),
		.is_in_path = is_in_path(settings)};
	if (read_endpoint(ret_address, endpoint, e))
		return true;
	address_clear(ret_address);
	return false;
}

void address_clear(struct address *address)
{
	free(address->scheme);
	free(address->authority);
	free(address->bucket);
	free(address->region);
	*address = (struct address){0};
}

void address_path(const struct address *address, const char *key, struct buf *out)
{
	if (address->is_in_path)
		buf_printf(out, "/%s", address->bucket);
	if (!address->is_in_path || *key)
		buf_char(out, '/');
	url_encode(out, key, true);
}
