/* SPDX-License-Identifier: PostgreSQL */
/* What every session to the queue takes from the configuration. */
#include "config/config.h"
#include "db/conn.h"
#include "db/session.h"

struct session_spec session_spec_of(const struct config *config, const char *name,
	const char *application_name, const struct sql_statement *const *statements)
{
	return (struct session_spec){
		.name = name,
		.uri = config->database_url,
		.application_name = application_name,
		.flags = config->database_prepare == CONFIG_PREPARE_NEVER ? CONN_NO_PREPARE : 0,
		.reconnect_min_ms = config->worker.reconnect_min_ms,
		.reconnect_max_ms = config->worker.reconnect_max_ms,
		.statements = statements,
	};
}
