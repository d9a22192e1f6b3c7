/* SPDX-License-Identifier: PostgreSQL */
/* READY, WATCHDOG and STOPPING. */
#include "cli/supervisor.h"

#include <systemd/sd-daemon.h>

static void on_timer(uv_timer_t *timer)
{
	(void)timer;
	sd_notify(0, "WATCHDOG=1");
}

void supervisor_start(struct supervisor *supervisor, uv_loop_t *loop)
{
	uint64_t watchdog_us = 0;

	uv_timer_init(loop, &supervisor->timer);
	uv_unref((uv_handle_t *)&supervisor->timer);
	supervisor->is_started = true;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		uv_timer_start(&supervisor->timer, on_timer, 0, watchdog_us / 2000);
	sd_notify(0, "READY=1");
}

void supervisor_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void supervisor_close(struct supervisor *supervisor)
{
	if (supervisor->is_started)
		uv_close((uv_handle_t *)&supervisor->timer, NULL);
	supervisor->is_started = false;
}
