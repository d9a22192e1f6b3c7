/* SPDX-License-Identifier: PostgreSQL */
/*
 * Answers from outside over HTTP, for jobs that wait (sql/migrations/0008_waits.sql):
 *
 *     POST /callbacks/TOKEN        the body, any JSON, is the answer; none: {}
 *     POST /callbacks/TOKEN/fail   {"error": "why", "permanent": false}
 *
 * Both want `X-Athena-Signature: sha256=HEX`, the HMAC-SHA256 of TOKEN, a dot and the body under
 * http.callback_secret: a URL that leaked is not enough. The reply is what athena.complete_wait()
 * answers, as JSON: 200 accepted or already, 410 refused, 404 unknown; 400 for a bad body, 401 for
 * a bad signature, 503 when Postgres does not answer. Repeating is harmless at any time.
 *
 * Nothing blocks. A session of its own, with limits on each statement.
 */
#ifndef ATHENA_HTTP_CALLBACKS_H
#define ATHENA_HTTP_CALLBACKS_H

#include <uv.h>

#include "config/config.h"
#include "http/server.h"

#define CALLBACKS_PATH "/callbacks/"

struct callbacks;

/* Starts connecting. config must outlive it and have a callback secret. */
struct callbacks *callbacks_new(uv_loop_t *loop, const struct config *config);

/* Replies, now or later. */
void callbacks_handle(struct callbacks *callbacks, struct request *request);

/* Replies to whoever waits. NULL is fine. */
void callbacks_free(struct callbacks *callbacks);

#endif
