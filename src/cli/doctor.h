/* SPDX-License-Identifier: PostgreSQL */
/*
 * What `athena doctor` finds: verdicts, each with a remedy, collected and then shown.
 *
 * A check that cannot be made (no right, a timeout) is a finding, too: not knowing is no health.
 */
#ifndef ATHENA_CLI_DOCTOR_H
#define ATHENA_CLI_DOCTOR_H

#include <jansson.h>

#include "base/err.h"
#include "cli/cli.h"

struct doctor {
	struct cli *cli;
	json_t *findings; /* {"check", "verdict", "finding", "remedy"} in the order of the checks */
	size_t wrong;	  /* how many of them are */
};

/* verdict: "good", "note" or "wrong". remedy: what to type or do; NULL: nothing. */
void doctor_add(struct doctor *doctor, const char *check, const char *verdict, const char *finding,
	const char *remedy);

/* The check could not be made. */
void doctor_unknown(struct doctor *doctor, const char *check, const struct err *e);

/*
 * Conservation by windows of ids, the newest first, for `budget_ms` (0: all of them). What a window
 * reports is asked for twice: a leaf that is being pruned may look wrong for a moment.
 */
MUSTCHECK bool doctor_check_law(struct doctor *doctor, int64_t budget_ms, struct err *e);

#endif
