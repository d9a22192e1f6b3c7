/* SPDX-License-Identifier: PostgreSQL */
/*
 * Variables: the process environment, and behind it the entries of a .env file.
 *
 * A blank variable counts as unset. Values of variables whose names speak of a secret are made
 * known to redaction when they are read.
 */
#ifndef ATHENA_CONFIG_VARS_H
#define ATHENA_CONFIG_VARS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/dotenv.h"

struct vars {
	struct dotenv dotenv; /* empty without a file */
};

/* The value, or NULL when it is unset or blank in both. */
const char *vars_get(const struct vars *vars, const char *name);

/* Makes the secrets in .env and libpq's PGPASSWORD known, whether or not a setting uses them. */
void vars_learn(const struct vars *vars);

/* True for a name that speaks of a secret: PGPASSWORD, API_TOKEN, AWS_SECRET_ACCESS_KEY. */
bool vars_is_secret(const char *name);

/* True when vars_get() takes it from .env. */
bool vars_is_from_dotenv(const struct vars *vars, const char *name);

/*
 * `text` with each ${NAME} replaced, in the arena; $${ stands for ${. What is no name, or is unset,
 * is ERR_CONFIG.
 */
MUSTCHECK bool vars_expand(const struct vars *vars, struct arena *arena, const char *text,
	const char **ret_text, struct err *e);

/* Calls `take` for each variable of either whose name begins with `prefix`. */
void vars_each(const struct vars *vars, const char *prefix,
	void (*take)(void *context, const char *name, bool is_from_dotenv), void *context);

#endif
