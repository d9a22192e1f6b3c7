/* SPDX-License-Identifier: PostgreSQL */
#include "families/clone/tool_error.h"

#include <string.h>

#include "base/mem.h"
#include "suite.h"

static const struct {
	const char *line, *code;
	enum err_kind kind;
} lines[] = {
	{"pg_restore: error: could not execute query: ERROR:  role \"x\" does not exist",
		"missing_role", ERR_PERMANENT},
	{"pg_restore: error: could not execute query: ERROR:  extension \"postgis\" is not "
	 "available",
		"missing_extension", ERR_PERMANENT},
	{"pg_restore: error: COPY failed for table \"t\": ERROR:  could not extend file "
	 "\"base/5/1\": No space left on device",
		"disk_full", ERR_TRANSIENT},
	{"pg_dump: error: aborting because of server version mismatch", "source_newer_than_pg_dump",
		ERR_PERMANENT},
	{"pg_dump: error: connection to server at \"10.0.0.1\", port 5432 failed: FATAL:  password "
	 "authentication failed for user \"u\"",
		"auth", ERR_PERMANENT},
	{"pg_dump: error: connection to server at \"10.0.0.1\", port 5432 failed: Connection "
	 "refused",
		"no_connection", ERR_TRANSIENT},
	{"pg_dump: error: connection to server on socket \"/s\" failed: FATAL:  sorry, too many "
	 "clients already",
		"too_many_connections", ERR_TRANSIENT},
	{"pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout",
		"lock_timeout", ERR_TRANSIENT},
	{"pg_restore: error: could not execute query: FATAL:  terminating connection due to "
	 "administrator command",
		"admin_shutdown", ERR_TRANSIENT},
	{"pg_dump: error: query failed: ERROR:  permission denied for table t", "permission",
		ERR_PERMANENT},
	{"pg_dump: error: query failed: server closed the connection unexpectedly", "no_connection",
		ERR_TRANSIENT},
	{"pg_dump: error: query failed: ERROR:  invalid snapshot identifier: \"x\"",
		"snapshot_lost", ERR_TRANSIENT},
	{"pg_dump: error: query failed: ERROR:  relation \"t\" does not exist", "source_changed",
		ERR_TRANSIENT},
	{"pg_restore: error: could not execute query: ERROR:  relation \"t\" does not exist",
		"sql_error", ERR_PERMANENT},
	{"pg_dump: error: something that nobody has thought of", "tool_failed", ERR_TRANSIENT},
};

START_TEST(lines_of_tools_are_sorted)
{
	enum err_kind kind = ERR_NONE;

	ck_assert_str_eq(tool_error_code(lines[_i].line, &kind), lines[_i].code);
	ck_assert_int_eq(kind, lines[_i].kind);
}
END_TEST

START_TEST(a_line_that_is_no_error_says_nothing)
{
	enum err_kind kind = ERR_NONE;

	ck_assert_ptr_null(tool_error_code("Command was: ALTER TABLE t OWNER TO x;", &kind));
	ck_assert_int_eq(kind, ERR_NONE);
}
END_TEST

START_TEST(a_sqlstate_gets_its_word)
{
	struct err e = {0};

	err_set(&e, ERR_TRANSIENT, "could not extend file");
	memcpy(e.sqlstate, "53100", 6);
	tool_error_name(&e);
	ck_assert_str_eq(e.code, "disk_full");
	err_code(&e, ERR_TRANSIENT, "mine", "keeps its own");
	memcpy(e.sqlstate, "53100", 6);
	tool_error_name(&e);
	ck_assert_str_eq(e.code, "mine");
}
END_TEST

Suite *suite_clone_tool_error(void)
{
	Suite *suite = suite_create("clone_tool_error");
	TCase *tcase = tcase_create("clone_tool_error");

	tcase_add_loop_test(tcase, lines_of_tools_are_sorted, 0, ARRAY_LENGTH(lines));
	tcase_add_test(tcase, a_line_that_is_no_error_says_nothing);
	tcase_add_test(tcase, a_sqlstate_gets_its_word);
	suite_add_tcase(suite, tcase);
	return suite;
}
