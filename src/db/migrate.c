/* SPDX-License-Identifier: PostgreSQL */
/* Forward, one transaction at a time. */
#include "db/migrate.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hex.h"
#include "db/params.h"
#include "db/query.h"
#include "sql_migrations.h"
#include "sql_statements.h"
#include "version.h"

/* Others wait behind us for at most this long, again and again, but with pauses to work in. */
static const char lock_timeout[] = "SET LOCAL lock_timeout = '500ms'";
enum { PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 2000 };

static char *checksum(const char *text)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	char hex[2 * EVP_MAX_MD_SIZE + 1];

	if (!EVP_Digest(text, strlen(text), digest, &length, EVP_sha256(), NULL))
		abort(); /* out of memory is all that can go wrong */
	hex_of(digest, length, hex);
	return xstrdup(hex);
}

/* "0.10.2" as a number that compares as versions do; what is no version is older than any. */
static int64_t version_number(const char *version)
{
	int major = 0, minor = 0, patch = 0;

	if (sscanf(version, "%d.%d.%d", &major, &minor, &patch) < 1)
		return -1;
	return ((int64_t)major << 40) + ((int64_t)minor << 20) + patch;
}

static const struct sql_migration *find_ours(int number)
{
	for (const struct sql_migration *ours = sql_migrations; ours->number; ours++)
		if (ours->number == number)
			return ours;
	return NULL;
}

static enum migration_state compare(const struct migration *recorded)
{
	const struct sql_migration *ours = find_ours(recorded->number);
	char *sum CLEANUP(free_ptr) = NULL;

	if (!ours)
		return version_number(recorded->oldest_program) <= version_number(ATHENA_VERSION)
			? MIGRATION_NEWER
			: MIGRATION_FOREIGN;
	sum = checksum(ours->text);
	return strcmp(sum, recorded->checksum) == 0 ? MIGRATION_APPLIED : MIGRATION_CHANGED;
}

static struct migration *add_row(struct migrations *migrations)
{
	migrations->rows =
		xreallocarray(migrations->rows, migrations->count + 1, sizeof(*migrations->rows));
	migrations->rows[migrations->count] = (struct migration){0};
	return &migrations->rows[migrations->count++];
}

static void add_recorded(struct migrations *migrations, const PGresult *rows, int row)
{
	struct migration *migration = add_row(migrations);

	migration->number = (int)row_i64(rows, row, "number");
	migration->name = xstrdup(row_text(rows, row, "name"));
	migration->checksum = xstrdup(row_text(rows, row, "checksum"));
	migration->oldest_program = xstrdup(row_text(rows, row, "oldest_program"));
	migration->program = xstrdup(row_text(rows, row, "program"));
	migration->applied_at = xstrdup(row_text(rows, row, "applied_at"));
	migration->state = compare(migration);
}

static void add_all_recorded(struct migrations *migrations, const PGresult *rows)
{
	for (int row = 0; row < PQntuples(rows); row++)
		add_recorded(migrations, rows, row);
}

static void add_pending(struct migrations *migrations, const struct sql_migration *ours)
{
	struct migration *migration = add_row(migrations);

	migration->number = ours->number;
	migration->name = xstrdup(ours->name);
	migration->checksum = checksum(ours->text);
	migration->oldest_program = xstrdup(ours->oldest_program);
	migration->state = MIGRATION_PENDING;
}

static int by_number(const void *a, const void *b)
{
	return ((const struct migration *)a)->number - ((const struct migration *)b)->number;
}

static bool is_recorded(const struct migrations *migrations, int number)
{
	for (size_t i = 0; i < migrations->count; i++)
		if (migrations->rows[i].number == number)
			return true;
	return false;
}

/* A database without athena.migrations has no row; asked first, to spare the transaction. */
static bool read_recorded(struct conn *conn, struct migrations *migrations, struct err *e)
{
	PGresult *there CLEANUP(clear_result) = NULL;
	PGresult *rows CLEANUP(clear_result) = NULL;

	if (!query_rows(conn, &sql_migrations_exist, NULL, &there, e))
		return false;
	if (!row_bool(there, 0, "there"))
		return true;
	if (!query_rows(conn, &sql_migrations_list, NULL, &rows, e))
		return false;
	add_all_recorded(migrations, rows);
	return true;
}

static void add_all_pending(struct migrations *migrations)
{
	for (const struct sql_migration *ours = sql_migrations; ours->number; ours++)
		if (!is_recorded(migrations, ours->number))
			add_pending(migrations, ours);
	if (migrations->count > 0)
		qsort(migrations->rows, migrations->count, sizeof(*migrations->rows), by_number);
}

bool migrations_read(struct conn *conn, struct migrations *ret_migrations, struct err *e)
{
	struct migrations migrations CLEANUP(migrations_clear) = {0};

	if (!read_recorded(conn, &migrations, e))
		return err_in(e, "reading athena.migrations");
	add_all_pending(&migrations);
	*ret_migrations = migrations;
	migrations = (struct migrations){0};
	return true;
}

void migrations_clear(struct migrations *migrations)
{
	for (size_t i = 0; i < migrations->count; i++) {
		struct migration *migration = &migrations->rows[i];

		free(migration->name);
		free(migration->checksum);
		free(migration->oldest_program);
		free(migration->program);
		free(migration->applied_at);
	}
	free(migrations->rows);
	*migrations = (struct migrations){0};
}

static const struct migration *find_state(
	const struct migrations *migrations, enum migration_state state)
{
	for (size_t i = 0; i < migrations->count; i++)
		if (migrations->rows[i].state == state)
			return &migrations->rows[i];
	return NULL;
}

/* What no migration can mend. */
static bool check_history(const struct migrations *migrations, struct err *e)
{
	const struct migration *bad = find_state(migrations, MIGRATION_CHANGED);

	if (bad)
		return err_code(e, ERR_CONFIG, "schema_changed",
			"migration %04d_%s is not what athena %s applied at %s: recorded checksum "
			"%.12s, and another one in this program",
			bad->number, bad->name, bad->program, bad->applied_at, bad->checksum);
	bad = find_state(migrations, MIGRATION_FOREIGN);
	if (bad)
		return err_code(e, ERR_CONFIG, "schema_ahead",
			"this database has migration %04d_%s, which needs athena >= %s; this is "
			"athena %s",
			bad->number, bad->name, bad->oldest_program, ATHENA_VERSION);
	return true;
}

/* `where` is the database, as errors name it. */
static bool check_all(const struct migrations *migrations, const char *where, struct err *e)
{
	const struct migration *pending;

	if (!check_history(migrations, e))
		return false;
	pending = find_state(migrations, MIGRATION_PENDING);
	if (!pending)
		return true;
	if (!migrations->rows[0].applied_at)
		return err_code(e, ERR_CONFIG, "schema_behind", "%s has no Athena schema", where);
	return err_code(e, ERR_CONFIG, "schema_behind", "%s lacks migration %04d_%s", where,
		pending->number, pending->name);
}

bool migrate_check(struct conn *conn, struct err *e)
{
	struct migrations migrations CLEANUP(migrations_clear) = {0};
	char *where CLEANUP(free_ptr) = xasprintf("database \"%s\"", PQdb(conn->pg));

	return migrations_read(conn, &migrations, e) && check_all(&migrations, where, e);
}

bool migrate_check_rows(const PGresult *rows, struct err *e)
{
	struct migrations migrations CLEANUP(migrations_clear) = {0};

	add_all_recorded(&migrations, rows);
	add_all_pending(&migrations);
	return check_all(&migrations, "the database", e);
}

static bool record(struct conn *conn, const struct migration *migration, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, migration->number);
	params_text(&params, migration->name);
	params_text(&params, migration->checksum);
	params_text(&params, ATHENA_VERSION);
	params_text(&params, migration->oldest_program);
	return query_run(conn, &sql_migrations_record, &params, NULL, e);
}

static bool apply(struct conn *conn, const struct migration *migration, struct err *e)
{
	if (FAULT_FAILS("migrate", "apply", PQsocket(conn->pg), e) ||
		!query_script(conn, find_ours(migration->number)->text, e) ||
		FAULT_FAILS("migrate", "record", PQsocket(conn->pg), e) ||
		!record(conn, migration, e))
		return err_in(e, "migration %04d_%s", migration->number, migration->name);
	return true;
}

/* One transaction. *ret_applied is empty when nothing was missing. */
static bool step(struct conn *conn, struct migrations *ret_applied, struct err *e)
{
	struct migrations migrations CLEANUP(migrations_clear) = {0};
	const struct migration *pending;

	if (FAULT_FAILS("migrate", "begin", PQsocket(conn->pg), e) ||
		!query_command(conn, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", e) ||
		!query_command(conn, lock_timeout, e) ||
		!query_run(conn, &sql_migrations_lock, NULL, NULL, e) ||
		!migrations_read(conn, &migrations, e) || !check_history(&migrations, e))
		return false;
	pending = find_state(&migrations, MIGRATION_PENDING);
	if (pending && !apply(conn, pending, e))
		return false;
	if (FAULT_FAILS("migrate", "commit", PQsocket(conn->pg), e) ||
		!query_command(conn, "COMMIT", e) ||
		FAULT_FAILS("migrate", "committed", PQsocket(conn->pg), e))
		return err_in(e, "committing a migration");
	if (pending)
		add_pending(ret_applied, find_ours(pending->number));
	return true;
}

/* Worth another try on the same connection: somebody held a lock, or won a race. */
static bool is_passing(const struct err *e)
{
	return strcmp(e->sqlstate, "55P03") == 0 || strncmp(e->sqlstate, "40", 2) == 0;
}

/* One migration, tried until it gets its locks or patience ends. */
static bool step_patiently(struct conn *conn, int64_t patience_ms,
	const struct migrate_observer *observer, struct migrations *ret_applied, struct err *e)
{
	int64_t deadline_ms = clock_boot_ms() + patience_ms;
	int64_t wait_ms = PAUSE_MIN_MS;
	struct err rollback;

	while (!step(conn, ret_applied, e)) {
		err_ignored(query_command(conn, "ROLLBACK", &rollback), "the step's error counts");
		if (!is_passing(e) || clock_boot_ms() + wait_ms > deadline_ms)
			return false;
		if (observer->on_waiting)
			observer->on_waiting(observer->context, e->text);
		clock_sleep_ms(wait_ms);
		wait_ms = wait_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : wait_ms * 2;
	}
	return true;
}

bool migrate_run(struct conn *conn, int64_t patience_ms, const struct migrate_observer *observer,
	struct err *e)
{
	for (;;) {
		struct migrations applied CLEANUP(migrations_clear) = {0};
		int64_t began_ms = clock_boot_ms();

		if (!step_patiently(conn, patience_ms, observer, &applied, e))
			return false;
		if (applied.count == 0)
			return true;
		if (observer->on_applied)
			observer->on_applied(
				observer->context, applied.rows, clock_boot_ms() - began_ms);
	}
}

bool migrate_drop(struct conn *conn, int64_t patience_ms, struct err *e)
{
	char limit[64];

	snprintf(limit, sizeof(limit), "SET LOCAL lock_timeout = '%" PRId64 "ms'", patience_ms);
	return query_command(conn, "BEGIN", e) && query_command(conn, limit, e) &&
		query_run(conn, &sql_migrations_lock, NULL, NULL, e) &&
		query_command(conn, "SET LOCAL ROLE athena_owner", e) &&
		query_command(conn, "DROP SCHEMA athena CASCADE", e) &&
		query_command(conn, "COMMIT", e);
}

/* Names and versions are ours: nothing in them needs quoting. */
static void script_one(struct buf *out, const struct sql_migration *ours)
{
	char *sum CLEANUP(free_ptr) = checksum(ours->text);

	buf_printf(out, "\n-- Migration %04d_%s\n\nBEGIN;\n", ours->number, ours->name);
	buf_printf(out, "%s;\n%s;\n", lock_timeout, sql_migrations_lock.text);
	buf_printf(
		out, "%s\nPREPARE athena_record AS\n%s;\n", ours->text, sql_migrations_record.text);
	buf_printf(out, "EXECUTE athena_record (%d, '%s', '%s', '%s', '%s');\n", ours->number,
		ours->name, sum, ATHENA_VERSION, ours->oldest_program);
	buf_text(out, "DEALLOCATE athena_record;\nCOMMIT;\n");
}

void migrate_script(struct buf *out, int after)
{
	buf_printf(out,
		"-- The schema of Athena %s, for psql.\n\\set ON_ERROR_STOP on\n\\o /dev/null\n",
		ATHENA_VERSION);
	for (const struct sql_migration *ours = sql_migrations; ours->number; ours++)
		if (ours->number > after)
			script_one(out, ours);
}
