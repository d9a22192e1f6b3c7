/* SPDX-License-Identifier: PostgreSQL */
/* Opening waits, each by a statement of its own. */
#include "queue/waits.h"

#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"

enum { RETRY_MS = 500 };

struct wait_request {
	struct waits *waits;
	int64_t job_id, ticket;
	char *name;
	struct wait_request *prev, *next;
};

static void request_free(struct wait_request *request)
{
	free(request->name);
	free(request);
}

/* The attempt may have ended meanwhile, and its lease with it. */
static void request_answer(struct wait_request *request, const char *token, const char *error)
{
	struct waits *waits = request->waits;
	struct lease *lease = lease_table_find(waits->leases, request->ticket);

	if (lease)
		waits->opened(waits->context, lease, token, error);
	request_free(request);
}

static void request_again(struct wait_request *request, const struct err *e)
{
	struct waits *waits = request->waits;

	if (strcmp(e->code, "connection_lost") != 0) {
		log_warn("wait_not_opened", LOG_I("job", request->job_id), LOG_S("error", e->text));
		waits->wait_until_ms = clock_boot_ms() + RETRY_MS;
	}
	DL_APPEND(waits->requests, request);
}

static void on_opened(void *context, const PGresult *rows, const struct err *e)
{
	struct wait_request *request = context;

	if (e && (err_is_retryable(e) || e->kind == ERR_CANCELLED))
		request_again(request, e);
	else if (e)
		request_answer(request, NULL, e->text);
	else
		request_answer(request, row_text(rows, 0, "token"), "the lease is lost");
}

static void waits_send(struct waits *waits, struct wait_request *request)
{
	struct params params = {0};

	params_text(&params, waits->worker_id);
	params_i64(&params, request->job_id);
	params_i64(&params, request->ticket);
	params_text(&params, request->name);
	session_send(waits->session, &sql_wait_open, &params, on_opened, request);
	session_sync(waits->session);
}

void waits_ask(struct waits *waits, const struct lease *lease, const char *name)
{
	struct wait_request *request = xcalloc(1, sizeof(*request));

	request->waits = waits;
	request->job_id = lease->job_id;
	request->ticket = lease->ticket;
	request->name = xstrdup(name);
	DL_APPEND(waits->requests, request);
}

void waits_flush(struct waits *waits)
{
	struct wait_request *request, *next;

	if (!waits->requests || !session_is_up(waits->session) ||
		clock_boot_ms() < waits->wait_until_ms)
		return;
	DL_FOREACH_SAFE (waits->requests, request, next) {
		DL_DELETE(waits->requests, request);
		waits_send(waits, request);
	}
}

void waits_clear(struct waits *waits)
{
	struct wait_request *request, *next;

	DL_FOREACH_SAFE (waits->requests, request, next) {
		DL_DELETE(waits->requests, request);
		request_free(request);
	}
}
