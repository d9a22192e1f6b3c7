/* SPDX-License-Identifier: PostgreSQL */
/*
 * Loading, between config_load() and the settings: one config.yaml and the variables over it.
 *
 * Internal to src/config. Everything that is kept lives in the arena of the configuration that is
 * being made, or in its JSON objects.
 */
#ifndef ATHENA_CONFIG_LOAD_H
#define ATHENA_CONFIG_LOAD_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/option.h"
#include "config/tree.h"
#include "config/vars.h"

/* What the public fields of struct config point into. */
struct config_state {
	struct arena arena;
	json_t *values;	 /* section -> name -> value, of what is not left to the defaults */
	json_t *origins; /* section -> name -> where that came from */
};

struct load {
	struct arena *arena;
	const char *file; /* as errors name it; NULL: there is none */
	struct vars vars;
	json_t *values, *origins; /* of the struct config_state that is being filled */
	struct buf warnings;	  /* a line each */
};

/* Notes a value and where it came from. Takes over the reference to the value. */
void load_set(const struct load *load, const char *section, const char *name, json_t *value,
	const char *origin);

/* "config.yaml:12", in the arena. */
const char *load_where(const struct load *load, const struct tree *tree);

/* A scalar with its variables replaced. Others are refused: `what` must be a string. */
MUSTCHECK bool load_text(const struct load *load, const struct tree *tree, const char *what,
	const char **ret_text, struct err *e);

/* The members of a map, typed and checked by `rows`, as a new object. `name` is the map's. */
MUSTCHECK bool load_rows(const struct load *load, const struct option_row *rows, const char *name,
	const struct tree *map, json_t **ret_values, struct err *e);

/* A connection URI or key=value string: its syntax, and its passwords made known to redaction. */
MUSTCHECK bool load_check_uri(const char *uri, const char *where, const char *name, struct err *e);

/* All of the file but `families:`, then the variables that override it. */
MUSTCHECK bool load_sections(struct load *load, const struct tree *root, struct err *e);

/* The entries of `families:`. */
MUSTCHECK bool load_families(const struct load *load, const struct tree *map, struct err *e);

/* A configuration without values, for those who fill its state; freed by config_free(). */
struct config *config_new(void) __attribute__((returns_nonnull));

/*
 * Makes the public fields out of the values, and tells redaction what is secret. What no row can
 * say by itself is checked here.
 */
MUSTCHECK bool config_fill(struct config *config, struct err *e);

/* The same for the entries of `families:`. Their strings are those of the values. */
void fill_families(struct config *config);

/* A value as people may see it, or that of the row when it is NULL. The caller owns the result. */
json_t *config_shown(const struct option_row *row, const json_t *value);

#endif
