/* SPDX-License-Identifier: PostgreSQL */
/* Terminals, and the width of text on them. */
#include "cli/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "base/mem.h"

static const char *const begins[] = {
	[STYLE_PLAIN] = "",
	[STYLE_BOLD] = "\033[1m",
	[STYLE_DIM] = "\033[2m",
	[STYLE_RED] = "\033[31m",
	[STYLE_GREEN] = "\033[32m",
	[STYLE_YELLOW] = "\033[33m",
	[STYLE_CYAN] = "\033[36m",
};

static bool locale_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void terminal_setup(void)
{
	/* Our texts are UTF-8 even where the locale is not; only bars and dots then stay ASCII. */
	if (!setlocale(LC_CTYPE, "") || !locale_is_utf8())
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* What people's terminals can draw, which setlocale() above has overridden. */
static bool wants_unicode(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && value[0])
			return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
	}
	return false;
}

void terminal_init(struct terminal *ret_terminal, FILE *file, bool may_colour)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	struct terminal terminal = {.file = file, .has_unicode = wants_unicode()};
	struct winsize size;

	terminal.is_tty = isatty(fileno(file));
	if (terminal.is_tty) {
		terminal.columns = 80;
		if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
			terminal.columns = size.ws_col;
		terminal.has_colour = may_colour && !(no_color && no_color[0]) &&
			!(term && strcmp(term, "dumb") == 0);
	}
	*ret_terminal = terminal;
}

const char *terminal_begin(const struct terminal *terminal, enum style style)
{
	return terminal->has_colour ? begins[style] : "";
}

const char *terminal_end(const struct terminal *terminal, enum style style)
{
	return terminal->has_colour && style != STYLE_PLAIN ? "\033[0m" : "";
}

void terminal_printf(const struct terminal *terminal, enum style style, const char *fmt, ...)
{
	va_list ap;

	fputs(terminal_begin(terminal, style), terminal->file);
	va_start(ap, fmt);
	vfprintf(terminal->file, fmt, ap);
	va_end(ap);
	fputs(terminal_end(terminal, style), terminal->file);
}

void terminal_fact(
	const struct terminal *terminal, int width, const char *name, const char *fmt, ...)
{
	struct buf clean CLEANUP(buf_clear) = {0};
	char *text CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	text_clean(&clean, text);
	terminal_printf(terminal, STYLE_DIM, "  %-*s", width, name);
	fprintf(terminal->file, "%s\n", clean.bytes ? clean.bytes : "");
}

/*
 * The next character of `text` and its bytes; 0 bytes at the end. A broken byte is one byte, and
 * the character U+FFFD.
 */
static size_t next_character(const char *text, wchar_t *ret_character)
{
	mbstate_t state = {0};
	size_t length = mbrtowc(ret_character, text, strlen(text), &state);

	if (length == (size_t)-1 || length == (size_t)-2) {
		*ret_character = 0xfffd;
		return 1;
	}
	return length;
}

static size_t character_width(wchar_t character)
{
	int width = wcwidth(character);

	return width > 0 ? (size_t)width : 0;
}

size_t text_width(const char *text)
{
	size_t width = 0;
	size_t length;
	wchar_t character;

	for (; *text && (length = next_character(text, &character)) > 0; text += length)
		width += character_width(character);
	return width;
}

size_t text_fit(const char *text, size_t columns)
{
	const char *start = text;
	size_t width = 0;
	size_t length;
	wchar_t character;

	for (; *text && (length = next_character(text, &character)) > 0; text += length) {
		width += character_width(character);
		if (width > columns)
			break;
	}
	return (size_t)(text - start);
}

void text_clean(struct buf *out, const char *text)
{
	size_t length;
	wchar_t character;

	for (; *text && (length = next_character(text, &character)) > 0; text += length) {
		if (strchr("\t\n\r", *text))
			buf_char(out, ' ');
		else if (character == 0xfffd || iswcntrl((wint_t)character) ||
			wcwidth(character) < 0)
			buf_char(out, '?');
		else
			buf_add(out, text, length);
	}
}

void text_cut(struct buf *text, size_t columns, bool has_unicode)
{
	size_t kept;

	if (!text->bytes || columns == 0 || text_width(text->bytes) <= columns)
		return;
	kept = text_fit(text->bytes, columns - 1);
	text->length = kept;
	text->bytes[kept] = '\0';
	buf_text(text, has_unicode ? "\u2026" : ".");
}
