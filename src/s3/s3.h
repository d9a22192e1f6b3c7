/* SPDX-License-Identifier: PostgreSQL */
/*
 * A bucket on a server that speaks S3: AWS, R2, or any other.
 *
 *     struct s3 *s3 CLEANUP(s3_clear) = NULL;
 *     const struct s3_waiter waiter = {.wait = ..., .context = attempt};
 *     if (!s3_open(&attempt->config->backup_s3, &waiter, &s3, e) ||
 *             !s3_put(s3, "backups/shop/manifest.json", text, length, NULL, e))
 *             return false;
 *
 * Large objects are written by s3_upload.h, read by s3_download.h, and s3_list.h says what is
 * there.
 *
 * Functions block until their request is done, in the waiter and nowhere else; what else is under
 * way (parts of an upload) goes on meanwhile. When the waiter fails, because the attempt is to
 * stop, so does the function, with the same error; requests made after that wait normally, so that
 * a handler can clean up.
 *
 * Requests that may work later are tried `tries` times: 5xx, 408, 429, SlowDown and its like, lost
 * connections, timeouts, a request below 1 KiB/s for `stall_timeout`. Before try n + 1 there is a
 * pause of anything up to 0.1 s * 2^n, at most 20 s, or as long as a Retry-After asks for. Each try
 * is signed anew. Redirections are not followed: a signature is for one host. Errors are
 *
 *     kind		code			when
 *     ERR_CONFIG	s3_config		a setting is missing or wrong; no request was made
 *     ERR_PERMANENT	s3_not_found		no such object, or no such upload
 *     ERR_PERMANENT	s3_no_such_bucket	no such bucket
 *     ERR_PERMANENT	s3_credentials		unknown key id, or its secret is another
 *     ERR_PERMANENT	s3_expired		the session token has expired
 *     ERR_PERMANENT	s3_denied		known, and not allowed
 *     ERR_PERMANENT	s3_wrong_region		the text names the right one, where the server did
 *     ERR_PERMANENT	s3_tls			a certificate that is not trusted
 *     ERR_PERMANENT	s3_refused		any other refusal, or an answer that makes no sense
 *     ERR_PERMANENT	s3_changed		the object is another one than when reading began
 *     ERR_PERMANENT	s3_too_large		more than S3 can hold
 *     ERR_TRANSIENT	s3_clock		the clocks differ; the text says by how many seconds
 *     ERR_TRANSIENT	s3_checksum		the server received other bytes than we sent
 *     ERR_TRANSIENT	s3_busy			SlowDown, 429, 503
 *     ERR_TRANSIENT	s3_server		the server's own fault, 5xx
 *     ERR_TRANSIENT	s3_network		no connection, or a lost one
 *     ERR_TRANSIENT	s3_timeout		no connection in time, or no progress
 *
 * Keys are any UTF-8 up to 1024 bytes, without the prefix of the settings, which is its user's to
 * put in front. Credentials are those of the settings, or of credentials_file, or of the
 * environment (credentials.h); they reach no argv, no log and no error text.
 *
 * One process, one thread; several struct s3 may be open. After a fork only exec is allowed.
 */
#ifndef ATHENA_S3_S3_H
#define ATHENA_S3_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"

struct s3;
struct pollfd;

enum { S3_ETAG_BYTES = 136, S3_KEY_BYTES = 1024, S3_PART_BYTES_MIN = 5 << 20 };

/* Who waits: attempt_wait() in a handler. Copied by s3_open(). */
struct s3_waiter {
	/* As attempt_wait(). NULL: poll(2). */
	bool (*wait)(void *context, struct pollfd *fds, int count, int timeout_ms, int *ret_ready,
		struct err *e);
	/* Optional: hears of each try that failed and will be made again, for an event. */
	void (*on_retry)(void *context, const struct err *why, int64_t pause_ms);
	void *context;
};

struct s3_object {
	int64_t bytes;
	int64_t modified_s;	  /* since 1970; 0: the server did not say */
	char etag[S3_ETAG_BYTES]; /* without its quotes; of a multipart upload it is no MD5 */
};

/* Checks the settings and reads credentials; asks the server nothing. Close with s3_close(). */
MUSTCHECK bool s3_open(const struct config_s3 *settings, const struct s3_waiter *waiter,
	struct s3 **ret_s3, struct err *e);
void s3_close(struct s3 *s3);

/* For CLEANUP(): takes the address of the local. */
static inline void s3_clear(struct s3 **s3)
{
	s3_close(*s3);
}

/*
 * Waits for something else, as s3_waiter.wait, while parts that are under way go on: whoever reads
 * what is uploaded from a pipe waits for the pipe here. timeout_ms < 0: no limit.
 */
MUSTCHECK bool s3_wait(struct s3 *s3, struct pollfd *fds, int count, int timeout_ms, int *ret_ready,
	struct err *e);

/*
 * An object in one request: manifests and other small things, up to 5 GiB. `headers`, which may be
 * NULL, is ended by a pair without a name: {"content-type", "application/json"}, {"x-amz-meta-...",
 * ...}; names in lower case.
 */
MUSTCHECK bool s3_put(struct s3 *s3, const char *key, const void *bytes, size_t length,
	const struct config_pair *headers, struct err *e);

/* What stands under a key; s3_not_found when there is nothing. */
MUSTCHECK bool s3_head(struct s3 *s3, const char *key, struct s3_object *ret_object, struct err *e);

/* It is gone afterwards; that there was nothing is no error. */
MUSTCHECK bool s3_delete(struct s3 *s3, const char *key, struct err *e);

/* "s3://bucket" and the host, for people and events; lives as long as the client. */
const char *s3_name(const struct s3 *s3);

#endif
