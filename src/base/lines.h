/* SPDX-License-Identifier: PostgreSQL */
/*
 * Cuts what a tool prints into lines that can be stored as text.
 *
 * A line longer than `longest` bytes ends with "..." there and its rest is dropped; NUL bytes and
 * what is no UTF-8 become '?'. Empty lines are passed on. Zero-initialise but for `longest` and
 * `take`; release with lines_clear().
 */
#ifndef ATHENA_BASE_LINES_H
#define ATHENA_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct lines {
	size_t longest;
	void (*take)(void *context, const char *line); /* valid during the call only */
	void *context;
	struct buf partial;
	bool is_cut; /* the rest of this line is being dropped */
};

void lines_add(struct lines *lines, const char *bytes, size_t length);

/* The stream has ended: passes on a last line that lacks its newline. */
void lines_end(struct lines *lines);

void lines_clear(struct lines *lines);

#endif
