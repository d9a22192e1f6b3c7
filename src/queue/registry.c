/* SPDX-License-Identifier: PostgreSQL */
/* Registration, heartbeats, and what their answers say. */
#include "queue/registry.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "version.h"

enum {
	ASKING_MS = 10000,  /* more than a heartbeat is granted: registering may wait for a lock */
	FORGET_MOST = 1000, /* leases at once */
};

/* A version 4 uuid, RFC 9562 section 5.4. */
static void make_worker_id(char *text, size_t size)
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(text, size, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		b[13], b[14], b[15]);
}

void registry_init(struct registry *registry)
{
	host_self(&registry->process);
	make_worker_id(registry->worker_id, sizeof(registry->worker_id));
}

static void params_worker(struct params *params, const struct registry *registry)
{
	params_text(params, registry->worker_id);
}

static void on_registered(void *context, const PGresult *rows, const struct err *e)
{
	struct registry *registry = context;

	(void)rows;
	registry->is_asking = false;
	if (e && strcmp(e->code, "connection_lost") == 0)
		return;
	if (e) {
		registry->events->refused(registry->context, e);
		return;
	}
	registry->is_registered = true;
	log_info("registered", LOG_S("worker", registry->worker_id), LOG_S("kind", registry->kind));
	registry->events->registered(registry->context);
	registry_beat(registry);
}

/*
 * Under a new id each time but the first: a connection that was lost in between leaves us unsure
 * whether the last one was taken, and a fenced id must never come back.
 */
static void registry_register(struct registry *registry)
{
	const struct host_process *self = &registry->process;
	struct params params = {0};
	size_t count = 0;

	while (registry->families[count])
		count++;
	if (registry->was_tried)
		make_worker_id(registry->worker_id, sizeof(registry->worker_id));
	registry->was_another |= registry->was_tried;
	registry->was_tried = true;
	registry->is_asking = true;
	registry->asked_boot_ns = clock_boot_ns();
	params_texts(&params, registry->families, count);
	params_text(&params, registry->kind);
	params_text(&params, self->host);
	params_text(&params, ATHENA_VERSION);
	params_worker(&params, registry);
	params_text(&params, self->boot_id);
	params_i64(&params, self->pid);
	params_i64(&params, self->pid_started);
	session_send(registry->session, &sql_register, &params, on_registered, registry);
	session_sync(registry->session);
}

static void registry_fenced(struct registry *registry, const char *why)
{
	if (registry->is_registered)
		registry->events->fenced(registry->context, why);
	registry->is_registered = false;
	if (session_is_up(registry->session))
		registry_register(registry);
}

/* After a failover ids and tickets may be used again: nothing that we hold can be trusted. */
static void on_system_id(void *context, const PGresult *rows, const struct err *e)
{
	struct registry *registry = context;
	const char *id;
	bool is_other;

	registry->is_asking = false;
	if (e) {
		log_error("system_unknown", LOG_S("error", e->text));
		return;
	}
	id = row_text(rows, 0, "id");
	is_other = registry->system_id[0] && strcmp(registry->system_id, id) != 0;
	snprintf(registry->system_id, sizeof(registry->system_id), "%s", id);
	snprintf(registry->queue_id, sizeof(registry->queue_id), "%s", row_text(rows, 0, "queue"));
	if (is_other)
		registry_fenced(registry, "the server is another one, or was promoted");
	else if (!registry->is_registered)
		registry_register(registry);
	else
		registry_beat(registry);
}

void registry_connected(struct registry *registry)
{
	registry->is_beating = false;
	registry->is_asking = true;
	registry->asked_boot_ns = clock_boot_ns();
	session_send(registry->session, &sql_system_id, NULL, on_system_id, registry);
	session_sync(registry->session);
}

static void registry_read_row(struct registry *registry, const PGresult *rows, int row)
{
	const char *what = row_text(rows, row, "what");

	if (strcmp(what, "lease") == 0)
		registry->events->leased(registry->context, row_i64(rows, row, "job_id"),
			row_i64(rows, row, "ticket"));
	else if (strcmp(what, "cancel") == 0)
		registry->events->cancel(registry->context, row_i64(rows, row, "job_id"),
			row_i64(rows, row, "ticket"));
	else if (strcmp(what, "paused") == 0)
		registry->events->paused(registry->context, row_text(rows, row, "family"));
}

static void on_beaten(void *context, const PGresult *rows, const struct err *e)
{
	struct registry *registry = context;

	registry->is_beating = false;
	if (e) {
		log_warn("heartbeat_failed", LOG_S("error", e->text));
		return;
	}
	if (PQntuples(rows) > 0 && strcmp(row_text(rows, 0, "what"), "fenced") == 0) {
		registry_fenced(
			registry, "this worker was silent for so long that it was forgotten");
		return;
	}
	for (int row = 0; row < PQntuples(rows); row++)
		registry_read_row(registry, rows, row);
	registry->events->beaten(registry->context, registry->sent_boot_ns);
}

void registry_beat(struct registry *registry)
{
	int64_t now_ns = clock_boot_ns();
	struct params params = {0};

	if (registry->is_asking && (now_ns - registry->asked_boot_ns) / 1000000 > ASKING_MS)
		session_reset(registry->session, "no answer to registering");
	if (registry->is_beating || registry->is_asking || !session_is_up(registry->session))
		return;
	if (!registry->is_registered) {
		registry_connected(registry);
		return;
	}
	registry->is_beating = true;
	registry->sent_boot_ns = now_ns;
	params_worker(&params, registry);
	session_send(registry->session, &sql_heartbeat, &params, on_beaten, registry);
	session_sync(registry->session);
}

/* --- Who this process was */

static void on_former_rescued(void *context, const PGresult *rows, const struct err *e)
{
	struct registry *registry = context;

	registry->forgetting--;
	if (e && strcmp(e->code, "connection_lost") != 0)
		log_warn("rescue_failed", LOG_S("error", e->text));
	else if (!e && PQntuples(rows) > 0 && !row_is_null(rows, 0, "rescued"))
		log_info("former_rescued", LOG_I("count", row_i64(rows, 0, "rescued")));
}

static void registry_rescue_former(struct registry *registry, const PGresult *rows, int row)
{
	struct params params = {0};

	params_worker(&params, registry);
	params_text(&params, row_text(rows, row, "id"));
	params_text(&params, row_text(rows, row, "heartbeat_at"));
	params_ms(&params, 0);
	params_bool(&params, true);
	params_i64(&params, FORGET_MOST);
	registry->forgetting++;
	session_send(registry->session, &sql_rescue, &params, on_former_rescued, registry);
	session_sync(registry->session);
}

static bool is_former(const struct registry *registry, const PGresult *rows, int row)
{
	const struct host_process *self = &registry->process;

	return self->boot_id[0] && self->pid_started != 0 &&
		strcmp(row_text(rows, row, "boot_id"), self->boot_id) == 0 &&
		row_i64(rows, row, "pid") == self->pid &&
		row_i64(rows, row, "pid_started") == self->pid_started &&
		strcmp(row_text(rows, row, "kind"), registry->kind) == 0 &&
		strcmp(row_text(rows, row, "id"), registry->worker_id) != 0;
}

/* A rescue is bounded, and leaves what somebody has locked: it is over when the row is gone. */
static void on_watched(void *context, const PGresult *rows, const struct err *e)
{
	struct registry *registry = context;
	int found = 0;

	registry->forgetting--;
	if (e)
		return;
	for (int row = 0; row < PQntuples(rows); row++)
		if (is_former(registry, rows, row)) {
			registry_rescue_former(registry, rows, row);
			found++;
		}
	registry->was_another = found > 0;
}

void registry_forget_former(struct registry *registry)
{
	if (!registry->was_another || registry->forgetting > 0)
		return;
	registry->forgetting++;
	session_send(registry->session, &sql_watch, NULL, on_watched, registry);
	session_sync(registry->session);
}

struct reconciling {
	struct registry *registry;
	session_done *done;
	void *context;
};

static void on_own_leases(void *context, const PGresult *rows, const struct err *e)
{
	struct reconciling *asked CLEANUP(free_ptr) = context;
	struct registry *registry = asked->registry;

	for (int row = 0; !e && row < PQntuples(rows); row++)
		registry->events->leased(registry->context, row_i64(rows, row, "job_id"),
			row_i64(rows, row, "ticket"));
	asked->done(asked->context, rows, e);
}

void registry_reconcile(struct registry *registry, session_done *done, void *context)
{
	struct reconciling *asked = xmalloc(sizeof(*asked));
	struct params params = {0};

	*asked = (struct reconciling){registry, done, context};
	params_worker(&params, registry);
	session_send(registry->session, &sql_own_leases, &params, on_own_leases, asked);
	session_sync(registry->session);
}

void registry_leave(struct registry *registry, session_done *done, void *context)
{
	struct params params = {0};

	params_worker(&params, registry);
	session_send(registry->session, &sql_unregister, &params, done, context);
	session_sync(registry->session);
}
