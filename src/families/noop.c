/* SPDX-License-Identifier: PostgreSQL */
/*
 * Does nothing; or sleeps, computes, fails or dies as its payload says, in this order. For tests of
 * the engine and for benchmarks: it takes the same way as every other family.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "families/attempt.h"
#include "families/family.h"

static const struct option_row noop_payload[] = {
	{"sleep_ms", OPTION_INT, .min = 0, .max = 86400000, .unit = "ms",
		.help = "how long the attempt takes"},
	{"busy_ms", OPTION_INT, .min = 0, .max = 86400000, .unit = "ms",
		.help = "computes for so long, without ever waiting"},
	{"fail", OPTION_WORD, .words = "transient|permanent",
		.help = "fails with this kind of error"},
	{"fail_times", OPTION_INT, .min = 0, .max = 1000,
		.help = "only the first so many attempts fail or crash; alone, it fails as "
			"transient"},
	{"message", OPTION_TEXT, .help = "text of the error"},
	{"crash", OPTION_WORD, .words = "exit|abort|kill", .help = "how the executor dies"},
	{"ignore_cancel", OPTION_BOOL, .help = "sleeps on when told to stop"},
	{"pad", OPTION_TEXT, .help = "is ignored: makes the payload as large as wanted"},
	{0},
};

/* attempt_wait() says once that the attempt is to stop; who ignores that may go on waiting. */
static bool noop_sleep(
	struct attempt *attempt, int64_t sleep_ms, bool ignores_cancel, struct err *e)
{
	int64_t end_ms = clock_boot_ms() + sleep_ms;
	int64_t left_ms;
	int ready;

	while ((left_ms = end_ms - clock_boot_ms()) > 0) {
		if (attempt_wait(attempt, NULL, 0, (int)left_ms, &ready, e))
			continue;
		if (e->kind != ERR_CANCELLED || !ignores_cancel)
			return false;
	}
	return true;
}

/* As a handler would that has much to compute: it hears of nothing meanwhile. */
static void noop_compute(int64_t busy_ms)
{
	int64_t end_ms = clock_boot_ms() + busy_ms;

	while (busy_ms > 0 && clock_boot_ms() < end_ms)
		continue;
}

static void noop_die(const char *how)
{
	if (strcmp(how, "exit") == 0)
		_exit(EXIT_FAILURE);
	if (strcmp(how, "abort") == 0)
		abort();
	raise(SIGKILL);
}

static bool noop_execute(struct attempt *attempt, struct err *e)
{
	const json_t *payload = attempt->payload;
	const json_t *fail_times = json_object_get(payload, "fail_times");
	const char *fail = option_text(noop_payload, payload, "fail");
	const char *crash = option_text(noop_payload, payload, "crash");
	const char *message = option_text(noop_payload, payload, "message");

	if (!noop_sleep(attempt, option_int(noop_payload, payload, "sleep_ms"),
		    option_bool(noop_payload, payload, "ignore_cancel"), e))
		return false;
	noop_compute(option_int(noop_payload, payload, "busy_ms"));
	if (fail_times ? attempt->number > json_integer_value(fail_times) : !fail && !crash)
		return true;
	if (crash)
		noop_die(crash);
	return err_set(e, fail ? err_kind_find(fail) : ERR_TRANSIENT, "%s",
		message ? message : "failed as asked");
}

const struct family noop_family = {
	.name = "noop",
	.summary = "does nothing, or sleeps, fails and crashes as told; for tests and benchmarks",
	.payload = noop_payload,
	.lease_s = 20,
	.max_attempts = 5,
	.prefetch = 200,
	.execute = noop_execute,
};
