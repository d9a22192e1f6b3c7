/* SPDX-License-Identifier: PostgreSQL */
/*
 * One attempt of a clone: what its steps hand to each other. Private to this folder.
 *
 * The steps, in the order of clone.c: preflight (validate_source, prepare_target, resolve_tools),
 * staging, pipeline or parallel (dump_source, restore_target), verify (verify_target), database and
 * staging again (complete). Each step waits only in attempt_wait(); each says in its header what
 * stays behind when the attempt is killed in the middle of it.
 */
#ifndef ATHENA_FAMILIES_CLONE_CLONE_H
#define ATHENA_FAMILIES_CLONE_CLONE_H

#include <libpq-fe.h>

#include "families/attempt.h"
#include "families/clone/endpoint.h"
#include "families/clone/findings.h"
#include "families/clone/mode.h"

enum clone_verify {
	CLONE_VERIFY_FULL,
	CLONE_VERIFY_SAMPLE,
	CLONE_VERIFY_COUNTS,
	CLONE_VERIFY_NONE
};

enum { CLONE_NAME_MAX = 64 }; /* NAMEDATALEN */

struct clone {
	struct attempt *attempt;
	enum clone_verify verify;
	int sample_percent;	    /* rows to compare, with CLONE_VERIFY_SAMPLE */
	bool skips_owners;	    /* nor rights: all belongs to the target's role */
	const json_t *exclude_data; /* of the payload, or NULL; in the source they are */
	const char **left_out, **left_out_options; /* these, see left_out.h */
	size_t left_out_count;
	enum clone_mode mode;		  /* as asked; as chosen once preflight is over */
	const char *mode_why;		  /* a clause for people */
	bool is_dry;			  /* preflight only */
	int jobs;			  /* sessions and processes that may work at a time */
	const char *snapshot;		  /* as exported by the source's session */
	char tag[9];			  /* digest of the queue, in hexadecimal */
	char application[CLONE_NAME_MAX]; /* of all sessions: athena:clone:<job>:<ticket>:<tag> */
	char staging[CLONE_NAME_MAX];	  /* database: athena_stg_<job>_<ticket>_<tag> */
	struct endpoint source;		  /* its session holds the snapshot */
	struct endpoint target;		  /* its session is on the maintenance database */
	PGresult *facts;		  /* one row of clone_source_facts.sql */
	struct findings findings;
	char *pg_dump, *pg_restore;  /* paths of the tools */
	int64_t table_bytes;	     /* of the source, as a first guess at the dump's size */
	int64_t piped_bytes;	     /* read by pg_restore */
	int64_t looked_ms;	     /* boot clock: see progress_look(); 0: never */
	int not_copied;		     /* properties of the database, see database.h */
	struct source_state *before; /* what only the beginning can tell, see verify.h */
};

/* Fills tag, application and staging: all that an attempt may leave on servers bears these. */
void clone_name_traces(struct clone *clone, const struct attempt *attempt);

#endif
