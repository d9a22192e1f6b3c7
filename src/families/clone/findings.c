/* SPDX-License-Identifier: PostgreSQL */
/* Everything that preflight has found. */
#include "families/clone/findings.h"

static void add(struct findings *findings, struct attempt *attempt, const struct err *e)
{
	attempt_event(attempt, EVENT_ERROR, "preflight_check",
		json_pack("{s:s, s:b, s:b}", "check", e->code[0] ? e->code : "failed", "passed", 0,
			"retry", err_is_retryable(e)),
		"%s", e->text);
	if (findings->count++ == 0 ||
		(err_is_retryable(&(struct err){.kind = findings->kind}) && !err_is_retryable(e))) {
		findings->kind = e->kind;
		memcpy(findings->code, e->code, sizeof(findings->code));
		memcpy(findings->sqlstate, e->sqlstate, sizeof(findings->sqlstate));
	}
	buf_printf(&findings->text, "%s%s", findings->count > 1 ? "; " : "", e->text);
}

bool findings_take(struct findings *findings, struct attempt *attempt, const struct err *e)
{
	if (e->kind == ERR_CANCELLED || e->kind == ERR_LEASE_LOST)
		return false;
	add(findings, attempt, e);
	return true;
}

void findings_add(struct findings *findings, struct attempt *attempt, enum err_kind kind,
	const char *code, const char *fmt, ...)
{
	char *text CLEANUP(free_ptr) = NULL;
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	err_ignored(err_code(&e, kind, code, "%s", text), "it is a finding, not a failure");
	add(findings, attempt, &e);
}

void findings_note(struct attempt *attempt, const char *code, const char *fmt, ...)
{
	char *text CLEANUP(free_ptr) = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	attempt_event(attempt, EVENT_WARN, "preflight_check",
		json_pack("{s:s, s:b}", "check", code, "passed", 1), "%s", text);
}

bool findings_none(const struct findings *findings, struct err *e)
{
	if (findings->count == 0)
		return true;
	if (findings->count == 1)
		err_code(e, findings->kind, findings->code, "%s", findings->text.bytes);
	else
		err_code(e, findings->kind, findings->code, "%d findings: %s", findings->count,
			findings->text.bytes);
	memcpy(e->sqlstate, findings->sqlstate, sizeof(e->sqlstate));
	return false;
}
