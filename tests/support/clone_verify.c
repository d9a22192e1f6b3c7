/* SPDX-License-Identifier: PostgreSQL */
/*
 * Runs the comparison of the clone family by itself: clone_verify [--copy] SOURCE TARGET
 *
 * Both are connection strings of existing databases. Events go to stdout, one per line; the status
 * is 0 when the databases are equal, 1 when they differ, 2 when the comparison could not be made.
 * With --copy what belongs to the database itself is copied first, as a clone does it. This is an
 * attempt without an executor: it is never cancelled.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "families/clone/database.h"
#include "families/clone/verify.h"

void attempt_event(struct attempt *attempt, enum event_level level, const char *kind,
	json_t *details, const char *fmt, ...)
{
	va_list ap;

	(void)attempt;
	(void)level;
	json_decref(details);
	printf("%s: ", kind);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void attempt_phase(struct attempt *attempt, const char *phase)
{
	(void)attempt;
	(void)phase;
}

void attempt_progress(struct attempt *attempt, int64_t done, int64_t total, const char *unit)
{
	(void)attempt;
	(void)done;
	(void)total;
	(void)unit;
}

bool attempt_wait(struct attempt *attempt, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e)
{
	(void)attempt;
	(void)e;
	*ret_ready = poll(fds, (nfds_t)count, timeout_ms);
	return true;
}

bool attempt_is_cancelled(const struct attempt *attempt)
{
	(void)attempt;
	return false;
}

static bool open_ends(struct clone *clone, const char *source, const char *target,
	struct conn *staging, struct err *e)
{
	struct attempt *attempt = clone->attempt;

	if (!endpoint_init(&clone->source, attempt, "source", source, e) ||
		!endpoint_init(&clone->target, attempt, "target", target, e))
		return false;
	snprintf(clone->staging, sizeof(clone->staging), "%s", clone->target.database);
	return endpoint_open(&clone->source, attempt, NULL, "verify", &clone->source.conn, e) &&
		endpoint_open(&clone->target, attempt, NULL, "verify", &clone->target.conn, e) &&
		endpoint_open(&clone->target, attempt, NULL, "verify", staging, e) &&
		attempt_command(attempt, &clone->source.conn,
			"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
}

static bool run(
	struct clone *clone, bool copies, const char *source, const char *target, struct err *e)
{
	struct conn staging CLEANUP(conn_close) = {0};
	const struct lanes none = {0};

	return open_ends(clone, source, target, &staging, e) && verify_remember(clone, e) &&
		(!copies || database_copy(clone, e)) && verify_run(clone, &staging, &none, e);
}

int main(int argc, char **argv)
{
	bool copies = argc > 1 && strcmp(argv[1], "--copy") == 0;
	const struct config config = {0};
	struct attempt attempt = {.config = &config, .queue_id = ""};
	struct clone clone = {.attempt = &attempt};
	struct err e = {0};
	bool ok;

	argv += copies;
	if (argc - copies != 3)
		return 2;
	ok = run(&clone, copies, argv[1], argv[2], &e);
	if (!ok)
		printf("error: %s: %s\n", e.code, e.text);
	endpoint_clear(&clone.source);
	endpoint_clear(&clone.target);
	source_state_free(clone.before);
	arena_clear(&attempt.arena);
	if (ok)
		return 0;
	return strcmp(e.code, "verification_failed") == 0 ? 1 : 2;
}
