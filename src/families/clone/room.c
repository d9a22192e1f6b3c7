/* SPDX-License-Identifier: PostgreSQL */
/* Comparing what is needed with what is free. */
#include "families/clone/room.h"

#include <inttypes.h>
#include <sys/statvfs.h>

#include "db/query.h"
#include "families/clone/spool.h"

/* Besides the session that each end has already. */
static int sessions_needed(const struct clone *clone)
{
	return clone->mode == CLONE_PIPE ? 2 : clone->jobs + 2;
}

static void check_sessions(struct clone *clone, const char *label, int64_t free_sessions)
{
	int needed = sessions_needed(clone);

	if (free_sessions >= needed)
		return;
	findings_add(&clone->findings, clone->attempt, ERR_TRANSIENT, "too_many_connections",
		"the %s has room for %" PRId64 " more sessions, and %d are needed; \"jobs\" says "
		"how many work at a time",
		label, free_sessions > 0 ? free_sessions : 0, needed);
}

static void check_locks(struct clone *clone)
{
	int64_t tables = row_i64(clone->facts, 0, "tables");
	int64_t room = row_i64(clone->facts, 0, "lock_room");

	if (tables > room)
		findings_add(&clone->findings, clone->attempt, ERR_PERMANENT, "too_few_locks",
			"the source has %" PRId64 " tables and room for %" PRId64
			" locks: raise its max_locks_per_transaction",
			tables, room);
}

/* free_bytes < 0: nobody says. */
static void check_disk(struct clone *clone, const char *where, int64_t free_bytes, int64_t needed)
{
	if (free_bytes < 0 || free_bytes / 5 * 4 >= needed)
		return;
	findings_add(&clone->findings, clone->attempt, ERR_TRANSIENT, "disk_full",
		"%s has %" PRId64 " bytes free, and %" PRId64
		" are needed while a fifth of it stays free",
		where, free_bytes, needed);
}

void room_check_source(struct clone *clone)
{
	check_sessions(clone, "source", row_i64(clone->facts, 0, "free_sessions"));
	check_locks(clone);
	if (clone->mode == CLONE_STAGED)
		check_disk(clone, "the folder for dumps", spool_free_bytes(), clone->table_bytes);
}

/* -1 unless the server is on this host, and what it calls its folder is one here as well. */
static int64_t data_free_bytes(const struct clone *clone, const PGresult *facts)
{
	const char *host = PQhost(clone->target.conn.pg);
	const char *folder = row_text(facts, 0, "data_directory");
	char *file CLEANUP(free_ptr) = xasprintf("%s/PG_VERSION", folder ? folder : "");
	struct statvfs status;

	if (!host || host[0] != '/' || !folder || access(file, F_OK) < 0 ||
		statvfs(folder, &status) < 0)
		return -1;
	return (int64_t)status.f_bavail * (int64_t)status.f_frsize;
}

void room_check_target(struct clone *clone, const PGresult *facts)
{
	check_sessions(clone, "target", row_i64(facts, 0, "free_sessions"));
	check_disk(clone, "the target's disk", data_free_bytes(clone, facts),
		row_i64(clone->facts, 0, "database_bytes"));
}
