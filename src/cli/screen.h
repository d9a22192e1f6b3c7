/* SPDX-License-Identifier: PostgreSQL */
/*
 * The whole terminal, for a command that draws over it again and again.
 *
 * screen_open() takes standard output's terminal: another page, no cursor, lines that are cut and
 * not wrapped, keys that come one by one. It is given back by screen_close(), by exit(), and by a
 * handler when a signal ends the process, so that ^C works even while the caller blocks: then the
 * process dies by that signal, with the terminal as it was. ^Z gives it back for as long as the
 * process is stopped. One per process, one thread.
 */
#ifndef ATHENA_CLI_SCREEN_H
#define ATHENA_CLI_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum screen_key {
	SCREEN_NOTHING, /* the time has run out */
	SCREEN_CHANGED, /* the size did, or somebody has drawn over it: draw again */
	SCREEN_GONE,	/* nobody is there any more */
	SCREEN_UP,
	SCREEN_DOWN,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_KEY = 32, /* and above: a character */
	SCREEN_TAB = '\t',
};

MUSTCHECK bool screen_open(struct err *e);
void screen_close(void);

/* As it is at the moment; 24 lines of 80 columns where the terminal does not say. */
void screen_size(size_t *ret_columns, size_t *ret_lines);

/* Draws these lines, each ended by a newline, from the top: as many as the screen has. */
void screen_draw(const char *lines);

/* The next key, or what else happened within this time. Without a terminal to read there is none.
 */
int screen_wait(int64_t wait_ms);

#endif
