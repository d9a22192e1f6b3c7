/* SPDX-License-Identifier: PostgreSQL */
/* Lines of text out of a stream of bytes. */
#include "base/lines.h"

#include <string.h>

#include "base/utf8.h"

/* The cut may have gone through a character. */
static void drop_half(struct buf *line)
{
	for (size_t back = 1; back < 4 && back <= line->length; back++) {
		const char *at = line->bytes + line->length - back;

		if (((unsigned char)*at & 0xc0) == 0x80)
			continue;
		if (utf8_length(at, back) == 0)
			line->length -= back;
		return;
	}
}

static void pass_on(struct lines *lines)
{
	struct buf *line = &lines->partial;

	if (lines->is_cut)
		drop_half(line);
	utf8_repair(line->bytes, line->length);
	if (lines->is_cut)
		buf_text(line, "...");
	lines->take(lines->context, line->bytes ? line->bytes : "");
	buf_reset(line);
	lines->is_cut = false;
}

static void keep(struct lines *lines, const char *bytes, size_t length)
{
	size_t room = lines->longest - lines->partial.length;

	if (length > room)
		lines->is_cut = true;
	buf_add(&lines->partial, bytes, length > room ? room : length);
}

void lines_add(struct lines *lines, const char *bytes, size_t length)
{
	const char *end = bytes + length;

	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));

		keep(lines, bytes, (size_t)((newline ? newline : end) - bytes));
		if (!newline)
			return;
		pass_on(lines);
		bytes = newline + 1;
	}
}

void lines_end(struct lines *lines)
{
	if (lines->partial.length > 0 || lines->is_cut)
		pass_on(lines);
}

void lines_clear(struct lines *lines)
{
	buf_clear(&lines->partial);
}
