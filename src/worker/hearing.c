/* SPDX-License-Identifier: PostgreSQL */
/* What Postgres tells a worker: answers of the registry, and notifications. */
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/chunk.h"
#include "worker/worker.h"

enum {
	NAMED_AFTER_MS = 10000,	 /* so old are the leases that a heartbeat names */
	MISSED_AFTER_MS = 12000, /* and so old one that it should have named */
	STALE_MS = 10000,	 /* a lease held unstarted for so long goes back */
	SILENT_MS = 5500,	 /* less than any lease: whoever is silent longer may be rescued */
};

/* Whatever signs there were cannot be relied on. */
static void worker_sleep_anew(struct worker *worker)
{
	for (int i = 0; i < worker->line_count; i++)
		sleeper_reset(&worker->lines[i].sleeper);
	worker_wake_all(worker);
}

static void on_registered(void *context)
{
	struct worker *worker = context;

	worker_sleep_anew(worker);
	if (worker->options.registered)
		worker->options.registered(worker->options.context);
}

static void on_refused(void *context, const struct err *e)
{
	struct worker *worker = context;

	log_error("not_registered", LOG_S("error", e->text));
	if (e->kind == ERR_PERMANENT) {
		worker->status = 1;
		worker_stop_now(worker);
	}
}

/* A claim that was asked for so long ago that its leases could be named before it is answered. */
static bool worker_awaits_old_claim(const struct worker *worker)
{
	int64_t now_ns = clock_boot_ns();

	for (int i = 0; i < worker->line_count; i++)
		if (worker->lines[i].claim.flying &&
			now_ns - worker->lines[i].claim.asked_ns >
				(NAMED_AFTER_MS - 2000) * 1000000LL)
			return true;
	return false;
}

static void on_leased(void *context, int64_t job_id, int64_t ticket)
{
	struct worker *worker = context;
	struct lease *lease = lease_table_find(&worker->leases, ticket);

	if (lease) {
		lease->named_ns = clock_boot_ns();
		return;
	}
	if (worker->is_verifying || worker_awaits_old_claim(worker))
		return; /* the answer of the claim that brings it may be on its way */
	log_warn("lease_found", LOG_I("job", job_id), LOG_I("ticket", ticket));
	lease = lease_new(NULL, NULL);
	lease->job_id = job_id;
	lease->ticket = ticket;
	lease->answered_ms = clock_boot_ms();
	lease_table_add(&worker->leases, lease);
	worker_finish(worker, lease, RESULT_RETURNED, NULL, NULL, NULL);
}

static void on_cancel(void *context, int64_t job_id, int64_t ticket)
{
	struct worker *worker = context;
	struct lease *lease = lease_table_find(&worker->leases, ticket);

	if (!lease || lease->stop != STOP_NONE || lease->state == LEASE_SETTLING)
		return;
	if (!lease->chunk || chunk_note_cancel(lease, job_id))
		log_info("cancel_requested", LOG_I("job", job_id), LOG_I("ticket", ticket));
	if (lease->chunk)
		worker_stop_member(worker, lease, job_id);
	else
		worker_stop_lease(worker, lease, STOP_CANCEL);
}

static void on_paused(void *context, const char *family)
{
	struct worker *worker = context;
	struct line *line = worker_line(worker, family);

	if (line)
		worker_hand_back_held(worker, line);
}

void worker_doubt_leases(struct worker *worker, int64_t since_ns)
{
	int64_t now_ns = clock_boot_ns();

	if (since_ns > 0 && (now_ns - since_ns) / 1000000 > SILENT_MS)
		worker->doubt_ns = now_ns;
}

/* All that is ours was named: what was not has been rescued, and is somebody else's. */
static void on_verified(void *context, const PGresult *rows, const struct err *e)
{
	struct worker *worker = context;
	struct lease *lease, *next;

	(void)rows;
	worker->is_verifying = false;
	if (e)
		return;
	HASH_ITER (hh, worker->leases.by_ticket, lease, next)
		if (lease->state != LEASE_SETTLING && lease->named_ns < worker->verify_ns &&
			lease->answered_ms <= worker->verify_ns / 1000000)
			worker_stop_lease(worker, lease, STOP_LOST);
	if (worker->doubt_ns <= worker->verify_ns)
		worker->doubt_ns = 0;
}

/*
 * A lease that a heartbeat should have named, and did not, is probably lost. Only probably: what
 * is old enough to be named is decided by Postgres' clock, which may have been set back.
 */
static void worker_find_lost(struct worker *worker, int64_t sent_boot_ns)
{
	struct lease *lease, *next;
	bool is_missed = worker->doubt_ns != 0;

	HASH_ITER (hh, worker->leases.by_ticket, lease, next)
		is_missed |= lease->state != LEASE_SETTLING && lease->named_ns < sent_boot_ns &&
			sent_boot_ns / 1000000 - lease->answered_ms > MISSED_AFTER_MS;
	if (!is_missed || worker->is_verifying || !session_is_up(worker->pulse))
		return;
	worker->is_verifying = true;
	worker->verify_ns = clock_boot_ns();
	registry_reconcile(&worker->registry, on_verified, worker);
}

/* A ticket that was fetched too far ahead blocks others for nothing. */
static void worker_return_stale(struct worker *worker, struct line *line)
{
	struct lease *lease, *next;

	DL_FOREACH_SAFE (line->held, lease, next)
		if (clock_boot_ms() - lease->answered_ms > STALE_MS)
			worker_stop_lease(worker, lease, STOP_DRAIN);
}

static void on_beaten(void *context, int64_t sent_boot_ns)
{
	struct worker *worker = context;
	int64_t silent_ns = sent_boot_ns - fence_last_beat_ns(worker->fence);

	if (silent_ns / 1000000 > SILENT_MS) /* a rescue takes the signs down, too */
		worker_sleep_anew(worker);
	worker_doubt_leases(worker, fence_last_beat_ns(worker->fence));
	fence_beat(worker->fence, sent_boot_ns);
	worker_find_lost(worker, sent_boot_ns);
	for (int i = 0; i < worker->line_count; i++)
		worker_return_stale(worker, &worker->lines[i]);
	worker_read_families(worker);
	worker_beaten(worker);
	if (!worker->is_clearing)
		registry_forget_former(&worker->registry);
}

static void on_fenced(void *context, const char *why)
{
	struct worker *worker = context;

	log_error("fenced", LOG_S("why", why), LOG_I("leases", lease_table_count(&worker->leases)));
	worker_stop_all(worker, STOP_LOST);
	worker->is_clearing = true;
}

const struct registry_events worker_registry_events = {
	.registered = on_registered,
	.refused = on_refused,
	.beaten = on_beaten,
	.leased = on_leased,
	.cancel = on_cancel,
	.paused = on_paused,
	.fenced = on_fenced,
};

/* "ready FAMILY", "cancel WORKER TICKET JOB", "pause FAMILY", "limits FAMILY" */
void worker_notified(void *context, const char *payload)
{
	struct worker *worker = context;
	const char *word = strchr(payload, ' ');
	size_t id = WORKER_ID_SIZE - 1;
	struct line *line;
	char *job;
	int64_t ticket;

	if (!word)
		return;
	word++;
	line = worker_line(worker, word);
	if (line && strncmp(payload, "ready ", 6) == 0) {
		line_wake(line);
	} else if (line && strncmp(payload, "pause ", 6) == 0) {
		on_paused(worker, word);
	} else if (line && strncmp(payload, "limits ", 7) == 0) {
		worker_read_families(worker);
	} else if (strncmp(payload, "cancel ", 7) == 0 &&
		strncmp(word, worker->registry.worker_id, id) == 0) {
		ticket = strtoll(word + id, &job, 10);
		on_cancel(worker, strtoll(job, NULL, 10), ticket);
	}
}
