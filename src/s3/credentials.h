/* SPDX-License-Identifier: PostgreSQL */
/*
 * Who we are to a server: a key id, its secret, and the token of a session.
 *
 * Out of the first of these that is there, never mixed:
 *
 *     access_key_id, secret_access_key, session_token of the settings
 *     credentials_file, as AWS' tools keep it: [profile], aws_access_key_id = ..., and so on
 *     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN of the environment
 *
 * Secret and token are made known to redaction.
 */
#ifndef ATHENA_S3_CREDENTIALS_H
#define ATHENA_S3_CREDENTIALS_H

#include "base/err.h"
#include "config/config.h"

struct credentials {
	char *access_key_id;
	char *secret;
	char *token; /* NULL: none */
};

/* ERR_CONFIG when there are none, or only half of them. Release with credentials_clear(). */
MUSTCHECK bool credentials_find(
	struct credentials *ret_credentials, const struct config_s3 *settings, struct err *e);

/* Overwrites them before they are released. */
void credentials_clear(struct credentials *credentials);

/* The part of credentials_find() that reads a file's text. False: what is missing is in e. Pure. */
MUSTCHECK bool credentials_parse(
	struct credentials *ret_credentials, const char *text, const char *profile, struct err *e);

#endif
