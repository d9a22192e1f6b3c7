/* SPDX-License-Identifier: PostgreSQL */
/* What a failed request means: kind and code of its error (the table in s3.h). Pure. */
#ifndef ATHENA_S3_FAILURE_H
#define ATHENA_S3_FAILURE_H

#include <stdint.h>

#include "base/err.h"
#include "s3/answers.h"

/* Of an answer that was no success. */
struct failure {
	const char *what; /* "PUT backups/shop.dump", to begin the text with */
	long status;
	struct answer_error error; /* of its body; all "" when there was none, as with HEAD */
	const char *region;	   /* of a header, or NULL */
	const char *request_id;	   /* for the server's people, or NULL */
	int64_t skew_s;		   /* the server's clock less ours; 0: it did not say */
};

/* Returns false. */
bool failure_of_answer(const struct failure *failure, struct err *e);

/* Of a request without an answer: a CURLcode and its text. Returns false. */
bool failure_of_transfer(const char *what, int code, const char *text, struct err *e);

/* True when the same request may work in a moment. Clocks are not mended in one. */
bool failure_may_pass(const struct err *e);

bool failure_is(const struct err *e, const char *code);

#endif
