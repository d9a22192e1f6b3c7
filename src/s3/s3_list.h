/* SPDX-License-Identifier: PostgreSQL */
/*
 * What is in a bucket: objects, unfinished uploads, and the parts of one.
 *
 * Each calls `take` for one after the other, in the order of their keys, a page of up to 1000 at a
 * time; what `take` is given is valid during the call only. `take` may make requests of its own;
 * when it fails the listing ends with its error.
 */
#ifndef ATHENA_S3_S3_LIST_H
#define ATHENA_S3_S3_LIST_H

#include "s3/s3.h"

enum { S3_LIST_PARTS_MAX = 10000 };

struct s3_entry {
	const char *key;
	int64_t bytes;	    /* of an object or part */
	int64_t at_s;	    /* since 1970: last change, or when the upload was begun */
	const char *etag;   /* of an object or part, without quotes; or "" */
	const char *upload; /* id, or "" */
	int part;	    /* number of a part, from 1 to S3_LIST_PARTS_MAX; or 0 */
};

struct s3_taker {
	bool (*take)(void *context, const struct s3_entry *entry, struct err *e);
	void *context;
};

/* Objects whose keys begin with `prefix`, which may be "". */
MUSTCHECK bool s3_list(
	struct s3 *s3, const char *prefix, const struct s3_taker *taker, struct err *e);

/* Uploads that were begun and neither completed nor aborted. */
MUSTCHECK bool s3_list_uploads(
	struct s3 *s3, const char *prefix, const struct s3_taker *taker, struct err *e);

/* The parts of one of them; s3_not_found when there is no such upload. */
MUSTCHECK bool s3_list_parts(struct s3 *s3, const char *key, const char *upload_id,
	const struct s3_taker *taker, struct err *e);

#endif
