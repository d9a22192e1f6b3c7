/* SPDX-License-Identifier: PostgreSQL */
/* The catalog, which is in the control plane's database. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/fault.h"
#include "db/query.h"
#include "families/backup/backup.h"

enum { ASK_WITHIN_MS = 600000, ASK_AGAIN_MS = 1000 };

static bool ask_once(struct attempt *attempt, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e)
{
	const struct config *config = attempt->config;
	struct attempt_address address = {
		.uri = config->database_direct_url ? config->database_direct_url
						   : config->database_url,
		.application_name = "athena backup",
	};
	struct conn conn CLEANUP(conn_close) = {0};

	return attempt_connect(attempt, &address, &conn, e) &&
		!FAULT_FAILS(statement->name, "send", PQsocket(conn.pg), e) &&
		attempt_query(attempt, &conn, statement, params, ret_rows, e) &&
		!FAULT_FAILS(statement->name, "answered", PQsocket(conn.pg), e);
}

bool catalog_ask(struct attempt *attempt, const struct sql_statement *statement,
	const struct params *params, PGresult **ret_rows, struct err *e)
{
	int64_t deadline_ms = clock_boot_ms() + ASK_WITHIN_MS;
	int ready;

	*ret_rows = NULL;
	while (!ask_once(attempt, statement, params, ret_rows, e)) {
		PQclear(TAKE(*ret_rows));
		if (!err_is_retryable(e) || clock_boot_ms() > deadline_ms)
			return err_in(e, "the catalog: %s", statement->name);
		if (!attempt_wait(attempt, NULL, 0, ASK_AGAIN_MS, &ready, e))
			return false;
	}
	return true;
}

static bool judge(const PGresult *backup, int64_t wanted, const char *client, struct err *e)
{
	const char *state;

	if (PQntuples(backup) == 0)
		return wanted > 0 ? err_code(e, ERR_PERMANENT, "no_backup",
					    "there is no backup %" PRId64, wanted)
				  : err_code(e, ERR_PERMANENT, "no_backup",
					    "there is no verified backup of %s", client);
	state = row_text(backup, 0, "state");
	return strcmp(state, "completed") == 0 ||
		err_code(e, ERR_PERMANENT, "no_backup", "backup %" PRId64 " is %s", wanted,
			strcmp(state, "running") == 0 ? "not complete" : state);
}

bool catalog_find(struct attempt *attempt, PGresult **ret_backup, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *backup CLEANUP(clear_result) = NULL;
	const json_t *wanted = json_object_get(attempt->payload, "backup");
	const char *client = NULL;

	if (!wanted && !backup_client(attempt, &client, e))
		return false;
	if (wanted)
		params_i64(&params, json_integer_value(wanted));
	else
		params_null(&params);
	params_text(&params, client);
	if (!catalog_ask(attempt, &sql_backup_find, &params, &backup, e) ||
		!judge(backup, json_integer_value(wanted), client, e))
		return false;
	*ret_backup = TAKE(backup);
	return true;
}
