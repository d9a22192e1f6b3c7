/* SPDX-License-Identifier: PostgreSQL */
/* Looks, and rescues. */
#include "maintenance/rescuer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"

/* The shortest lease that a family may have is 6 s, so a look is never a third of it late. */
enum { LOOK_EVERY_MS = 1000 };

struct rescue {
	struct rescuer *rescuer;
	char worker_id[40];
	bool is_dead;
};

static void rescuer_look(struct rescuer *rescuer);

static void on_timer(uv_timer_t *timer)
{
	rescuer_look(timer->data);
}

static void rescuer_look_in(struct rescuer *rescuer, int64_t pause_ms)
{
	uv_timer_start(rescuer->timer, on_timer, (uint64_t)pause_ms, 0);
}

/* Errors are logged when they change; the next look is the retry. */
static void rescuer_failed(struct rescuer *rescuer, const char *event, const struct err *e)
{
	if (strcmp(e->code, "connection_lost") == 0)
		return;
	if (strcmp(rescuer->error.text, e->text) != 0)
		log_warn(event, LOG_S("error", e->text));
	rescuer->error = *e;
}

static void on_rescued(void *context, const PGresult *rows, const struct err *e)
{
	struct rescue *rescue CLEANUP(free_ptr) = context;
	struct rescuer *rescuer = rescue->rescuer;
	int64_t count = 0;

	channel_answered(rescuer->channel, 0);
	rescuer->flying--;
	if (e)
		rescuer_failed(rescuer, "rescue_failed", e);
	else if (PQntuples(rows) > 0 && !row_is_null(rows, 0, "rescued"))
		count = row_i64(rows, 0, "rescued");
	if (count > 0)
		log_warn("jobs_rescued", LOG_S("worker", rescue->worker_id), LOG_I("count", count),
			LOG_S("reason", rescue->is_dead ? "dead" : "silent"));
	if (count >= LANE_MOST)
		rescuer->is_full = true;
	if (rescuer->flying == 0 && rescuer->is_full)
		rescuer_look_in(rescuer, 0);
}

static void rescuer_send(
	struct rescuer *rescuer, const struct sight *sight, int64_t watched_ms, bool is_dead)
{
	struct rescue *rescue = xcalloc(1, sizeof(*rescue));
	struct params params = {0};

	rescue->rescuer = rescuer;
	rescue->is_dead = is_dead;
	snprintf(rescue->worker_id, sizeof(rescue->worker_id), "%s", sight->worker_id);
	params_text(&params, rescuer->worker_id);
	params_text(&params, sight->worker_id);
	params_text(&params, sight->heartbeat);
	params_ms(&params, watched_ms);
	params_bool(&params, is_dead);
	params_i64(&params, LANE_MOST);
	rescuer->flying++;
	channel_send(rescuer->channel, &sql_rescue, &params, on_rescued, rescue);
}

/* Everybody is watched at each look; rescues wait until those of an earlier look are answered. */
static void rescuer_see(struct rescuer *rescuer, const PGresult *rows, int row, bool may_rescue)
{
	const struct sight sight = {
		.worker_id = row_text(rows, row, "id"),
		.heartbeat = row_text(rows, row, "heartbeat_at"),
		.is_gone = host_is_dead(&rescuer->self, row_text(rows, row, "boot_id"),
			(int)row_i64(rows, row, "pid"), row_i64(rows, row, "pid_started")),
	};
	int64_t watched_ms;
	enum verdict verdict = watch_see(&rescuer->watch, &sight, &watched_ms);

	if (!may_rescue)
		return;
	if (verdict == VERDICT_DEAD)
		rescuer_send(rescuer, &sight, watched_ms, true);
	else if (verdict == VERDICT_SILENT && rescuer->lane->leads)
		rescuer_send(rescuer, &sight, watched_ms, false);
}

static void rescuer_looked(struct rescuer *rescuer, const PGresult *rows)
{
	bool may_rescue = rescuer->flying == 0;

	if (PQntuples(rows) == 0) {
		watch_clear(&rescuer->watch);
		return;
	}
	rescuer->is_full = false;
	watch_begin(&rescuer->watch, rescuer->sent_ms, clock_boot_ms(),
		row_i64(rows, 0, "shortest_lease_ms"));
	for (int row = 0; row < PQntuples(rows); row++)
		rescuer_see(rescuer, rows, row, may_rescue);
	watch_end(&rescuer->watch);
}

static void on_look(void *context, const PGresult *rows, const struct err *e)
{
	struct rescuer *rescuer = context;

	channel_answered(rescuer->channel, rescuer->sent_ms);
	rescuer->is_looking = false;
	if (e) {
		rescuer_failed(rescuer, "watch_failed", e);
	} else {
		rescuer->error.text[0] = '\0';
		rescuer_looked(rescuer, rows);
	}
	if (session_is_up(rescuer->channel->session))
		rescuer_look_in(rescuer, LOOK_EVERY_MS);
}

static void rescuer_look(struct rescuer *rescuer)
{
	if (rescuer->is_looking || !session_is_up(rescuer->channel->session))
		return;
	rescuer->is_looking = true;
	rescuer->sent_ms = clock_boot_ms();
	channel_send(rescuer->channel, &sql_watch, NULL, on_look, rescuer);
}

void rescuer_init(struct rescuer *rescuer, uv_loop_t *loop)
{
	host_self(&rescuer->self);
	rescuer->timer = xcalloc(1, sizeof(*rescuer->timer));
	rescuer->timer->data = rescuer;
	uv_timer_init(loop, rescuer->timer);
}

void rescuer_start(struct rescuer *rescuer)
{
	rescuer_look_in(rescuer, 0);
}

void rescuer_stop(struct rescuer *rescuer)
{
	uv_timer_stop(rescuer->timer);
	watch_clear(&rescuer->watch);
}

static void free_timer(uv_handle_t *timer)
{
	free(timer);
}

void rescuer_clear(struct rescuer *rescuer)
{
	watch_clear(&rescuer->watch);
	uv_close((uv_handle_t *)rescuer->timer, free_timer);
	rescuer->timer = NULL;
}
