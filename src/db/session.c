/* SPDX-License-Identifier: PostgreSQL */
/* A pipelined connection on a uv loop that reconnects by itself. */
#include "db/session.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/conn.h"
#include "db/query.h"

enum session_state {
	SESSION_WAITING,    /* the retry timer runs */
	SESSION_CONNECTING, /* PQconnectPoll(); the retry timer is the limit */
	SESSION_PREPARING,  /* connected, preparing the statements; the same limit */
	SESSION_UP,
	SESSION_CLOSED, /* handles are closing */
};

enum { CONNECT_LIMIT_MS = 10000 };

enum request_kind { REQUEST_QUERY, REQUEST_SYNC, REQUEST_PREPARED };

/* One thing that libpq will answer, in the order in which it was sent. */
struct request {
	enum request_kind kind;
	const char *name; /* for logs */
	session_done *done;
	void *context;
	PGresult *result; /* the answer so far; the end of it comes apart */
#ifdef FAULTS
	char subject[64]; /* its first parameter */
#endif
	struct request *prev, *next;
};

enum format { FORMAT_TEXT, FORMAT_BINARY }; /* as libpq numbers them */

/* What is sent once the group before it is answered; see session_must_hold(). */
struct held {
	const struct sql_statement *statement; /* NULL: `sql`; both NULL: the end of a group */
	const char *sql;
	struct params params;
	enum format format;
	session_done *done;
	void *context;
	struct held *prev, *next;
};

struct session {
	struct session_spec spec;
	uv_loop_t *loop;
	enum session_state state;
	PGconn *pg;
	uv_poll_t *poll; /* of the present socket; freed by its close callback */
	int poll_fd;
	uv_timer_t *retry;
	int64_t retry_ms;
	struct request *requests; /* libpq still owes their results */
	struct request *group;	  /* have their results, wait for the commit */
	struct held *held;
	int flying;	 /* groups that were sent off and are not answered */
	bool has_failed; /* something in the group did */
	int unanswered;
	struct err farewell; /* what the server said at the end; kind ERR_NONE: nothing */
	struct err failure;  /* why connecting failed, as logged; kind ERR_NONE: it did not */
	int64_t failure_ms;  /* boot clock: when that was */
	int failures_untold; /* since */
#ifdef FAULTS
	bool is_cut; /* the group must not be committed */
#endif
};

static void session_watch(struct session *session, int events);
static void session_connect(struct session *session);
static void on_retry(uv_timer_t *timer);

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void session_unwatch(struct session *session)
{
	if (session->poll)
		uv_close((uv_handle_t *)session->poll, free_handle);
	session->poll = NULL;
	session->poll_fd = -1;
}

/* Doubles up to the maximum; the jitter keeps a fleet from knocking in step. */
static void session_retry_later(struct session *session)
{
	int64_t delay = session->retry_ms / 2 + clock_jitter_ms(session->retry_ms / 2);

	session->state = SESSION_WAITING;
	uv_timer_start(session->retry, on_retry, (uint64_t)delay, 0);
	session->retry_ms *= 2;
	if (session->retry_ms > session->spec.reconnect_max_ms)
		session->retry_ms = session->spec.reconnect_max_ms;
}

static void request_answer(struct session *session, struct request *request, const PGresult *result,
	const struct err *e)
{
	if (request->done)
		request->done(request->context, result, e);
	else if (e && request->kind == REQUEST_QUERY && session->state == SESSION_UP)
		log_warn("statement_failed", LOG_S("session", session->spec.name),
			LOG_S("statement", request->name), LOG_S("error", e->text));
}

static void request_free(struct request *request)
{
	PQclear(request->result);
	free(request);
}

static struct request *pop(struct request **list)
{
	struct request *request = *list;

	DL_DELETE(*list, request);
	return request;
}

static void held_free(struct held *held)
{
	params_clear(&held->params);
	free(held);
}

static struct held *held_pop(struct session *session)
{
	struct held *held = session->held;

	DL_DELETE(session->held, held);
	session->unanswered--;
	return held;
}

static void session_answer_held(struct session *session, const struct err *e)
{
	while (session->held) {
		struct held *held = held_pop(session);
		struct request request = {
			.name = held->statement ? held->statement->name : held->sql,
			.done = held->done,
			.context = held->context,
		};

		request_answer(session, &request, NULL, e);
		held_free(held);
	}
}

/* Every unanswered request learns that its answer will never come. */
static void session_answer_all(struct session *session, const struct err *e)
{
	session->flying = 0;
	DL_CONCAT(session->group, session->requests);
	session->requests = NULL;
	session->has_failed = false;
	while (session->group) {
		struct request *request = pop(&session->group);

		session->unanswered--;
		if (request->kind == REQUEST_QUERY)
			request_answer(session, request, NULL, e);
		request_free(request);
	}
	session_answer_held(session, e);
}

static void session_disconnect(struct session *session)
{
	session_unwatch(session);
	if (session->pg)
		PQfinish(session->pg);
	session->pg = NULL;
}

/* Once per reason, and again once in a while: a server that is away is not to fill the disk. */
static void session_tell_failure(struct session *session, const struct err *e)
{
	enum { AGAIN_MS = 30000 };
	int64_t now_ms = clock_boot_ms();

	session->failures_untold++;
	if (session->failure.kind != ERR_NONE && strcmp(session->failure.text, e->text) == 0 &&
		now_ms - session->failure_ms < AGAIN_MS)
		return;
	log_warn("connection_failed", LOG_S("session", session->spec.name),
		LOG_I("times", session->failures_untold), LOG_S("error", e->text));
	session->failure = *e;
	session->failure_ms = now_ms;
	session->failures_untold = 0;
}

static void session_lost(struct session *session, const struct err *cause)
{
	bool was_up = session->state == SESSION_UP;
	struct err e;

	err_code(&e, ERR_TRANSIENT, "connection_lost", "%s", cause->text);
	session->state = SESSION_WAITING;
	session_disconnect(session);
	session_answer_all(session, &e);
	if (was_up) {
		log_warn("connection_lost", LOG_S("session", session->spec.name),
			LOG_S("error", e.text));
		if (session->spec.down)
			session->spec.down(session->spec.context, &e);
	} else {
		session_tell_failure(session, &e);
	}
	if (session->state != SESSION_CLOSED)
		session_retry_later(session);
}

/* libpq's words about each address; its guesses, which are indented, are dropped. */
static void make_one_line(char *text)
{
	char *rest = NULL, *end = text;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t length = strlen(line);

		if (*line == '\t')
			continue;
		if (end != text)
			*end++ = ' ';
		memmove(end, line, length);
		end += length;
	}
	*end = '\0';
}

static void session_lost_pg(struct session *session)
{
	struct err e = session->farewell;

	if (e.kind == ERR_NONE)
		conn_err(session->pg, &e);
	make_one_line(e.text);
	session_lost(session, &e);
}

static struct request *session_queue(struct session *session, enum request_kind kind,
	const char *name, session_done *done, void *context)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->kind = kind;
	request->name = name;
	request->done = done;
	request->context = context;
	DL_APPEND(session->requests, request);
	session->unanswered++;
	return request;
}

/*
 * libpq found the connection broken while it was sending, and may have closed the socket. Whoever
 * sends goes on as if nothing were; that all is lost comes with the next turn of the loop.
 */
static void session_break(struct session *session)
{
	session_unwatch(session);
	uv_timer_start(session->retry, on_retry, 0, 0);
}

/* Sends what libpq holds; the rest goes when the socket is writable again. */
static void session_flush(struct session *session)
{
	int left = PQflush(session->pg);

	if (left < 0 || PQsocket(session->pg) < 0)
		session_break(session);
	else
		session_watch(session, UV_READABLE | (left == 1 ? UV_WRITABLE : 0));
}

/* --- Faults of tests (base/fault.h): one armed statement, hurt before, during and after its commit
 */

#ifdef FAULTS

/* The statement that was queued last. True when one that fails was sent instead. */
static bool fault_sends(struct session *session, const char *const *values)
{
	struct request *request = session->requests->prev;
	char *sql CLEANUP(free_ptr) = NULL;
	enum fault_effect effect;

	if (values && values[0])
		snprintf(request->subject, sizeof(request->subject), "%s", values[0]);
	effect = fault_at(request->name, request->subject, "send");
	session->is_cut |= effect == FAULT_DROP;
	if (effect != FAULT_ERROR)
		return false;
	sql = xasprintf(
		"DO $$BEGIN RAISE 'fault injected' USING ERRCODE = '%s'; END$$", fault_sqlstate());
	PQsendQueryParams(session->pg, sql, 0, NULL, NULL, NULL, NULL, 0);
	return true;
}

/* The server gets all of the group but its end, and has to roll it back. */
static void fault_cut(struct session *session)
{
	if (!session->is_cut)
		return;
	session->is_cut = false;
	PQflush(session->pg);
	shutdown(PQsocket(session->pg), SHUT_RDWR);
}

/* The last sync is on its way, and with it what came since the one before. */
static void fault_sent(struct session *session)
{
	struct request *request = session->requests->prev->prev;

	for (; request->kind == REQUEST_QUERY; request = request->prev)
		if (fault_at(request->name, request->subject, "sent") == FAULT_DROP)
			shutdown(PQsocket(session->pg), SHUT_RDWR);
}

/* The group is committed. True when nobody is to hear of it. */
static bool fault_answered(struct session *session)
{
	struct request *request;
	bool is_lost = false;

	DL_FOREACH (session->group, request)
		if (request->kind == REQUEST_QUERY && query_ok(request->result))
			is_lost |=
				fault_at(request->name, request->subject, "answered") == FAULT_DROP;
	if (is_lost)
		session_reset(session, "an answer was lost, as a test wanted");
	return is_lost;
}

#else

#define fault_sends(session, values) false
#define fault_cut(session) ((void)0)
#define fault_sent(session) ((void)0)
#define fault_answered(session) false

#endif

/*
 * Behind a pooler only one group is under way at a time. When a client vanishes, PgBouncer takes
 * the server's session for clean if its last answer was the end of a group, although more groups
 * may stand behind that: their answers would go to a stranger.
 */
static bool session_must_hold(const struct session *session)
{
	return (session->spec.flags & CONN_NO_PREPARE) && (session->flying > 0 || session->held);
}

static void session_hold(struct session *session, const struct held *held)
{
	struct held *copy = xmalloc(sizeof(*copy));

	*copy = *held;
	DL_APPEND(session->held, copy);
	session->unanswered++;
}

void session_sync(struct session *session)
{
	if (session_must_hold(session)) {
		session_hold(session, &(struct held){0});
		return;
	}
	session->flying++;
	session_queue(session, REQUEST_SYNC, "sync", NULL, NULL);
	fault_cut(session);
	if (PQpipelineSync(session->pg) == 1)
		session_flush(session);
	else
		session_break(session);
	fault_sent(session);
}

/* Where libpq refuses, the connection is broken, and the sync that follows finds out. */
static void session_send_as(struct session *session, const struct sql_statement *statement,
	struct params *params, enum format format, session_done *done, void *context)
{
	static struct params none;
	const char *const *values;

	if (!params)
		params = &none;
	values = (const char *const *)params->values;
	assert(session->state == SESSION_UP);
	assert(params->count == statement->nparams);
	if (session_must_hold(session)) {
		session_hold(session,
			&(struct held){.statement = statement,
				.params = *params,
				.format = format,
				.done = done,
				.context = context});
		*params = (struct params){0};
		return;
	}
	session_queue(session, REQUEST_QUERY, statement->name, done, context);
	if (fault_sends(session, values))
		; /* something else in its place */
	else if (session->spec.flags & CONN_NO_PREPARE)
		PQsendQueryParams(session->pg, statement->text, params->count, NULL, values, NULL,
			NULL, (int)format);
	else
		PQsendQueryPrepared(session->pg, statement->name, params->count, values, NULL, NULL,
			(int)format);
	params_clear(params);
}

void session_send(struct session *session, const struct sql_statement *statement,
	struct params *params, session_done *done, void *context)
{
	session_send_as(session, statement, params, FORMAT_TEXT, done, context);
}

void session_unheard(void *context, const PGresult *rows, const struct err *e)
{
	(void)context;
	(void)rows;
	(void)e;
}

void session_send_for_many(struct session *session, const struct sql_statement *statement,
	struct params *params, session_done *done, void *context)
{
	session_send_as(session, statement, params, FORMAT_BINARY, done, context);
}

void session_command(struct session *session, const char *sql, session_done *done, void *context)
{
	assert(session->state == SESSION_UP);
	if (session_must_hold(session)) {
		session_hold(session, &(struct held){.sql = sql, .done = done, .context = context});
		return;
	}
	session_queue(session, REQUEST_QUERY, sql, done, context);
	PQsendQueryParams(session->pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* Sends what is held, up to the end of its first group. */
static void session_release(struct session *session)
{
	struct held *rest = session->held;

	session->held = NULL;
	while (rest && session->flying == 0) {
		struct held *held = rest;

		DL_DELETE(rest, held);
		session->unanswered--;
		if (held->statement)
			session_send_as(session, held->statement, &held->params, held->format,
				held->done, held->context);
		else if (held->sql)
			session_command(session, held->sql, held->done, held->context);
		else
			session_sync(session);
		held_free(held);
	}
	session->held = rest;
}

/* The results of one request are complete; what they mean is known at the end of its group. */
static void session_finish_query(struct session *session)
{
	struct request *request = pop(&session->requests);

	session->has_failed |= !query_ok(request->result);
	DL_APPEND(session->group, request);
}

static void session_answer(struct session *session, struct request *request, bool has_failed)
{
	struct err e;

	if (!has_failed) {
		request_answer(session, request, request->result, NULL);
		return;
	}
	if (query_ok(request->result) || PQresultStatus(request->result) == PGRES_PIPELINE_ABORTED)
		err_code(
			&e, ERR_TRANSIENT, "group_failed", "another statement of the group failed");
	else
		query_err(request->result, &e);
	request_answer(session, request, NULL, &e);
}

/* The group was committed, or rolled back. An answer may drop the connection: `group` is ours. */
static void session_finish_group(struct session *session)
{
	struct request *group = TAKE(session->group);
	bool has_failed = session->has_failed;

	session->has_failed = false;
	while (group) {
		struct request *request = pop(&group);

		session->unanswered--;
		if (request->kind == REQUEST_QUERY)
			session_answer(session, request, has_failed);
		request_free(request);
	}
}

static void session_come_up(struct session *session)
{
	session->state = SESSION_UP;
	uv_timer_stop(session->retry);
	session->retry_ms = session->spec.reconnect_min_ms;
	if (session->failure.kind != ERR_NONE)
		log_info("connected", LOG_S("session", session->spec.name));
	session->failure = (struct err){0};
	session->failures_untold = 0;
	if (session->spec.up)
		session->spec.up(session->spec.context);
}

/* No such schema, table, function, column, type. */
static bool is_missing_schema(const struct err *e)
{
	static const char *const codes[] = {"3F000", "42P01", "42883", "42703", "42704"};

	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
		if (strcmp(e->sqlstate, codes[i]) == 0)
			return true;
	return false;
}

/* A statement that does not prepare: the schema is missing or too old. Tried again later. */
static bool session_prepared(struct session *session, const PGresult *result)
{
	struct err e;

	if (query_ok(result))
		return true;
	query_err(result, &e);
	if (is_missing_schema(&e))
		err_in(&e, "the schema is missing or is not of this version (run: athena migrate)");
	else
		err_in(&e, "preparing %s", session->requests->name);
	session_lost(session, &e);
	return false;
}

/*
 * The end of a query's results. Where there were none, libpq has forgotten what we sent: it found
 * the connection broken while an answer was acted upon, and would answer nothing for ever.
 */
static bool session_take_end(struct session *session)
{
	if (session->requests && session->requests->result)
		session_finish_query(session);
	else if (PQstatus(session->pg) == CONNECTION_BAD)
		session_lost_pg(session);
	return session->pg != NULL;
}

/* Takes one result from libpq. False when the connection is gone. */
static bool session_take_result(struct session *session, PGresult *result)
{
	struct request *head = session->requests;

	if (!result)
		return session_take_end(session);
	if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
		PQclear(result);
		request_free(pop(&session->requests));
		session->unanswered--;
		session->flying--;
		if (fault_answered(session))
			return false;
		session_finish_group(session);
		if (session->state == SESSION_PREPARING && !session->requests)
			session_come_up(session);
		if (session->state == SESSION_UP && session->flying == 0)
			session_release(session);
		return session->pg != NULL;
	}
	if (head->kind == REQUEST_SYNC) { /* the commit itself failed */
		session->has_failed = true;
		PQclear(result);
		return true;
	}
	PQclear(head->result);
	head->result = result;
	return head->kind != REQUEST_PREPARED || session_prepared(session, result);
}

static bool session_notifications(struct session *session)
{
	PGnotify *notify;

	while (session->pg && (notify = PQnotifies(session->pg))) {
		if (session->state == SESSION_UP && session->spec.notified)
			session->spec.notified(session->spec.context, notify->extra);
		PQfreemem(notify);
	}
	return session->pg != NULL;
}

static void session_read(struct session *session)
{
	if (!PQconsumeInput(session->pg)) {
		session_lost_pg(session);
		return;
	}
	while (session->requests && !PQisBusy(session->pg))
		if (!session_take_result(session, PQgetResult(session->pg)))
			return;
	if (session_notifications(session) && PQstatus(session->pg) == CONNECTION_BAD)
		session_lost_pg(session);
}

/*
 * When the socket has an error, libuv stops watching it before it says so. What the server said
 * before may stand in front of the error, and be all that was read: so it is watched again until
 * libpq has come to the end.
 */
static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct session *session = poll->data;

	if (session->state == SESSION_CONNECTING) {
		session_connect(session);
		return;
	}
	if (status == 0 && (events & UV_WRITABLE))
		session_flush(session);
	session_read(session);
	if (status != 0 && session->poll)
		session_flush(session);
}

/*
 * libpq may have closed its socket and opened one of the same number, for another address of the
 * same host: while connecting, the kernel has to be told anew each time.
 */
static void session_watch(struct session *session, int events)
{
	int fd = PQsocket(session->pg);

	if (fd != session->poll_fd || session->state == SESSION_CONNECTING) {
		session_unwatch(session);
		session->poll = xcalloc(1, sizeof(*session->poll));
		session->poll->data = session;
		session->poll_fd = fd;
		uv_poll_init(session->loop, session->poll, fd);
	}
	uv_poll_start(session->poll, events, on_socket);
}

static void session_prepare(struct session *session)
{
	session->state = SESSION_PREPARING;
	if (PQsetnonblocking(session->pg, 1) != 0 || PQenterPipelineMode(session->pg) != 1) {
		session_lost_pg(session);
		return;
	}
	for (const struct sql_statement *const *s = session->spec.statements;
		*s && !(session->spec.flags & CONN_NO_PREPARE); s++) {
		session_queue(session, REQUEST_PREPARED, (*s)->name, NULL, NULL);
		PQsendPrepare(session->pg, (*s)->name, (*s)->text, 0, NULL);
	}
	session_sync(session);
}

/* A server that ends a connection of itself says why beforehand, where nothing was asked. */
static void on_notice(void *context, const PGresult *notice)
{
	struct session *session = context;
	const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

	if (severity && text && strcmp(severity, "FATAL") == 0)
		err_set(&session->farewell, ERR_TRANSIENT, "%s", text);
	else
		log_debug("notice", LOG_S("session", session->spec.name),
			LOG_S("text", text ? text : ""));
}

static bool session_start(struct session *session, struct err *e)
{
	struct conn_keywords keywords CLEANUP(conn_keywords_clear) = {0};

	if (!conn_keywords(&keywords, session->spec.uri, NULL, session->spec.application_name,
		    session->spec.flags | CONN_QUEUE | CONN_PRIMARY, e))
		return false;
	session->farewell = (struct err){0};
	session->pg = PQconnectStartParams(keywords.keys, keywords.values, 1);
	if (!session->pg || PQstatus(session->pg) == CONNECTION_BAD)
		return conn_err(session->pg, e);
	PQsetNoticeReceiver(session->pg, on_notice, session);
	return true;
}

/*
 * The retry timer stays armed as the limit on how long connecting and preparing may take (libpq's
 * connect_timeout is for its blocking calls only).
 */
static void session_begin(struct session *session)
{
	struct err e;

	session->state = SESSION_CONNECTING;
	uv_timer_start(session->retry, on_retry, CONNECT_LIMIT_MS, 0);
	if (session_start(session, &e))
		session_watch(session, UV_WRITABLE);
	else
		session_lost(session, &e);
}

static void session_connect(struct session *session)
{
	switch (PQconnectPoll(session->pg)) {
	case PGRES_POLLING_READING:
		session_watch(session, UV_READABLE);
		break;
	case PGRES_POLLING_WRITING:
		session_watch(session, UV_WRITABLE);
		break;
	case PGRES_POLLING_OK:
		session_prepare(session);
		break;
	default:
		session_lost_pg(session);
	}
}

static void session_give_up(struct session *session)
{
	struct err e;

	err_set(&e, ERR_TRANSIENT, "connecting took longer than %d s", CONNECT_LIMIT_MS / 1000);
	session_lost(session, &e);
}

/* The time to connect, the limit on connecting, or what session_break() left to do. */
static void on_retry(uv_timer_t *timer)
{
	struct session *session = timer->data;

	if (session->state == SESSION_WAITING)
		session_begin(session);
	else if (session->state != SESSION_UP && session->poll)
		session_give_up(session);
	else
		session_lost_pg(session);
}

struct session *session_new(uv_loop_t *loop, const struct session_spec *spec)
{
	struct session *session = xcalloc(1, sizeof(*session));

	session->spec = *spec;
	session->loop = loop;
	session->poll_fd = -1;
	session->retry_ms = spec->reconnect_min_ms;
	session->retry = xcalloc(1, sizeof(*session->retry));
	session->retry->data = session;
	uv_timer_init(loop, session->retry);
	uv_timer_start(session->retry, on_retry, 0, 0);
	return session;
}

static void on_session_closed(uv_handle_t *retry)
{
	free(retry->data);
	free(retry);
}

void session_free(struct session *session)
{
	struct err e;

	if (!session)
		return;
	err_code(&e, ERR_TRANSIENT, "connection_lost", "this program closed it");
	session->state = SESSION_CLOSED;
	session_disconnect(session);
	session_answer_all(session, &e);
	uv_close((uv_handle_t *)session->retry, on_session_closed);
}

void session_reset(struct session *session, const char *why)
{
	struct err e;

	if (session->state != SESSION_UP)
		return;
	err_set(&e, ERR_TRANSIENT, "%s", why);
	session_lost(session, &e);
}

bool session_is_up(const struct session *session)
{
	return session && session->state == SESSION_UP;
}

const char *session_trouble(const struct session *session)
{
	if (session_is_up(session))
		return NULL;
	return session->failure.kind == ERR_NONE ? "connecting" : session->failure.text;
}

int session_unanswered(const struct session *session)
{
	return session->unanswered;
}
