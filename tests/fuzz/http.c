/* SPDX-License-Identifier: PostgreSQL */
/*
 * Requests, byte for byte, to the real server on a Unix socket. What comes after it, the session
 * with Postgres, is played here: it looks at what would be sent, and answers a little later.
 *
 * "sha256=*" in an input stands for the right signature, which no mutation would ever find.
 */
#include <linux/sockios.h>
#include <microhttpd.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/session.h"
#include "fuzz.h"
#include "http/callbacks.h"
#include "http/listener.h"
#include "http/server.h"

static const struct config config = {.http_callback_secret = "a secret for fuzzing"};
static const char placeholder[] = "sha256=*";
static char path[64];
static uv_loop_t loop;
static struct callbacks *callbacks;
static struct server *server;

/* --- The session, of which there is one */

struct session {
	session_done *done;
	void *context; /* NULL: nothing waits for an answer */
	bool is_refused;
	uv_timer_t timer;
};

static struct session session;

struct session_spec session_spec_of(const struct config *own, const char *name,
	const char *application_name, const struct sql_statement *const *statements)
{
	(void)own, (void)name, (void)application_name;
	return (struct session_spec){.statements = statements};
}

struct session *session_new(uv_loop_t *own, const struct session_spec *spec)
{
	(void)spec;
	uv_timer_init(own, &session.timer);
	return &session;
}

void session_free(struct session *own)
{
	uv_close((uv_handle_t *)&own->timer, NULL);
}

bool session_is_up(const struct session *own)
{
	return own != NULL;
}

static bool is_json(const char *text)
{
	json_auto_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	return value != NULL;
}

void session_send(struct session *own, const struct sql_statement *statement, struct params *params,
	session_done *done, void *context)
{
	assert(params->count == statement->nparams);
	if (context) { /* a callback: its token, and its answer or its error */
		assert(!own->context && params->values[0][0] && params->values[1]);
		assert(statement != &sql_wait_complete || is_json(params->values[1]));
		own->done = done;
		own->context = context;
		own->is_refused = params->values[0][0] == 'r';
	}
	params_clear(params);
}

void session_unheard(void *context, const PGresult *rows, const struct err *e)
{
	(void)context, (void)rows, (void)e;
}

static PGresult *make_answer(void)
{
	static char answer[] = "answer", state[] = "state", refused[] = "refused", gone[] = "gone";
	PGresAttDesc columns[] = {{.name = answer}, {.name = state}};
	PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	PQsetResultAttrs(rows, 2, columns);
	PQsetvalue(rows, 0, 0, refused, (int)strlen(refused));
	PQsetvalue(rows, 0, 1, gone, (int)strlen(gone));
	return rows;
}

static void on_answer(uv_timer_t *timer)
{
	PGresult *rows = make_answer();
	struct err e = {0};

	(void)timer;
	err_ignored(err_set(&e, ERR_PERMANENT, "no such thing"), "it is the answer");
	memcpy(e.sqlstate, "22P02", sizeof(e.sqlstate));
	session.done(TAKE(session.context), session.is_refused ? NULL : rows,
		session.is_refused ? &e : NULL);
	PQclear(rows);
}

void session_sync(struct session *own)
{
	uv_timer_start(&own->timer, on_answer, 0, 0);
}

/* --- Pages */

static void on_ping(void *context, struct request *request)
{
	struct buf text CLEANUP(buf_clear) = {0};

	(void)context;
	buf_text(&text, "pong");
	request_reply(request, MHD_HTTP_OK, "text/plain", &text);
}

static void on_callback(void *context, struct request *request)
{
	callbacks_handle(context, request);
}

static const struct route routes[] = {
	{"/ping", on_ping, false}, {CALLBACKS_PATH, on_callback, true}, {0}};

/* --- Start and end */

static void leave(void)
{
	unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct listener listener;
	struct err e;

	(void)argc, (void)argv;
	log_setup(LOG_ERROR, LOG_LOGFMT);
	snprintf(path, sizeof(path), "/tmp/athena-fuzz.%d", (int)getpid());
	uv_loop_init(&loop);
	callbacks = callbacks_new(&loop, &config);
	if (!listener_open(&listener, path, &e) ||
		!server_new(&server, &loop, &listener, routes, callbacks, &e))
		abort();
	atexit(leave);
	return 0;
}

/* --- Requests */

/* The signature of what looks like the first request's token and body. */
static void sign(const char *text, size_t length, struct buf *out)
{
	const char *token = memmem(text, length, CALLBACKS_PATH, strlen(CALLBACKS_PATH));
	const char *body = memmem(text, length, "\r\n\r\n", 4);
	struct buf signed_text CLEANUP(buf_clear) = {0};
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	if (token) {
		token += strlen(CALLBACKS_PATH);
		buf_add(&signed_text, token, strcspn(token, "/ ?"));
	}
	buf_char(&signed_text, '.');
	if (body)
		buf_add(&signed_text, body + 4, length - (size_t)(body + 4 - text));
	HMAC(EVP_sha256(), config.http_callback_secret, (int)strlen(config.http_callback_secret),
		(const unsigned char *)signed_text.bytes, signed_text.length, digest, &size);
	buf_text(out, "sha256=");
	for (unsigned i = 0; i < size; i++)
		buf_printf(out, "%02x", digest[i]);
}

static void make_request(const uint8_t *data, size_t size, struct buf *out)
{
	char *text CLEANUP(free_ptr) = xmalloc(size + 1);
	const char *mark;
	size_t before;

	memcpy(text, data, size);
	text[size] = '\0';
	mark = memmem(text, size, placeholder, strlen(placeholder));
	before = mark ? (size_t)(mark - text) : size;
	buf_add(out, text, before);
	if (!mark)
		return;
	sign(text, size, out);
	buf_add(out, mark + strlen(placeholder), size - before - strlen(placeholder));
}

static int dial(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		abort();
	return fd;
}

/* The server has taken all that was sent. */
static bool is_taken(int fd)
{
	int waiting = 0;

	return ioctl(fd, SIOCOUTQ, &waiting) == 0 && waiting == 0;
}

/* The end of what is sent comes by itself: libmicrohttpd does not look for it beside bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf request CLEANUP(buf_clear) = {0};
	int fd CLEANUP(close_fd) = dial();
	bool is_ended = false;
	char answer[4096];

	make_request(data, size, &request);
	if (request.length > 0 && send(fd, request.bytes, request.length, MSG_NOSIGNAL) < 0)
		return 0;
	while (recv(fd, answer, sizeof(answer), 0) != 0 || session.context) {
		uv_run(&loop, UV_RUN_NOWAIT);
		if (!is_ended && is_taken(fd))
			is_ended = shutdown(fd, SHUT_WR) == 0;
	}
	return 0;
}
