/* SPDX-License-Identifier: PostgreSQL */
/* A growable byte string. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

char *buf_reserve(struct buf *buf, size_t length)
{
	size_t needed = buf->length + length + 1;

	if (needed > buf->size) {
		buf->size = needed < 2 * buf->size ? 2 * buf->size : needed + 32;
		buf->bytes = xrealloc(buf->bytes, buf->size);
		buf->bytes[buf->length] = '\0';
	}
	return buf->bytes + buf->length;
}

void buf_added(struct buf *buf, size_t length)
{
	buf->length += length;
	buf->bytes[buf->length] = '\0';
}

void buf_add(struct buf *buf, const void *bytes, size_t length)
{
	char *room = buf_reserve(buf, length);

	if (length > 0)
		memcpy(room, bytes, length);
	buf_added(buf, length);
}

void buf_text(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void buf_char(struct buf *buf, char c)
{
	buf_add(buf, &c, 1);
}

void buf_i64(struct buf *buf, int64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do
		digits[--at] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (number < 0)
		buf_char(buf, '-');
	buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	char *text CLEANUP(free_ptr) = NULL;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	buf_text(buf, text);
}

void buf_drop(struct buf *buf, size_t length)
{
	if (length == 0)
		return;
	memmove(buf->bytes, buf->bytes + length, buf->length - length + 1);
	buf->length -= length;
}

void buf_reset(struct buf *buf)
{
	buf->length = 0;
	if (buf->bytes)
		buf->bytes[0] = '\0';
}

void buf_clear(struct buf *buf)
{
	free(buf->bytes);
	*buf = (struct buf){0};
}

char *buf_take(struct buf *buf)
{
	char *bytes = buf->bytes ? buf->bytes : xstrdup("");

	*buf = (struct buf){0};
	return bytes;
}
