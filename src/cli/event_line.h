/* SPDX-License-Identifier: PostgreSQL */
/* One event of a job as a line for people, or as JSON. Rows are those of job_events.sql. */
#ifndef ATHENA_CLI_EVENT_LINE_H
#define ATHENA_CLI_EVENT_LINE_H

#include <jansson.h>
#include <libpq-fe.h>

#include "cli/terminal.h"

void event_line_print(const struct terminal *terminal, const PGresult *rows, int row);

json_t *event_line_json(const PGresult *rows, int row);

#endif
