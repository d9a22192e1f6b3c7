/* SPDX-License-Identifier: PostgreSQL */
/*
 * An HTTP server on a uv loop: libmicrohttpd, without a thread of its own.
 *
 * A route's handler is called once per request, and answers it with request_reply(), then or
 * later; until then the request is the handler's to keep. Nothing here blocks.
 *
 * Pages are served to GET and HEAD, without a body; routes that take a body to POST. What others
 * may do to us is bounded: SERVER_CLIENTS connections, 16 KiB of headers, SERVER_BODY_BYTES of a
 * body, SERVER_REQUEST_MS from a connection's beginning, or its last answer, to the end of the next
 * one, however busily a client trickles. When too many come, the connection that has waited longest
 * for a request is closed.
 */
#ifndef ATHENA_HTTP_SERVER_H
#define ATHENA_HTTP_SERVER_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/listener.h"

enum { SERVER_CLIENTS = 64, SERVER_REQUEST_MS = 10000, SERVER_BODY_BYTES = 1 << 17 };

struct server;
struct request;

struct route {
	const char *path; /* NULL ends the list */
	void (*handle)(void *context, struct request *request);
	bool takes_body; /* POST, of whatever begins with `path` */
};

/* Takes the listener's descriptor over; the routes are not copied. */
MUSTCHECK bool server_new(struct server **ret_server, uv_loop_t *loop, struct listener *listener,
	const struct route *routes, void *context, struct err *e);

/* Of a route that takes a body; valid until it is answered. What comes after the route's path: */
const char *request_rest(const struct request *request);
/* its body, bytes NULL when there was none: */
const struct buf *request_body(const struct request *request);
/* a header by its name, or NULL: */
const char *request_header(const struct request *request, const char *name);

/* Takes the text over. Called once per request; it may be gone when this returns. */
void request_reply(struct request *request, unsigned status, const char *type, struct buf *text);

/* Every request must have been answered. Memory goes with the loop's handles. NULL is fine. */
void server_free(struct server *server);

#endif
