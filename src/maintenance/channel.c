/* SPDX-License-Identifier: PostgreSQL */
/* Steps on a session, one group each. */
#include "maintenance/channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void add_ms(struct params *params, int64_t ms)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, ms);
	params_text(params, text);
}

/* What went wrong with the step is in the step's answer. */
static void on_limits(void *context, const PGresult *rows, const struct err *e)
{
	(void)context;
	(void)rows;
	if (e && strcmp(e->code, "group_failed") != 0 && strcmp(e->code, "connection_lost") != 0)
		log_warn("limits_failed", LOG_S("error", e->text));
}

void channel_send(struct channel *channel, const struct sql_statement *statement,
	struct params *params, session_done *done, void *context)
{
	struct params limits = {0};

	add_ms(&limits, channel->lock_timeout_ms);
	add_ms(&limits, channel->statement_timeout_ms);
	session_send(channel->session, &sql_lane_settings, &limits, on_limits, NULL);
	session_send(channel->session, statement, params, done, context);
	session_sync(channel->session);
}

int64_t channel_answered(struct channel *channel, int64_t sent_ms)
{
	int64_t now_ms = clock_boot_ms();
	int64_t began_ms = sent_ms > channel->answered_ms ? sent_ms : channel->answered_ms;

	channel->answered_ms = now_ms;
	return now_ms - began_ms;
}
