/* SPDX-License-Identifier: PostgreSQL */
/* Components on one loop, and the signals that end them. */
#include "cli/serve.h"

#include <signal.h>
#include <string.h>
#include <uv.h>

#include "base/hangup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/reload.h"
#include "cli/supervisor.h"
#include "http/http.h"
#include "maintenance/maintenance.h"
#include "worker/worker.h"

struct server {
	uv_loop_t loop;
	uv_signal_t term, interrupt, hangup;
	struct worker *worker;
	const struct config *config;	 /* of the start: what components keep strings of */
	struct config *reloaded;	 /* goes on with that; NULL: with the first */
	struct maintenance *maintenance; /* NULL: not yet, or runs elsewhere */
	struct http *http;		 /* NULL: not wanted */
	struct supervisor supervisor;
	bool no_maintenance;
	bool is_told; /* to end, once */
	int status;
};

static void on_signal(uv_signal_t *handle, int number)
{
	struct server *server = handle->data;

	log_info("signal", LOG_S("name", strsignal(number)));
	supervisor_stopping();
	if (server->is_told)
		worker_stop_now(server->worker);
	else
		worker_drain(server->worker);
	server->is_told = true;
}

static void on_hangup(uv_signal_t *handle, int number)
{
	struct server *server = handle->data;
	struct config *old = server->reloaded;
	struct config *config CLEANUP(config_clear) = reload_config(old ? old : server->config);
	struct err e;

	(void)number;
	if (!config)
		return;
	if (!worker_reload(server->worker, config, &e)) {
		log_error("reload_failed", LOG_S("error", e.text));
		return;
	}
	if (server->maintenance)
		maintenance_reload(server->maintenance, config);
	server->reloaded = TAKE(config);
	config_free(old);
}

/* With everything closed the loop has nothing left to wait for, and returns. Pages tell about the
 * other components, and so go first. */
static void server_close(struct server *server)
{
	http_free(server->http);
	maintenance_free(server->maintenance);
	worker_free(server->worker);
	supervisor_close(&server->supervisor);
	uv_close((uv_handle_t *)&server->term, NULL);
	uv_close((uv_handle_t *)&server->interrupt, NULL);
	uv_close((uv_handle_t *)&server->hangup, NULL);
}

/* Not before: lanes are led under the worker's id, and a copied database is to be left alone. */
static void on_worker_registered(void *context)
{
	struct server *server = context;

	if (server->maintenance || server->no_maintenance)
		return;
	server->maintenance =
		maintenance_new(&server->loop, server->config, worker_id(server->worker));
	if (server->reloaded)
		maintenance_reload(server->maintenance, server->reloaded);
}

static void on_worker_ended(void *context, int status)
{
	struct server *server = context;

	server->status = status;
	server_close(server);
}

static void server_watch(
	struct server *server, uv_signal_t *handle, uv_signal_cb callback, int number)
{
	uv_signal_init(&server->loop, handle);
	handle->data = server;
	uv_signal_start(handle, callback, number);
}

static bool server_start_http(struct server *server, const char *address, struct err *e)
{
	const struct program program = {.kind = PROGRAM_WORKER,
		.worker = &server->worker,
		.maintenance = &server->maintenance};

	return !address ||
		http_new(&server->http, &server->loop, server->config, address, &program, e);
}

static bool server_start(struct server *server, const struct serve_options *options, struct err *e)
{
	struct worker_options worker = {.families = options->families,
		.once = options->once,
		.registered = on_worker_registered,
		.ended = on_worker_ended,
		.context = server};

	server_watch(server, &server->term, on_signal, SIGTERM);
	server_watch(server, &server->interrupt, on_signal, SIGINT);
	server_watch(server, &server->hangup, on_hangup, SIGHUP);
	hangup_let();
	if (!server_start_http(server, options->http, e) ||
		!worker_new(&server->worker, &server->loop, server->config, &worker, e)) {
		server_close(server);
		return false;
	}
	supervisor_start(&server->supervisor, &server->loop);
	return true;
}

void serve_tell_connections(
	const struct config *config, bool has_worker, bool has_maintenance, bool has_http)
{
	bool takes_callbacks = has_worker && has_http && config->http_callback_secret;
	bool is_direct = has_worker && config->database_direct_url;

	log_info("connections",
		LOG_I("url",
			(has_worker ? 2 : 1) - is_direct + (has_maintenance ? 2 : 0) + has_http +
				takes_callbacks),
		LOG_I("direct_url", is_direct));
}

bool serve(const struct config *config, const struct serve_options *options, int *ret_status,
	struct err *e)
{
	struct server server = {.config = config, .no_maintenance = options->no_maintenance};
	bool ok;

	log_setup(config->log_level, config->log_format);
	config_log_warnings(config);
	serve_tell_connections(config, true, !options->no_maintenance, options->http);
	uv_loop_init(&server.loop);
	ok = server_start(&server, options, e);
	uv_run(&server.loop, UV_RUN_DEFAULT);
	uv_loop_close(&server.loop);
	config_free(server.reloaded);
	log_info("ended", LOG_I("status", server.status));
	*ret_status = server.status;
	return ok;
}
