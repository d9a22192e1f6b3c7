/* SPDX-License-Identifier: PostgreSQL */
/*
 * Compares two lists of facts, each of which says of some thing what it is like.
 *
 * Everything that a clone is checked for has this form: the definition of an index, the number and
 * digest of a table's rows, the value of a sequence. A fact is (kind, name, definition); a
 * difference is a name that is on one side only, or defined in another way. Knows nothing of
 * Postgres, so that it can be tested by itself.
 */
#ifndef ATHENA_FAMILIES_CLONE_COMPARE_H
#define ATHENA_FAMILIES_CLONE_COMPARE_H

#include <stddef.h>
#include <stdint.h>

struct fact {
	char *kind, *name, *definition; /* owned by the list */
};

/* Zero-initialise; release with facts_clear(). */
struct facts {
	struct fact *rows;
	size_t count, size;
};

/* A NULL name or definition counts as "". */
void facts_add(struct facts *facts, const char *kind, const char *name, const char *definition);
void facts_clear(struct facts *facts);

/* A number that is equal for equal lists, in whatever order they were filled. */
uint64_t facts_digest(const struct facts *facts);

struct difference {
	const char *kind, *name;
	const char *source, *target; /* definitions; NULL: there is none on that side */
};

/*
 * Sorts both, and calls `each` for every difference, in the order of kind and name. Returns how
 * many there are.
 */
size_t facts_compare(struct facts *source, struct facts *target,
	void (*each)(void *context, const struct difference *difference), void *context);

#endif
