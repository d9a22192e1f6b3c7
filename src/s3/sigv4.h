/* SPDX-License-Identifier: PostgreSQL */
/*
 * AWS Signature Version 4 of a request: the value of its Authorization header. Pure.
 *
 * By hand, since libcurl's own (as of 7.88) sends no x-amz-content-sha256 and signs queries in the
 * wrong order. Path and query are signed as they are sent: encoded once, the query sorted (url.h),
 * as S3 wants it.
 */
#ifndef ATHENA_S3_SIGV4_H
#define ATHENA_S3_SIGV4_H

#include <stddef.h>
#include <time.h>

#include "base/buf.h"
#include "config/config.h"

enum { SIGV4_HEX_BYTES = 65, SIGV4_TIME_BYTES = 17, SIGV4_HEADERS_MAX = 32 };

struct sigv4 {
	const char *access_key_id;
	const char *secret;
	const char *region;
	const char *service;
	char time[SIGV4_TIME_BYTES]; /* "20150830T123600Z" */
};

struct sigv4_request {
	const char *method;
	const char *path;		   /* encoded, from "/" */
	const char *query;		   /* encoded and sorted, or "" */
	const struct config_pair *headers; /* to sign, in any order; names in lower case */
	const char *payload_sha256;	   /* in hexadecimal */
};

/* At most SIGV4_HEADERS_MAX headers (asserted). */
void sigv4_sign(const struct sigv4 *who, const struct sigv4_request *request, struct buf *out);

void sigv4_time(time_t at, char ret_time[SIGV4_TIME_BYTES]);
void sigv4_sha256(const void *bytes, size_t length, char ret_hex[SIGV4_HEX_BYTES]);

#endif
