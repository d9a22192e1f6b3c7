/* SPDX-License-Identifier: PostgreSQL */
/*
 * Looks at who is registered about once a second, and has the jobs of the silent and the dead taken
 * from them: the glue between watch.h, which judges, and athena.rescue(), which takes.
 *
 * Every process with maintenance watches, since a new leader could otherwise begin to watch only
 * after the old one died. The silent are rescued by the leader of lane `rescue`; processes that
 * died on this host by anybody on it, since nobody else can know.
 */
#ifndef ATHENA_MAINTENANCE_RESCUER_H
#define ATHENA_MAINTENANCE_RESCUER_H

#include <stdbool.h>
#include <uv.h>

#include "base/host.h"
#include "maintenance/lane.h"
#include "maintenance/watch.h"

struct rescuer {
	struct channel *channel; /* these three are set by the owner */
	const struct lane *lane; /* `rescue`: do we lead it? */
	const char *worker_id;	 /* the owner's; may change */

	struct watch watch;
	struct host_process self;
	uv_timer_t *timer;
	int64_t sent_ms; /* of the look that is under way */
	bool is_looking;
	int flying;	  /* rescues whose answer is awaited */
	bool is_full;	  /* one of them took as much as it may: look again at once */
	struct err error; /* of the last look or rescue that failed */
};

/* As for a lane. */
void rescuer_init(struct rescuer *rescuer, uv_loop_t *loop);
void rescuer_start(struct rescuer *rescuer);
void rescuer_stop(struct rescuer *rescuer);
void rescuer_clear(struct rescuer *rescuer);

#define RESCUER_STATEMENTS &sql_watch, &sql_rescue

#endif
