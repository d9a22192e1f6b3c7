/* SPDX-License-Identifier: PostgreSQL */
/*
 * Where to begin looking for the first ticket of each family's lanes, for survey.h.
 *
 * A look begins at what is proved: the floors of this process's worker (queue/cursor.h), and at
 * the front for families that it does not serve. The other way is a hint: where the last answer
 * found something.
 */
#ifndef ATHENA_HTTP_STARTS_H
#define ATHENA_HTTP_STARTS_H

#include <libpq-fe.h>

#include "db/params.h"
#include "worker/worker.h"

/* One family: below these tickets, an array of one per lane as Postgres writes it, is nothing. */
struct start {
	char *family;
	char *after;
};

struct starts {
	struct start *hints; /* of the last answer */
	size_t count;
	bool is_look;	   /* the question under way */
	int64_t looked_ms; /* boot clock: when the last look was sent */
	int64_t cost_ms;   /* of the last look */
};

/*
 * Adds the parameters of metrics_oldest.sql. False when a look would come too early after a dear
 * one, and nothing else is known.
 */
bool starts_choose(struct starts *starts, const struct worker *worker, struct params *params);

/* The question was answered after so long; rows is NULL when it failed. */
void starts_learn(struct starts *starts, const PGresult *rows, int64_t took_ms);

void starts_clear(struct starts *starts);

#endif
