/* SPDX-License-Identifier: PostgreSQL */
/* Commands with quoted names and values. */
#include "families/clone/ddl.h"

#include <assert.h>
#include <stdarg.h>

static void free_quoted(char **quoted)
{
	PQfreemem(*quoted);
}

static bool add_quoted(
	struct buf *sql, const struct conn *conn, char conversion, const char *text, struct err *e)
{
	char *quoted CLEANUP(free_quoted) = NULL;

	assert(conversion == 'I' || conversion == 'L');
	if (!conn->pg)
		return err_code(e, ERR_TRANSIENT, "no_connection", "the connection is closed");
	quoted = conversion == 'I' ? PQescapeIdentifier(conn->pg, text, strlen(text))
				   : PQescapeLiteral(conn->pg, text, strlen(text));
	if (!quoted)
		return err_set(e, ERR_PERMANENT, "%.*s",
			(int)strcspn(PQerrorMessage(conn->pg), "\n"), PQerrorMessage(conn->pg));
	buf_text(sql, quoted);
	return true;
}

static bool add_pattern(
	struct buf *sql, const struct conn *conn, const char *pattern, va_list ap, struct err *e)
{
	const char *mark;

	for (; (mark = strchr(pattern, '%')); pattern = mark + 2) {
		buf_add(sql, pattern, (size_t)(mark - pattern));
		if (!add_quoted(sql, conn, mark[1], va_arg(ap, const char *), e))
			return false;
	}
	buf_text(sql, pattern);
	return true;
}

bool ddl_add(struct buf *sql, const struct conn *conn, struct err *e, const char *pattern, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, pattern);
	ok = add_pattern(sql, conn, pattern, ap, e);
	va_end(ap);
	return ok;
}

bool ddl_run(struct attempt *attempt, struct conn *conn, struct err *e, const char *pattern, ...)
{
	struct buf sql CLEANUP(buf_clear) = {0};
	va_list ap;
	bool ok;

	va_start(ap, pattern);
	ok = add_pattern(&sql, conn, pattern, ap, e);
	va_end(ap);
	return ok && attempt_command(attempt, conn, sql.bytes, e);
}
