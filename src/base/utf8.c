/* SPDX-License-Identifier: PostgreSQL */
/* UTF-8, one character at a time. */
#include "base/utf8.h"

#include <string.h>

#include "base/mem.h"

/* Lead byte, second byte, length: every well-formed sequence is of one of these forms. */
static const struct form {
	unsigned char first, last;
	unsigned char low, high;
	size_t length;
} forms[] = {
	{0x01, 0x7f, 0, 0, 1},
	{0xc2, 0xdf, 0x80, 0xbf, 2},
	{0xe0, 0xe0, 0xa0, 0xbf, 3},
	{0xe1, 0xec, 0x80, 0xbf, 3},
	{0xed, 0xed, 0x80, 0x9f, 3},
	{0xee, 0xef, 0x80, 0xbf, 3},
	{0xf0, 0xf0, 0x90, 0xbf, 4},
	{0xf1, 0xf3, 0x80, 0xbf, 4},
	{0xf4, 0xf4, 0x80, 0x8f, 4},
};

static const struct form *form_find(unsigned char lead)
{
	for (size_t i = 0; i < ARRAY_LENGTH(forms); i++)
		if (lead >= forms[i].first && lead <= forms[i].last)
			return &forms[i];
	return NULL;
}

size_t utf8_length(const char *bytes, size_t left)
{
	const unsigned char *s = (const unsigned char *)bytes;
	const struct form *form = left > 0 ? form_find(s[0]) : NULL;

	if (!form || form->length > left)
		return 0;
	if (form->length > 1 && (s[1] < form->low || s[1] > form->high))
		return 0;
	for (size_t i = 2; i < form->length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return form->length;
}

bool utf8_is_text(const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		size_t length = utf8_length(text, left);

		if (length == 0)
			return false;
		text += length;
		left -= length;
	}
	return true;
}

void utf8_repair(char *bytes, size_t length)
{
	for (size_t i = 0; i < length;) {
		size_t character = utf8_length(bytes + i, length - i);

		if (character == 0)
			bytes[i] = '?';
		i += character == 0 ? 1 : character;
	}
}

size_t utf8_fit(const char *text, size_t most)
{
	size_t length = strlen(text);

	if (length <= most)
		return length;
	while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}
