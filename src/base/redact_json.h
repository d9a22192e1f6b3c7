/* SPDX-License-Identifier: PostgreSQL */
/*
 * Redaction of JSON values: what base/redact.h does for text, without breaking the JSON.
 *
 * Every string is redacted as text, and strings and numbers of members whose names speak of a
 * secret (password, token, ...) become "***". Names of members are kept.
 */
#ifndef ATHENA_BASE_REDACT_JSON_H
#define ATHENA_BASE_REDACT_JSON_H

#include <jansson.h>

/* A copy without secrets, which the caller owns; NULL for NULL. */
json_t *redact_json(const json_t *value);

#endif
