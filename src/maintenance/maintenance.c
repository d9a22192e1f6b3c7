/* SPDX-License-Identifier: PostgreSQL */
/* Two channels, the lanes on them, and the rescuer. */
#include "maintenance/maintenance.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "db/conn.h"
#include "maintenance/channel.h"
#include "maintenance/lane.h"
#include "maintenance/rescuer.h"

enum {
	/* Longer than any row lock that others hold for good reasons, but no queue behind a lock.
	 */
	VISIBLE_LOCK_TIMEOUT_MS = 1000,
	VISIBLE_STATEMENT_TIMEOUT_MS = 10000,
	HYGIENE_STATEMENT_TIMEOUT_MS = 600000, /* reading a leaf of 50 million rows, slowly */
};

/* The rows of athena.lanes. */
static const struct lane_kind lane_kinds[] = {
	{"promote", true, LANE_AGAIN_FULL, NULL},
	{"rescue", true, LANE_AGAIN_FULL, "orphans_rescued"},
	{"deadlines", true, LANE_AGAIN_FULL, "overdue_taken"},
	{"waits", true, LANE_AGAIN_FULL, "waits_timed_out"},
	{"schedule", true, LANE_AGAIN_FULL, "schedules_fired"},
	{"tallies", false, LANE_AGAIN_NEVER, NULL},
	{"leaves", false, LANE_AGAIN_NEVER, "leaves_made"},
	{"prune", false, LANE_AGAIN_ANY, "jobs_pruned"},
	{"registry", false, LANE_AGAIN_NEVER, "registry_cleaned"},
};

enum { LANE_RESCUE = 1, LANE_COUNT = ARRAY_LENGTH(lane_kinds) };

struct maintenance {
	struct channel visible, hygiene;
	struct lane lanes[LANE_COUNT];
	struct rescuer rescuer;
	char *args; /* of every step, as JSON */
};

static const struct sql_statement *const statements[] = {
	CHANNEL_STATEMENTS, LANE_STATEMENTS, RESCUER_STATEMENTS, NULL};

static void on_up(void *context)
{
	struct channel *channel = context;
	struct maintenance *m = channel->owner;

	for (int i = 0; i < LANE_COUNT; i++)
		if (m->lanes[i].channel == channel)
			lane_start(&m->lanes[i]);
	if (m->rescuer.channel == channel)
		rescuer_start(&m->rescuer);
}

static void on_down(void *context, const struct err *e)
{
	struct channel *channel = context;
	struct maintenance *m = channel->owner;

	(void)e;
	for (int i = 0; i < LANE_COUNT; i++)
		if (m->lanes[i].channel == channel)
			lane_stop(&m->lanes[i]);
	if (m->rescuer.channel == channel)
		rescuer_stop(&m->rescuer);
}

static char *make_args(const struct config *config)
{
	char *finished CLEANUP(free_ptr) = interval_text(config->retention.finished_ms);
	char *dead CLEANUP(free_ptr) = interval_text(config->retention.dead_ms);
	json_auto_t *args =
		json_pack("{s:i, s:s, s:s}", "most", LANE_MOST, "finished", finished, "dead", dead);
	char *text = json_dumps(args, JSON_COMPACT);

	if (!text)
		abort();
	return text;
}

static void maintenance_init_lanes(struct maintenance *m, uv_loop_t *loop, const char *worker_id)
{
	for (int i = 0; i < LANE_COUNT; i++) {
		struct lane *lane = &m->lanes[i];

		lane->kind = &lane_kinds[i];
		lane->channel = lane->kind->is_visible ? &m->visible : &m->hygiene;
		lane->every_ms = lane->kind->is_visible ? config_limit("lanes_visible")
							: config_limit("lanes_hygiene");
		lane->worker_id = worker_id;
		lane->args = m->args;
		lane_init(lane, loop);
	}
	m->rescuer.channel = &m->visible;
	m->rescuer.lane = &m->lanes[LANE_RESCUE];
	m->rescuer.worker_id = worker_id;
	rescuer_init(&m->rescuer, loop);
}

static void channel_open(struct channel *channel, struct maintenance *m, uv_loop_t *loop,
	const struct config *config, const char *name)
{
	struct session_spec spec = session_spec_of(config, name, "athena maintenance", statements);

	spec.up = on_up;
	spec.down = on_down;
	spec.context = channel;
	channel->owner = m;
	channel->session = session_new(loop, &spec);
}

struct maintenance *maintenance_new(
	uv_loop_t *loop, const struct config *config, const char *worker_id)
{
	struct maintenance *m = xcalloc(1, sizeof(*m));

	m->args = make_args(config);
	maintenance_init_lanes(m, loop, worker_id);
	m->visible.lock_timeout_ms = VISIBLE_LOCK_TIMEOUT_MS;
	m->visible.statement_timeout_ms = VISIBLE_STATEMENT_TIMEOUT_MS;
	m->hygiene.lock_timeout_ms = config_limit("maintenance_lock_timeout");
	m->hygiene.statement_timeout_ms = HYGIENE_STATEMENT_TIMEOUT_MS;
	channel_open(&m->visible, m, loop, config, "maintenance");
	channel_open(&m->hygiene, m, loop, config, "hygiene");
	return m;
}

void maintenance_reload(struct maintenance *m, const struct config *config)
{
	free(m->args);
	m->args = make_args(config);
	for (int i = 0; i < LANE_COUNT; i++)
		m->lanes[i].args = m->args;
}

const char *maintenance_lane(const struct maintenance *m, size_t i, bool *ret_leads)
{
	if (i >= LANE_COUNT)
		return NULL;
	*ret_leads = m && m->lanes[i].leads;
	return lane_kinds[i].name;
}

const char *maintenance_trouble(const struct maintenance *m)
{
	const char *trouble = session_trouble(m->visible.session);

	return trouble ? trouble : session_trouble(m->hygiene.session);
}

/* The sessions answer what is unanswered while lanes and rescuer are still there. */
void maintenance_free(struct maintenance *m)
{
	if (!m)
		return;
	session_free(m->visible.session);
	session_free(m->hygiene.session);
	for (int i = 0; i < LANE_COUNT; i++)
		lane_clear(&m->lanes[i]);
	rescuer_clear(&m->rescuer);
	free(m->args);
	free(m);
}
