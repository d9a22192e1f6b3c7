/* SPDX-License-Identifier: PostgreSQL */
/* athena doctor: what is wrong with this Athena, and what to do about it. */
#include "cli/doctor.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/command_table.h"
#include "cli/terminal.h"
#include "db/migrate.h"
#include "db/query.h"
#include "sql_statements.h"
#include "version.h"

enum {
	SKEW_MS = 5000,	  /* more than this between two clocks confuses people, though not Athena */
	STATEMENT_S = 10, /* a check that takes longer is not worth its load */
	LISTEN_MS = 2000, /* one's own notification comes back within milliseconds */
	OLDEST_MAJOR = 14, /* of Postgres; docs/install.md says which */
	NEWEST_MAJOR = 18,
	CHECK_COLUMN = 14, /* the longest name of a check, and a blank */
};

static const struct option_row doctor_options[] = {
	{.name = "deep",
		.type = OPTION_BOOL,
		.help = "look at every job's place, however long that takes"},
	{.name = "budget",
		.type = OPTION_DURATION,
		.fallback = "5s",
		.help = "time for looking at jobs' places, newest first"},
	{0},
};

/* Checks that are one statement, which answers (verdict, finding, remedy). $1: our version. */
static const struct {
	const char *name;
	const struct sql_statement *statement;
} checks[] = {
	{"system", &sql_doctor_system},
	{"durability", &sql_doctor_durability},
	{"role", &sql_doctor_role},
	{"rights", &sql_doctor_rights},
	{"structure", &sql_doctor_structure},
	{"leaves", &sql_doctor_leaves},
	{"lanes", &sql_doctor_lanes},
	{"workers", &sql_doctor_workers},
	{"versions", &sql_doctor_versions},
	{"families", &sql_doctor_families},
	{"schedules", &sql_doctor_schedules},
	{"horizon", &sql_doctor_horizon},
	{"vacuum", &sql_doctor_vacuum},
	{"wakeups", &sql_doctor_wakeups},
	{"connections", &sql_doctor_connections},
};

void doctor_add(struct doctor *doctor, const char *check, const char *verdict, const char *finding,
	const char *remedy)
{
	json_array_append_new(doctor->findings,
		json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "verdict", verdict, "finding",
			finding, "remedy", remedy));
	doctor->wrong += strcmp(verdict, "wrong") == 0;
}

void doctor_unknown(struct doctor *doctor, const char *check, const struct err *e)
{
	struct buf finding CLEANUP(buf_clear) = {0};

	buf_printf(&finding, "could not be checked: %s", e->text);
	doctor_add(doctor, check, "note", finding.bytes,
		strcmp(e->sqlstate, "42501") == 0
			? "ask as a role with athena_worker or athena_reader"
			: NULL);
}

static void run_check(struct doctor *doctor, size_t i)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *rows CLEANUP(clear_result) = NULL;
	struct err e;

	if (checks[i].statement->nparams > 0)
		params_text(&params, ATHENA_VERSION);
	if (!query_rows(&doctor->cli->conn, checks[i].statement, &params, &rows, &e)) {
		doctor_unknown(doctor, checks[i].name, &e);
		return;
	}
	for (int row = 0; row < PQntuples(rows); row++)
		doctor_add(doctor, checks[i].name, row_text(rows, row, "verdict"),
			row_text(rows, row, "finding"), row_text(rows, row, "remedy"));
}

static void check_server(struct doctor *doctor)
{
	PGconn *pg = doctor->cli->conn.pg;
	int major = PQserverVersion(pg) / 10000;
	struct buf finding CLEANUP(buf_clear) = {0};
	struct buf remedy CLEANUP(buf_clear) = {0};

	buf_printf(&finding, "Postgres %s, database %s, as %s",
		PQparameterStatus(pg, "server_version"), PQdb(pg), PQuser(pg));
	if (major < OLDEST_MAJOR)
		buf_printf(&remedy, "use Postgres %d to %d", OLDEST_MAJOR, NEWEST_MAJOR);
	else if (major > NEWEST_MAJOR)
		buf_printf(&remedy, "this athena was tried with Postgres %d to %d", OLDEST_MAJOR,
			NEWEST_MAJOR);
	doctor_add(doctor, "connection",
		major < OLDEST_MAJOR	       ? "wrong"
			: major > NEWEST_MAJOR ? "note"
					       : "good",
		finding.bytes, remedy.bytes);
}

/* A pooler invents the process number that clients are told; the server knows its own. */
static bool find_pooler(struct conn *conn, bool *ret_is_pooled, struct err *e)
{
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!query_rows(conn, &sql_doctor_session, NULL, &rows, e))
		return false;
	*ret_is_pooled = row_i64(rows, 0, "pid") != PQbackendPID(conn->pg);
	return true;
}

static void check_pooler(struct doctor *doctor, const struct config *config)
{
	static const struct {
		const char *verdict, *finding, *remedy;
	} told[2][2] = {
		{{"good", "there is none", NULL},
			{"note",
				"there is none, and database.prepare is never: each statement is "
				"planned anew",
				"database.prepare: auto"}},
		{{"note", "there is one, and statements are prepared in its sessions",
			 "database.prepare: never, unless it keeps a session for each client"},
			{"good", "there is one, and nothing is prepared in its sessions", NULL}},
	};
	int is_unprepared = config->database_prepare == CONFIG_PREPARE_NEVER;
	bool is_pooled;
	struct err e;

	if (!find_pooler(&doctor->cli->conn, &is_pooled, &e)) {
		doctor_unknown(doctor, "pooler", &e);
		return;
	}
	doctor_add(doctor, "pooler", told[is_pooled][is_unprepared].verdict,
		told[is_pooled][is_unprepared].finding, told[is_pooled][is_unprepared].remedy);
}

/* False when no other check makes sense. */
static bool check_schema(struct doctor *doctor)
{
	struct err e;

	if (migrate_check(&doctor->cli->conn, &e)) {
		doctor_add(doctor, "schema", "good", "is the one of athena " ATHENA_VERSION, NULL);
		return true;
	}
	if (strcmp(e.sqlstate, "42501") == 0) {
		doctor_unknown(doctor, "schema", &e);
		return true;
	}
	doctor_add(doctor, "schema", "wrong", e.text,
		strcmp(e.code, "schema_behind") == 0 ? "athena migrate" : "a matching athena");
	return false;
}

/* Against the middle of the round trip. */
static void check_clock(struct doctor *doctor)
{
	int64_t before_ms = clock_wall_ms();
	PGresult *rows CLEANUP(clear_result) = NULL;
	struct err e;
	int64_t skew_ms;
	char finding[128];

	if (!query_rows(&doctor->cli->conn, &sql_doctor_clock, NULL, &rows, &e)) {
		doctor_unknown(doctor, "clock", &e);
		return;
	}
	skew_ms = (int64_t)(row_f64(rows, 0, "epoch") * 1000) - (before_ms + clock_wall_ms()) / 2;
	snprintf(finding, sizeof(finding), "the server's is %.3f s %s of the one here",
		(double)(skew_ms < 0 ? -skew_ms : skew_ms) / 1000,
		skew_ms < 0 ? "behind" : "ahead");
	if (skew_ms < -SKEW_MS || skew_ms > SKEW_MS)
		doctor_add(doctor, "clock", "note", finding,
			"set both by NTP; jobs go by the server's");
	else
		doctor_add(doctor, "clock", "good", finding, NULL);
}

/* Whether one's own notification arrives. Behind a transaction pooler LISTEN meets another session.
 */
static bool hears_itself(struct conn *conn, struct err *e)
{
	int64_t until_ms = clock_boot_ms() + LISTEN_MS;
	PGnotify *notify;

	if (!query_command(conn, "LISTEN athena_doctor", e) ||
		!query_command(conn, "NOTIFY athena_doctor", e))
		return false;
	do {
		if (!query_command(conn, "SELECT pg_catalog.pg_sleep(0.01)", e))
			return false;
		notify = PQnotifies(conn->pg);
	} while (!notify && clock_boot_ms() < until_ms);
	if (!notify)
		return err_set(e, ERR_TRANSIENT, "its own notification did not arrive");
	PQfreemem(notify);
	return query_command(conn, "UNLISTEN athena_doctor", e);
}

static void check_listen(struct doctor *doctor, const struct config *config)
{
	struct conn conn CLEANUP(conn_close) = {0};
	const char *url =
		config->database_direct_url ? config->database_direct_url : doctor->cli->url;
	bool wants_pooler = config->database_prepare == CONFIG_PREPARE_NEVER;
	struct buf finding CLEANUP(buf_clear) = {0};
	bool is_pooled;
	struct err e;

	/* In a quiet pool one would meet one's own session again, and hear. */
	if (wants_pooler && !config->database_direct_url)
		err_set(&e, ERR_PERMANENT, "a transaction pooler passes no notifications on");
	else if (conn_open(&conn, url, "athena", 0, &e) && hears_itself(&conn, &e) &&
		find_pooler(&conn, &is_pooled, &e)) {
		doctor_add(doctor, "listen", is_pooled ? "note" : "good",
			is_pooled ? "a notification arrives, but a pooler stands between"
				  : "a notification arrives",
			is_pooled ? "database.direct_url past it, unless it keeps a session for "
				    "each client"
				  : NULL);
		return;
	}
	buf_printf(&finding, "LISTEN does not work: %s", e.text);
	doctor_add(doctor, "listen", "wrong", finding.bytes,
		"behind a pooler, set database.direct_url; until then jobs wait for the slow poll");
}

static void examine(struct doctor *doctor, const struct config *config)
{
	int64_t budget_ms = cli_bool(doctor->cli, "deep") ? 0 : cli_int(doctor->cli, "budget");
	struct err e;

	check_server(doctor);
	check_pooler(doctor, config);
	if (!check_schema(doctor))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(checks); i++)
		run_check(doctor, i);
	check_listen(doctor, config);
	check_clock(doctor);
	if (!doctor_check_law(doctor, budget_ms, &e))
		doctor_unknown(doctor, "conservation", &e);
}

static enum style verdict_style(const char *verdict)
{
	return strcmp(verdict, "good") == 0    ? STYLE_GREEN
		: strcmp(verdict, "note") == 0 ? STYLE_YELLOW
					       : STYLE_RED;
}

static const char *member(const json_t *finding, const char *name)
{
	return json_string_value(json_object_get(finding, name));
}

static void print_finding(const struct terminal *out, const json_t *finding)
{
	const char *verdict = member(finding, "verdict");
	const char *remedy = member(finding, "remedy");

	terminal_printf(out, verdict_style(verdict), "%-5s", verdict);
	fprintf(out->file, "  %-*s%s\n", CHECK_COLUMN, member(finding, "check"),
		member(finding, "finding"));
	if (remedy)
		fprintf(out->file, "       %-*snext: %s\n", CHECK_COLUMN, "", remedy);
}

static void print_findings(const struct doctor *doctor)
{
	const json_t *finding;
	size_t i;

	if (doctor->cli->wants_json) {
		cli_print_json(doctor->cli, json_incref(doctor->findings));
		return;
	}
	json_array_foreach (doctor->findings, i, finding)
		print_finding(&doctor->cli->out, finding);
}

static bool limit_statements(struct cli *cli, struct err *e)
{
	char command[64];

	/* A pooler would hand the limit on to strangers. */
	if (cli_bool(cli, "deep") || (cli->conn.flags & CONN_NO_PREPARE))
		return true;
	snprintf(command, sizeof(command), "SET statement_timeout = '%ds'", STATEMENT_S);
	return query_command(&cli->conn, command, e);
}

static bool run(struct cli *cli, struct err *e)
{
	json_auto_t *findings = json_array();
	struct doctor doctor = {.cli = cli, .findings = findings};
	const struct config *config;

	if (!cli_config(cli, &config, e) || !cli_connect_any(cli, e) || !limit_statements(cli, e))
		return false;
	examine(&doctor, config);
	print_findings(&doctor);
	cli->status = doctor.wrong ? 1 : 0;
	return true;
}

const struct command command_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "what is wrong with this Athena, and what to do about it",
	.help = "One line per finding, with the remedy. Exit status 1 when anything is wrong. It "
		"changes\n"
		"nothing, and each look is short: safe on a busy system.\n"
		"\n"
		"  athena doctor\n"
		"  athena doctor --deep --json\n",
	.options = doctor_options,
	.run = run,
};
