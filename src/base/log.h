/* SPDX-License-Identifier: PostgreSQL */
/*
 * One line per state change, to stderr: `2026-01-31T12:00:00.123Z info job_claimed job=42 ...`.
 *
 * The event is a fixed word that can be found in the source; everything else is a field. Text
 * fields pass redaction (base/redact.h), so that no secret reaches a log whatever the caller
 * gives. Payloads are never logged. The level and format are process-wide, set once at start.
 *
 *     log_info("job_claimed", LOG_I("job", job_id), LOG_S("family", family));
 */
#ifndef ATHENA_BASE_LOG_H
#define ATHENA_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
	const char *key;  /* NULL ends the list */
	const char *text; /* NULL: `number` is the value */
	int64_t number;
};

#define LOG_I(name, value) ((struct log_field){.key = (name), .number = (value)})
#define LOG_S(name, value) ((struct log_field){.key = (name), .text = (value)})

#define log_at(level, event, ...)                                                              \
	(log_wants(level) ? log_write((level), (event),                                        \
				    (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}}) \
			  : (void)0)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) log_at(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_at(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_at(LOG_ERROR, event, __VA_ARGS__)

/* Lines below that level are not written, and what they would say is not even evaluated. */
bool log_wants(enum log_level level);

void log_setup(enum log_level least, enum log_format format);

/* False for a word that is no level. */
bool log_level_find(const char *name, enum log_level *ret_level);

/* Writes one line in one write(2), so that lines of several processes do not mix. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
