/* SPDX-License-Identifier: PostgreSQL */
/*
 * A chunk: the jobs of one lease of a chunked family, which share its ticket.
 *
 * An executor does them one after the other, and they are settled together: in one row if all have
 * succeeded. Otherwise each gets its own result here, and jobs without one were not run: they go
 * back. The jobs stand in the lease's payload, a line each, as claim_chunked.sql writes them:
 *
 *     ID ["KIND"]PAYLOAD
 *
 * Places count from 0, in the order of the lines, which is that of running them.
 */
#ifndef ATHENA_QUEUE_CHUNK_H
#define ATHENA_QUEUE_CHUNK_H

#include <jansson.h>

#include "queue/lease.h"

/* Of the jobs in turn, without copying: texts end where `*_length` says. */
struct chunk_line {
	int64_t job_id;
	const char *kind; /* a JSON string, or NULL */
	size_t kind_length;
	const char *payload;
	size_t payload_length;
};

struct chunk {
	int size;      /* jobs of the ticket, by the claim; lease->jobs of them have bodies */
	int stopping;  /* place of the job that was told to stop, by itself or with all; -1: none */
	int timed_out; /* place of the job that ran for too long; -1: none */
	json_t *cancels; /* ids of jobs that somebody wants cancelled, as keys; NULL: none */
	json_t *results; /* by job id, of those that did not succeed: what athena.settle_chunk takes
			  */
};

/* Reads the line at *text and moves on to the next one. False at the end. */
bool chunk_next_line(const char **text, struct chunk_line *ret_line);

/* Makes a lease with lines one of a chunk. */
void chunk_init(struct lease *lease, int size, int bodies);
void chunk_free(struct chunk *chunk); /* NULL is fine */

/* The job at that place. */
int64_t chunk_job(const struct lease *lease, int place);

/* Where a job is; -1: it is none of them. */
int chunk_place(const struct lease *lease, int64_t job_id);

/* Notes that a job is to be cancelled. False if it was noted before. */
bool chunk_note_cancel(struct lease *lease, int64_t job_id);
bool chunk_is_cancelled(const struct lease *lease, int place);

/* How the job at that place ended; a later result replaces an earlier one. NULL texts are left out.
 */
void chunk_set_result(struct lease *lease, int place, enum result_kind kind, const char *error_kind,
	const char *code, const char *error);

/* Postgres refuses the words of a result: all that failed have failed for good, without them. */
void chunk_drop_words(struct lease *lease, const char *code, const char *error);

/* All jobs of the ticket have succeeded. */
bool chunk_has_succeeded(const struct lease *lease);

/* All jobs that have ended and their results, as athena.settle_chunk takes them; to be freed. */
char *chunk_results(const struct lease *lease) __attribute__((returns_nonnull));

/* The word for how a job ended, and its error if it failed. */
const char *chunk_result_name(const struct lease *lease, int64_t job_id, const char **ret_error);

#endif
