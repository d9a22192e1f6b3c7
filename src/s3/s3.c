/* SPDX-License-Identifier: PostgreSQL */
/* Clients, and requests for single objects. */
#include "s3/s3.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "s3/call.h"
#include "s3/failure.h"

static void start_curl(void)
{
	static bool is_started;

	if (!is_started && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	is_started = true;
}

bool s3_open(const struct config_s3 *settings, const struct s3_waiter *waiter, struct s3 **ret_s3,
	struct err *e)
{
	struct s3 *s3 CLEANUP(s3_clear) = xcalloc(1, sizeof(*s3));

	if (settings->part_bytes < S3_PART_BYTES_MIN || settings->tries < 1)
		return err_code(e, ERR_CONFIG, "s3_config",
			"backup.s3: part_size must be 5 MiB at least, and tries 1");
	start_curl();
	s3->settings = settings;
	loop_init(&s3->loop, waiter);
	if (!address_init(&s3->address, settings, e) ||
		!credentials_find(&s3->credentials, settings, e))
		return false;
	s3->name = xasprintf("s3://%s at %s", s3->address.bucket, s3->address.authority);
	*ret_s3 = TAKE(s3);
	return true;
}

void s3_close(struct s3 *s3)
{
	if (!s3)
		return;
	while (s3->calls)
		call_clear(s3->calls);
	loop_clear(&s3->loop);
	address_clear(&s3->address);
	credentials_clear(&s3->credentials);
	free(s3->name);
	free(s3);
}

const char *s3_name(const struct s3 *s3)
{
	return s3->name;
}

bool s3_wait(
	struct s3 *s3, struct pollfd *fds, int count, int timeout_ms, int *ret_ready, struct err *e)
{
	int64_t end_ms = clock_boot_ms() + timeout_ms;

	for (;;) {
		int64_t left_ms = timeout_ms < 0 ? -1 : end_ms - clock_boot_ms();

		if (timeout_ms >= 0 && left_ms < 0)
			left_ms = 0;
		if (!call_round(s3, fds, count, (int)left_ms, ret_ready, e))
			return false;
		if (*ret_ready > 0 || left_ms == 0)
			return true;
	}
}

static bool check_key(const char *key, struct err *e)
{
	if (!*key || strlen(key) > S3_KEY_BYTES || !utf8_is_text(key))
		return err_code(e, ERR_PERMANENT, "s3_refused",
			"an object's key must be 1 to %d bytes of UTF-8", S3_KEY_BYTES);
	return true;
}

bool s3_put(struct s3 *s3, const char *key, const void *bytes, size_t length,
	const struct config_pair *headers, struct err *e)
{
	struct call call CLEANUP(call_clear) = {0};

	return check_key(key, e) &&
		call_make(&call, s3,
			&(struct call_request){.method = "PUT",
				.key = key,
				.headers = headers,
				.body = bytes,
				.length = length},
			e);
}

bool s3_head(struct s3 *s3, const char *key, struct s3_object *ret_object, struct err *e)
{
	struct call call CLEANUP(call_clear) = {0};

	if (!check_key(key, e) ||
		!call_make(&call, s3, &(struct call_request){.method = "HEAD", .key = key}, e))
		return false;
	*ret_object = (struct s3_object){
		.bytes = call.length < 0 ? 0 : call.length, .modified_s = call.modified_s};
	memcpy(ret_object->etag, call.etag, sizeof(call.etag));
	return true;
}

bool s3_delete(struct s3 *s3, const char *key, struct err *e)
{
	struct call call CLEANUP(call_clear) = {0};

	return check_key(key, e) &&
		(call_make(&call, s3, &(struct call_request){.method = "DELETE", .key = key}, e) ||
			failure_is(e, "s3_not_found"));
}
