/* SPDX-License-Identifier: PostgreSQL */
/*
 * A job family: what kind of work a job is, as a const struct.
 *
 * To add one: 1 write src/families/NAME.c with the struct at its end, 2 list it in
 * family_table.c, 3 seed its row by a migration (a test compares the row with this struct),
 * 4 tests/integration/test_family_NAME.py, 5 docs/families/NAME.md.
 *
 * Handlers run in an executor process, one attempt at a time. They are plain blocking C, with two
 * rules: wait only in attempt_wait() (attempt.h), and leave nothing behind when told to stop.
 * Nothing outside src/families/ reads a family's name.
 */
#ifndef ATHENA_FAMILIES_FAMILY_H
#define ATHENA_FAMILIES_FAMILY_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "config/option.h"

struct attempt;
struct config_family;

struct family {
	const char *name;		  /* value of jobs.family, or of `run:` in config.yaml */
	const char *summary;		  /* one line for `athena family list` */
	const struct option_row *payload; /* keys of the payload; NULL: any object */
	bool is_frame; /* `payload` holds for this name only: families that `run:` it take any */

	/* Seeds of the athena.families row; the row decides from then on. */
	int lease_s;	   /* how long a silent worker keeps a job */
	int64_t timeout_s; /* of one attempt; 0: none */
	int max_attempts;
	int prefetch; /* tickets a worker may hold unstarted per slot; 0: claim when free */

	/* Pure: what the option rows cannot say. At enqueue by the CLI, and before execute. */
	MUSTCHECK bool (*check)(const json_t *payload, struct err *e);

	/* Does the job. False with a kind that decides about a retry. */
	MUSTCHECK bool (*execute)(struct attempt *attempt, struct err *e);

	/* Optional: whether an entry of `families:` that runs this one says all that it must. Pure.
	 */
	MUSTCHECK bool (*check_entry)(const struct config_family *entry, struct err *e);

	/* Optional: asks the outside world to stop; called once, from inside attempt_wait(). */
	void (*cancel)(struct attempt *attempt);

	/*
	 * Optional: removes what attempts that were killed left on this host. In the worker, when
	 * it starts, so it must be quick; attempts of other workers may be under way.
	 */
	void (*tidy)(void);
};

/* All built-in families, ended by NULL. */
extern const struct family *const families[];

/* NULL when nobody has that name. */
const struct family *family_find(const char *name);

/*
 * The option rows for payloads of `job_family`, which is family->name or a family of one's own
 * that runs this one; NULL: any object. What athena.families.payload_keys is made from.
 */
const struct option_row *family_payload(const struct family *family, const char *job_family);

/* Option rows and check() in one: what the CLI asks before it enqueues, and the executor. */
MUSTCHECK bool family_check(
	const struct family *family, const char *job_family, const json_t *payload, struct err *e);

/* Whether an entry of `families:` can be served. ERR_CONFIG with its file and line. Pure. */
MUSTCHECK bool family_check_entry(const struct config_family *entry, struct err *e);

#endif
