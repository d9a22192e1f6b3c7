/* SPDX-License-Identifier: PostgreSQL */
/*
 * Enqueues at a given rate over several connections, each statement its own transaction, as a
 * producer of Athena would: the part of a benchmark that Python would be too slow for.
 *
 *     producer URL SQL RATE SECONDS CONNECTIONS BATCH [IDS]
 *
 * SQL is prepared once and returns the ids of the jobs that it queued; its parameter $1, where it
 * has one, is BATCH, the number of jobs that it queues. RATE is jobs per second, 0 as fast as
 * possible. A statement that is due waits for a free connection; the moment before it is sent is
 * what latencies count from, on the clock of the workers' logs. The last line on stdout is JSON:
 * jobs, seconds, percentiles of how long a statement took, and how late it was sent at worst. With
 * IDS, a line `id sent_us` for each job goes to that file.
 */
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

enum { CONNECTIONS_MAX = 64 };

struct producer {
	const char *url, *sql, *batch_text;
	double rate;
	int64_t batch;
	int connections;
	FILE *ids;

	PGconn *pg[CONNECTIONS_MAX];
	int64_t sent_us[CONNECTIONS_MAX]; /* 0: idle */
	int64_t begun_us, end_us;
	int64_t statements, jobs;
	int64_t *took_us; /* by statement answered */
	int64_t took_count, took_room;
	int64_t late_us; /* the worst */
};

static int64_t now_us(void)
{
	return clock_boot_ns() / 1000;
}

static void fail(const char *what, PGconn *pg)
{
	fprintf(stderr, "producer: %s: %s", what, pg ? PQerrorMessage(pg) : "\n");
	exit(1);
}

static bool takes_batch(const struct producer *producer)
{
	return strstr(producer->sql, "$1") != NULL;
}

static void connect_all(struct producer *producer)
{
	for (int i = 0; i < producer->connections; i++) {
		PGconn *pg = producer->pg[i] = PQconnectdb(producer->url);
		PGresult *prepared;

		if (PQstatus(pg) != CONNECTION_OK)
			fail("connecting", pg);
		prepared = PQprepare(pg, "enqueue", producer->sql, 0, NULL);
		if (PQresultStatus(prepared) != PGRES_COMMAND_OK || PQsetnonblocking(pg, 1) != 0)
			fail("preparing", pg);
		PQclear(prepared);
	}
}

/* When the next statement is to be sent. */
static int64_t due_us(const struct producer *producer)
{
	double statements_per_us = producer->rate / (double)producer->batch / 1e6;

	if (producer->rate <= 0)
		return producer->begun_us;
	return producer->begun_us + (int64_t)((double)producer->statements / statements_per_us);
}

static void send_one(struct producer *producer, int i)
{
	int64_t now = now_us();

	if (producer->rate > 0 && now - due_us(producer) > producer->late_us)
		producer->late_us = now - due_us(producer);
	producer->sent_us[i] = now;
	producer->statements++;
	if (PQsendQueryPrepared(producer->pg[i], "enqueue", takes_batch(producer) ? 1 : 0,
		    &producer->batch_text, NULL, NULL, 0) != 1 ||
		PQflush(producer->pg[i]) != 0)
		fail("sending", producer->pg[i]);
}

static void take_result(struct producer *producer, int i, PGresult *rows)
{
	if (PQresultStatus(rows) != PGRES_TUPLES_OK)
		fail("enqueueing", producer->pg[i]);
	producer->jobs += PQntuples(rows);
	for (int row = 0; producer->ids && row < PQntuples(rows); row++)
		fprintf(producer->ids, "%s %" PRId64 "\n", PQgetvalue(rows, row, 0),
			producer->sent_us[i]);
	PQclear(rows);
}

static void remember_time(struct producer *producer, int64_t took_us)
{
	if (producer->took_count == producer->took_room) {
		producer->took_room = producer->took_room * 2 + 1024;
		producer->took_us = xreallocarray(
			producer->took_us, (size_t)producer->took_room, sizeof(*producer->took_us));
	}
	producer->took_us[producer->took_count++] = took_us;
}

static void read_one(struct producer *producer, int i)
{
	PGresult *rows;

	if (PQconsumeInput(producer->pg[i]) != 1)
		fail("reading", producer->pg[i]);
	while (!PQisBusy(producer->pg[i])) {
		rows = PQgetResult(producer->pg[i]);
		if (!rows) {
			remember_time(producer, now_us() - producer->sent_us[i]);
			producer->sent_us[i] = 0;
			return;
		}
		take_result(producer, i, rows);
	}
}

/* Sends what is due; returns how many statements are under way. */
static int send_due(struct producer *producer)
{
	int flying = 0;

	for (int i = 0; i < producer->connections; i++) {
		int64_t now = now_us();

		if (producer->sent_us[i] == 0 && now < producer->end_us && now >= due_us(producer))
			send_one(producer, i);
		flying += producer->sent_us[i] != 0;
	}
	return flying;
}

static struct timespec until_due(const struct producer *producer, bool has_idle)
{
	int64_t wait_us = due_us(producer) - now_us();

	if (!has_idle || now_us() >= producer->end_us)
		wait_us = 1000000;
	else if (wait_us < 0)
		wait_us = 0;
	return (struct timespec){wait_us / 1000000, wait_us % 1000000 * 1000};
}

static void run(struct producer *producer)
{
	struct pollfd fds[CONNECTIONS_MAX];
	int flying;

	for (int i = 0; i < producer->connections; i++)
		fds[i] = (struct pollfd){.fd = PQsocket(producer->pg[i]), .events = POLLIN};
	while ((flying = send_due(producer)) > 0 || now_us() < producer->end_us) {
		struct timespec wait = until_due(producer, flying < producer->connections);

		if (ppoll(fds, (nfds_t)producer->connections, &wait, NULL) < 0 && errno != EINTR)
			fail("waiting", NULL);
		for (int i = 0; i < producer->connections; i++)
			if (producer->sent_us[i] != 0)
				read_one(producer, i);
	}
}

static int compare_times(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static void report(const struct producer *producer)
{
	double seconds = (double)(now_us() - producer->begun_us) / 1e6;
	int64_t count = producer->took_count, *took = producer->took_us;

	if (count == 0)
		fail("nothing was enqueued", NULL);
	qsort(took, (size_t)count, sizeof(*took), compare_times);
	printf("{\"jobs\": %" PRId64 ", \"seconds\": %.3f, \"jobs_per_s\": %.1f, "
	       "\"enqueue_p50_ms\": %.3f, \"enqueue_p99_ms\": %.3f, \"late_max_ms\": %.3f}\n",
		producer->jobs, seconds, (double)producer->jobs / seconds,
		(double)took[count / 2] / 1e3, (double)took[count * 99 / 100] / 1e3,
		(double)producer->late_us / 1e3);
}

int main(int argc, char **argv)
{
	struct producer producer = {0};

	if (argc < 7) {
		fprintf(stderr, "usage: producer URL SQL RATE SECONDS CONNECTIONS BATCH [IDS]\n");
		return 2;
	}
	producer.url = argv[1];
	producer.sql = argv[2];
	producer.rate = strtod(argv[3], NULL);
	producer.connections = (int)strtol(argv[5], NULL, 10);
	producer.batch_text = argv[6];
	producer.batch = strtol(argv[6], NULL, 10);
	if (producer.connections < 1 || producer.connections > CONNECTIONS_MAX ||
		producer.batch < 1)
		fail("connections must be 1 to 64, a batch positive", NULL);
	producer.ids = argc > 7 ? fopen(argv[7], "w") : NULL;
	if (argc > 7 && !producer.ids)
		fail("the file of ids cannot be written", NULL);
	connect_all(&producer);
	producer.begun_us = now_us();
	producer.end_us = producer.begun_us + (int64_t)(strtod(argv[4], NULL) * 1e6);
	run(&producer);
	report(&producer);
	if (producer.ids && fclose(producer.ids) != 0)
		fail("the file of ids was not written", NULL);
	for (int i = 0; i < producer.connections; i++)
		PQfinish(producer.pg[i]);
	free(producer.took_us);
	return 0;
}
