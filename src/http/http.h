/* SPDX-License-Identifier: PostgreSQL */
/*
 * The pages of a long-running program, as a component on its loop:
 *
 *     /ping      "pong"
 *     /healthz   200: the loop turns, which answering at all shows. Asks no database, or a
 *                supervisor would kill workers in an outage.
 *     /readyz    200 when the schema is right and claiming (or maintenance) goes on; else 503, and
 *                a reason per line
 *     /metrics   what metrics.h lists
 *     /callbacks/TOKEN   callbacks.h; of workers, with http.callback_secret only
 *
 * It answers before the other components are there and until the program ends, and each page
 * within a second, whatever Postgres does. Nobody is asked who he is, so it listens on loopback
 * unless the address says otherwise; no page shows a payload, and none but callbacks changes
 * anything.
 */
#ifndef ATHENA_HTTP_HTTP_H
#define ATHENA_HTTP_HTTP_H

#include "config/config.h"
#include "http/program.h"

struct http;

/*
 * Listens on `address` (listener.h) and logs where. The address, the configuration and what the
 * program points to must outlive it.
 */
MUSTCHECK bool http_new(struct http **ret_http, uv_loop_t *loop, const struct config *config,
	const char *address, const struct program *program, struct err *e);

/* Answers whoever waits. Memory goes with the loop's handles. NULL is fine. */
void http_free(struct http *http);

#endif
