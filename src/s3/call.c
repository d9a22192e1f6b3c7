/* SPDX-License-Identifier: PostgreSQL */
/* Requests and their tries. */
#include "s3/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "version.h"

#include "base/clock.h"
#include "base/mem.h"
#include "s3/answers.h"
#include "s3/failure.h"
#include "s3/url.h"

enum {
	BODY_BYTES_MAX = 8 << 20, /* a page of 1000 keys of 1024 encoded bytes fits */
	PAUSE_FIRST_MS = 200,	  /* at most, before the second try */
	PAUSE_MAX_MS = 20 * 1000,
	RETRY_AFTER_MAX_MS = 60 * 1000,
	SLOW_BYTES_PER_S = 1024,
	THINKING_S = 600, /* S3 may take minutes to put many parts together */
};

/*
 * The answer.
 */

static const char *header_of(CURL *easy, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

/* "bytes 0-9/443", or "/" and a star. */
static int64_t whole_of(const char *range)
{
	const char *slash = range ? strchr(range, '/') : NULL;

	return slash && slash[1] >= '0' && slash[1] <= '9' ? strtoll(slash + 1, NULL, 10) : -1;
}

static void read_headers(struct call *call)
{
	const char *etag = header_of(call->easy, "etag");
	const char *modified = header_of(call->easy, "last-modified");
	const char *retry_after = header_of(call->easy, "retry-after");
	curl_off_t length = -1;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
	curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	call->length = length;
	call->whole = whole_of(header_of(call->easy, "content-range"));
	answer_etag(etag ? etag : "", call->etag);
	call->modified_s = modified ? answer_time(modified) : 0;
	call->retry_after_ms = retry_after ? 1000 * (int64_t)strtol(retry_after, NULL, 10) : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct call *call = context;
	size_t length = size * count;
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (call->request.sink && status >= 200 && status < 300) {
		if (!call->has_sunk)
			read_headers(call);
		call->has_sunk = true;
		return call->request.sink(call->request.context, bytes, length);
	}
	if (call->body.length + length > BODY_BYTES_MAX) {
		call->is_too_long = true;
		return 0;
	}
	buf_add(&call->body, bytes, length);
	return length;
}

static void describe(const struct call *call, char *text, size_t size)
{
	snprintf(text, size, "%s %.200s", call->request.method,
		call->request.key[0] ? call->request.key : call->s3->name);
}

static bool failed_by_answer(const struct call *call, struct err *e)
{
	const char *date = header_of(call->easy, "date");
	char what[256];
	struct failure failure = {
		.what = what,
		.status = call->status,
		.region = header_of(call->easy, "x-amz-bucket-region"),
		.request_id = header_of(call->easy, "x-amz-request-id"),
		.skew_s = date && answer_time(date) ? answer_time(date) - call->signed_at : 0,
	};

	describe(call, what, sizeof(what));
	if (call->body.length > 0)
		(void)answer_error(call->body.bytes, call->body.length, &failure.error);
	return failure_of_answer(&failure, e);
}

bool call_failed_inside(const struct call *call, struct err *e)
{
	char what[256];
	struct failure failure = {.what = what, .status = call->status};

	describe(call, what, sizeof(what));
	if (call->body.length == 0 ||
		!answer_error(call->body.bytes, call->body.length, &failure.error))
		return err_code(e, ERR_TRANSIENT, "s3_server",
			"%s: the server answers %ld, and nothing that makes sense", what,
			call->status);
	return failure_of_answer(&failure, e);
}

static bool judge(struct call *call, CURLcode code, struct err *e)
{
	char what[256];

	describe(call, what, sizeof(what));
	if (call->is_too_long)
		return err_code(e, ERR_PERMANENT, "s3_refused", "%s: an answer above %d bytes",
			what, BODY_BYTES_MAX);
	/* Refused before all was sent: the answer says why, the broken connection does not. */
	if (call->status >= 300)
		return failed_by_answer(call, e);
	if (code != CURLE_OK)
		return failure_of_transfer(what, (int)code, call->curl_error, e);
	return true;
}

/*
 * One try.
 */

static void add_header(struct call *call, const char *name, const char *value)
{
	char *line CLEANUP(free_ptr) = xasprintf("%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(call->headers, line);

	if (!longer)
		abort();
	call->headers = longer;
}

/* A header with nothing behind its colon is one that libcurl leaves out. */
static void drop_header(struct call *call, const char *name)
{
	struct curl_slist *longer = curl_slist_append(call->headers, name);

	if (!longer)
		abort();
	call->headers = longer;
}

/* All that is signed; the request's own headers go behind these. */
static void sign(struct call *call, const char *path, const char *query, const char *sha256)
{
	const struct s3 *s3 = call->s3;
	struct config_pair headers[SIGV4_HEADERS_MAX] = {{"host", s3->address.authority}};
	struct buf authorization CLEANUP(buf_clear) = {0};
	struct sigv4 who = {.access_key_id = s3->credentials.access_key_id,
		.secret = s3->credentials.secret,
		.region = s3->address.region,
		.service = "s3"};
	size_t count = 1;

	call->signed_at = time(NULL);
	sigv4_time(call->signed_at, who.time);
	headers[count++] = (struct config_pair){"x-amz-content-sha256", sha256};
	headers[count++] = (struct config_pair){"x-amz-date", who.time};
	if (s3->credentials.token)
		headers[count++] =
			(struct config_pair){"x-amz-security-token", s3->credentials.token};
	for (const struct config_pair *own = call->request.headers; own && own->name; own++) {
		assert(count < SIGV4_HEADERS_MAX - 1);
		headers[count++] = *own;
	}
	sigv4_sign(&who,
		&(struct sigv4_request){.method = call->request.method,
			.path = path,
			.query = query,
			.headers = headers,
			.payload_sha256 = sha256},
		&authorization);
	for (size_t i = 1; i < count; i++)
		add_header(call, headers[i].name, headers[i].value);
	add_header(call, "authorization", authorization.bytes);
}

static void set_body(struct call *call)
{
	const struct call_request *request = &call->request;
	CURL *easy = call->easy;

	if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	/* A pointer that libcurl sends from, and can send from again. */
	if (strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_limits(struct call *call)
{
	const struct config_s3 *settings = call->s3->settings;
	long stall_s = (long)(settings->stall_timeout_ms / 1000);

	if (call->request.is_slow && stall_s < THINKING_S)
		stall_s = THINKING_S;
	curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
	curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_PER_S);
	curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_TIME, stall_s < 1 ? 1L : stall_s);
}

/* One host, one protocol, no redirections; certificates are checked. */
static void set_safety(struct call *call)
{
	const struct config_s3 *settings = call->s3->settings;
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, call->s3->address.scheme);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (settings->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
}

static void set_answer(struct call *call)
{
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, &call->end);
	/* A paused body must stay in the socket, which HTTP/2 would not promise. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 64L * 1024);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
}

static void set_url(struct call *call)
{
	const struct address *address = &call->s3->address;
	struct buf path CLEANUP(buf_clear) = {0};
	struct buf query CLEANUP(buf_clear) = {0};
	char *url CLEANUP(free_ptr) = NULL;
	char sha256[SIGV4_HEX_BYTES];

	address_path(address, call->request.key, &path);
	url_query(&query, call->request.query);
	if (!call->request.sha256)
		sigv4_sha256(call->request.body, call->request.length, sha256);
	sign(call, path.bytes, query.bytes ? query.bytes : "",
		call->request.sha256 ? call->request.sha256 : sha256);
	url = xasprintf("%s://%s%s%s%s", address->scheme, address->authority, path.bytes,
		query.length > 0 ? "?" : "", query.length > 0 ? query.bytes : "");
	curl_easy_setopt(call->easy, CURLOPT_URL, url);
	curl_easy_setopt(call->easy, CURLOPT_PATH_AS_IS, 1L);
}

static bool has_content_type(const struct config_pair *headers)
{
	for (; headers && headers->name; headers++)
		if (strcmp(headers->name, "content-type") == 0)
			return true;
	return false;
}

static void send_try(struct call *call)
{
	call->easy = curl_easy_init();
	if (!call->easy)
		abort();
	call->tries++;
	set_url(call);
	set_body(call);
	set_limits(call);
	set_safety(call);
	set_answer(call);
	drop_header(call, "Expect:");
	drop_header(call, "Accept:");
	if (!has_content_type(call->request.headers))
		drop_header(call, "Content-Type:");
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "athena/" ATHENA_VERSION);
	loop_add(&call->s3->loop, call->easy);
}

static void end_try(struct call *call)
{
	if (call->easy) {
		loop_remove(&call->s3->loop, call->easy);
		curl_easy_cleanup(call->easy);
	}
	curl_slist_free_all(call->headers);
	call->easy = NULL;
	call->headers = NULL;
}

/*
 * Tries.
 */

/* Full jitter: callers that failed together do not come back together. */
static int64_t pause_ms(int tries)
{
	int64_t most_ms = PAUSE_FIRST_MS;

	for (int i = 1; i < tries && most_ms < PAUSE_MAX_MS; i++)
		most_ms *= 2;
	return clock_jitter_ms(most_ms < PAUSE_MAX_MS ? most_ms : PAUSE_MAX_MS);
}

static void tell_retry(const struct s3 *s3, const struct err *why, int64_t pause)
{
	if (s3->loop.waiter.on_retry)
		s3->loop.waiter.on_retry(s3->loop.waiter.context, why, pause);
}

static bool may_try_again(const struct call *call)
{
	return !call->request.is_tried_once && !call->has_sunk &&
		call->tries < call->s3->settings->tries && failure_may_pass(&call->error);
}

static void plan_retry(struct call *call)
{
	int64_t pause = pause_ms(call->tries);

	if (call->retry_after_ms > pause)
		pause = call->retry_after_ms < RETRY_AFTER_MAX_MS ? call->retry_after_ms
								  : RETRY_AFTER_MAX_MS;
	call->due_ms = clock_boot_ms() + pause;
	buf_reset(&call->body);
	call->curl_error[0] = '\0';
	call->is_too_long = false;
	tell_retry(call->s3, &call->error, pause);
}

static void on_end(void *context, CURLcode code)
{
	struct call *call = context;

	read_headers(call);
	call->ok = judge(call, code, &call->error);
	end_try(call);
	if (call->ok || !may_try_again(call))
		call->has_ended = true;
	else
		plan_retry(call);
}

void call_start(struct call *call, struct s3 *s3, const struct call_request *request)
{
	*call = (struct call){
		.s3 = s3,
		.request = *request,
		.next = s3->calls,
		.end = {.ended = on_end, .context = call},
		.length = -1,
		.whole = -1,
	};
	s3->calls = call;
	send_try(call);
}

void call_clear(struct call *call)
{
	struct call **at;

	if (!call->s3)
		return;
	for (at = &call->s3->calls; *at && *at != call;)
		at = &(*at)->next;
	if (*at)
		*at = call->next;
	end_try(call);
	buf_clear(&call->body);
	*call = (struct call){0};
}

/* Begins the tries that are due; how long until the next is, -1: none is planned. */
static int begin_tries(struct s3 *s3)
{
	int64_t now_ms = clock_boot_ms();
	int64_t least_ms = -1;

	for (struct call *call = s3->calls; call; call = call->next) {
		if (call->has_ended || call->easy)
			continue;
		if (call->due_ms <= now_ms)
			send_try(call);
		else if (least_ms < 0 || call->due_ms - now_ms < least_ms)
			least_ms = call->due_ms - now_ms;
	}
	return (int)least_ms;
}

bool call_round(
	struct s3 *s3, struct pollfd *fds, int count, int timeout_ms, int *ret_ready, struct err *e)
{
	int due_ms = begin_tries(s3);

	if (due_ms >= 0 && (timeout_ms < 0 || due_ms < timeout_ms))
		timeout_ms = due_ms;
	return loop_round(&s3->loop, fds, count, timeout_ms, ret_ready, e);
}

bool call_finish(struct call *call, struct err *e)
{
	int ready;

	while (!call->has_ended)
		if (!call_round(call->s3, NULL, 0, -1, &ready, e))
			return false;
	if (!call->ok)
		*e = call->error;
	return call->ok;
}

bool call_make(struct call *call, struct s3 *s3, const struct call_request *request, struct err *e)
{
	call_start(call, s3, request);
	return call_finish(call, e);
}

bool call_pause(struct s3 *s3, int tries, const struct err *why, struct err *e)
{
	int64_t pause = pause_ms(tries);
	int64_t end_ms = clock_boot_ms() + pause;
	int ready;

	tell_retry(s3, why, pause);
	for (int64_t now_ms; (now_ms = clock_boot_ms()) < end_ms;)
		if (!call_round(s3, NULL, 0, (int)(end_ms - now_ms), &ready, e))
			return false;
	return true;
}
