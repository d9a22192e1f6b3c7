/* SPDX-License-Identifier: PostgreSQL */
/* libmicrohttpd on a uv loop. */
#include "http/server.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	HEADER_BYTES = 16384,
	IDLE_S = SERVER_REQUEST_MS / 1000,
	SPARE_CLIENTS = 16, /* that were told to go and are not gone yet */
	SWEEP_MS = 1000,
};

/* A connection. In the order in which they began to wait for a request, or for its end. */
struct client {
	struct server *server;
	int fd;
	int64_t since_ms; /* boot clock */
	struct request *request;
	bool is_dropped; /* its end is awaited */
	struct client *prev, *next;
};

struct request {
	struct client *client;
	struct MHD_Connection *connection;
	const struct route *route; /* NULL: none */
	char *rest;		   /* of the path, for routes that take a body */
	struct buf body;
	bool is_too_long;  /* more body came than is kept */
	bool is_handled;   /* its handler was called */
	bool is_suspended; /* until it is answered */
	struct MHD_Response *response;
	unsigned status;
};

struct server {
	struct MHD_Daemon *daemon;
	const struct route *routes;
	void *context;
	struct client *clients;
	int client_count;
	uv_poll_t poll;
	uv_timer_t timer; /* for what libmicrohttpd wants to do without an event */
	uv_timer_t sweep;
	int open_handles;
};

/* --- Turning */

static void server_run(struct server *server);

static void on_timer(uv_timer_t *timer)
{
	server_run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	server_run(poll->data);
}

static void server_run(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(server->daemon);
	if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&server->timer, on_timer, wait_ms, 0);
	else
		uv_timer_stop(&server->timer);
}

/* --- Clients, and what they may cost */

/* libmicrohttpd finds the socket at its end, and closes it. */
static void client_drop(struct client *client)
{
	client->is_dropped = true;
	shutdown(client->fd, SHUT_RDWR);
}

static void client_wait(struct client *client)
{
	client->since_ms = clock_boot_ms();
	client->request = NULL;
}

static void server_drop_longest_idle(struct server *server)
{
	struct client *client;

	DL_FOREACH (server->clients, client)
		if (!client->request && !client->is_dropped) {
			client_drop(client);
			return;
		}
}

static void client_new(struct server *server, struct MHD_Connection *connection, void **ret_client)
{
	struct client *client = xcalloc(1, sizeof(*client));

	client->server = server;
	client->fd =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	client_wait(client);
	if (server->client_count >= SERVER_CLIENTS)
		server_drop_longest_idle(server);
	DL_APPEND(server->clients, client);
	server->client_count++;
	*ret_client = client;
}

static void client_free(struct client *client)
{
	DL_DELETE(client->server->clients, client);
	client->server->client_count--;
	free(client);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **client,
	enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		client_new(context, connection, client);
	else if (*client)
		client_free(TAKE(*client));
}

/* A client that sends or takes a byte now and then is never idle to libmicrohttpd. */
static void on_sweep(uv_timer_t *timer)
{
	struct server *server = timer->data;
	int64_t now_ms = clock_boot_ms();
	struct client *client;

	DL_FOREACH (server->clients, client)
		if (now_ms - client->since_ms > SERVER_REQUEST_MS)
			client_drop(client);
}

/* --- Requests */

static enum MHD_Result request_send(struct request *request)
{
	struct MHD_Response *response = TAKE(request->response);
	enum MHD_Result result = MHD_queue_response(request->connection, request->status, response);

	MHD_destroy_response(response);
	return result;
}

void request_reply(struct request *request, unsigned status, const char *type, struct buf *text)
{
	struct server *server = request->client->server;
	size_t length = text->length;

	request->status = status;
	request->response =
		MHD_create_response_from_buffer(length, buf_take(text), MHD_RESPMEM_MUST_FREE);
	if (!request->response)
		abort(); /* out of memory */
	MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(request->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(request->response, MHD_HTTP_HEADER_ALLOW,
			request->route->takes_body ? "POST" : "GET, HEAD");
	if (!request->is_suspended)
		return; /* on_request sends it */
	request->is_suspended = false;
	MHD_resume_connection(request->connection);
	uv_timer_start(&server->timer, on_timer, 0, 0);
}

static void request_refuse(struct request *request, unsigned status, const char *why)
{
	struct buf text CLEANUP(buf_clear) = {0};

	buf_text(&text, why);
	request_reply(request, status, "text/plain; charset=utf-8", &text);
}

static bool is_served(const struct route *route, const char *method)
{
	if (route->takes_body)
		return strcmp(method, MHD_HTTP_METHOD_POST) == 0;
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
		strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static bool has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0") != 0) ||
		MHD_lookup_connection_value(
			connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static void request_handle(struct request *request, const char *method)
{
	const struct server *server = request->client->server;
	const struct route *route = request->route;

	request->is_handled = true;
	if (!route)
		request_refuse(request, MHD_HTTP_NOT_FOUND, "no such page\n");
	else if (!is_served(route, method))
		request_refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED,
			route->takes_body ? "only POST\n" : "only GET and HEAD\n");
	else if (!route->takes_body && has_body(request->connection))
		request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a body is not wanted\n");
	else if (request->is_too_long)
		request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "a body has at most 128 KiB\n");
	else
		route->handle(server->context, request);
}

static const struct route *route_find(const struct server *server, const char *path)
{
	for (const struct route *route = server->routes; route->path; route++)
		if (route->takes_body ? strncmp(route->path, path, strlen(route->path)) == 0
				      : strcmp(route->path, path) == 0)
			return route;
	return NULL;
}

/* What is sent as a body of a route that does not take one is not read. */
static bool request_reads(const struct request *request, const char *method)
{
	return request->route && request->route->takes_body && is_served(request->route, method);
}

static void request_read(struct request *request, const char *bytes, size_t length)
{
	request->is_too_long |= request->body.length + length > SERVER_BODY_BYTES;
	if (!request->is_too_long)
		buf_add(&request->body, bytes, length);
}

const char *request_rest(const struct request *request)
{
	return request->rest;
}

const struct buf *request_body(const struct request *request)
{
	return &request->body;
}

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static struct request *request_new(
	const struct server *server, struct MHD_Connection *connection, const char *path)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->route = route_find(server, path);
	if (request->route && request->route->takes_body)
		request->rest = xstrdup(path + strlen(request->route->path));

	request->client = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				  ->socket_context;
	request->connection = connection;
	request->client->request = request;
	return request;
}

/*
 * Called once the headers are there, for each piece of a body, when the request is complete, and
 * again for one that was answered later. An answer to the first call makes libmicrohttpd close the
 * connection after it: right for requests with a body, which nobody wants to read.
 */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *upload,
	size_t *upload_size, void **request_data)
{
	struct request *request = *request_data;
	size_t length = *upload_size;

	(void)version;
	*upload_size = 0;
	if (!request) {
		*request_data = request = request_new(context, connection, path);
		if (!has_body(connection) || request_reads(request, method))
			return MHD_YES;
	}
	if (length > 0) {
		request_read(request, upload, length);
		return MHD_YES;
	}
	if (!request->is_handled)
		request_handle(request, method);
	if (request->response)
		return request_send(request);
	request->is_suspended = true;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_data,
	enum MHD_RequestTerminationCode why)
{
	struct request *request = *request_data;

	(void)context;
	(void)connection;
	(void)why;
	if (!request)
		return;
	DL_DELETE(request->client->server->clients, request->client);
	DL_APPEND(request->client->server->clients, request->client);
	client_wait(request->client);
	if (request->response)
		MHD_destroy_response(request->response);
	buf_clear(&request->body);
	free(request->rest);
	free(request);
	*request_data = NULL;
}

PRINTF_LIKE(2, 0)
static void on_message(void *context, const char *format, va_list arguments)
{
	char *text CLEANUP(free_ptr) = xvasprintf(format, arguments);

	(void)context;
	text[strcspn(text, "\n")] = '\0';
	log_debug("http", LOG_S("message", text));
}

/* --- Start and end */

static bool server_start(struct server *server, struct listener *listener, struct err *e)
{
	server->daemon =
		MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
			NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_message,
			NULL, MHD_OPTION_LISTEN_SOCKET, listener->fd, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned)(SERVER_CLIENTS + SPARE_CLIENTS), MHD_OPTION_CONNECTION_TIMEOUT,
			(unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
			MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
			MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
	if (!server->daemon)
		return err_errno(e, ERR_TRANSIENT, "cannot start the HTTP server");
	listener->fd = -1;
	return true;
}

static void server_start_handles(struct server *server, uv_loop_t *loop)
{
	int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;

	uv_poll_init(loop, &server->poll, fd);
	uv_timer_init(loop, &server->timer);
	uv_timer_init(loop, &server->sweep);
	server->poll.data = server->timer.data = server->sweep.data = server;
	server->open_handles = 3;
	uv_poll_start(&server->poll, UV_READABLE, on_poll);
	uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

bool server_new(struct server **ret_server, uv_loop_t *loop, struct listener *listener,
	const struct route *routes, void *context, struct err *e)
{
	struct server *server = xcalloc(1, sizeof(*server));

	server->routes = routes;
	server->context = context;
	if (!server_start(server, listener, e)) {
		free(server);
		return false;
	}
	server_start_handles(server, loop);
	*ret_server = server;
	return true;
}

static void on_closed(uv_handle_t *handle)
{
	struct server *server = handle->data;

	if (--server->open_handles > 0)
		return;
	free(server);
}

/* The poll has to stop before the descriptor is closed. */
void server_free(struct server *server)
{
	if (!server)
		return;
	uv_close((uv_handle_t *)&server->poll, on_closed);
	uv_close((uv_handle_t *)&server->timer, on_closed);
	uv_close((uv_handle_t *)&server->sweep, on_closed);
	MHD_stop_daemon(server->daemon);
}
