/* SPDX-License-Identifier: PostgreSQL */
/* One family as a worker serves it. */
#include "worker/line.h"

#include <utlist.h>

#include "base/clock.h"
#include "base/mem.h"
#include "worker/worker.h"

enum {
	PREFETCH_MAX = 4000,   /* half of them per round trip; a crash strands no more */
	HOLD_MS = 200,	       /* what is held unstarted is worth that much time at most: a job of
				  priority 0 waits for a claim, of which two may pass in that time */
	HOLD_BYTES = 16 << 20, /* and has about that many bytes of payload */
	BATCH_MS = 20,	       /* and what is sent to one executor at once, that much */
	BATCH_MAX = 128,
	SLOW_MS = 250, /* attempts this long are not fetched ahead */
	RETRY_MS = 500,
	AGE_MS = 100, /* held so long makes up for one priority */
};

void line_init(struct line *line, struct worker *worker, const char *name,
	const struct family *family, int slots, const struct slot_shared *shared)
{
	line->worker = worker;
	line->name = name;
	line->family = family;
	line->lease_ms = (int64_t)family->lease_s * 1000;
	line->timeout_ms = family->timeout_s * 1000;
	line->is_hungry = true;
	line->run_ms = -1;
	line->job_bytes = 1;
	line->shared = shared;
	line_set_slots(line, slots);
	sleeper_init(&line->sleeper, shared->loop);
	line->later = xcalloc(1, sizeof(*line->later));
	line->later->data = line;
	uv_timer_init(shared->loop, line->later);
}

void line_set_slots(struct line *line, int count)
{
	if (count > line->slots_made)
		line->slots = xreallocarray(line->slots, (size_t)count, sizeof(struct slot *));
	for (; line->slots_made < count; line->slots_made++) {
		line->slots[line->slots_made] = xmalloc(sizeof(struct slot));
		slot_init(line->slots[line->slots_made], line->shared);
	}
	line->slot_count = count;
}

void line_renew(struct line *line)
{
	for (int i = 0; i < line->slots_made; i++)
		slot_renew(line->slots[i]);
}

void line_wake(struct line *line)
{
	line->is_hungry = true;
	line->is_woken = line->claim.flying;
}

static void on_later(uv_timer_t *timer)
{
	line_wake(timer->data);
}

void line_wake_later(struct line *line, int64_t wait_ms)
{
	uv_timer_start(line->later, on_later, (uint64_t)wait_ms, 0);
}

void line_retry(struct line *line)
{
	line->is_hungry = true;
	line->is_woken = false;
	line->claim_after_ms = clock_boot_ms() + RETRY_MS;
}

/* A short lease leaves less of a margin, and still most of itself to work in. */
int64_t line_fence_ms(const struct line *line)
{
	int64_t margin_ms = line->worker->config->worker.fence_margin_ms;

	if (margin_ms > line->lease_ms / 4)
		margin_ms = line->lease_ms / 4;
	return line->lease_ms - margin_ms;
}

/* Slots that will soon be free; the others are at something longer than what was usual. */
static int line_quick_slots(const struct line *line)
{
	int64_t now_ns = clock_boot_ns();
	int quick = 0;

	for (int i = 0; i < line->slot_count; i++) {
		const struct lease *first = line->slots[i]->leases;

		quick += !first || now_ns - first->started_ns < SLOW_MS * 1000000LL;
	}
	return quick;
}

/* How many jobs it may have in hand, running ones included. */
static int line_capacity(const struct line *line)
{
	double run_ms = line->run_ms < 0.01 ? 0.01 : line->run_ms;
	double most = HOLD_MS / run_ms * line_quick_slots(line);

	if (line->family->prefetch == 0 || line->claim.is_limited || line->run_ms < 0 ||
		line->run_ms >= SLOW_MS)
		return line->slot_count;
	most = most > HOLD_BYTES / line->job_bytes ? HOLD_BYTES / line->job_bytes : most;
	return line->slot_count + (most > PREFETCH_MAX ? PREFETCH_MAX : (int)most);
}

static int line_idle_slots(const struct line *line)
{
	int idle = 0;

	for (int i = 0; i < line->slot_count; i++)
		idle += slot_is_idle(line->slots[i]);
	return idle;
}

/*
 * A quarter of the capacity at least, or a claim would be sent for each job that ends. A chunk may
 * be larger than the capacity; the other slots are to have one as well. A paused family is asked
 * for like any other: the claim finds out, and the line sleeps until it is resumed.
 */
int line_room(const struct line *line)
{
	int capacity = line_capacity(line);
	int room = capacity - line->held_count - line->sent_count;

	if (!line->is_hungry || line->claim.flying || clock_boot_ms() < line->claim_after_ms)
		return 0;
	if (room <= 0 && line->claim.is_chunked && !line->held)
		return line_idle_slots(line);
	return room >= (capacity + 3) / 4 || line->held_count == 0 ? (room > 0 ? room : 0) : 0;
}

void line_unhold(struct line *line, struct lease *lease)
{
	DL_DELETE(line->held, lease);
	line->held_count -= lease->jobs;
}

/* By priority, but a stream of better ones cannot keep a lease waiting for ever. */
static int compare_turns(const struct lease *a, const struct lease *b)
{
	int64_t a_turn = a->answered_ms + (int64_t)a->priority * AGE_MS;
	int64_t b_turn = b->answered_ms + (int64_t)b->priority * AGE_MS;

	if (a_turn != b_turn)
		return a_turn < b_turn ? -1 : 1;
	return lease_compare(a, b);
}

void line_hold(struct line *line, struct lease *lease)
{
	lease->state = LEASE_HELD;
	if (line->held && compare_turns(line->held->prev, lease) <= 0)
		DL_APPEND(line->held, lease); /* the usual case, without a walk */
	else
		DL_INSERT_INORDER(line->held, lease, compare_turns);
	line->held_count += lease->jobs;
}

/* An even share for every slot, but no more than BATCH_MS of work. In jobs. */
static int line_batch(const struct line *line)
{
	int share = (line->held_count + line->slot_count - 1) / line->slot_count;
	double run_ms = line->run_ms < 0.01 ? 0.01 : line->run_ms;
	int most = line->run_ms < 0 ? 1 : (int)(BATCH_MS / run_ms);

	most = most > BATCH_MAX ? BATCH_MAX : most;
	most = most < 1 ? 1 : most;
	return share < most ? share : most;
}

static void line_send(struct line *line, struct slot *slot)
{
	const struct fence_terms fence = {.limit_ms = line_fence_ms(line),
		.beat_ns = fence_last_beat_ns(line->worker->fence)};
	struct lease *batch = NULL;

	for (int n = line_batch(line); n > 0 && line->held;) {
		struct lease *lease = line->held;

		line_unhold(line, lease);
		line->sent_count += lease->jobs;
		n -= lease->jobs;
		DL_APPEND(batch, lease);
	}
	slot_send(slot, batch, line->family->name, line->name, &fence, line->timeout_ms);
}

void line_dispatch(struct line *line)
{
	for (int i = 0; i < line->slot_count && line->held; i++)
		if (slot_is_idle(line->slots[i]))
			line_send(line, line->slots[i]);
}

void line_look(struct line *line)
{
	for (int i = 0; i < line->slots_made; i++)
		slot_look(line->slots[i]);
}

/* Large payloads count at once, and are forgotten slowly. */
static void line_learn_bytes(struct line *line, const struct lease *leases)
{
	const struct lease *lease;
	double bytes = 0;
	int jobs = 0;

	DL_FOREACH (leases, lease) {
		bytes += (double)lease->payload_bytes;
		jobs += lease->jobs;
	}
	if (jobs == 0)
		return;
	bytes /= jobs;
	line->job_bytes = bytes > line->job_bytes ? bytes : line->job_bytes * 0.9 + bytes * 0.1;
	if (line->job_bytes < 1)
		line->job_bytes = 1;
}

void line_take(struct line *line, struct lease *leases)
{
	struct lease *lease, *next;

	line_learn_bytes(line, leases);
	line->is_hungry = line->is_woken || line->claim.found != CLAIM_LITTLE;
	line->is_woken = false;
	DL_FOREACH_SAFE (leases, lease, next) {
		DL_DELETE(leases, lease);
		line_hold(line, lease);
	}
}

void line_learn(struct line *line, int64_t run_ns)
{
	double run_ms = (double)run_ns / 1e6;

	line->run_ms = line->run_ms < 0 ? run_ms : line->run_ms * 0.9 + run_ms * 0.1;
}

bool line_is_idle(const struct line *line)
{
	return line->held_count == 0 && line->sent_count == 0;
}

static void on_later_closed(uv_handle_t *timer)
{
	free(timer);
}

void line_clear(struct line *line)
{
	uv_close((uv_handle_t *)line->later, on_later_closed);
	for (int i = 0; i < line->slots_made; i++) {
		slot_clear(line->slots[i]);
		free(line->slots[i]);
	}
	free(line->slots);
	sleeper_clear(&line->sleeper);
}
