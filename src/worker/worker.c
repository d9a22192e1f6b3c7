/* SPDX-License-Identifier: PostgreSQL */
/* The worker's life: sessions, turns, signals, draining. */
#include "worker/worker.h"

#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/conn.h"
#include "db/query.h"

enum { LEAVE_MS = 3000 }; /* for the last settles and the goodbye */

static const struct sql_statement *const work_statements[] = {
	CLAIM_STATEMENTS,
	SETTLE_STATEMENTS,
	REPORT_STATEMENTS,
	WAITS_STATEMENTS,
	&sql_system_id,
	NULL,
};

static const struct sql_statement *const pulse_statements[] = {
	REGISTRY_STATEMENTS,
	SLEEP_STATEMENTS,
	&sql_family_declare,
	&sql_family_rows,
	NULL,
};

struct line *worker_line(struct worker *worker, const char *name)
{
	for (int i = 0; i < worker->line_count; i++)
		if (strcmp(worker->lines[i].name, name) == 0)
			return &worker->lines[i];
	return NULL;
}

void worker_wake_all(struct worker *worker)
{
	for (int i = 0; i < worker->line_count; i++)
		line_wake(&worker->lines[i]);
}

/* --- Stopping what runs */

void worker_stop_all(struct worker *worker, enum stop_reason reason)
{
	struct lease *lease, *next;

	HASH_ITER (hh, worker->leases.by_ticket, lease, next)
		worker_stop_lease(worker, lease, reason);
}

void worker_hand_back_held(struct worker *worker, struct line *line)
{
	while (line->held)
		worker_stop_lease(worker, line->held, STOP_DRAIN);
}

void worker_drain(struct worker *worker)
{
	if (worker->life != WORKER_RUNNING)
		return;
	log_info("draining", LOG_I("held", lease_table_count(&worker->leases)));
	worker->life = WORKER_DRAINING;
	worker->ends_at_ms = clock_boot_ms() + worker->config->worker.drain_ms;
	for (int i = 0; i < worker->line_count; i++) {
		sleeper_reset(&worker->lines[i].sleeper);
		worker_hand_back_held(worker, &worker->lines[i]);
	}
}

/* The grace time is over: stop and hand back, by force where need be. */
static void worker_stop(struct worker *worker)
{
	worker_drain(worker);
	worker->life = WORKER_STOPPING;
	worker->ends_at_ms = clock_boot_ms() + worker->config->worker.cancel_grace_ms + LEAVE_MS;
	worker_stop_all(worker, STOP_DRAIN);
}

void worker_stop_now(struct worker *worker)
{
	worker_stop(worker);
	worker->ends_at_ms = clock_boot_ms() + LEAVE_MS;
	for (int i = 0; i < worker->line_count; i++)
		for (int s = 0; s < worker->lines[i].slots_made; s++)
			slot_kill(worker->lines[i].slots[s]);
}

/* --- Families' rows */

static void on_heartbeat(uv_timer_t *timer);

/* The row decides; a configuration that says otherwise is told so, once. */
static void warn_of_difference(
	const struct line *line, const char *setting, int64_t own, int64_t row)
{
	if (own != 0 && own != row)
		log_warn("setting_ignored", LOG_S("family", line->name), LOG_S("setting", setting),
			LOG_I("configured", own), LOG_I("in_force", row),
			LOG_S("hint", "athena family set changes what is in force"));
}

static void line_compare(
	struct line *line, const struct config_family *own, const PGresult *rows, int row)
{
	if (!own || line->is_compared)
		return;
	line->is_compared = true;
	warn_of_difference(line, "lease_ms", own->lease_ms, line->lease_ms);
	warn_of_difference(line, "timeout_ms", own->timeout_ms, line->timeout_ms);
	warn_of_difference(
		line, "max_attempts", own->max_attempts, row_i64(rows, row, "max_attempts"));
}

/* As configured, but at least four times per lease: more than one may get lost. */
static void worker_set_beat(struct worker *worker)
{
	int64_t beat_ms = worker->config->worker.heartbeat_ms;

	for (int i = 0; i < worker->line_count; i++)
		if (beat_ms > worker->lines[i].lease_ms / 4)
			beat_ms = worker->lines[i].lease_ms / 4;
	if (beat_ms == worker->beat_ms)
		return;
	worker->beat_ms = beat_ms;
	uv_timer_start(&worker->heartbeat, on_heartbeat, (uint64_t)beat_ms, (uint64_t)beat_ms);
}

/* Claims of a family that was limited otherwise than it is have taken nothing, or not all, of it.
 */
static void line_set_claim(struct line *line, bool is_limited, bool is_keyed, bool is_chunked)
{
	if (line->claim.is_limited != is_limited || line->claim.is_chunked != is_chunked)
		line_wake(line);
	line->claim.is_limited = is_limited;
	line->claim.is_keyed = is_keyed;
	line->claim.is_chunked = is_chunked;
}

static void on_family_rows(void *context, const PGresult *rows, const struct err *e)
{
	struct worker *worker = context;

	for (int row = 0; !e && row < PQntuples(rows); row++) {
		const char *name = row_text(rows, row, "name");
		struct line *line = worker_line(worker, name);

		line->lease_ms = row_i64(rows, row, "lease_ms");
		line->timeout_ms = row_i64(rows, row, "timeout_ms");
		line_set_claim(line, row_bool(rows, row, "is_limited"),
			row_bool(rows, row, "is_keyed"), row_bool(rows, row, "chunked"));
		line_compare(line, config_family_find(worker->config, name), rows, row);
	}
	worker->knows_families |= !e;
	worker_set_beat(worker);
}

void worker_read_families(struct worker *worker)
{
	struct params params = {0};

	if (!session_is_up(worker->pulse))
		return;
	params_texts(&params, worker->options.families, (size_t)worker->line_count);
	session_send(worker->pulse, &sql_family_rows, &params, on_family_rows, worker);
	session_sync(worker->pulse);
}

/* Inserts the rows of families that only this configuration knows; never changes one. */
static void worker_declare_families(struct worker *worker)
{
	for (int i = 0; i < worker->line_count; i++) {
		const struct line *line = &worker->lines[i];
		const struct config_family *own = config_family_find(worker->config, line->name);
		struct params params = {0};

		params_text(&params, line->name);
		params_text(&params, line->family->summary);
		params_ms(&params, own && own->lease_ms ? own->lease_ms : line->lease_ms);
		params_ms(&params, own && own->timeout_ms ? own->timeout_ms : -1);
		params_i64(&params,
			own && own->max_attempts ? own->max_attempts : line->family->max_attempts);
		session_send(worker->pulse, &sql_family_declare, &params, NULL, NULL);
		session_sync(worker->pulse);
	}
}

/* --- Sessions */

static void on_listening(void *context, const PGresult *result, const struct err *e)
{
	struct worker *worker = context;

	(void)result;
	if (e) {
		log_warn("not_listening", LOG_S("error", e->text));
		return;
	}
	for (int i = 0; i < worker->line_count; i++)
		sleeper_can_listen(&worker->lines[i].sleeper);
	worker_wake_all(worker);
}

/*
 * A transaction pooler accepts LISTEN, and then nothing is ever heard: the slow poll is what is
 * left, and the poolers' session is not left listening for strangers.
 */
static void worker_listen(struct worker *worker)
{
	const struct config *config = worker->config;

	if (config->database_prepare == CONFIG_PREPARE_NEVER && !config->database_direct_url) {
		log_warn("not_listening",
			LOG_S("hint",
				"behind a pooler, database.direct_url is for waking up at once; "
				"without "
				"it jobs wait for worker.poll"));
		return;
	}
	session_command(worker->pulse, "LISTEN athena", on_listening, worker);
	session_sync(worker->pulse);
}

static void on_pulse_up(void *context)
{
	struct worker *worker = context;

	worker_declare_families(worker);
	registry_connected(&worker->registry);
	worker_read_families(worker);
	worker_listen(worker);
}

static void on_connection_down(void *context, const struct err *e)
{
	struct worker *worker = context;

	(void)e;
	for (int i = 0; i < worker->line_count; i++)
		sleeper_reset(&worker->lines[i].sleeper);
}

static void on_work_system_id(void *context, const PGresult *rows, const struct err *e)
{
	struct worker *worker = context;

	if (e)
		log_error("system_unknown", LOG_S("error", e->text));
	else
		snprintf(worker->work_system_id, sizeof(worker->work_system_id), "%s",
			row_text(rows, 0, "id"));
}

static void on_work_up(void *context)
{
	struct worker *worker = context;

	worker->work_system_id[0] = '\0';
	session_send(worker->work, &sql_system_id, NULL, on_work_system_id, worker);
	session_sync(worker->work);
	for (int i = 0; i < worker->line_count; i++)
		cursor_reset(&worker->lines[i].claim.cursor);
	worker_wake_all(worker);
}

/* --- Claims */

static void on_claim_done(void *context, struct lease *leases, int count, const struct err *e)
{
	struct line *line = context;
	struct worker *worker = line->worker;
	struct lease *lease, *next;
	int late = 0;

	line->claim_error.kind = ERR_NONE;
	line->counters.claimed += (uint64_t)count;
	if (e) {
		line->claim_error = *e;
		worker->must_reconcile |= strcmp(e->code, "connection_lost") == 0;
		if (strcmp(e->code, "connection_lost") != 0)
			log_warn("claim_failed", LOG_S("family", line->name),
				LOG_S("error", e->text));
		line_retry(line);
		return;
	}
	worker_doubt_leases(worker, line->claim.asked_ns);
	DL_FOREACH_SAFE (leases, lease, next) {
		lease->line = line;
		lease_table_add(&worker->leases, lease);
		if (lease->waited_s * 1000 > SLEEPER_LATE_MS)
			late += lease->jobs;
	}
	line_take(line, leases);
	if (line->claim.found == CLAIM_LITTLE)
		sleeper_found_little(&line->sleeper, count, late);
	else if (line->claim.found == CLAIM_PLENTY)
		sleeper_found_plenty(&line->sleeper, count, late);
}

static void on_reconciled(void *context, const PGresult *rows, const struct err *e)
{
	struct worker *worker = context;

	(void)rows;
	worker->is_reconciling = false;
	worker->must_reconcile = e != NULL;
}

/*
 * After a failover `work` may be on the new server before `pulse` is, and before what we run was
 * found to be of another timeline. A claim there could give us a job under the number of one that
 * still runs, whose result would end it. Results need no such care: what they could end there is
 * the lease that they are of.
 */
static bool worker_is_where_registered(const struct worker *worker)
{
	return strcmp(worker->work_system_id, worker->registry.system_id) == 0;
}

void worker_beaten(struct worker *worker)
{
	if (worker->work_system_id[0] && !worker_is_where_registered(worker))
		session_reset(worker->work, "it reached another server than the heartbeat");
}

static bool worker_may_claim(struct worker *worker)
{
	worker->is_clearing &= lease_table_count(&worker->leases) > 0;
	if (worker->is_clearing)
		return false;
	if (worker->life != WORKER_RUNNING || !worker->registry.is_registered ||
		!worker->knows_families || !session_is_up(worker->work) ||
		!worker_is_where_registered(worker))
		return false;
	if (worker->must_reconcile && !worker->is_reconciling && session_is_up(worker->pulse)) {
		worker->is_reconciling = true;
		registry_reconcile(&worker->registry, on_reconciled, worker);
	}
	return !worker->must_reconcile;
}

/* Attempts that would be fenced as soon as they begin are better not begun. */
static bool worker_may_start(const struct worker *worker, const struct line *line)
{
	int64_t silent_ms = (clock_boot_ns() - fence_last_beat_ns(worker->fence)) / 1000000;

	return worker->life == WORKER_RUNNING && worker->doubt_ns == 0 &&
		silent_ms + 1000 < line_fence_ms(line);
}

/* The first claim shares the open group, and so the round trip and commit, of a settle. */
static void worker_claim(struct worker *worker, bool *owes_sync)
{
	for (int i = 0; i < worker->line_count && worker_may_claim(worker); i++) {
		struct line *line = &worker->lines[(worker->first_line + i) % worker->line_count];
		int room = worker_may_start(worker, line) ? line_room(line) : 0;

		if (room > 0) {
			claim_send(&line->claim, room);
			*owes_sync = false;
		}
	}
	worker->first_line = (worker->first_line + 1) % worker->line_count;
}

/* A body that is gone cannot be run, now or later. */
static void worker_refuse_bodiless(struct worker *worker, struct line *line)
{
	struct lease *lease, *next;

	DL_FOREACH_SAFE (line->held, lease, next)
		if (!lease->payload) {
			line_unhold(line, lease);
			worker_finish(worker, lease, RESULT_FAILED, "permanent", "body_missing",
				"body missing");
		}
}

/* --- Leaving */

static void worker_end(struct worker *worker)
{
	if (worker->life == WORKER_ENDED)
		return;
	worker->life = WORKER_ENDED;
	worker->options.ended(worker->options.context, worker->status);
}

static void on_left(void *context, const PGresult *rows, const struct err *e)
{
	(void)rows;
	(void)e;
	worker_end(context);
}

static void worker_leave(struct worker *worker)
{
	worker->life = WORKER_LEAVING;
	worker->ends_at_ms = clock_boot_ms() + LEAVE_MS;
	if (session_is_up(worker->pulse) && worker->registry.is_registered)
		registry_leave(&worker->registry, on_left, worker);
	else
		worker_end(worker);
}

static bool worker_is_idle(const struct worker *worker)
{
	for (int i = 0; i < worker->line_count; i++)
		if (!line_is_idle(&worker->lines[i]) || worker->lines[i].claim.flying)
			return false;
	return settler_is_idle(&worker->settler) && reporter_is_idle(&worker->reporter) &&
		lease_table_count(&worker->leases) == 0;
}

static bool worker_has_nothing_left(const struct worker *worker)
{
	for (int i = 0; i < worker->line_count; i++)
		if (worker->lines[i].is_hungry)
			return false;
	return worker->knows_families && worker->registry.is_registered && worker_is_idle(worker);
}

static void worker_advance_life(struct worker *worker)
{
	bool is_over = clock_boot_ms() >= worker->ends_at_ms;

	switch (worker->life) {
	case WORKER_RUNNING:
		if (worker->options.once && worker_has_nothing_left(worker))
			worker_drain(worker);
		break;
	case WORKER_DRAINING:
		if (worker_is_idle(worker))
			worker_leave(worker);
		else if (is_over)
			worker_stop(worker);
		break;
	case WORKER_STOPPING:
		if (worker_is_idle(worker) || is_over)
			worker_leave(worker);
		break;
	case WORKER_LEAVING:
		if (is_over)
			worker_end(worker);
		break;
	case WORKER_ENDED:
		break;
	}
}

static void worker_turn(struct worker *worker)
{
	bool owes_sync;

	if (worker->life == WORKER_ENDED)
		return;

	for (int i = 0; i < worker->line_count; i++) {
		worker_refuse_bodiless(worker, &worker->lines[i]);
		if (worker_may_start(worker, &worker->lines[i]))
			line_dispatch(&worker->lines[i]);
	}
	reporter_flush(&worker->reporter);
	waits_flush(&worker->waits);
	owes_sync = settler_flush(&worker->settler);
	worker_claim(worker, &owes_sync);
	if (owes_sync)
		session_sync(worker->work);
	worker_advance_life(worker);
}

/* --- Timers */

static void on_turn(uv_prepare_t *handle)
{
	worker_turn(handle->data);
}

static void on_heartbeat(uv_timer_t *timer)
{
	struct worker *worker = timer->data;
	int64_t silent_ms = (clock_boot_ns() - worker->registry.sent_boot_ns) / 1000000;

	/* A connection that swallows a heartbeat for two of them is dead, whatever TCP says. */
	if (worker->registry.is_beating && silent_ms > 2 * worker->beat_ms) {
		session_reset(worker->pulse, "no answer to a heartbeat");
		session_reset(worker->work, "no answer to a heartbeat");
	}
	registry_beat(&worker->registry);
}

static void on_poll(uv_timer_t *timer)
{
	worker_wake_all(timer->data);
}

/* Turns the loop, too, for what waits for a time and not for an event. */
static void on_tick(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	for (int i = 0; i < worker->line_count; i++)
		line_look(&worker->lines[i]);
}

/* --- Start and end */

static int worker_slots_of(const struct worker *worker, const char *family)
{
	const struct config_family *own = config_family_find(worker->config, family);

	return own ? own->concurrency : worker->config->worker.concurrency;
}

static bool worker_add_line(struct worker *worker, const char *name, struct err *e)
{
	const struct config_family *own = config_family_find(worker->config, name);
	const struct family *family = family_find(own ? own->run : name);
	struct line *line = &worker->lines[worker->line_count];

	if (own && !family_check_entry(own, e))
		return false;
	if (!family)
		return err_set(e, ERR_CONFIG,
			"family \"%s\" is neither built in nor under `families:` in the "
			"configuration",
			name);
	if (family->tidy)
		family->tidy();
	line_init(line, worker, name, family, worker_slots_of(worker, name), &worker->slots);
	line->claim = (struct claim){.session = worker->work,
		.worker_id = worker->registry.worker_id,
		.family = name,
		.done = on_claim_done,
		.again = (void (*)(void *, int64_t))line_wake_later,
		.context = line};
	line->sleeper.session = worker->pulse;
	line->sleeper.worker_id = worker->registry.worker_id;
	line->sleeper.family = name;
	line->sleeper.wake = (void (*)(void *))line_wake;
	line->sleeper.context = line;
	worker->line_count++;
	return true;
}

static struct session *worker_session(struct worker *worker, const char *name,
	const char *application_name, const char *uri,
	const struct sql_statement *const *statements, void (*up)(void *))
{
	struct session_spec spec =
		session_spec_of(worker->config, name, application_name, statements);

	spec.uri = uri;
	spec.up = up;
	spec.down = on_connection_down;
	spec.notified = worker_notified;
	spec.context = worker;
	return session_new(worker->loop, &spec);
}

static void worker_open_sessions(struct worker *worker)
{
	const struct config *config = worker->config;

	worker->work = worker_session(
		worker, "work", "athena worker", config->database_url, work_statements, on_work_up);
	worker->pulse = worker_session(worker, "pulse", "athena worker pulse",
		config_direct_url(config), pulse_statements, on_pulse_up);
}

static void worker_wire(struct worker *worker)
{
	const char *id = worker->registry.worker_id;

	worker->registry.session = worker->pulse;
	worker->registry.kind = "worker";
	worker->registry.families = worker->options.families;
	worker->registry.events = &worker_registry_events;
	worker->registry.context = worker;
	worker->settler = (struct settler){.session = worker->work,
		.worker_id = id,
		.leases = &worker->leases,
		.ended = worker_settled,
		.context = worker};
	worker->reporter = (struct reporter){.session = worker->work, .worker_id = id};
	reporter_init(&worker->reporter);
	worker->waits = (struct waits){.session = worker->work,
		.worker_id = id,
		.leases = &worker->leases,
		.opened = worker_wait_opened,
		.context = worker};
}

static void worker_start_timer(
	struct worker *worker, uv_timer_t *timer, uv_timer_cb callback, int64_t every_ms)
{
	uv_timer_init(worker->loop, timer);
	timer->data = worker;
	uv_timer_start(timer, callback, (uint64_t)every_ms, (uint64_t)every_ms);
}

static void worker_start_handles(struct worker *worker)
{
	enum { TICK_MS = 100 };

	uv_prepare_init(worker->loop, &worker->turn);
	worker->turn.data = worker;
	uv_prepare_start(&worker->turn, on_turn);
	worker->beat_ms = worker->config->worker.heartbeat_ms;
	worker_start_timer(worker, &worker->heartbeat, on_heartbeat, worker->beat_ms);
	worker_start_timer(worker, &worker->poll, on_poll, worker->config->worker.poll_ms);
	worker_start_timer(worker, &worker->tick, on_tick, TICK_MS);
}

static bool worker_init_slots(struct worker *worker, struct err *e)
{
	worker->slots = (struct slot_shared){.loop = worker->loop,
		.queue_id = worker->registry.queue_id,
		.config_fd = -1,
		.fence_fd = -1,
		.cancel_grace_ms = worker->config->worker.cancel_grace_ms,
		.attempts_max = worker->config->worker.executor_attempts,
		.events = &worker_slot_events,
		.context = worker};
	return config_seal(worker->config, &worker->slots.config_fd, e) &&
		fence_new(&worker->fence, &worker->slots.fence_fd, e);
}

static bool worker_add_lines(struct worker *worker, struct err *e)
{
	size_t count = 0;

	while (worker->options.families[count])
		count++;
	worker->lines = xcalloc(count, sizeof(*worker->lines));
	for (size_t i = 0; i < count; i++)
		if (!worker_add_line(worker, worker->options.families[i], e))
			return false;
	return true;
}

bool worker_new(struct worker **ret_worker, uv_loop_t *loop, const struct config *config,
	const struct worker_options *options, struct err *e)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));

	worker->config = config;
	worker->options = *options;
	worker->loop = loop;
	worker->slots.config_fd = -1;
	registry_init(&worker->registry);
	worker_open_sessions(worker);
	worker_wire(worker);
	worker_start_handles(worker);
	if (!worker_init_slots(worker, e) || !worker_add_lines(worker, e)) {
		worker_free(worker);
		return false;
	}
	*ret_worker = worker;
	return true;
}

bool worker_reload(struct worker *worker, const struct config *config, struct err *e)
{
	int64_t poll_ms = config->worker.poll_ms;
	int sealed;

	if (!config_seal(config, &sealed, e))
		return false;
	close(worker->slots.config_fd);
	worker->slots.config_fd = sealed;
	worker->config = config;
	worker->slots.cancel_grace_ms = config->worker.cancel_grace_ms;
	worker->slots.attempts_max = config->worker.executor_attempts;
	uv_timer_start(&worker->poll, on_poll, (uint64_t)poll_ms, (uint64_t)poll_ms);
	for (int i = 0; i < worker->line_count; i++) {
		line_set_slots(&worker->lines[i], worker_slots_of(worker, worker->lines[i].name));
		line_renew(&worker->lines[i]);
		line_wake(&worker->lines[i]);
	}
	return true;
}

const char *worker_id(const struct worker *worker)
{
	return worker->registry.worker_id;
}

/* libuv closes in no promised order: the last of the worker's own handles takes it along. */
static void on_handle_closed(uv_handle_t *handle)
{
	struct worker *worker = handle->data;
	struct lease *lease, *next;

	if (--worker->handles_open > 0)
		return;
	HASH_ITER (hh, worker->leases.by_ticket, lease, next)
		lease_table_drop(&worker->leases, lease);
	reporter_clear(&worker->reporter);
	waits_clear(&worker->waits);
	fence_free(worker->fence, worker->slots.fence_fd);
	if (worker->slots.config_fd >= 0)
		close(worker->slots.config_fd);
	free(worker->lines);
	free(worker);
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	worker->life = WORKER_ENDED;
	session_free(worker->work);
	session_free(worker->pulse);
	for (int i = 0; i < worker->line_count; i++)
		line_clear(&worker->lines[i]);
	worker->handles_open = 4;
	uv_close((uv_handle_t *)&worker->heartbeat, on_handle_closed);
	uv_close((uv_handle_t *)&worker->poll, on_handle_closed);
	uv_close((uv_handle_t *)&worker->tick, on_handle_closed);
	uv_close((uv_handle_t *)&worker->turn, on_handle_closed);
}
