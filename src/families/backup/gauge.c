/* SPDX-License-Identifier: PostgreSQL */
/* Asking the server where pg_dump is. */
#include "families/backup/gauge.h"

#include "base/clock.h"
#include "db/query.h"

enum { LOOK_EVERY_MS = 1000 };

bool gauge_begin(struct gauge *gauge, struct attempt *attempt, struct conn *conn,
	const char *application, struct err *e)
{
	gauge->attempt = attempt;
	gauge->conn = conn;
	gauge->application = application;
	if (!attempt_query(attempt, conn, &sql_backup_tables, NULL, &gauge->tables, e))
		return err_in(e, "measuring the tables");
	gauge->total = 1;
	for (int row = 0; row < PQntuples(gauge->tables); row++)
		gauge->total += row_i64(gauge->tables, row, "bytes");
	return true;
}

void gauge_clear(struct gauge *gauge)
{
	PQclear(gauge->tables);
}

int gauge_wait_ms(const struct gauge *gauge)
{
	int64_t left_ms = gauge ? gauge->due_ms - clock_boot_ms() : -1;

	return gauge && left_ms < 0 ? 0 : (int)left_ms;
}

/* What comes before the table, and what of it has been copied, which its size is the bound of. */
static int64_t reached(const struct gauge *gauge, const PGresult *copying)
{
	for (int row = 0; row < PQntuples(gauge->tables); row++) {
		int64_t size = row_i64(gauge->tables, row, "bytes");
		int64_t copied = row_i64(copying, 0, "bytes");

		if (row_i64(gauge->tables, row, "oid") == row_i64(copying, 0, "oid"))
			return row_i64(gauge->tables, row, "before") +
				(copied < size ? copied : size);
	}
	return 0;
}

bool gauge_look(struct gauge *gauge, struct err *e)
{
	struct params params CLEANUP(params_clear) = {0};
	PGresult *anew CLEANUP(clear_result) = NULL;
	PGresult *copying CLEANUP(clear_result) = NULL;

	if (gauge_wait_ms(gauge) != 0)
		return true;
	gauge->due_ms = clock_boot_ms() + LOOK_EVERY_MS;
	params_text(&params, gauge->application);
	if (!attempt_query(gauge->attempt, gauge->conn, &sql_backup_look_anew, NULL, &anew, e) ||
		!attempt_query(
			gauge->attempt, gauge->conn, &sql_backup_copying, &params, &copying, e))
		return err_in(e, "asking how far the dump is");
	attempt_progress(gauge->attempt, PQntuples(copying) > 0 ? reached(gauge, copying) : 0,
		2 * gauge->total, "bytes");
	return true;
}
