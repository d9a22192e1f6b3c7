/* SPDX-License-Identifier: PostgreSQL */
/*
 * Where a bucket is: which host, which region, and whether its name stands in host or path. Pure.
 *
 * By the settings: an endpoint, or the provider's own (AWS by region, R2 by account). In the host
 * (style host) with AWS, unless the name has dots, which no certificate covers; in the path
 * otherwise.
 */
#ifndef ATHENA_S3_ADDRESS_H
#define ATHENA_S3_ADDRESS_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

struct address {
	char *scheme;	 /* "https" or "http" */
	char *authority; /* host and, where it is not the scheme's own, port: what is signed */
	char *bucket;
	char *region;
	bool is_in_path; /* the bucket's name */
};

/* ERR_CONFIG where the settings say too little or what cannot be. Release with address_clear(). */
MUSTCHECK bool address_init(
	struct address *ret_address, const struct config_s3 *settings, struct err *e);
void address_clear(struct address *address);

/* The path of a key, encoded, as it is signed and sent; "" is the bucket itself. */
void address_path(const struct address *address, const char *key, struct buf *out);

#endif
