/* SPDX-License-Identifier: PostgreSQL */
/*
 * The parameters $1..$n of one statement, in text format.
 *
 * The struct owns every value that is added, digits and array literals included, so nothing that
 * is passed in has to outlive the call. Zero-initialise, release with params_clear() or
 * CLEANUP(params_clear). Adding more than PARAMS_MAX is a bug (asserted).
 */
#ifndef ATHENA_DB_PARAMS_H
#define ATHENA_DB_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PARAMS_MAX = 24 };

struct params {
	int count;
	char *values[PARAMS_MAX]; /* NULL is SQL's null */
};

void params_null(struct params *params);
void params_text(struct params *params, const char *text); /* NULL: null */
void params_i64(struct params *params, int64_t number);
void params_f64(struct params *params, double number);
void params_bool(struct params *params, bool value);
void params_ms(struct params *params, int64_t interval_ms); /* for ::interval; < 0: null */
void params_i64s(struct params *params, const int64_t *numbers, size_t count);	  /* bigint[] */
void params_texts(struct params *params, const char *const *texts, size_t count); /* text[] */

/* An interval as Postgres reads it, malloc'ed; not of negative ones. */
char *interval_text(int64_t interval_ms);

/* Takes over a malloc'ed string. */
void params_give(struct params *params, char *text);

void params_clear(struct params *params);

#endif
