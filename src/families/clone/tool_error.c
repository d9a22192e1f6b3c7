/* SPDX-License-Identifier: PostgreSQL */
/* Sorting errors by their words. */
#include "families/clone/tool_error.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct words {
	const char *first, *second; /* both stand in the line, in this order; second may be NULL */
	const char *code;
	enum err_kind kind;
};

/* First match wins, so what is particular stands before what is general. */
static const struct words table[] = {
	{"No space left on device", NULL, "disk_full", ERR_TRANSIENT},
	{"could not extend file", NULL, "disk_full", ERR_TRANSIENT},
	{"Disk quota exceeded", NULL, "disk_full", ERR_TRANSIENT},
	{"server version mismatch", NULL, "source_newer_than_pg_dump", ERR_PERMANENT},
	{"unsupported version", "in file header", "pg_restore_older_than_pg_dump", ERR_PERMANENT},
	{"password authentication failed", NULL, "auth", ERR_PERMANENT},
	{"no password supplied", NULL, "auth", ERR_PERMANENT},
	{"no pg_hba.conf entry", NULL, "auth", ERR_PERMANENT},
	{"sorry, too many clients", NULL, "too_many_connections", ERR_TRANSIENT},
	{"too many connections", NULL, "too_many_connections", ERR_TRANSIENT},
	{"remaining connection slots", NULL, "too_many_connections", ERR_TRANSIENT},
	{"due to administrator command", NULL, "admin_shutdown", ERR_TRANSIENT},
	{"the database system is", NULL, "admin_shutdown", ERR_TRANSIENT},
	{"due to unexpected postmaster exit", NULL, "admin_shutdown", ERR_TRANSIENT},
	{"crash of another server process", NULL, "admin_shutdown", ERR_TRANSIENT},
	{"due to conflict with recovery", NULL, "recovery_conflict", ERR_TRANSIENT},
	{"due to lock timeout", NULL, "lock_timeout", ERR_TRANSIENT},
	{"due to statement timeout", NULL, "lock_timeout", ERR_TRANSIENT}, /* how pg_dump does it */
	{"due to user request", NULL, "statement_cancelled", ERR_TRANSIENT},
	{"deadlock detected", NULL, "deadlock", ERR_TRANSIENT},
	{"invalid snapshot identifier", NULL, "snapshot_lost", ERR_TRANSIENT},
	{"snapshot \"", "does not exist", "snapshot_lost", ERR_TRANSIENT},
	{"out of shared memory", NULL, "out_of_memory", ERR_TRANSIENT},
	{"out of memory", NULL, "out_of_memory", ERR_TRANSIENT},
	{"row-level security", NULL, "row_security", ERR_PERMANENT},
	{"role \"", "does not exist", "missing_role", ERR_PERMANENT},
	{"extension \"", "is not available", "missing_extension", ERR_PERMANENT},
	{"extension control file", NULL, "missing_extension", ERR_PERMANENT},
	{"extension \"", "no installation script", "missing_extension", ERR_PERMANENT},
	{"tablespace \"", "does not exist", "missing_tablespace", ERR_PERMANENT},
	{"could not access file", NULL, "missing_library", ERR_PERMANENT},
	{"database \"", "does not exist", "no_such_database", ERR_TRANSIENT},
	{"permission denied", NULL, "permission", ERR_PERMANENT},
	{"must be owner of", NULL, "permission", ERR_PERMANENT},
	{"must be member of", NULL, "permission", ERR_PERMANENT},
	{"must be superuser", NULL, "permission", ERR_PERMANENT},
	{"must be able to SET ROLE", NULL, "permission", ERR_PERMANENT},
	{"server closed the connection", NULL, "no_connection", ERR_TRANSIENT},
	{"connection to server", "failed", "no_connection", ERR_TRANSIENT},
	{"could not receive data", NULL, "no_connection", ERR_TRANSIENT},
	{"could not send data", NULL, "no_connection", ERR_TRANSIENT},
	{"SSL connection has been closed", NULL, "no_connection", ERR_TRANSIENT},
	{"SSL SYSCALL error", NULL, "no_connection", ERR_TRANSIENT},
	{"no connection to the server", NULL, "no_connection", ERR_TRANSIENT},
	{"pg_dump: ", "does not exist", "source_changed", ERR_TRANSIENT},
	{"pg_dump: ", "cache lookup failed", "source_changed", ERR_TRANSIENT},
	{"pg_dump: ", "could not open relation with OID", "source_changed", ERR_TRANSIENT},
	{"could not read from input file", NULL, "dump_cut", ERR_TRANSIENT},
	{"ERROR:  ", NULL, "sql_error", ERR_PERMANENT},
	{" error: ", NULL, TOOL_ERROR_VAGUE, ERR_TRANSIENT},
};

const char *tool_error_code(const char *line, enum err_kind *ret_kind)
{
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		const char *first = strstr(line, table[i].first);

		if (!first || (table[i].second && !strstr(first, table[i].second)))
			continue;
		*ret_kind = table[i].kind;
		return table[i].code;
	}
	return NULL;
}

void tool_error_name(struct err *e)
{
	static const struct {
		const char *sqlstate, *code;
	} names[] = {
		{"53100", "disk_full"},
		{"53200", "out_of_memory"},
		{"53300", "too_many_connections"},
		{"55P03", "lock_timeout"},
		{"57014", "statement_cancelled"},
		{"57P01", "admin_shutdown"},
		{"57P02", "admin_shutdown"},
		{"57P03", "admin_shutdown"},
		{"42501", "permission"},
		{"42704", "missing_object"},
		{"42P04", "target_exists"},
		{"3D000", "no_such_database"},
		{"40P01", "deadlock"},
		{"22023", "invalid_parameter"},
	};

	for (size_t i = 0; e->sqlstate[0] && !e->code[0] && i < ARRAY_LENGTH(names); i++)
		if (strcmp(e->sqlstate, names[i].sqlstate) == 0)
			snprintf(e->code, sizeof(e->code), "%s", names[i].code);
}
