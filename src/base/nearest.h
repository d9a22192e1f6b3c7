/* SPDX-License-Identifier: PostgreSQL */
/*
 * "Did you mean": the known word that a mistyped one is nearest to.
 *
 * Distance counts insertions, deletions, substitutions and swaps of neighbours. A word is offered
 * only when at most a third of it was mistyped, so that no suggestion is a surprise.
 */
#ifndef ATHENA_BASE_NEAREST_H
#define ATHENA_BASE_NEAREST_H

#include <stddef.h>

#include "base/buf.h"

enum { NEAREST_LONGEST = 63 }; /* longer words are nobody's neighbours */

struct nearest {
	const char *typed;
	char word[NEAREST_LONGEST + 1]; /* the nearest so far, or "" */
	size_t distance;
};

/* Start with {.typed = "..."} and offer each known word; the first of equals wins. */
void nearest_try(struct nearest *nearest, const char *word);

/* Adds `, did you mean "word"?` when there is one. */
void nearest_hint(const struct nearest *nearest, struct buf *out);

#endif
