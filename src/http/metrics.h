/* SPDX-License-Identifier: PostgreSQL */
/*
 * What /metrics tells: one row per metric, in the order of the page.
 *
 * A metric is either this process's, written from memory: to be summed over processes. Or it is
 * about the whole database, and comes from the rows of a statement: the same whichever process
 * tells it, so to be taken once (max, not sum), which its HELP says. docs/metrics.md explains each;
 * a test compares the two.
 *
 * To add one: 1 a row here, with a statement sql/statements/metrics_NAME.sql listed in survey.c
 * too, if it asks Postgres, 2 its row in docs/metrics.md. No label may take more values than
 * there are families, lanes or tables: never a job.
 */
#ifndef ATHENA_HTTP_METRICS_H
#define ATHENA_HTTP_METRICS_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "http/program.h"
#include "sql_statements.h"

enum { METRIC_LABELS = 2 };

struct metric {
	const char *name; /* NULL ends the table */
	const char *type;
	const char *help;

	/* Of this process: adds the samples, if there are any. */
	void (*write)(const struct metric *metric, const struct program *program, struct buf *text);

	/* Of the whole database: a sample per row, none where the value is null. */
	const struct sql_statement *statement;
	const char *value;		   /* column */
	const char *labels[METRIC_LABELS]; /* columns, and names of labels */
};

extern const struct metric metrics[];

size_t metrics_count(void);

/* Adds HELP and TYPE, and then the samples; nothing when there are none. */
void metric_write(const struct metric *metric, const struct buf *samples, struct buf *text);

/* Adds the samples of a metric about the whole database. */
void metric_write_rows(const struct metric *metric, const PGresult *rows, struct buf *samples);

#endif
