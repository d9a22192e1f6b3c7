/* SPDX-License-Identifier: PostgreSQL */
/*
 * Why a job does not run, or what became of it: one reason, in words, and the commands that help.
 * Pure: from one row of job_explain.sql and the number of jobs before it.
 */
#ifndef ATHENA_CLI_EXPLAIN_H
#define ATHENA_CLI_EXPLAIN_H

#include <libpq-fe.h>

#include "base/buf.h"

enum {
	AHEAD_MOST = 10000, /* as far as jobs before it are counted */
	AHEAD_UNKNOWN = -1, /* that took too long */
	HELP_MOST = 3,
};

struct explanation {
	const char *reason; /* a word for programs: "paused", "behind", ... */
	struct buf answer;  /* a sentence without a full stop */
	struct {
		char *command;
		const char *what; /* what it is good for */
	} help[HELP_MOST];
	int help_count;
};

void explain(struct explanation *ret_explanation, const PGresult *job, int64_t ahead);

/* "12", "at least 10,000", "not counted: it would take long". */
const char *explain_ahead(int64_t ahead, char text[40]);

void explanation_clear(struct explanation *explanation);

#endif
