/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the words of Postgres and its tools mean for a retry.
 *
 * SQLSTATEs decide for our own statements (db/query.h); pg_dump and pg_restore print words only,
 * in English where we could ask for it. What nobody here knows is permanent if a server said
 * ERROR, because the same command will meet the same error, and transient otherwise.
 */
#ifndef ATHENA_FAMILIES_CLONE_TOOL_ERROR_H
#define ATHENA_FAMILIES_CLONE_TOOL_ERROR_H

#include "base/err.h"

/* The word for a line that says no more than that something failed. */
#define TOOL_ERROR_VAGUE "tool_failed"

/* The machine word for a line that a tool printed, and its kind; NULL for a line that says nothing.
 */
const char *tool_error_code(const char *line, enum err_kind *ret_kind);

/* Gives an error that has a SQLSTATE and no code yet the machine word that stands for it. */
void tool_error_name(struct err *e);

#endif
