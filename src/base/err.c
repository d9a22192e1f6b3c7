/* SPDX-License-Identifier: PostgreSQL */
/* Errors that live on the stack of whoever asked. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
	[ERR_NONE] = "none",
	[ERR_TRANSIENT] = "transient",
	[ERR_PERMANENT] = "permanent",
	[ERR_CANCELLED] = "cancelled",
	[ERR_TIMEOUT] = "timeout",
	[ERR_LEASE_LOST] = "lease_lost",
	[ERR_CONFIG] = "config",
};

static void err_start(struct err *e, enum err_kind kind)
{
	e->kind = kind;
	e->sqlstate[0] = '\0';
	e->code[0] = '\0';
}

bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	err_start(e, kind);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return false;
}

bool err_code(struct err *e, enum err_kind kind, const char *code, const char *fmt, ...)
{
	va_list ap;

	err_start(e, kind);
	snprintf(e->code, sizeof(e->code), "%s", code);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return false;
}

bool err_errno(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	int saved = errno;
	size_t used;
	va_list ap;

	err_start(e, kind);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	used = strlen(e->text);
	snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(saved));
	return false;
}

bool err_in(struct err *e, const char *fmt, ...)
{
	char tail[sizeof(e->text)];
	size_t used;
	va_list ap;

	memcpy(tail, e->text, sizeof(tail));
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	used = strlen(e->text);
	snprintf(e->text + used, sizeof(e->text) - used, ": %s", tail);
	return false;
}

const char *err_kind_name(enum err_kind kind)
{
	return kind_names[kind];
}

enum err_kind err_kind_find(const char *name)
{
	for (int kind = ERR_NONE; kind <= ERR_CONFIG; kind++)
		if (strcmp(name, kind_names[kind]) == 0)
			return (enum err_kind)kind;
	return ERR_PERMANENT;
}

bool err_is_retryable(const struct err *e)
{
	return e->kind == ERR_TRANSIENT || e->kind == ERR_TIMEOUT;
}
