/* SPDX-License-Identifier: PostgreSQL */
/*
 * How far something is: one line that is drawn over itself on a terminal, and now and then a
 * line of its own where there is none.
 *
 * Erase it before anything else is printed to the same terminal. Zero-initialise but for
 * `terminal`.
 */
#ifndef ATHENA_CLI_BAR_H
#define ATHENA_CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/terminal.h"

struct bar_figures {
	const char *label; /* the phase, or a state */
	int64_t done;
	int64_t total;	  /* < 0: unknown */
	const char *unit; /* "bytes", "rows", ...; NULL: nothing is counted */
	int64_t elapsed_us;
};

enum { BAR_SAMPLES = 16 };

struct bar {
	const struct terminal *terminal;
	bool is_drawn;

	/* The last few seconds, for the speed. */
	int64_t sample_ms[BAR_SAMPLES], sample_done[BAR_SAMPLES];
	unsigned samples;
	char label[64];

	/* Where no terminal is: what was printed last. */
	int64_t printed_ms;
	int printed_percent;
};

void bar_draw(struct bar *bar, const struct bar_figures *figures);
void bar_erase(struct bar *bar);

/* "12.3 MB", "1,234 rows"; "1,234". */
void bar_amount(struct buf *out, int64_t amount, const char *unit);
void bar_number(struct buf *out, int64_t number);

/* Fills that part of so many columns, in eighths where they can be drawn; returns how many it took.
 */
int bar_cells(struct buf *out, bool has_unicode, double part, int columns);

/* A column per value, as high as it is beside the greatest of them; NAN is a blank. */
void bar_history(struct buf *out, bool has_unicode, const double *values, int count);

#endif
