/* SPDX-License-Identifier: PostgreSQL */
/* Objects as streams, over as many connections as it takes. */
#include "s3/s3_download.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "s3/call.h"
#include "s3/failure.h"

enum { BUFFER_BYTES = 256 * 1024 };

struct s3_download {
	struct s3 *s3;
	char *key;
	int64_t at;  /* of the next byte to arrive */
	int64_t end; /* behind the last one that is wanted; -1: not known yet */
	struct s3_object object;
	bool is_known; /* the object */
	int failures;  /* since the last byte */

	struct call call;
	char range[64];
	struct config_pair headers[3];
	char etag[S3_ETAG_BYTES + 2]; /* with its quotes */
	bool is_paused;
	struct buf buffer;
	size_t taken; /* of the buffer */
};

/*
 * What arrives.
 */

/* How long the whole object is, by the first answer; -1: it makes no sense. */
static int64_t whole_bytes(const struct s3_download *in)
{
	if (in->call.status == 206)
		return in->call.whole;
	return in->call.length;
}

static void learn_object(struct s3_download *in)
{
	in->object =
		(struct s3_object){.bytes = whole_bytes(in), .modified_s = in->call.modified_s};
	memcpy(in->object.etag, in->call.etag, sizeof(in->object.etag));
	if (in->end < 0 || in->end > in->object.bytes)
		in->end = in->object.bytes;
	in->is_known = true;
}

/* A server that overlooks the range would send the beginning again. */
static bool is_at_our_place(const struct s3_download *in)
{
	return in->call.status == 206 || !in->call.request.headers[0].name;
}

static size_t on_bytes(void *context, const char *bytes, size_t length)
{
	struct s3_download *in = context;

	if (!is_at_our_place(in))
		return 0;
	if (!in->is_known)
		learn_object(in);
	if (in->buffer.length + length > BUFFER_BYTES) {
		in->is_paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	buf_add(&in->buffer, bytes, length);
	in->at += (int64_t)length;
	in->failures = 0;
	return length;
}

/*
 * What is asked for.
 */

static void set_headers(struct s3_download *in)
{
	size_t count = 0;

	memset(in->headers, 0, sizeof(in->headers));
	if (in->end >= 0)
		snprintf(in->range, sizeof(in->range), "bytes=%" PRId64 "-%" PRId64, in->at,
			in->end - 1);
	else
		snprintf(in->range, sizeof(in->range), "bytes=%" PRId64 "-", in->at);
	if (in->at > 0 || in->end >= 0)
		in->headers[count++] = (struct config_pair){"range", in->range};
	if (in->is_known && in->object.etag[0]) {
		snprintf(in->etag, sizeof(in->etag), "\"%s\"", in->object.etag);
		in->headers[count++] = (struct config_pair){"if-match", in->etag};
	}
}

static void ask(struct s3_download *in)
{
	call_clear(&in->call);
	set_headers(in);
	in->is_paused = false;
	call_start(&in->call, in->s3,
		&(struct call_request){.method = "GET",
			.key = in->key,
			.headers = in->headers,
			.is_tried_once = in->is_known,
			.sink = on_bytes,
			.context = in});
}

/* After the call has ended without all bytes. False when that is the end. */
static bool ask_again(struct s3_download *in, struct err *e)
{
	struct err why = in->call.error;

	if (in->call.ok)
		err_ignored(err_code(&why, ERR_TRANSIENT, "s3_network",
				    "GET %.200s: the answer ended before the object", in->key),
			"it is judged below");
	else if (in->call.status / 100 == 2 && !is_at_our_place(in))
		return err_code(e, ERR_PERMANENT, "s3_refused",
			"GET %.200s: the server knows no ranges", in->key);
	if (!failure_may_pass(&why) || ++in->failures >= in->s3->settings->tries) {
		*e = why;
		return false;
	}
	if (!call_pause(in->s3, in->failures, &why, e))
		return false;
	ask(in);
	return true;
}

static bool is_all_here(const struct s3_download *in)
{
	return in->is_known && in->at >= in->end;
}

/* One step towards more bytes. */
static bool advance(struct s3_download *in, struct err *e)
{
	int ready;

	if (in->call.has_ended && in->call.ok && !in->is_known)
		learn_object(in); /* it is empty */
	if (is_all_here(in))
		return true;
	if (in->call.has_ended)
		return ask_again(in, e);
	if (in->is_paused) {
		in->is_paused = false;
		curl_easy_pause(in->call.easy, CURLPAUSE_CONT);
	}
	return call_round(in->s3, NULL, 0, in->buffer.length > 0 ? 0 : -1, &ready, e);
}

/*
 * For callers.
 */

static bool open_now(struct s3_download *in, struct err *e)
{
	ask(in);
	while (!in->is_known) {
		if (in->call.has_ended && !in->call.ok && !in->call.has_sunk) {
			*e = in->call.error; /* the call has made all its tries by itself */
			return false;
		}
		if (!advance(in, e))
			return false;
	}
	if (in->object.bytes < 0)
		return err_code(e, ERR_PERMANENT, "s3_refused",
			"GET %.200s: the server does not say how long it is", in->key);
	return true;
}

bool s3_download_open(struct s3 *s3, const char *key, int64_t offset, int64_t length,
	struct s3_object *ret_object, struct s3_download **ret_download, struct err *e)
{
	struct s3_download *in CLEANUP(s3_download_clear) = xcalloc(1, sizeof(*in));

	in->s3 = s3;
	in->key = xstrdup(key);
	in->at = offset;
	in->end = length < 0 ? -1 : offset + length;
	if (!open_now(in, e))
		return false;
	*ret_object = in->object;
	*ret_download = TAKE(in);
	return true;
}

bool s3_download_read(
	struct s3_download *in, void *bytes, size_t size, size_t *ret_length, struct err *e)
{
	size_t length;

	while (in->buffer.length == 0 && !is_all_here(in))
		if (!advance(in, e))
			return false;
	length = in->buffer.length - in->taken;
	if (length > size)
		length = size;
	if (length > 0)
		memcpy(bytes, in->buffer.bytes + in->taken, length);
	in->taken += length;
	if (in->taken == in->buffer.length) {
		buf_reset(&in->buffer);
		in->taken = 0;
	}
	*ret_length = length;
	return true;
}

void s3_download_close(struct s3_download *in)
{
	if (!in)
		return;
	call_clear(&in->call);
	buf_clear(&in->buffer);
	free(in->key);
	free(in);
}
