/* SPDX-License-Identifier: PostgreSQL */
/* The pages. */
#include "http/http.h"

#include <microhttpd.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/callbacks.h"
#include "http/exposition.h"
#include "http/listener.h"
#include "http/server.h"
#include "http/survey.h"

#define PLAIN_TYPE "text/plain; charset=utf-8"

struct http {
	struct program program;
	struct listener listener;
	struct survey *survey;
	struct callbacks *callbacks; /* NULL: not wanted */
	struct server *server;
};

/* --- Pages without a question */

static void reply_plain(struct request *request, unsigned status, const char *words)
{
	struct buf text CLEANUP(buf_clear) = {0};

	buf_text(&text, words);
	request_reply(request, status, PLAIN_TYPE, &text);
}

static void on_ping(void *context, struct request *request)
{
	(void)context;
	reply_plain(request, MHD_HTTP_OK, "pong");
}

static void on_healthz(void *context, struct request *request)
{
	(void)context;
	reply_plain(request, MHD_HTTP_OK, "ok\n");
}

/* --- Pages that wait for the survey */

struct page {
	struct survey_wait wait; /* first, so that one is the other */
	struct http *http;
	struct request *request;
	void (*write)(struct http *http, struct request *request);
};

static void on_surveyed(struct survey_wait *wait)
{
	struct page *page CLEANUP(free_ptr) = (struct page *)wait;

	page->write(page->http, page->request);
}

static void write_later(struct http *http, struct request *request,
	void (*write)(struct http *http, struct request *request))
{
	struct page *page = xcalloc(1, sizeof(*page));

	*page = (struct page){
		.wait.done = on_surveyed, .http = http, .request = request, .write = write};
	survey_wait(http->survey, &page->wait);
}

static void write_readyz(struct http *http, struct request *request)
{
	struct buf reasons CLEANUP(buf_clear) = {0};
	bool is_ready = survey_is_ready(http->survey, &reasons);

	is_ready = program_is_ready(&http->program, &reasons) && is_ready;
	if (is_ready)
		reply_plain(request, MHD_HTTP_OK, "ready\n");
	else
		request_reply(request, MHD_HTTP_SERVICE_UNAVAILABLE, PLAIN_TYPE, &reasons);
}

static void on_readyz(void *context, struct request *request)
{
	write_later(context, request, write_readyz);
}

static void write_metrics(struct http *http, struct request *request)
{
	struct buf text CLEANUP(buf_clear) = {0};
	struct buf own CLEANUP(buf_clear) = {0};

	http->program.is_up = survey_is_complete(http->survey);
	for (size_t i = 0; i < metrics_count(); i++) {
		const struct buf *samples = survey_samples(http->survey, i);

		buf_reset(&own);
		if (metrics[i].write)
			metrics[i].write(&metrics[i], &http->program, &own);
		metric_write(&metrics[i], samples ? samples : &own, &text);
	}
	request_reply(request, MHD_HTTP_OK, EXPOSITION_TYPE, &text);
}

static void on_metrics(void *context, struct request *request)
{
	write_later(context, request, write_metrics);
}

static void on_callback(void *context, struct request *request)
{
	struct http *http = context;

	if (http->callbacks)
		callbacks_handle(http->callbacks, request);
	else
		reply_plain(request, MHD_HTTP_NOT_FOUND, "no such page\n");
}

/* --- Start and end */

static const struct route routes[] = {
	{"/ping", on_ping, false},
	{"/healthz", on_healthz, false},
	{"/readyz", on_readyz, false},
	{"/metrics", on_metrics, false},
	{CALLBACKS_PATH, on_callback, true},
	{0},
};

bool http_new(struct http **ret_http, uv_loop_t *loop, const struct config *config,
	const char *address, const struct program *program, struct err *e)
{
	struct http *http = xcalloc(1, sizeof(*http));

	http->program = *program;
	http->program.started_ms = clock_boot_ms();
	if (!listener_open(&http->listener, address, e)) {
		free(http);
		return false;
	}
	if (!server_new(&http->server, loop, &http->listener, routes, http, e)) {
		listener_close(&http->listener);
		free(http);
		return false;
	}
	http->survey = survey_new(loop, config, &http->program);
	if (config->http_callback_secret && program->kind == PROGRAM_WORKER)
		http->callbacks = callbacks_new(loop, config);
	log_info("http_listening", LOG_S("address", http->listener.name));
	*ret_http = http;
	return true;
}

/* Survey and callbacks first: they answer requests that wait. */
void http_free(struct http *http)
{
	if (!http)
		return;
	survey_free(http->survey);
	callbacks_free(http->callbacks);
	server_free(http->server);
	listener_close(&http->listener);
	free(http);
}
