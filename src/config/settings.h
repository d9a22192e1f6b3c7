/* SPDX-License-Identifier: PostgreSQL */
/*
 * Every setting there is, and every default number, as option tables.
 *
 * config.c parses, checks and documents from these rows; nothing else in the source repeats a
 * default. To add a setting: a row here, a field in struct config, its line in config.c and in
 * config.example.yaml; docs/config.md is compared by a test, which writes what it should be.
 */
#ifndef ATHENA_CONFIG_SETTINGS_H
#define ATHENA_CONFIG_SETTINGS_H

#include "config/option.h"

/*
 * A mapping of scalars in config.yaml; ATHENA_<NAME>_<ROW> overrides its rows. "backup.s3" is the
 * mapping s3 inside of backup, and ATHENA_BACKUP_S3_<ROW>.
 */
struct settings_section {
	const char *name; /* NULL ends the list */
	const char *help;
	const struct option_row *rows;
};

extern const struct settings_section settings_sections[];

/* The keys of one entry of `families:`. */
extern const struct option_row settings_family[];

/* Numbers that no setting changes; most of them are enforced by the schema. See config_limit(). */
extern const struct option_row settings_limits[];

/* Sections that other programs read from the same file; ended by NULL. */
extern const char *const settings_foreign[];

/* Prefixes of ATHENA_ variables that are not settings, and raise no warning; ended by NULL. */
extern const char *const settings_reserved_variables[];

/* NULL when there is no such section. */
const struct settings_section *settings_find(const char *name);

/* True when there are sections inside of this one. */
bool settings_has_inner(const char *name);

#endif
