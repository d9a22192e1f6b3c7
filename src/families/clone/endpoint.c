/* SPDX-License-Identifier: PostgreSQL */
/* Finding out which database is meant, and opening sessions there. */
#include "families/clone/endpoint.h"

#include "base/redact.h"
#include "db/query.h"

static void free_conninfo(PQconninfoOption **options)
{
	PQconninfoFree(*options);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val && options->val[0] ? options->val : NULL;
	return NULL;
}

static bool is_conninfo(const char *named)
{
	return strstr(named, "://") || strchr(named, '=');
}

static bool parse(const char *label, const char *uri, PQconninfoOption **ret_options, struct err *e)
{
	PQconninfoOption *options CLEANUP(free_conninfo) = NULL;
	char *message CLEANUP(free_ptr) = NULL;

	options = PQconninfoParse(uri, &message);
	if (!options)
		return err_code(e, ERR_PERMANENT, "bad_uri", "%s: %.*s", label,
			message ? (int)strcspn(message, "\n") : 0, message ? message : "");
	if (!value_of(options, "dbname"))
		return err_code(e, ERR_PERMANENT, "bad_uri", "%s: names no database", label);
	if (value_of(options, "sslpassword"))
		return err_code(e, ERR_PERMANENT, "sslpassword",
			"%s: a key with a pass phrase cannot be handed to pg_dump in secret",
			label);
	*ret_options = TAKE(options);
	return true;
}

bool endpoint_check(const char *label, const char *named, struct err *e)
{
	PQconninfoOption *options CLEANUP(free_conninfo) = NULL;

	return !is_conninfo(named) || parse(label, named, &options, e);
}

bool endpoint_init(struct endpoint *ret_endpoint, struct attempt *attempt, const char *label,
	const char *named, struct err *e)
{
	PQconninfoOption *options CLEANUP(free_conninfo) = NULL;
	const char *uri = is_conninfo(named) ? named : config_client_uri(attempt->config, named);

	if (!uri)
		return err_code(e, ERR_PERMANENT, "unknown_client",
			"%s: \"%s\" is neither a connection string nor a name under "
			"postgres_clients",
			label, named);
	if (!parse(label, uri, &options, e))
		return false;
	if (value_of(options, "password"))
		redact_learn(value_of(options, "password"));
	*ret_endpoint = (struct endpoint){
		.label = label,
		.uri = arena_strdup(&attempt->arena, uri),
		.base = config_direct_url(attempt->config),
		.database = arena_strdup(&attempt->arena, value_of(options, "dbname")),
	};
	return true;
}

bool endpoint_open(const struct endpoint *endpoint, struct attempt *attempt, const char *database,
	const char *application, struct conn *ret_conn, struct err *e)
{
	struct attempt_address address = {
		.uri = endpoint->uri,
		.base = endpoint->base,
		.database = database ? database : endpoint->database,
		.application_name = application,
	};
	struct conn conn CLEANUP(conn_close) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!attempt_connect(attempt, &address, &conn, e))
		return err_in(e, "%s", endpoint->label);
	if (!attempt_query(attempt, &conn, &sql_clone_session, NULL, &rows, e))
		return err_in(e, "%s: setting up the session", endpoint->label);
	*ret_conn = conn;
	conn = (struct conn){0};
	return true;
}

static bool is_dropped(const char *sqlstate)
{
	return strncmp(sqlstate, "42", 2) == 0 && strcmp(sqlstate, "42501") != 0;
}

bool endpoint_lock_tables(struct endpoint *endpoint, struct attempt *attempt, struct err *e)
{
	PGresult *locks CLEANUP(clear_result) = NULL;

	if (!attempt_query(attempt, &endpoint->conn, &sql_clone_locks, NULL, &locks, e))
		return err_in(e, "%s", sql_clone_locks.name);
	for (int row = 0; row < PQntuples(locks); row++)
		if (!attempt_command(
			    attempt, &endpoint->conn, row_text(locks, row, "statement"), e)) {
			if (is_dropped(e->sqlstate))
				e->kind = ERR_TRANSIENT;
			return err_in(e, "locking the tables of the %s", endpoint->label);
		}
	return true;
}

bool endpoint_is_there(const struct endpoint *endpoint, struct err *e)
{
	PGconn *pg = endpoint->conn.pg;

	if (PQconsumeInput(pg) && PQstatus(pg) == CONNECTION_OK)
		return true;
	return err_code(e, ERR_TRANSIENT, "source_lost",
		"the source ended the session that held the snapshot: %.*s",
		(int)strcspn(PQerrorMessage(pg), "\n"), PQerrorMessage(pg));
}

void endpoint_clear(struct endpoint *endpoint)
{
	conn_close(&endpoint->conn);
}

int conn_major(const struct conn *conn)
{
	return PQserverVersion(conn->pg) / 10000;
}

bool conn_is_superuser(const struct conn *conn)
{
	const char *status = PQparameterStatus(conn->pg, "is_superuser");

	return status && strcmp(status, "on") == 0;
}
