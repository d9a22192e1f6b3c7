/* SPDX-License-Identifier: PostgreSQL */
/*
 * Values of sequences, which no snapshot covers: they move on while the source is used.
 *
 * So the source is read twice, right after the snapshot was taken and when the clone is compared;
 * pg_dump reads it some time in between. On a source that is at rest both are equal, and the clone
 * must be, too. Otherwise the clone's value must lie between them: then it is not behind anything
 * that the snapshot holds. Of a sequence that cycles and has moved nothing can be said.
 */
#ifndef ATHENA_FAMILIES_CLONE_SEQUENCES_H
#define ATHENA_FAMILIES_CLONE_SEQUENCES_H

#include "families/attempt_query.h"
#include "families/clone/compare.h"

struct sequence {
	char *name;
	int64_t last;
	int64_t step;
	bool is_called;
	bool cycles;
};

/* Ordered by name. Release with sequences_clear(). */
struct sequences {
	struct sequence *rows;
	size_t count;
};

MUSTCHECK bool sequences_read(
	struct attempt *attempt, struct conn *conn, struct sequences *ret_sequences, struct err *e);

/*
 * Adds a fact for each sequence of the source and of the target; those that may be taken for equal
 * get the same definition.
 */
void sequences_add(const struct sequences *before, const struct sequences *after,
	const struct sequences *target, struct facts *source_facts, struct facts *target_facts);

void sequences_clear(struct sequences *sequences);

#endif
