/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a stream can show: colours, a width, box-drawing characters, or nothing but text.
 *
 * Colours only on a terminal, and not when NO_COLOR is set, TERM is "dumb" or --no-color was
 * given. Everything that comes out of the database is UTF-8, whatever the locale says; control
 * characters in it never reach the stream, since a payload could otherwise drive the terminal.
 */
#ifndef ATHENA_CLI_TERMINAL_H
#define ATHENA_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW, STYLE_CYAN };

struct terminal {
	FILE *file;
	bool is_tty;
	bool has_colour;
	bool has_unicode; /* the locale is UTF-8: bars and dots may be drawn */
	size_t columns;	  /* width; 0: no terminal, lines are not cut */
};

/* Call once for the process before anything else here: the C library's tables for UTF-8. */
void terminal_setup(void);

void terminal_init(struct terminal *ret_terminal, FILE *file, bool may_colour);

/* The escape sequence that begins a style, and the one that ends it; "" without colours. */
const char *terminal_begin(const struct terminal *terminal, enum style style);
const char *terminal_end(const struct terminal *terminal, enum style style);

/* Prints in a style, without a newline. */
void terminal_printf(const struct terminal *terminal, enum style style, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* A line "  name      text", the name padded to `width`; the text is cleaned. */
void terminal_fact(const struct terminal *terminal, int width, const char *name, const char *fmt,
	...) PRINTF_LIKE(4, 5);

/* How many columns clean UTF-8 text takes. */
size_t text_width(const char *text);

/* How many bytes of it fit into so many columns. */
size_t text_fit(const char *text, size_t columns);

/* Adds text with newlines and tabs as blanks and other control or broken characters as '?'. */
void text_clean(struct buf *out, const char *text);

/* Cuts clean text in place to so many columns, the last of which becomes "…" (or '.'). */
void text_cut(struct buf *text, size_t columns, bool has_unicode);

#endif
