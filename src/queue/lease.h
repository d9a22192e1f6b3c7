/* SPDX-License-Identifier: PostgreSQL */
/*
 * A job that this worker holds: the answer of a claim, until its settle was answered.
 *
 * Every lease of a worker is in its lease_table, by ticket, so that a heartbeat's list and a
 * cancel find it; where else it is hangs on its state. The table owns the leases.
 */
#ifndef ATHENA_QUEUE_LEASE_H
#define ATHENA_QUEUE_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/err.h"

enum lease_state {
	LEASE_HELD,	/* claimed, not sent to an executor: in its line's queue */
	LEASE_SENT,	/* with an executor, running or next in its batch: in its slot's queue */
	LEASE_SETTLING, /* has its result: in the settler's queue, or on its way to Postgres */
};

/* Why an attempt was told to stop. The first reason counts, LOST above all. */
enum stop_reason {
	STOP_NONE,
	STOP_CANCEL,
	STOP_TIMEOUT,
	STOP_DRAIN, /* the worker ends: hand back, costs no attempt */
	STOP_LOST,  /* the ticket is not ours any more: settle nothing */
};

enum result_kind {
	RESULT_SUCCEEDED,
	RESULT_FAILED,
	RESULT_CANCELLED,
	RESULT_RETURNED, /* unrun, or not to be counted */
	RESULT_PARKED,	 /* waits for an answer from outside */
	RESULT_APART,	 /* of a chunk: each of its jobs has its own */
};

struct result {
	enum result_kind kind;
	char *error_kind; /* of failures: "transient", "permanent", "timeout", "crashed" */
	char *code;
	char *error;
	int64_t wait_ms; /* of a parked one: at most */
};

struct lease {
	int64_t ticket;
	int64_t last_ticket; /* of those in the line that were put together in it, the last */
	int64_t job_id;	     /* of a chunk the first one */
	int jobs;	     /* to be run: 1, or those of the chunk that have bodies */
	int done;	     /* of these have ended */
	struct chunk *chunk; /* NULL: it is for one job (queue/chunk.h) */
	int attempt;
	int priority;
	int64_t timeout_ms;  /* the job's own; 0: the family's */
	const char *kind;    /* NULL: none */
	const char *payload; /* JSON text, or a chunk's lines; NULL: no body. Behind the lease. */
	size_t payload_bytes;
	char *answers;	   /* JSON text: what its waits brought, its own block; NULL: nothing */
	struct line *line; /* the family it belongs to */
	enum lease_state state;
	struct slot *slot; /* while SENT */
	enum stop_reason stop;
	bool alone;	      /* a batch with it was refused: settle it by itself */
	double waited_s;      /* from when it fell due until the claim; < 0: not known */
	int64_t asked_ns;     /* boot clock: when the claim was sent */
	int64_t answered_ms;  /* boot clock: when the claim was answered */
	int64_t started_ns;   /* when it became the first of its slot, or the next job began */
	int64_t run_ns;	      /* what the jobs that have ended took */
	int64_t named_ns;     /* boot clock: when Postgres last named it as ours */
	struct result result; /* while SETTLING */
	struct lease *prev, *next;
	UT_hash_handle hh;
};

struct lease_table {
	struct lease *by_ticket;
};

/* For one job. All else is zero, but for copies of these two, which may be NULL. */
struct lease *lease_new(const char *kind, const char *payload) __attribute__((returns_nonnull));

/* The table takes the lease over. */
void lease_table_add(struct lease_table *table, struct lease *lease);
struct lease *lease_table_find(const struct lease_table *table, int64_t ticket);
int lease_table_count(const struct lease_table *table);

/* Takes it out of the table and frees it. It must be in no queue any more. */
void lease_table_drop(struct lease_table *table, struct lease *lease);

/* Sets the result, copying the texts; NULL texts stay NULL. */
void lease_set_result(struct lease *lease, enum result_kind kind, const char *error_kind,
	const char *code, const char *error);

/* The word that athena.settle takes: "succeeded", "failed", "cancelled", "returned", "parked". */
const char *result_name(enum result_kind kind);

/* (priority, last ticket), smaller first: the order in which a worker runs what it holds. */
int lease_compare(const struct lease *a, const struct lease *b);

#endif
