/* SPDX-License-Identifier: PostgreSQL */
/*
 * Following one job until it ends: what it does is printed as it happens.
 *
 * Blocks, and asks the database several times a second, more rarely while nothing changes. A lost
 * connection is tried again for as long as it takes. ^C ends the following, never the job.
 */
#ifndef ATHENA_CLI_FOLLOW_H
#define ATHENA_CLI_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct cli;

enum follow_what {
	FOLLOW_PROGRESS, /* on stderr: phases, progress and how it ended */
	FOLLOW_EVENTS,	 /* the same, and every event after `after_seq` on stdout */
};

/*
 * Sets cli->status: 0 succeeded, 1 dead, 3 cancelled. With --json stdout gets a JSON object per
 * line: each event, and at last the job's state.
 */
MUSTCHECK bool follow_job(
	struct cli *cli, int64_t job_id, enum follow_what what, int64_t after_seq, struct err *e);

#endif
