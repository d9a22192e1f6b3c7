/* SPDX-License-Identifier: PostgreSQL */
/*
 * One error: what went wrong, and whether trying again can help.
 *
 * The caller owns a struct err, usually on its stack, and passes it last. A function that fails
 * fills it and returns false; functions that pass an error on only add context with err_in(). Who
 * stops an error logs it, once. Making an error neither allocates nor fails. All of the setters
 * return false, so that a failure reads `return err_set(e, ERR_CONFIG, "...")`.
 */
#ifndef ATHENA_BASE_ERR_H
#define ATHENA_BASE_ERR_H

#include <stdbool.h>

#define MUSTCHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* What to do about it. The queue decides the job's next state from this and nothing else. */
enum err_kind {
	ERR_NONE,
	ERR_TRANSIENT,	/* may work later: connection lost, disk full, lock timeout */
	ERR_PERMANENT,	/* will fail again the same way: bad payload, target exists */
	ERR_CANCELLED,	/* somebody asked for it */
	ERR_TIMEOUT,	/* ran out of its own time; counts as retryable */
	ERR_LEASE_LOST, /* the ticket is not ours any more: report nothing, change nothing */
	ERR_CONFIG,	/* wrong usage or configuration: exit status 2 */
};

struct err {
	enum err_kind kind;
	char sqlstate[6]; /* of the statement that failed, or "" */
	char code[32];	  /* machine word such as "target_exists", or "" */
	char text[1024];  /* one sentence for people, no trailing full stop or newline */
};

/* Sets kind and text; forgets what was there. */
bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set(), with a machine word. */
bool err_code(struct err *e, enum err_kind kind, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* As err_set(), followed by ": " and strerror(errno). */
bool err_errno(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the text of an error that is being passed on. */
bool err_in(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The word for a kind, as stored in athena.failures and printed in logs: "transient", ... */
const char *err_kind_name(enum err_kind kind);

/* The kind for a word, or ERR_PERMANENT for a word that nobody knows. */
enum err_kind err_kind_find(const char *name);

/* True for kinds that a retry may cure. */
bool err_is_retryable(const struct err *e);

/* The one visible way to drop a result on purpose. */
static inline void err_ignored(bool ok, const char *why)
{
	(void)ok;
	(void)why;
}

#endif
