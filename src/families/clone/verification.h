/* SPDX-License-Identifier: PostgreSQL */
/*
 * A comparison under way: the two sessions, what has been counted, and what differs.
 *
 * Private to verify.c, which asks for definitions, texts.c, which judges those that are deparsed,
 * and contents.c, which asks for rows, sequences and large objects.
 */
#ifndef ATHENA_FAMILIES_CLONE_VERIFICATION_H
#define ATHENA_FAMILIES_CLONE_VERIFICATION_H

#include "base/buf.h"
#include "families/clone/clone.h"
#include "families/clone/compare.h"
#include "families/clone/lanes.h"
#include "families/clone/sequences.h"

struct verification {
	struct clone *clone;
	struct conn *source, *staging;
	const struct lanes *lanes; /* further sessions, which see the same */
	int64_t definitions, tables, rows, sequences, large_objects; /* of the source */
	int differences, warnings;
	bool is_lenient;  /* differences only warn, for now */
	struct buf first; /* the first differences, as text for the error */
};

struct pair {
	PGresult *source, *staging;
};

void pair_clear(struct pair *pair);

/* Asks both ends at the same time; the two texts are usually one. params may be NULL. */
MUSTCHECK bool verification_ask(struct verification *v, const char *source_sql,
	const char *staging_sql, const struct params *params, struct pair *ret_pair, struct err *e);

/* The second half of it, on any pair of sessions. */
MUSTCHECK bool verification_receive(struct verification *v, struct conn *source,
	struct conn *staging, struct pair *ret_pair, struct err *e);

/* Compares two lists, reports what differs, empties both. */
void verification_compare(struct verification *v, struct facts *source, struct facts *staging);

/* Adds rows of kind, name and definition. */
void verification_add(struct facts *facts, const PGresult *rows);

/* texts.c: the same for clone_def_texts.sql, where two texts may mean the same. */
MUSTCHECK bool texts_add(struct verification *v, const struct pair *answers, struct facts *source,
	struct facts *staging, struct err *e);

/* contents.c */
MUSTCHECK bool contents_compare_tables(struct verification *v, struct err *e);
MUSTCHECK bool contents_compare_sequences(
	struct verification *v, const struct sequences *before, struct err *e);
MUSTCHECK bool contents_compare_large_objects(struct verification *v, struct err *e);

#endif
