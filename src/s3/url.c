/* SPDX-License-Identifier: PostgreSQL */
/* Percent-encoding and queries. */
#include "s3/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PAIRS_MAX = 16 };

static bool is_plain(char c, bool is_path)
{
	return (isascii((unsigned char)c) && isalnum((unsigned char)c)) ||
		(c != '\0' && strchr("-._~", c)) || (is_path && c == '/');
}

void url_encode(struct buf *out, const char *text, bool is_path)
{
	for (; *text; text++) {
		if (is_plain(*text, is_path))
			buf_char(out, *text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

static char *encode_pair(const struct config_pair *pair)
{
	struct buf out CLEANUP(buf_clear) = {0};

	url_encode(&out, pair->name, false);
	buf_char(&out, '=');
	url_encode(&out, pair->value, false);
	return buf_take(&out);
}

/* Names first: '=' sorts behind '-' and '.', which a longer name may go on with. */
static int by_name(const void *left, const void *right)
{
	const char *a = *(char *const *)left;
	const char *b = *(char *const *)right;
	size_t a_length = strcspn(a, "=");
	size_t b_length = strcspn(b, "=");
	int order = strncmp(a, b, a_length < b_length ? a_length : b_length);

	if (order != 0)
		return order;
	return a_length == b_length ? strcmp(a, b) : a_length < b_length ? -1 : 1;
}

void url_query(struct buf *out, const struct config_pair *pairs)
{
	char *encoded[PAIRS_MAX] = {NULL};
	size_t count = 0;

	for (; pairs && pairs[count].name && count < PAIRS_MAX; count++)
		encoded[count] = encode_pair(&pairs[count]);
	qsort(encoded, count, sizeof(encoded[0]), by_name);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%s%s", i > 0 ? "&" : "", encoded[i]);
		free(encoded[i]);
	}
}

static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return found ? (int)(found - digits) : -1;
}

void url_decode(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		int high = *at == '%' ? digit_of(at[1]) : -1;
		int low = high >= 0 ? digit_of(at[2]) : -1;

		if (low >= 0 && (high > 0 || low > 0)) {
			*to++ = (char)(high * 16 + low);
			at += 2;
		} else {
			*to++ = *at == '+' ? ' ' : *at;
		}
	}
	*to = '\0';
}
