/* SPDX-License-Identifier: PostgreSQL */
/*
 * What `athena top` shows: one look at the queue, and how fast it has moved since the look before.
 *
 * A look costs the server what a scrape of /metrics does: sums of deltas, small tables, and index
 * probes that take a twentieth of the time at most (http/starts.h). No table is counted. It blocks,
 * for 5 s per statement at most.
 */
#ifndef ATHENA_CLI_FIGURES_H
#define ATHENA_CLI_FIGURES_H

#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "db/conn.h"
#include "http/starts.h"

enum figure {
	FIGURE_READY,
	FIGURE_SCHEDULED,
	FIGURE_RUNNING,
	FIGURE_WAITING,
	FIGURE_DEAD,
	FIGURE_ENQUEUED_PER_S,
	FIGURE_ENDED_PER_S,
	FIGURE_DEAD_PER_S,
	FIGURE_OLDEST_S, /* for how long the first ready job could have been claimed */
	FIGURES
};

enum { FIGURES_HISTORY = 40 };

struct figures_family {
	char *name;
	bool is_paused;
	double now[FIGURES];		 /* NAN: not known */
	double history[FIGURES_HISTORY]; /* ended per second; the last look comes last */
	double enqueued, ended;		 /* ever */
};

struct figures {
	struct figures_family *families; /* by name */
	size_t family_count;
	struct figures_family all; /* of them together; `oldest` is the oldest */
	PGresult *workers, *lanes; /* of worker_list.sql and maintenance_status.sql */

	double at_s;	    /* the server's clock at the last look; 0: there was none */
	bool is_age_secret; /* this role may not ask for it */
	struct starts starts;
};

/* Looks. When it fails, what the look before found stays, and the connection is to be closed. */
MUSTCHECK bool figures_look(struct figures *figures, struct conn *conn, struct err *e);

/* For programs: {"at", "families", "workers", "lanes"}. The caller owns it. */
json_t *figures_json(const struct figures *figures);

/* Zero-initialise, and release with this. */
void figures_clear(struct figures *figures);

#endif
