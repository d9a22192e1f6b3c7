/* SPDX-License-Identifier: PostgreSQL */
/* The worker's side of the wake-up protocol; sleep.h has the proof. */
#include "queue/sleep.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"

enum {
	LINGER_MS = 5,
	LOOK_FIRST_MS = 2,
	LOOK_LAST_MS = 50,
	HOLDERS_AFTER_MS = 100,
	SIGN_DOWN_AFTER_MS = 1000,
	AGAIN_MS = 500,
	STREAM_POLL_MS = 2,
	STREAM_WINDOW_MS = 250,
	STREAM_BEGINS_AT = 20, /* jobs in a window */
	STREAM_ENDS_BELOW = 10,
};

/* What an answer is for: void once the sleeper was reset. */
struct asked {
	struct sleeper *sleeper;
	int epoch;
};

static struct asked *ask(struct sleeper *sleeper)
{
	struct asked *asked = xmalloc(sizeof(*asked));

	*asked = (struct asked){.sleeper = sleeper, .epoch = sleeper->epoch};
	return asked;
}

static void on_timer(uv_timer_t *timer);

static void sleeper_later(struct sleeper *sleeper, int delay_ms)
{
	uv_timer_start(sleeper->timer, on_timer, (uint64_t)delay_ms, 0);
}

/* Starts over, after a moment; when the connection is gone, its return does that. */
static void sleeper_failed(struct sleeper *sleeper, const struct err *e)
{
	sleeper_reset(sleeper);
	if (!session_is_up(sleeper->session))
		return;
	log_warn("sleep_failed", LOG_S("family", sleeper->family), LOG_S("error", e->text));
	sleeper->state = SLEEP_LINGER;
	sleeper_later(sleeper, AGAIN_MS);
}

/* The sleeper, if the answer still counts; frees the question. */
static struct sleeper *answered(void *context, const struct err *e)
{
	struct asked *asked CLEANUP(free_ptr) = context;
	struct sleeper *sleeper = asked->sleeper;

	if (asked->epoch != sleeper->epoch)
		return NULL;
	if (!e)
		return sleeper;
	sleeper_failed(sleeper, e);
	return NULL;
}

static void on_marked(void *context, const PGresult *rows, const struct err *e)
{
	struct sleeper *sleeper = answered(context, e);

	if (!sleeper)
		return;
	snprintf(sleeper->mark, sizeof(sleeper->mark), "%s", row_text(rows, 0, "xid"));
	sleeper->marked_ms = clock_boot_ms();
	sleeper->look_ms = LOOK_FIRST_MS;
	sleeper->state = SLEEP_LOOKING;
	sleeper_later(sleeper, 0);
}

/* Without a sign there is nothing to prove: the mark that follows is void. */
static void on_signed(void *context, const PGresult *rows, const struct err *e)
{
	(void)rows;
	if (e)
		sleeper_failed(context, e);
}

/* The sign and the mark are two transactions: the sync in between commits the first. */
static void sleeper_sign(struct sleeper *sleeper)
{
	struct params params = {0};

	if (!session_is_up(sleeper->session))
		return;
	sleeper->state = SLEEP_SIGNING;
	params_text(&params, sleeper->worker_id);
	params_text(&params, sleeper->family);
	session_send(sleeper->session, &sql_sleep_sign, &params, on_signed, sleeper);
	session_sync(sleeper->session);
	session_send(sleeper->session, &sql_own_xid, NULL, on_marked, ask(sleeper));
	session_sync(sleeper->session);
}

static void sleeper_unsign(struct sleeper *sleeper)
{
	struct params params = {0};

	params_text(&params, sleeper->worker_id);
	params_text(&params, sleeper->family);
	session_send(sleeper->session, &sql_sleep_unsign, &params, NULL, NULL);
	session_sync(sleeper->session);
}

static json_t *read_holders(const PGresult *rows)
{
	json_t *holders = json_array();

	for (int row = 0; row < PQntuples(rows); row++)
		json_array_append_new(holders, json_string(row_text(rows, row, "holder")));
	return holders;
}

/* Of those that we wait for, keeps the ones that are still there. */
static json_t *still_there(const json_t *awaited, const json_t *present)
{
	json_t *left = json_array();
	size_t i, j;
	json_t *a, *p;

	json_array_foreach (awaited, i, a)
		json_array_foreach (present, j, p)
			if (json_equal(a, p))
				json_array_append(left, a);
	return left;
}

static void on_holders(void *context, const PGresult *rows, const struct err *e)
{
	struct sleeper *sleeper = answered(context, e);
	json_auto_t *present = sleeper ? read_holders(rows) : NULL;
	json_t *left;

	if (!sleeper)
		return;
	left = sleeper->holders ? still_there(sleeper->holders, present) : json_incref(present);
	json_decref(sleeper->holders);
	sleeper->holders = left;
	sleeper_later(sleeper, json_array_size(left) == 0 ? 0 : sleeper->look_ms);
}

static void sleeper_ask_holders(struct sleeper *sleeper)
{
	session_send(sleeper->session, &sql_sleep_holders, NULL, on_holders, ask(sleeper));
	session_sync(sleeper->session);
}

/* A look that began after all holders had ended, or after X had passed, and found nothing. */
static void sleeper_fall_asleep(struct sleeper *sleeper)
{
	sleeper->state = SLEEP_ASLEEP;
	json_decref(sleeper->holders);
	sleeper->holders = NULL;
	log_debug("asleep", LOG_S("family", sleeper->family));
}

static void sleeper_look_again(struct sleeper *sleeper)
{
	sleeper->look_ms =
		sleeper->look_ms * 2 > LOOK_LAST_MS ? LOOK_LAST_MS : sleeper->look_ms * 2;
	if (clock_boot_ms() - sleeper->marked_ms >= HOLDERS_AFTER_MS)
		sleeper_ask_holders(sleeper);
	else
		sleeper_later(sleeper, sleeper->look_ms);
}

static void on_looked(void *context, const PGresult *rows, const struct err *e)
{
	struct sleeper *sleeper = answered(context, e);

	if (!sleeper)
		return;
	sleeper->is_looking = false;
	if (row_bool(rows, 0, "has_work"))
		sleeper->wake(sleeper->context); /* its claim says how to go on */
	else if (row_bool(rows, 0, "has_passed") ||
		(sleeper->holders && json_array_size(sleeper->holders) == 0))
		sleeper_fall_asleep(sleeper);
	else
		sleeper_look_again(sleeper);
}

static void sleeper_look(struct sleeper *sleeper)
{
	struct params params = {0};

	if (sleeper->is_looking || !session_is_up(sleeper->session))
		return;
	sleeper->is_looking = true;
	params_text(&params, sleeper->family);
	params_text(&params, sleeper->mark);
	session_send(sleeper->session, &sql_sleep_look, &params, on_looked, ask(sleeper));
	session_sync(sleeper->session);
}

static void on_timer(uv_timer_t *timer)
{
	struct sleeper *sleeper = timer->data;

	if (sleeper->state == SLEEP_LINGER || sleeper->state == SLEEP_STREAM)
		sleeper->wake(sleeper->context);
	else if (sleeper->state == SLEEP_LOOKING)
		sleeper_look(sleeper);
}

static void sleeper_take_sign_down(struct sleeper *sleeper)
{
	if (session_is_up(sleeper->session))
		sleeper_unsign(sleeper);
	sleeper_reset(sleeper);
}

/* Jobs, window by window: many that are late make a stream, and few of any kind end it. */
static void sleeper_count(struct sleeper *sleeper, int jobs, int late)
{
	int64_t now_ms = clock_boot_ms();
	int64_t window_ms = now_ms - sleeper->window_ms;

	if (window_ms < STREAM_WINDOW_MS) {
		sleeper->window_jobs += jobs;
		sleeper->window_late += late;
		return;
	}
	if (window_ms >= 2 * STREAM_WINDOW_MS) /* nothing for a whole window */
		sleeper->window_jobs = sleeper->window_late = 0;
	if (sleeper->state == SLEEP_STREAM && sleeper->window_jobs < STREAM_ENDS_BELOW) {
		sleeper->state = SLEEP_LINGER;
	} else if (sleeper->state >= SLEEP_LOOKING && sleeper->window_jobs >= STREAM_BEGINS_AT &&
		sleeper->window_late > sleeper->window_jobs / 2) {
		sleeper_take_sign_down(sleeper);
		sleeper->state = SLEEP_STREAM;
	}
	sleeper->window_ms = now_ms;
	sleeper->window_jobs = jobs;
	sleeper->window_late = late;
}

void sleeper_found_little(struct sleeper *sleeper, int jobs, int late)
{
	sleeper->busy_ms = 0;
	if (!sleeper->can_listen)
		return;
	sleeper_count(sleeper, jobs, late);
	if (sleeper->state == SLEEP_AWAKE) {
		sleeper->state = SLEEP_LINGER;
		sleeper_later(sleeper, LINGER_MS);
	} else if (sleeper->state == SLEEP_STREAM) {
		sleeper_later(sleeper, STREAM_POLL_MS);
	} else if (uv_is_active((uv_handle_t *)sleeper->timer)) {
		return;
	} else if (sleeper->state == SLEEP_LINGER) {
		sleeper_sign(sleeper);
	} else if (sleeper->state == SLEEP_LOOKING && !sleeper->is_looking) {
		sleeper_later(sleeper, sleeper->look_ms);
	}
}

void sleeper_found_plenty(struct sleeper *sleeper, int jobs, int late)
{
	int64_t now_ms = clock_boot_ms();

	sleeper_count(sleeper, jobs, late);
	if (sleeper->state == SLEEP_LINGER)
		sleeper->state = SLEEP_AWAKE;
	if (sleeper->busy_ms == 0)
		sleeper->busy_ms = now_ms;
	if (sleeper->state < SLEEP_LOOKING || now_ms - sleeper->busy_ms < SIGN_DOWN_AFTER_MS)
		return;
	sleeper_take_sign_down(sleeper);
}

void sleeper_can_listen(struct sleeper *sleeper)
{
	sleeper->can_listen = true;
}

void sleeper_reset(struct sleeper *sleeper)
{
	sleeper->epoch++;
	sleeper->state = SLEEP_AWAKE;
	sleeper->busy_ms = 0;
	sleeper->is_looking = false;
	json_decref(sleeper->holders);
	sleeper->holders = NULL;
	uv_timer_stop(sleeper->timer);
	if (!session_is_up(sleeper->session))
		sleeper->can_listen = false;
}

void sleeper_init(struct sleeper *sleeper, uv_loop_t *loop)
{
	sleeper->timer = xcalloc(1, sizeof(*sleeper->timer));
	sleeper->timer->data = sleeper;
	uv_timer_init(loop, sleeper->timer);
}

static void on_timer_closed(uv_handle_t *timer)
{
	free(timer);
}

void sleeper_clear(struct sleeper *sleeper)
{
	json_decref(sleeper->holders);
	sleeper->holders = NULL;
	uv_close((uv_handle_t *)sleeper->timer, on_timer_closed);
}
