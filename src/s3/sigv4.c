/* SPDX-License-Identifier: PostgreSQL */
/* AWS Signature Version 4. */
#include "s3/sigv4.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"

static const char algorithm[] = "AWS4-HMAC-SHA256";

void sigv4_time(time_t at, char ret_time[SIGV4_TIME_BYTES])
{
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(ret_time, SIGV4_TIME_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

void sigv4_sha256(const void *bytes, size_t length, char ret_hex[SIGV4_HEX_BYTES])
{
	unsigned char digest[32];

	EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL);
	hex_of(digest, sizeof(digest), ret_hex);
}

static void hmac(const void *key, size_t key_length, const char *text, unsigned char ret_digest[32])
{
	unsigned length = 32;

	HMAC(EVP_sha256(), key, (int)key_length, (const unsigned char *)text, strlen(text),
		ret_digest, &length);
}

static int by_name(const void *left, const void *right)
{
	const struct config_pair *a = left;
	const struct config_pair *b = right;

	return strcmp(a->name, b->name);
}

/* Outer blanks go, inner ones become one. */
static void add_value(struct buf *out, const char *value)
{
	size_t start = out->length;

	for (const char *at = value; *at; at++) {
		if (*at != ' ')
			buf_char(out, *at);
		else if (out->length > start && at[1] && at[1] != ' ')
			buf_char(out, ' ');
	}
}

static void add_names(struct buf *out, const struct config_pair *headers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s%s", i > 0 ? ";" : "", headers[i].name);
}

static void make_canonical(const struct sigv4_request *request, const struct config_pair *headers,
	size_t count, struct buf *out)
{
	buf_printf(out, "%s\n%s\n%s\n", request->method, request->path, request->query);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%s:", headers[i].name);
		add_value(out, headers[i].value);
		buf_char(out, '\n');
	}
	buf_char(out, '\n');
	add_names(out, headers, count);
	buf_printf(out, "\n%s", request->payload_sha256);
}

/* A key for one day, region and service. */
static void derive_key(const struct sigv4 *who, unsigned char ret_key[32])
{
	struct buf first CLEANUP(buf_clear) = {0};
	char day[9];

	snprintf(day, sizeof(day), "%.8s", who->time);
	buf_printf(&first, "AWS4%s", who->secret);
	hmac(first.bytes, first.length, day, ret_key);
	hmac(ret_key, 32, who->region, ret_key);
	hmac(ret_key, 32, who->service, ret_key);
	hmac(ret_key, 32, "aws4_request", ret_key);
	OPENSSL_cleanse(first.bytes, first.length);
}

static void make_signature(const struct sigv4 *who, const char *scope, const struct buf *canonical,
	char ret_hex[SIGV4_HEX_BYTES])
{
	struct buf text CLEANUP(buf_clear) = {0};
	unsigned char digest[32];
	unsigned char key[32];

	sigv4_sha256(canonical->bytes, canonical->length, ret_hex);
	buf_printf(&text, "%s\n%s\n%s\n%s", algorithm, who->time, scope, ret_hex);
	derive_key(who, key);
	hmac(key, sizeof(key), text.bytes, digest);
	OPENSSL_cleanse(key, sizeof(key));
	hex_of(digest, sizeof(digest), ret_hex);
}

void sigv4_sign(const struct sigv4 *who, const struct sigv4_request *request, struct buf *out)
{
	struct config_pair headers[SIGV4_HEADERS_MAX] = {{0}};
	struct buf canonical CLEANUP(buf_clear) = {0};
	char *scope CLEANUP(free_ptr) = NULL;
	char signature[SIGV4_HEX_BYTES];
	size_t count = 0;

	for (; request->headers[count].name; count++) {
		assert(count < SIGV4_HEADERS_MAX);
		headers[count] = request->headers[count];
	}
	qsort(headers, count, sizeof(headers[0]), by_name);
	make_canonical(request, headers, count, &canonical);
	scope = xasprintf("%.8s/%s/%s/aws4_request", who->time, who->region, who->service);
	make_signature(who, scope, &canonical, signature);
	buf_printf(
		out, "%s Credential=%s/%s, SignedHeaders=", algorithm, who->access_key_id, scope);
	add_names(out, headers, count);
	buf_printf(out, ", Signature=%s", signature);
}
