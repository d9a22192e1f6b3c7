/* SPDX-License-Identifier: PostgreSQL */
/* The steps of one lane. */
#include "maintenance/lane.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"

enum {
	FOLLOW_MS = 1000,	/* how often to ask whether the leader is gone */
	COST_FACTOR = 50,	/* a step of 1 ms is followed by 50 ms without */
	COST_INTERVALS_MAX = 8, /* but by no more than 8 intervals */
	BACK_OFF_DOUBLINGS_MAX = 4,
	BACK_OFF_MAX_MS = 30000,
	LOCKED_TIMES = 4, /* in a row: hygiene has then been kept waiting for a minute */
};

static void lane_send(struct lane *lane);

static int64_t at_most(int64_t number, int64_t limit)
{
	return number < limit ? number : limit;
}

static int64_t at_least(int64_t number, int64_t limit)
{
	return number > limit ? number : limit;
}

int64_t lane_pause_ms(enum lane_again again, int64_t every_ms, int64_t did, int64_t took_ms)
{
	if (did < 0)
		return at_least(every_ms, FOLLOW_MS);
	if (again == LANE_AGAIN_FULL && did >= LANE_MOST)
		return 0;
	if (again == LANE_AGAIN_ANY && did > 0)
		return at_most(took_ms, every_ms);
	return at_least(every_ms, at_most(took_ms * COST_FACTOR, every_ms * COST_INTERVALS_MAX));
}

int64_t lane_back_off_ms(int64_t every_ms, int failures)
{
	int64_t pause_ms = every_ms << at_most(failures - 1, BACK_OFF_DOUBLINGS_MAX);

	return at_least(every_ms, at_most(pause_ms, BACK_OFF_MAX_MS));
}

bool lane_is_failing(const struct err *e, int failures)
{
	return strcmp(e->sqlstate, "55P03") != 0 || failures >= LOCKED_TIMES;
}

static void on_timer(uv_timer_t *timer)
{
	lane_send(timer->data);
}

static void lane_send_in(struct lane *lane, int64_t pause_ms)
{
	uv_timer_start(lane->timer, on_timer, (uint64_t)pause_ms, 0);
}

/* Who leads is news, and what it did for lanes that seldom do anything. */
static void lane_log(struct lane *lane, bool leads, int64_t did)
{
	if (lane->error.text[0])
		log_info("lane_recovered", LOG_S("lane", lane->kind->name));
	if (leads != lane->leads)
		log_info(leads ? "lane_led" : "lane_left", LOG_S("lane", lane->kind->name));
	if (did > 0 && lane->kind->event)
		log_info(lane->kind->event, LOG_S("lane", lane->kind->name), LOG_I("count", did));
}

static void lane_did(struct lane *lane, const PGresult *rows, int64_t took_ms)
{
	bool leads = !row_is_null(rows, 0, "did");
	int64_t did = leads ? row_i64(rows, 0, "did") : -1;
	int64_t pause_ms = lane_pause_ms(lane->kind->again, lane->every_ms, did, took_ms);

	lane_log(lane, leads, did);
	lane->leads = leads;
	lane->failures = 0;
	lane->error.text[0] = '\0';
	lane_send_in(lane, leads ? pause_ms : pause_ms + clock_jitter_ms(pause_ms / 4));
}

/* A lost connection is the session's to tell, and lane_start() comes when there is a new one. */
static void lane_failed(struct lane *lane, const struct err *e)
{
	if (strcmp(e->code, "connection_lost") == 0)
		return;
	lane->failures++;
	if (!lane_is_failing(e, lane->failures)) {
		log_debug("lane_waits", LOG_S("lane", lane->kind->name), LOG_S("error", e->text));
	} else if (strcmp(lane->error.text, e->text) != 0) {
		log_warn("lane_failed", LOG_S("lane", lane->kind->name), LOG_S("error", e->text));
		lane->error = *e;
	}
	lane_send_in(lane, lane_back_off_ms(lane->every_ms, lane->failures));
}

static void on_step(void *context, const PGresult *rows, const struct err *e)
{
	struct lane *lane = context;
	int64_t took_ms = channel_answered(lane->channel, lane->sent_ms);

	lane->is_flying = false;
	if (e)
		lane_failed(lane, e);
	else
		lane_did(lane, rows, took_ms);
}

static void lane_send(struct lane *lane)
{
	struct params params = {0};

	if (lane->is_flying || !session_is_up(lane->channel->session))
		return;
	lane->is_flying = true;
	lane->sent_ms = clock_boot_ms();
	params_text(&params, lane->kind->name);
	params_text(&params, lane->worker_id);
	params_text(&params, lane->args);
	channel_send(lane->channel, &sql_lane_run, &params, on_step, lane);
}

void lane_init(struct lane *lane, uv_loop_t *loop)
{
	lane->timer = xcalloc(1, sizeof(*lane->timer));
	lane->timer->data = lane;
	uv_timer_init(loop, lane->timer);
}

void lane_start(struct lane *lane)
{
	lane_send_in(lane, 0);
}

void lane_stop(struct lane *lane)
{
	uv_timer_stop(lane->timer);
	lane->leads = false;
}

static void free_timer(uv_handle_t *timer)
{
	free(timer);
}

void lane_clear(struct lane *lane)
{
	uv_close((uv_handle_t *)lane->timer, free_timer);
	lane->timer = NULL;
}
