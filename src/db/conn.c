/* SPDX-License-Identifier: PostgreSQL */
/* Connecting, the same way for everybody. */
#include "db/conn.h"

#include "base/buf.h"
#include "db/name_set.h"

/*
 * Sessions on the queue. Isolation and search_path are what the protocol's proofs assume,
 * whatever a database or role sets. The planner settings keep the claim on its index even when a
 * plan is made on tables that are empty and analysed, which is what an idle worker meets.
 */
static const char queue_options[] = " -c default_transaction_isolation=read\\ committed"
				    " -c search_path=pg_catalog,pg_temp"
				    " -c plan_cache_mode=force_generic_plan"
				    " -c enable_seqscan=off -c enable_hashjoin=off"
				    " -c enable_mergejoin=off -c jit=off"
				    " -c client_min_messages=warning";

static void add(struct conn_keywords *keywords, int *count, const char *key, const char *value)
{
	keywords->keys[*count] = key;
	keywords->values[*count] = value;
	(*count)++;
}

static void free_conninfo(PQconninfoOption **options)
{
	PQconninfoFree(*options);
}

static char *conninfo_value(const PQconninfoOption *options, const char *keyword)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0 && options->val && options->val[0])
			return xstrdup(options->val);
	return NULL;
}

static bool conninfo_parse(const char *uri, PQconninfoOption **ret_options, struct err *e)
{
	char *message CLEANUP(free_ptr) = NULL;

	*ret_options = uri ? PQconninfoParse(uri, &message) : NULL;
	if (uri && !*ret_options)
		return err_code(e, ERR_PERMANENT, "bad_uri", "not a connection string: %.*s",
			message ? (int)strcspn(message, "\n") : 13,
			message ? message : "out of memory");
	return true;
}

/* What may come from another URI, and what the own one must lack for that, besides the keyword. */
static const struct {
	const char *keyword;
	const char *lacks[3];
} inheritable[CONN_INHERITED] = {
	{"host", {NULL}},
	{"port", {NULL}},
	{"user", {NULL}},
	{"sslmode", {"host"}},
	{"sslrootcert", {"host"}},
	{"sslcert", {"host"}},
	{"sslkey", {"host"}},
	{"password", {"host", "port", "user"}},
};

static bool has(const PQconninfoOption *options, const char *key)
{
	char *value CLEANUP(free_ptr) = conninfo_value(options, key);

	return value != NULL;
}

static char *inherited(const PQconninfoOption *own, const PQconninfoOption *base, size_t which)
{
	const char *keyword = inheritable[which].keyword;

	for (size_t i = 0; i < 3 && inheritable[which].lacks[i]; i++)
		if (has(own, inheritable[which].lacks[i]))
			return NULL;
	return has(own, keyword) ? NULL : conninfo_value(base, keyword);
}

bool conn_keywords(struct conn_keywords *ret_keywords, const char *uri, const char *base,
	const char *application_name, unsigned flags, struct err *e)
{
	PQconninfoOption *own CLEANUP(free_conninfo) = NULL;
	PQconninfoOption *other CLEANUP(free_conninfo) = NULL;
	struct conn_keywords *k = ret_keywords;
	char *options CLEANUP(free_ptr) = NULL;
	int n = 0;

	if (!conninfo_parse(uri, &own, e) || !conninfo_parse(base, &other, e))
		return false;
	*k = (struct conn_keywords){0};
	options = conninfo_value(own, "options");
	if (flags & CONN_QUEUE)
		k->options = xasprintf("%s%s", options ? options : "", queue_options);
	/* libpq lets later keywords win: before dbname stand defaults, after it what is forced. */
	add(k, &n, "connect_timeout", "10");
	add(k, &n, "tcp_user_timeout", "10000");
	add(k, &n, "keepalives_idle", "10");
	if (flags & CONN_PRIMARY)
		add(k, &n, "target_session_attrs", "primary");
	for (size_t i = 0; i < CONN_INHERITED; i++) {
		k->inherited[i] = inherited(own, other, i);
		add(k, &n, inheritable[i].keyword, k->inherited[i]);
	}
	add(k, &n, "dbname", uri);
	add(k, &n, "application_name", application_name);
	if (k->options && !(flags & CONN_NO_PREPARE)) /* transaction poolers refuse `options` */
		add(k, &n, "options", k->options);
	add(k, &n, NULL, NULL);
	return true;
}

void conn_keywords_clear(struct conn_keywords *keywords)
{
	free(keywords->options);
	for (size_t i = 0; i < CONN_INHERITED; i++)
		free(keywords->inherited[i]);
	*keywords = (struct conn_keywords){0};
}

/*
 * libpq keeps no SQLSTATE of a refused connection, only text. What a person has to mend is
 * permanent; everything else may heal.
 */
bool conn_err(PGconn *pg, struct err *e)
{
	static const struct {
		const char *part, *code, *remedy;
	} permanent[] = {
		{"password authentication failed", "auth", ""},
		{"no password supplied", "auth", ""},
		{"authentication failed", "auth", ""},
		{"no pg_hba.conf entry", "auth", ""},
		{"does not exist", "no_such_database_or_role", ""},
		{"is not permitted to log in", "auth", ""},
		{"permission denied", "permission", ""},
		{"certificate", "tls", ""},
		{"invalid connection option", "bad_uri", ""},
		{"invalid sslmode value", "bad_uri", ""},
		{"invalid port number", "bad_uri", ""},
		{"unsupported startup parameter", "pooler",
			": behind a transaction pooler, set database.prepare to never"},
	};
	const char *message = PQerrorMessage(pg);
	int length = (int)strlen(message);

	while (length > 0 && message[length - 1] == '\n')
		length--;
	for (size_t i = 0; i < ARRAY_LENGTH(permanent); i++)
		if (strstr(message, permanent[i].part) && !strstr(message, "Is the server running"))
			return err_code(e, ERR_PERMANENT, permanent[i].code, "%.*s%s", length,
				message, permanent[i].remedy);
	return err_code(e, ERR_TRANSIENT, "no_connection", "%.*s", length, message);
}

bool conn_open_beside(struct conn *ret_conn, const char *uri, const char *base,
	const char *application_name, unsigned flags, struct err *e)
{
	struct conn_keywords keywords CLEANUP(conn_keywords_clear) = {0};
	struct conn conn CLEANUP(conn_close) = {.flags = flags};

	if (!conn_keywords(&keywords, uri, base, application_name, flags, e))
		return false;
	conn.pg = PQconnectdbParams(keywords.keys, keywords.values, 1);
	if (PQstatus(conn.pg) != CONNECTION_OK)
		return conn_err(conn.pg, e);
	*ret_conn = conn;
	conn = (struct conn){0};
	return true;
}

bool conn_open(struct conn *ret_conn, const char *uri, const char *application_name, unsigned flags,
	struct err *e)
{
	return conn_open_beside(ret_conn, uri, NULL, application_name, flags, e);
}

void conn_close(struct conn *conn)
{
	if (conn->pg)
		PQfinish(conn->pg);
	name_set_free(conn->prepared);
	*conn = (struct conn){0};
}
