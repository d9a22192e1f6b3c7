/* SPDX-License-Identifier: PostgreSQL */
/* Percent-encoding as S3 signs it (RFC 3986, capitals), and queries in canonical order. Pure. */
#ifndef ATHENA_S3_URL_H
#define ATHENA_S3_URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "config/config.h"

/* All but letters, digits and -._~ is encoded; '/' too, unless it separates the parts of a path. */
void url_encode(struct buf *out, const char *text, bool is_path);

/* "a=1&b=", encoded and sorted; `pairs` is ended by one without a name, or NULL. */
void url_query(struct buf *out, const struct config_pair *pairs);

/* In place; '+' is a blank. What is no encoding stays. */
void url_decode(char *text);

#endif
