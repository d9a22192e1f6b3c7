/* SPDX-License-Identifier: PostgreSQL */
/* Owner, rights, settings and comment of the database itself. */
#include "families/clone/database.h"

#include "base/fault.h"
#include <inttypes.h>

#include "db/query.h"
#include "families/clone/ddl.h"

static bool read_source(struct clone *clone, const struct sql_statement *statement,
	PGresult **ret_rows, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_text(&params, clone->source.database);
	return attempt_query(
		       clone->attempt, &clone->source.conn, statement, &params, ret_rows, e) ||
		err_in(e, "%s", statement->name);
}

/* Runs it on the target. What the target refuses is noted; true unless we must stop. */
static bool apply(struct clone *clone, const char *what, const struct buf *sql, struct err *e)
{
	if (!FAULT_FAILS("clone", "describe", PQsocket(clone->target.conn.pg), e) &&
		attempt_command(clone->attempt, &clone->target.conn, sql->bytes, e))
		return true;
	if (e->kind != ERR_PERMANENT)
		return err_in(e, "copying the %s of the database", what);
	clone->not_copied++;
	attempt_event(clone->attempt, EVENT_WARN, "not_copied", json_pack("{s:s}", "what", what),
		"the %s of the database could not be copied: %s", what, e->text);
	return true;
}

static bool copy_owner(struct clone *clone, const PGresult *database, struct err *e)
{
	struct buf sql CLEANUP(buf_clear) = {0};

	return ddl_add(&sql, &clone->target.conn, e, "ALTER DATABASE %I OWNER TO %I",
		       clone->staging, row_text(database, 0, "owner")) &&
		apply(clone, "owner", &sql, e);
}

static bool copy_limit(struct clone *clone, const PGresult *database, struct err *e)
{
	struct buf sql CLEANUP(buf_clear) = {0};
	int64_t limit = row_i64(database, 0, "connection_limit");

	if (limit == -1)
		return true;
	if (!ddl_add(&sql, &clone->target.conn, e, "ALTER DATABASE %I", clone->staging))
		return false;
	buf_printf(&sql, " CONNECTION LIMIT %" PRId64, limit);
	return apply(clone, "connection limit", &sql, e);
}

static bool copy_comment(struct clone *clone, const PGresult *database, struct err *e)
{
	struct buf sql CLEANUP(buf_clear) = {0};

	if (row_is_null(database, 0, "comment"))
		return true;
	return ddl_add(&sql, &clone->target.conn, e, "COMMENT ON DATABASE %I IS %L", clone->staging,
		       row_text(database, 0, "comment")) &&
		apply(clone, "comment", &sql, e);
}

static bool add_grant(
	struct buf *sql, const struct clone *clone, const PGresult *rights, int row, struct err *e)
{
	buf_printf(sql, "GRANT %s", row_text(rights, row, "privilege"));
	if (!ddl_add(sql, &clone->target.conn, e, " ON DATABASE %I TO ", clone->staging))
		return false;
	if (row_bool(rights, row, "is_public"))
		buf_text(sql, "PUBLIC");
	else if (!ddl_add(sql, &clone->target.conn, e, "%I", row_text(rights, row, "grantee")))
		return false;
	buf_text(sql, row_bool(rights, row, "is_grantable") ? " WITH GRANT OPTION" : "");
	return true;
}

/* No rights at all are recorded as long as nobody has changed those that a database is born with.
 */
static bool copy_rights(
	struct clone *clone, const PGresult *database, const PGresult *rights, struct err *e)
{
	struct buf revoke CLEANUP(buf_clear) = {0};

	if (PQntuples(rights) == 0)
		return true;
	if (!ddl_add(&revoke, &clone->target.conn, e, "REVOKE ALL ON DATABASE %I FROM PUBLIC, %I",
		    clone->staging, row_text(database, 0, "owner")) ||
		!apply(clone, "rights", &revoke, e))
		return false;
	for (int row = 0; row < PQntuples(rights); row++) {
		struct buf grant CLEANUP(buf_clear) = {0};

		if (!add_grant(&grant, clone, rights, row, e) || !apply(clone, "rights", &grant, e))
			return false;
	}
	return true;
}

/* Those whose value is a list of names: each name is a value of its own. */
static bool is_list(const char *setting)
{
	static const char *const lists[] = {"local_preload_libraries", "search_path",
		"session_preload_libraries", "shared_preload_libraries", "temp_tablespaces",
		"unix_socket_directories"};

	for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
		if (strcmp(setting, lists[i]) == 0)
			return true;
	return false;
}

/* One name off a list such as `"$user", public`, quotes removed. NULL at its end. */
static const char *next_name(const char *list, struct buf *name)
{
	bool is_quoted = false;

	buf_reset(name);
	list += strspn(list, " \t");
	if (!*list)
		return NULL;
	for (; *list && (is_quoted || *list != ','); list++) {
		if (*list == '"' && is_quoted && list[1] == '"')
			buf_char(name, *list++);
		else if (*list == '"')
			is_quoted = !is_quoted;
		else if (is_quoted || *list != ' ')
			buf_char(name, *list);
	}
	return *list ? list + 1 : list;
}

static bool add_list(struct buf *sql, const struct conn *conn, const char *list, struct err *e)
{
	struct buf name CLEANUP(buf_clear) = {0};
	const char *separator = "";

	while ((list = next_name(list, &name))) {
		buf_text(sql, separator);
		if (!ddl_add(sql, conn, e, "%L", name.bytes ? name.bytes : ""))
			return false;
		separator = ", ";
	}
	return true;
}

static bool copy_setting(struct clone *clone, const PGresult *settings, int row, struct err *e)
{
	const struct conn *conn = &clone->target.conn;
	const char *name = row_text(settings, row, "name");
	const char *value = row_text(settings, row, "value");
	struct buf sql CLEANUP(buf_clear) = {0};

	if (row_is_null(settings, row, "role")
			? !ddl_add(&sql, conn, e, "ALTER DATABASE %I SET %I TO ", clone->staging,
				  name)
			: !ddl_add(&sql, conn, e, "ALTER ROLE %I IN DATABASE %I SET %I TO ",
				  row_text(settings, row, "role"), clone->staging, name))
		return false;
	if (is_list(name) ? !add_list(&sql, conn, value, e) : !ddl_add(&sql, conn, e, "%L", value))
		return false;
	return apply(clone, name, &sql, e);
}

bool database_copy(struct clone *clone, struct err *e)
{
	PGresult *database CLEANUP(clear_result) = NULL;
	PGresult *rights CLEANUP(clear_result) = NULL;
	PGresult *settings CLEANUP(clear_result) = NULL;

	if (!read_source(clone, &sql_clone_database, &database, e) ||
		!read_source(clone, &sql_clone_database_rights, &rights, e) ||
		!read_source(clone, &sql_clone_database_settings, &settings, e))
		return false;
	if (!copy_limit(clone, database, e) || !copy_comment(clone, database, e))
		return false;
	if (!clone->skips_owners &&
		(!copy_owner(clone, database, e) || !copy_rights(clone, database, rights, e)))
		return false;
	for (int row = 0; row < PQntuples(settings); row++)
		if (!(clone->skips_owners && !row_is_null(settings, row, "role")) &&
			!copy_setting(clone, settings, row, e))
			return false;
	return true;
}
