/* SPDX-License-Identifier: PostgreSQL */
/*
 * A YAML document as a tree that remembers the line of everything.
 *
 * Scalars stay text: what type a value has is for the option table to say, not for YAML's rules.
 * Refused with file and line are more than one document, duplicate keys, keys that are no scalars,
 * anchors, aliases, tags, merges, NUL characters, and more than 32 levels. All memory comes from
 * the caller's arena.
 */
#ifndef ATHENA_CONFIG_TREE_H
#define ATHENA_CONFIG_TREE_H

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

enum tree_kind {
	TREE_NULL, /* nothing, ~ or null, without quotes; an empty document */
	TREE_TEXT,
	TREE_LIST,
	TREE_MAP,
};

struct tree {
	enum tree_kind kind;
	int line;	    /* from 1; of a map's member, that of its key */
	const char *key;    /* of a map's member */
	const char *text;   /* of TREE_TEXT */
	struct tree *first; /* of a list or map; NULL: empty */
	struct tree *next;  /* in the list or map that holds this */
};

/* `name` is the file's name, for errors, which are ERR_CONFIG. */
MUSTCHECK bool tree_parse(struct arena *arena, const char *name, const char *bytes, size_t length,
	struct tree **ret_tree, struct err *e);

/* The member of a map, or NULL. */
const struct tree *tree_find(const struct tree *map, const char *key);

/* "a string", "a list", ...: what is there, for people. */
const char *tree_kind_name(const struct tree *tree);

#endif
