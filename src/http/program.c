/* SPDX-License-Identifier: PostgreSQL */
/* Whether a program does what it is for. */
#include "http/program.h"

#include <inttypes.h>

#include "base/clock.h"

/* Claims are answered within milliseconds; they wait for no lock. */
enum { CLAIM_SLOW_MS = 5000 };

static void add_reason(struct buf *reasons, const char *reason)
{
	buf_printf(reasons, "%s\n", reason);
}

static void check_session(const char *what, const struct session *session, struct buf *reasons)
{
	const char *trouble = session_trouble(session);

	if (trouble)
		buf_printf(reasons, "no connection for %s: %s\n", what, trouble);
}

/* As worker_may_start() sees it: nothing is begun that the fence would end at once. */
static void check_line(const struct worker *worker, const struct line *line, struct buf *reasons)
{
	int64_t now_ns = clock_boot_ns();
	int64_t silent_ms = (now_ns - fence_last_beat_ns(worker->fence)) / 1000000;
	int64_t asked_ms = (now_ns - line->claim.asked_ns) / 1000000;

	if (silent_ms + 1000 >= line->lease_ms - worker->config->worker.fence_margin_ms)
		buf_printf(reasons, "%s: no heartbeat was answered for %" PRId64 " s\n", line->name,
			silent_ms / 1000);
	if (line->claim.flying && asked_ms > CLAIM_SLOW_MS)
		buf_printf(reasons, "%s: a claim was not answered for %" PRId64 " s\n", line->name,
			asked_ms / 1000);
	if (line->claim_error.kind != ERR_NONE)
		buf_printf(reasons, "%s: claims fail: %s\n", line->name, line->claim_error.text);
}

static void check_worker(const struct worker *worker, struct buf *reasons)
{
	if (worker->life != WORKER_RUNNING) {
		add_reason(reasons, "draining");
		return;
	}
	check_session("claims", worker->work, reasons);
	check_session("heartbeats", worker->pulse, reasons);
	if (reasons->length > 0)
		return;
	if (!worker->registry.is_registered)
		add_reason(reasons, "not registered");
	else if (!worker->knows_families)
		add_reason(reasons, "the families' settings are not known yet");
	else if (worker->must_reconcile)
		add_reason(reasons, "looking for leases of a claim whose answer was lost");
	else
		for (int i = 0; i < worker->line_count; i++)
			check_line(worker, &worker->lines[i], reasons);
}

bool program_is_ready(const struct program *program, struct buf *reasons)
{
	const struct worker *worker = *program->worker;
	const struct maintenance *maintenance = *program->maintenance;
	size_t before = reasons->length;

	if (program->kind == PROGRAM_WORKER && worker)
		check_worker(worker, reasons);
	else if (program->kind == PROGRAM_WORKER)
		add_reason(reasons, "starting or ending");
	else if (!maintenance)
		add_reason(reasons, "not registered");
	else if (maintenance_trouble(maintenance))
		buf_printf(
			reasons, "no connection for lanes: %s\n", maintenance_trouble(maintenance));
	return reasons->length == before;
}
