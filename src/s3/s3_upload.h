/* SPDX-License-Identifier: PostgreSQL */
/*
 * Writing a large object as a stream whose length nobody knows, in parts: a multipart upload.
 *
 *     s3_upload_begin()		nothing to be seen in the bucket; store s3_upload_id() now
 *     s3_upload_write() ...		cuts parts, sends two at a time, waits when both are under
 * way s3_upload_complete()		from now on the object is there, whole
 *
 * or s3_upload_abort() instead of the last. Whatever happens, there never is a half object; but
 * parts of an upload that was neither completed nor aborted lie in the bucket, unseen and paid for,
 * until somebody aborts it: hence the id must be stored durably before the first write, and a
 * sweep looks for uploads that are old and nobody's (s3_list.h). An upload whose id was lost on
 * the way to us is found by that sweep only.
 *
 * Parts have part_size bytes, doubled after each 1000 parts, so that 10,000 of them, which is the
 * most, hold 5 TiB, the largest object there is (with 8 MiB to begin with). Memory: three parts of
 * the present size, one that is filled and two under way: 24 MiB up to 8 GB, 48 MiB up to 24 GB, 96
 * MiB up to 56 GB. Each part carries its sha256, which the server checks.
 *
 * Completing is the one act whose answer matters: the server may say 200 and then that it failed,
 * and an answer may get lost. Only an ETag in the answer counts; if there was none, what stands
 * under the key decides, by its length. So a key must be of this upload alone, as keys with the
 * ticket in them are.
 */
#ifndef ATHENA_S3_S3_UPLOAD_H
#define ATHENA_S3_S3_UPLOAD_H

#include <jansson.h>

#include "s3/s3.h"

struct s3_upload;

enum { S3_PARTS_MAX = 10000, S3_PARTS_UNDER_WAY = 2 };

/*
 * `headers` as for s3_put(), and kept with the object. Free with s3_upload_free(), before the
 * client is closed.
 */
MUSTCHECK bool s3_upload_begin(struct s3 *s3, const char *key, const struct config_pair *headers,
	struct s3_upload **ret_upload, struct err *e);

/* What the server calls it; lives as long as the upload. */
const char *s3_upload_id(const struct s3_upload *upload);

/*
 * Appends. May fail for a part that was written long before; then nothing but abort and free makes
 * sense.
 */
MUSTCHECK bool s3_upload_write(
	struct s3_upload *upload, const void *bytes, size_t length, struct err *e);

/* Sends what is left, waits for all parts and makes the object appear. */
MUSTCHECK bool s3_upload_complete(
	struct s3_upload *upload, struct s3_object *ret_object, struct err *e);

/* Gives up what is under way and removes the parts; that there is no such upload is no error. */
MUSTCHECK bool s3_upload_abort(struct s3_upload *upload, struct err *e);

/* Bytes that the server has acknowledged, for progress. */
int64_t s3_upload_acknowledged(const struct s3_upload *upload);

/* [{"part", "bytes", "etag", "sha256"}], for a manifest; the caller owns it. */
json_t *s3_upload_parts(const struct s3_upload *upload);

/* Without asking the server anything: what was not completed is left to abort and sweep. */
void s3_upload_free(struct s3_upload *upload);

/* For CLEANUP(): takes the address of the local. */
static inline void s3_upload_clear(struct s3_upload **upload)
{
	s3_upload_free(*upload);
}

/* As s3_upload_abort(), of an upload of somebody who is gone. */
MUSTCHECK bool s3_abort(struct s3 *s3, const char *key, const char *upload_id, struct err *e);

/* The size of part `number` (from 1), where the first ones have `first` bytes. Pure. */
int64_t s3_part_bytes(int64_t first, int number);

#endif
