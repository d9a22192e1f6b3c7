/* SPDX-License-Identifier: PostgreSQL */
/*
 * One request of a client, with its tries. Internal to src/s3.
 *
 *     call_start()	under way: tried, after a failure that may pass tried again, on its own
 *     call_finish()	runs rounds until it has ended, and says how
 *     call_clear()	at any time; what is under way is given up
 *
 * or all in one, call_make(). Several calls may be under way; call_round() moves them all. What the
 * request points to must stay until the call has ended.
 */
#ifndef ATHENA_S3_CALL_H
#define ATHENA_S3_CALL_H

#include "base/buf.h"
#include "s3/credentials.h"
#include "s3/loop.h"
#include "s3/address.h"
#include "s3/s3.h"
#include "s3/sigv4.h"

struct call;

struct s3 {
	const struct config_s3 *settings;
	struct address address;
	struct credentials credentials;
	struct loop loop;
	struct call *calls; /* under way */
	char *name;
};

struct call_request {
	const char *method;
	const char *key;		   /* "": the bucket itself */
	const struct config_pair *query;   /* ended by one without a name; NULL: none */
	const struct config_pair *headers; /* the same; signed */
	const void *body;
	size_t length;
	const char *sha256; /* of the body; NULL: to be made */
	bool is_slow;	    /* the server may think for minutes */
	bool is_tried_once; /* the caller decides about further tries */
	/* Where a body goes that is a success, instead of call->body, once the answer's fields are
	 * set; returns how much it took, or CURL_WRITEFUNC_PAUSE. From the first byte on it is not
	 * tried again. */
	size_t (*sink)(void *context, const char *bytes, size_t length);
	void *context;
};

struct call {
	struct s3 *s3;
	struct call_request request;
	struct call *next;

	CURL *easy; /* NULL: not under way */
	struct curl_slist *headers;
	struct loop_end end;
	char curl_error[256];
	time_t signed_at;
	int tries;
	int64_t due_ms; /* the next try, while easy is NULL */
	bool has_ended;
	bool has_sunk; /* bytes went into the sink */
	bool ok;
	struct err error; /* when not ok */

	/* The answer. */
	long status;
	struct buf body;
	bool is_too_long; /* the body */
	char etag[S3_ETAG_BYTES];
	int64_t length; /* Content-Length, or -1 */
	int64_t whole;	/* the object's, from Content-Range; or -1 */
	int64_t modified_s;
	int64_t retry_after_ms; /* 0: not said */
};

/* The call must not move until call_clear(). */
void call_start(struct call *call, struct s3 *s3, const struct call_request *request);
MUSTCHECK bool call_finish(struct call *call, struct err *e);
MUSTCHECK bool call_make(
	struct call *call, struct s3 *s3, const struct call_request *request, struct err *e);
void call_clear(struct call *call);

/* Moves all calls; as loop_round(). */
MUSTCHECK bool call_round(struct s3 *s3, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e);

/* Waits before try n + 1, while other calls go on; tells the waiter why. */
MUSTCHECK bool call_pause(struct s3 *s3, int tries, const struct err *why, struct err *e);

/* The error that the answer's body makes of a success: 200 and <Error>. Returns false. */
bool call_failed_inside(const struct call *call, struct err *e);

#endif
