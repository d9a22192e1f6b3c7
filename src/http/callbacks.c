/* SPDX-License-Identifier: PostgreSQL */
/* Checking what comes, and one statement for each. */
#include "http/callbacks.h"

#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/conn.h"
#include "db/query.h"
#include "db/session.h"

static const char lock_timeout_ms[] = "2000";
static const char statement_timeout_ms[] = "5000";

static const char fail_suffix[] = "/fail";
static const char signature_prefix[] = "sha256=";

struct callbacks {
	const char *secret;
	struct session *session;
};

static const struct sql_statement *const statements[] = {
	&sql_metrics_limits, &sql_wait_complete, &sql_wait_fail, NULL};

static void reply_json(struct request *request, unsigned status, json_t *body)
{
	struct buf text CLEANUP(buf_clear) = {0};
	char *json CLEANUP(free_ptr) = json_dumps(body, JSON_COMPACT);

	buf_text(&text, json ? json : "{}");
	buf_char(&text, '\n');
	request_reply(request, status, "application/json", &text);
	json_decref(body);
}

static void reply_error(struct request *request, unsigned status, const char *error)
{
	reply_json(request, status, json_pack("{s:s}", "error", error));
}

/* --- Signatures */

static void sign(const char *secret, const char *token, size_t token_length, const struct buf *body,
	char ret_hex[2 * EVP_MAX_MD_SIZE + 1])
{
	struct buf text CLEANUP(buf_clear) = {0};
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	buf_add(&text, token, token_length);
	buf_char(&text, '.');
	buf_add(&text, body->bytes, body->length);
	HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text.bytes,
		text.length, digest, &length);
	hex_of(digest, length, ret_hex);
}

/* Compared in constant time, or the right one could be guessed digit by digit. */
static bool is_signed(const struct callbacks *callbacks, const struct request *request,
	const char *token, size_t token_length)
{
	const char *given = request_header(request, "X-Athena-Signature");
	const size_t prefix = strlen(signature_prefix);
	char hex[2 * EVP_MAX_MD_SIZE + 1] = "";

	sign(callbacks->secret, token, token_length, request_body(request), hex);
	return given && strncmp(given, signature_prefix, prefix) == 0 &&
		strlen(given + prefix) == strlen(hex) &&
		CRYPTO_memcmp(given + prefix, hex, strlen(hex)) == 0;
}

/* --- Answers */

static unsigned status_of(const char *answer, const char *state)
{
	if (strcmp(answer, "refused") != 0)
		return MHD_HTTP_OK;
	return strcmp(state, "unknown") == 0 ? MHD_HTTP_NOT_FOUND : MHD_HTTP_GONE;
}

/* What Postgres refuses for what it is will be refused again; all else may pass. */
static void reply_trouble(struct request *request, const struct err *e)
{
	bool is_theirs = strncmp(e->sqlstate, "22", 2) == 0 || strncmp(e->sqlstate, "23", 2) == 0;

	if (!is_theirs)
		log_warn("callback_failed", LOG_S("error", e->text));
	reply_error(request, is_theirs ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_SERVICE_UNAVAILABLE,
		is_theirs ? e->text : "the queue does not answer; try again");
}

static void on_ended(void *context, const PGresult *rows, const struct err *e)
{
	struct request *request = context;
	const char *answer, *state;

	if (e) {
		reply_trouble(request, e);
		return;
	}
	answer = row_text(rows, 0, "answer");
	state = row_text(rows, 0, "state");
	reply_json(request, status_of(answer, state),
		json_pack("{s:s, s:s}", "answer", answer, "state", state));
}

static void callbacks_send(struct callbacks *callbacks, const struct sql_statement *statement,
	struct params *params, struct request *request)
{
	struct params limits = {0};

	params_text(&limits, lock_timeout_ms);
	params_text(&limits, statement_timeout_ms);
	session_send(callbacks->session, &sql_metrics_limits, &limits, session_unheard, NULL);
	session_send(callbacks->session, statement, params, on_ended, request);
	session_sync(callbacks->session);
}

static void callbacks_complete(
	struct callbacks *callbacks, struct request *request, struct params *params)
{
	const struct buf *body = request_body(request);
	json_auto_t *answer = json_loadb(body->length > 0 ? body->bytes : "{}",
		body->length > 0 ? body->length : 2, JSON_DECODE_ANY, NULL);

	if (!answer) {
		reply_error(request, MHD_HTTP_BAD_REQUEST, "the body must be JSON, or empty");
		return;
	}
	params_give(params, json_dumps(answer, JSON_ENCODE_ANY | JSON_COMPACT));
	callbacks_send(callbacks, &sql_wait_complete, params, request);
}

static void callbacks_fail(
	struct callbacks *callbacks, struct request *request, struct params *params)
{
	const struct buf *body = request_body(request);
	json_auto_t *object = json_loadb(body->bytes ? body->bytes : "", body->length, 0, NULL);
	const char *error = json_string_value(json_object_get(object, "error"));
	const json_t *permanent = json_object_get(object, "permanent");

	if (!error || (permanent && !json_is_boolean(permanent))) {
		reply_error(request, MHD_HTTP_BAD_REQUEST,
			"the body must be {\"error\": \"why\"}, with \"permanent\": true or not");
		return;
	}
	params_give(params, xstrdup(error));
	params_bool(params, json_is_true(permanent));
	callbacks_send(callbacks, &sql_wait_fail, params, request);
}

void callbacks_handle(struct callbacks *callbacks, struct request *request)
{
	const char *token = request_rest(request);
	size_t length = strcspn(token, "/");
	bool is_fail = strcmp(token + length, fail_suffix) == 0;
	struct params params CLEANUP(params_clear) = {0};

	if (length == 0 || (token[length] && !is_fail)) {
		reply_error(request, MHD_HTTP_NOT_FOUND, "no such page");
		return;
	}
	if (!is_signed(callbacks, request, token, length)) {
		reply_error(request, MHD_HTTP_UNAUTHORIZED,
			"X-Athena-Signature must be sha256= and the HMAC of TOKEN.BODY");
		return;
	}
	if (!session_is_up(callbacks->session)) {
		reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			"the queue does not answer; try again");
		return;
	}
	params_give(&params, xasprintf("%.*s", (int)length, token));
	if (is_fail)
		callbacks_fail(callbacks, request, &params);
	else
		callbacks_complete(callbacks, request, &params);
}

/* --- Start and end */

struct callbacks *callbacks_new(uv_loop_t *loop, const struct config *config)
{
	struct callbacks *callbacks = xcalloc(1, sizeof(*callbacks));
	struct session_spec spec =
		session_spec_of(config, "callbacks", "athena callbacks", statements);

	spec.context = callbacks;
	callbacks->secret = config->http_callback_secret;
	callbacks->session = session_new(loop, &spec);
	return callbacks;
}

void callbacks_free(struct callbacks *callbacks)
{
	if (!callbacks)
		return;
	session_free(callbacks->session);
	free(callbacks);
}
