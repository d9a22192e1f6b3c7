/* SPDX-License-Identifier: PostgreSQL */
/* A process for maintenance alone. */
#include "maintenance/service.h"

#include <signal.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/hangup.h"
#include "base/log.h"
#include "db/conn.h"
#include "maintenance/maintenance.h"
#include "queue/registry.h"

enum { LEAVE_MS = 3000 }; /* for the goodbye */

struct service {
	const struct config *config;	   /* of the start: what sessions keep strings of */
	const struct config *reloaded;	   /* the guest's; NULL: not yet */
	const struct service_guest *guest; /* or NULL */
	uv_loop_t loop;
	struct session *pulse;
	struct registry registry;
	struct maintenance *maintenance; /* once registered */
	uv_timer_t heartbeat, leave;
	uv_signal_t term, interrupt, hangup;
	bool is_leaving;
	struct err refusal; /* kind ERR_NONE: none */
};

static const char *const no_families[] = {NULL};

static const struct sql_statement *const statements[] = {REGISTRY_STATEMENTS, NULL};

static void on_left(void *context, const PGresult *rows, const struct err *e)
{
	struct service *service = context;

	(void)rows;
	(void)e;
	uv_stop(&service->loop);
}

static void on_leave_timeout(uv_timer_t *timer)
{
	struct service *service = timer->data;

	uv_stop(&service->loop);
}

/* Steps that are under way end first: what follows them on the server is only our goodbye. */
static void service_leave(struct service *service)
{
	if (service->is_leaving || !session_is_up(service->pulse) ||
		!service->registry.is_registered) {
		uv_stop(&service->loop);
		return;
	}
	service->is_leaving = true;
	maintenance_free(service->maintenance);
	service->maintenance = NULL;
	registry_leave(&service->registry, on_left, service);
	uv_timer_start(&service->leave, on_leave_timeout, LEAVE_MS, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
	log_info("signal", LOG_S("name", strsignal(number)));
	service_leave(handle->data);
}

static void on_hangup(uv_signal_t *handle, int number)
{
	struct service *service = handle->data;
	const struct service_guest *guest = service->guest;
	const struct config *config = guest ? guest->reload(guest->context) : NULL;

	(void)number;
	if (!config)
		return;
	service->reloaded = config;
	if (service->maintenance)
		maintenance_reload(service->maintenance, config);
}

static void on_registered(void *context)
{
	struct service *service = context;

	if (service->maintenance || service->is_leaving)
		return;
	service->maintenance =
		maintenance_new(&service->loop, service->config, service->registry.worker_id);
	if (service->reloaded)
		maintenance_reload(service->maintenance, service->reloaded);
}

static void on_refused(void *context, const struct err *e)
{
	struct service *service = context;

	log_error("not_registered", LOG_S("error", e->text));
	if (e->kind != ERR_PERMANENT)
		return;
	service->refusal = *e;
	uv_stop(&service->loop);
}

static void on_beaten(void *context, int64_t sent_boot_ns)
{
	struct service *service = context;

	(void)sent_boot_ns;
	registry_forget_former(&service->registry);
}

/* No family, no claim, no lease: these three never come. */
static void on_leased(void *context, int64_t job_id, int64_t ticket)
{
	(void)context;
	log_error("lease_unexpected", LOG_I("job", job_id), LOG_I("ticket", ticket));
}

static void on_cancel(void *context, int64_t job_id, int64_t ticket)
{
	(void)context;
	(void)job_id;
	(void)ticket;
}

static void on_paused(void *context, const char *family)
{
	(void)context;
	(void)family;
}

/* Its steps are right under any id, and the next ones are sent under the new one. */
static void on_fenced(void *context, const char *why)
{
	(void)context;
	log_warn("fenced", LOG_S("why", why));
}

static const struct registry_events registry_events = {
	.registered = on_registered,
	.refused = on_refused,
	.beaten = on_beaten,
	.leased = on_leased,
	.cancel = on_cancel,
	.paused = on_paused,
	.fenced = on_fenced,
};

static void on_up(void *context)
{
	struct service *service = context;

	registry_connected(&service->registry);
}

static void on_down(void *context, const struct err *e)
{
	(void)context;
	(void)e;
}

/* A connection that swallows a heartbeat for two of them is dead, whatever TCP says. */
static void on_heartbeat(uv_timer_t *timer)
{
	struct service *service = timer->data;
	const struct registry *registry = &service->registry;
	int64_t silent_ms = (clock_boot_ns() - registry->sent_boot_ns) / 1000000;

	if (registry->is_beating && silent_ms > 2 * service->config->worker.heartbeat_ms)
		session_reset(service->pulse, "no answer to a heartbeat");
	registry_beat(&service->registry);
}

static void service_connect(struct service *service)
{
	const struct config *config = service->config;
	struct session_spec spec =
		session_spec_of(config, "pulse", "athena maintenance", statements);

	spec.up = on_up;
	spec.down = on_down;
	spec.context = service;
	registry_init(&service->registry);
	service->pulse = session_new(&service->loop, &spec);
	service->registry.session = service->pulse;
	service->registry.kind = "maintenance";
	service->registry.families = no_families;
	service->registry.events = &registry_events;
	service->registry.context = service;
}

static void service_start_signal(
	struct service *service, uv_signal_t *handle, uv_signal_cb callback, int number)
{
	uv_signal_init(&service->loop, handle);
	handle->data = service;
	uv_signal_start(handle, callback, number);
}

static void service_start(struct service *service)
{
	uint64_t every_ms = (uint64_t)service->config->worker.heartbeat_ms;

	uv_timer_init(&service->loop, &service->heartbeat);
	uv_timer_init(&service->loop, &service->leave);
	service->heartbeat.data = service->leave.data = service;
	uv_timer_start(&service->heartbeat, on_heartbeat, every_ms, every_ms);
	service_start_signal(service, &service->term, on_signal, SIGTERM);
	service_start_signal(service, &service->interrupt, on_signal, SIGINT);
	service_start_signal(service, &service->hangup, on_hangup, SIGHUP);
	hangup_let();
	service_connect(service);
}

static void service_clear(struct service *service)
{
	if (service->guest)
		service->guest->stop(service->guest->context);
	maintenance_free(service->maintenance);
	session_free(service->pulse);
	uv_close((uv_handle_t *)&service->heartbeat, NULL);
	uv_close((uv_handle_t *)&service->leave, NULL);
	uv_close((uv_handle_t *)&service->term, NULL);
	uv_close((uv_handle_t *)&service->interrupt, NULL);
	uv_close((uv_handle_t *)&service->hangup, NULL);
	uv_run(&service->loop, UV_RUN_DEFAULT);
	uv_loop_close(&service->loop);
}

static bool service_start_guest(struct service *service, struct err *e)
{
	const struct service_guest *guest = service->guest;

	return !guest || guest->start(guest->context, &service->loop, &service->maintenance, e);
}

bool maintenance_serve(
	const struct config *config, const struct service_guest *guest, struct err *e)
{
	struct service service = {.config = config, .guest = guest};
	bool ok;

	uv_loop_init(&service.loop);
	service_start(&service);
	ok = service_start_guest(&service, e);
	if (ok)
		uv_run(&service.loop, UV_RUN_DEFAULT);
	log_info("ended");
	service_clear(&service);
	if (service.refusal.kind != ERR_NONE)
		*e = service.refusal;
	return ok && service.refusal.kind == ERR_NONE;
}
