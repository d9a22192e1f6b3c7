/* SPDX-License-Identifier: PostgreSQL */
/*
 * Reading an object as a stream.
 *
 *     struct s3_download *in CLEANUP(s3_download_clear) = NULL;
 *     if (!s3_download_open(s3, key, 0, -1, &object, &in, e))
 *             return false;
 *     while ((ok = s3_download_read(in, bytes, sizeof(bytes), &n, e)) && n > 0)
 *             ...
 *
 * A connection that is lost on the way is replaced by another that goes on where it ended, as often
 * as `tries` without a byte in between; an object that was replaced meanwhile is an error
 * (s3_changed), never a mixture. A body that ends before its length is such a lost connection.
 * Memory: 256 KiB, whatever the reader's pace; while nobody reads, the server is left to wait.
 */
#ifndef ATHENA_S3_S3_DOWNLOAD_H
#define ATHENA_S3_S3_DOWNLOAD_H

#include "s3/s3.h"

struct s3_download;

/*
 * Bytes from `offset` on, `length` of them, or all that there are with -1. *ret_object is the whole
 * object. s3_not_found when there is none; s3_refused when it ends before `offset`. Close with
 * s3_download_close(), before the client.
 */
MUSTCHECK bool s3_download_open(struct s3 *s3, const char *key, int64_t offset, int64_t length,
	struct s3_object *ret_object, struct s3_download **ret_download, struct err *e);

/* Waits for some bytes and hands out up to `size`; *ret_length 0: that was all. */
MUSTCHECK bool s3_download_read(
	struct s3_download *download, void *bytes, size_t size, size_t *ret_length, struct err *e);

void s3_download_close(struct s3_download *in);

/* For CLEANUP(): takes the address of the local. */
static inline void s3_download_clear(struct s3_download **download)
{
	s3_download_close(*download);
}

#endif
