/* SPDX-License-Identifier: PostgreSQL */
/*
 * What preflight has found, so that all of it is reported at once and not the first only.
 *
 * Each finding is an event `preflight_check` with a machine word, and the error at the end names
 * them all. Its kind is permanent if any finding is, since then a retry cannot help; its code is
 * that of the first finding of this kind.
 */
#ifndef ATHENA_FAMILIES_CLONE_FINDINGS_H
#define ATHENA_FAMILIES_CLONE_FINDINGS_H

#include "base/buf.h"
#include "families/attempt.h"

struct findings {
	int count;
	enum err_kind kind;
	char code[32];
	char sqlstate[6];
	struct buf text;
};

/* Adds one, unless `e` says that the attempt must stop (cancelled, lease lost): then false. */
MUSTCHECK bool findings_take(
	struct findings *findings, struct attempt *attempt, const struct err *e);

void findings_add(struct findings *findings, struct attempt *attempt, enum err_kind kind,
	const char *code, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Something to know that does not stop the clone: a warning among the events. */
void findings_note(struct attempt *attempt, const char *code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* True when there are none; else the error made of all. */
MUSTCHECK bool findings_none(const struct findings *findings, struct err *e);

#endif
