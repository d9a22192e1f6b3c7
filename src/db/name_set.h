/* SPDX-License-Identifier: PostgreSQL */
/*
 * Which statements a connection has prepared: a small set of names that live for ever (those of
 * sql_statement), compared by address. NULL is the empty set.
 */
#ifndef ATHENA_DB_NAME_SET_H
#define ATHENA_DB_NAME_SET_H

#include <stdbool.h>

struct name_set;

bool name_set_has(const struct name_set *set, const char *name);
void name_set_add(struct name_set **set, const char *name);
void name_set_free(struct name_set *set);

#endif
