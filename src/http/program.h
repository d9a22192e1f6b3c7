/* SPDX-License-Identifier: PostgreSQL */
/*
 * The program that serves these pages, as far as it tells about itself without asking Postgres.
 *
 * Its components come and go while it runs, so these point to where the program keeps them: NULL
 * there means not yet, or not any more; a program that never has one points to NULL for ever.
 */
#ifndef ATHENA_HTTP_PROGRAM_H
#define ATHENA_HTTP_PROGRAM_H

#include "base/buf.h"
#include "maintenance/maintenance.h"
#include "worker/worker.h"

enum program_kind {
	PROGRAM_WORKER,	     /* is ready when it claims */
	PROGRAM_MAINTENANCE, /* is ready when its lanes go on */
};

struct program {
	enum program_kind kind;
	struct worker *const *worker;
	struct maintenance *const *maintenance;
	int64_t started_ms; /* boot clock; set by http_new(), and the next by each page */
	bool is_up;	    /* Postgres answered all that the page asks for */
};

/* Adds a line for each reason why it does not do what it is for. True when there was none. */
bool program_is_ready(const struct program *program, struct buf *reasons);

#endif
