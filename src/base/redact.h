/* SPDX-License-Identifier: PostgreSQL */
/*
 * The one place that removes secrets from text, used for logs, events, errors and views alike.
 *
 * It masks passwords in connection URIs (`//user:secret@`), `password=...` in key=value strings
 * (quoted too) and in URI queries, PASSWORD '...' in SQL, Authorization headers, JSON members
 * named password, secret, token, api_key, access_key, and every secret that this process has
 * said it knows. Text that holds no secret comes out unchanged.
 */
#ifndef ATHENA_BASE_REDACT_H
#define ATHENA_BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define REDACT_MASK "***"

/* Adds `text` to `out` with secrets masked. */
void redact_text(struct buf *out, const char *text);

/* The same as a new string, which the caller frees. */
char *redact_dup(const char *text) __attribute__((returns_nonnull));

/* True for a name whose value is masked: PGPASSWORD, api_key, client-secret. */
bool redact_is_secret_name(const char *name);

/*
 * Remembers an exact secret for the life of the process, so that it is masked wherever it turns
 * up. Shorter than 4 bytes is ignored: it would mask half of any text.
 */
void redact_learn(const char *secret);

/* One of those, in any of its spellings, by number; NULL past the last. */
const char *redact_known(size_t i);

#endif
