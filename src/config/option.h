/* SPDX-License-Identifier: PostgreSQL */
/*
 * Option tables: one row per setting, from which parser, defaults, checks, --help and docs come.
 *
 * The same rows describe a section of config.yaml, the options of a command line, and the keys of
 * a family's payload (where the insert trigger reads them as jsonb, see option_keys_json()). A
 * table is `static const` and ends with a row whose name is NULL.
 */
#ifndef ATHENA_CONFIG_OPTION_H
#define ATHENA_CONFIG_OPTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum option_type {
	OPTION_TEXT,	 /* any string */
	OPTION_BOOL,	 /* true or false; no value on a command line */
	OPTION_INT,	 /* whole number between min and max */
	OPTION_DURATION, /* "90", "90s", "5m", "2h", "1d", "250ms"; kept in milliseconds */
	OPTION_WORD,	 /* one of the words in `words` */
	OPTION_LIST,	 /* list of strings */
	OPTION_INTS,	 /* list of whole numbers between min and max */
	OPTION_OBJECT,	 /* object or mapping, looked into by its owner */
};

enum option_flags {
	OPTION_REQUIRED = 1 << 0,
	OPTION_SECRET = 1 << 1,	    /* masked wherever it is shown */
	OPTION_RELOADABLE = 1 << 2, /* SIGHUP may change it */
	OPTION_URI = 1 << 3,	    /* a secret of which only the password is masked */
};

struct option_row {
	const char *name; /* as written in yaml or payload; on the command line _ becomes - */
	enum option_type type;
	unsigned flags;
	const char *fallback; /* default as text, or NULL */
	int64_t min, max;     /* of OPTION_INT and, in ms, OPTION_DURATION; both 0: no bounds */
	const char *words;    /* of OPTION_WORD: "none|counts|full" */
	const char *unit;     /* "s", "bytes", ... or NULL */
	const char *help;     /* one line, no full stop */
};

/* Checks one value against its row. `where` ("config.yaml:12", "payload") begins the error. */
MUSTCHECK bool option_check(
	const struct option_row *row, const json_t *value, const char *where, struct err *e);

/*
 * Checks an object against a table: unknown, missing, mistyped and out-of-range keys. All errors of
 * this file are ERR_PERMANENT, as is right for a payload.
 */
MUSTCHECK bool option_check_object(
	const struct option_row *table, const json_t *object, const char *where, struct err *e);

/*
 * What somebody wrote as text (yaml, a variable, a command line), as a value of the row's type: a
 * number, a boolean, a list of the words between commas. Text that is no such thing stays text, for
 * option_check() to refuse; what is no UTF-8 becomes null. The caller owns the result.
 */
json_t *option_from_text(const struct option_row *row, const char *text);

/* The row of that name, or NULL. */
const struct option_row *option_find(const struct option_row *table, const char *name);

/* What a value must be, for people: "a whole number from 1 to 10", "one of auto, never". */
void option_expected(const struct option_row *row, struct buf *out);

/* Values by name, falling back to the row's default. The name must be in the table (asserted). */
const char *option_text(const struct option_row *table, const json_t *object, const char *name);
int64_t option_int(const struct option_row *table, const json_t *object, const char *name);
bool option_bool(const struct option_row *table, const json_t *object, const char *name);

/* Reads "90s", "5m", "250ms"; a bare number counts seconds. */
MUSTCHECK bool option_duration_ms(const char *text, int64_t *ret_ms, struct err *e);

/* The other way round, in the largest unit that leaves a whole number: "90s", "5m". */
void option_duration_text(int64_t ms, struct buf *out);

/*
 * A payload table as the jsonb that athena.families.payload_keys holds:
 * {"source": {"type": "string", "required": true}, "jobs": {"type": "integer", "min": 1}, ...}.
 * Types are those of JSON, plus "integer" and "duration"; words become "enum": [...].
 * The caller owns the result.
 */
json_t *option_keys_json(const struct option_row *table);

#endif
