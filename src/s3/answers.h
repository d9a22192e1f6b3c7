/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a server answers in XML. Pure.
 *
 * Unknown elements are passed over; numbers that are none, and times, count as 0.
 */
#ifndef ATHENA_S3_ANSWERS_H
#define ATHENA_S3_ANSWERS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "s3/s3_list.h"

/* <Error>; each is "" when it is missing, and cut when it is too long. */
struct answer_error {
	char code[64];
	char message[256];
	char region[64]; /* the bucket's, where the request went to another */
};

/* True when it is an <Error> with a code. What is no XML is none. */
bool answer_error(const char *bytes, size_t length, struct answer_error *ret_error);

/* The text at a path: "InitiateMultipartUploadResult/UploadId". False when there is none, or "". */
bool answer_text(const char *bytes, size_t length, const char *path, struct buf *ret_text);

/* One page of a listing; strings live in the arena. */
struct answer_page {
	struct arena *arena;
	struct s3_entry *entries;
	size_t count;
	bool is_truncated;
	const char *next; /* where the next page begins; "" */
	const char *next_upload;
};

/*
 * A page of objects, uploads or parts, whichever it is; keys are decoded where the server encoded
 * them. A page that is truncated must say where to go on.
 */
MUSTCHECK bool answer_page(const char *bytes, size_t length, struct arena *arena,
	struct answer_page *ret_page, struct err *e);

/* "2026-01-31T12:00:00.000Z" or "Sat, 31 Jan 2026 12:00:00 GMT" as seconds since 1970; else 0. */
int64_t answer_time(const char *text);

/* Copies without the quotes around it, as far as it fits. */
void answer_etag(const char *text, char ret_etag[S3_ETAG_BYTES]);

#endif
