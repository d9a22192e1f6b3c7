/* SPDX-License-Identifier: PostgreSQL */
/*
 * Every step of Athena's programs that changes something durable, and the moments around it at
 * which a test can hurt them (fault.h): STEP(name, moments, file, what is durable before, after).
 *
 * A step in lower case that is the name of a statement has the moments of statements: `send`,
 * nothing has left the process; `sent`, the COMMIT is on its way; `answered`, it is done, and
 * nobody has acted on that yet. Commands wait for the answer at once, and so have no `sent`.
 *
 * Steps inside the server (triggers, functions, the parts of a lane's step) have no rows here: a
 * test finds each table that a transaction writes by itself, and hurts it there.
 *
 * `tools/lint.sh durable_steps` finds statements that write and have no row, and rows that are not
 * in the file that they name; a test finds points that the matrix does not try.
 */
#define STATEMENT "send sent answered"
#define CALL "send answered"

/* A worker's life, and its jobs. */
STEP("register", STATEMENT, "queue/registry.c", "a process", "its row in workers")
STEP("family_declare", STATEMENT, "worker/worker.c", "a configuration", "a family's row")
STEP("sleep_sign", STATEMENT, "queue/sleep.c", "a worker without work", "its row in sleepers")
STEP("sleep_unsign", STATEMENT, "queue/sleep.c", "its row in sleepers", "none")
STEP("heartbeat", STATEMENT, "queue/registry.c", "the last heartbeat", "this one")
STEP("claim", STATEMENT, "queue/claim.c", "tickets in ready", "leases")
STEP("claim_limited", STATEMENT, "queue/claim.c", "tickets in ready", "leases within the limits")
STEP("claim_chunked", STATEMENT, "queue/claim.c", "tickets in ready", "leases of many jobs each")
STEP("dispatch", "send sent", "worker/slot.c", "a lease", "an executor that knows of it")
STEP("execute", "begin begun end sent", "worker/executor.c", "a lease", "what the handler did")
STEP("result", "read", "worker/attempts.c", "what the handler did", "its outcome")
STEP("crash", "read", "worker/attempts.c", "a dead executor", "a failed attempt")
STEP("event_insert", STATEMENT, "queue/report.c", "what the handler said", "its events")
STEP("progress_set", STATEMENT, "queue/report.c", "how far the handler is", "its progress")
STEP("wait_open", STATEMENT, "queue/waits.c", "an attempt", "a wait that can be answered")
STEP("wait_complete", STATEMENT, "http/callbacks.c", "a job that waits", "its answer")
STEP("wait_fail", STATEMENT, "http/callbacks.c", "a job that waits", "a failed attempt")
STEP("settle", STATEMENT, "queue/settle.c", "a lease", "an outcome, or a ticket again")
STEP("settle_succeeded", STATEMENT, "queue/settle.c", "leases", "outcomes")
STEP("settle_chunks", STATEMENT, "queue/settle.c", "leases of many jobs", "an outcome each")
STEP("settle_chunk", STATEMENT, "queue/settle.c", "a lease of many jobs", "what became of each")
STEP("unregister", STATEMENT, "queue/registry.c", "a worker's row", "none, and no leases")

/* Maintenance: lane_run(promote), lane_run(prune), ... */
STEP("lane_run", STATEMENT, "maintenance/lane.c", "what is due", "what the lane makes of it")
STEP("rescue", STATEMENT, "maintenance/rescuer.c", "leases of the dead", "tickets again")

/* The command line. */
STEP("migrate", "begin apply record commit committed", "db/migrate.c", "one schema", "the next")
STEP("migrations_record", CALL, "db/migrate.c", "a schema changed", "and recorded")
STEP("job_enqueue", CALL, "cli/enqueue.c", "nothing", "a job and its ticket")
STEP("jobs_copy", "send commit committed", "cli/enqueue_file.c", "nothing",
	"all jobs of a file, and their tickets")
STEP("job_cancel", CALL, "cli/job.c", "a ticket", "an outcome, or a request")
STEP("job_retry", CALL, "cli/job.c", "an outcome", "a ticket again")
STEP("job_cancel_many", CALL, "cli/job.c", "tickets", "outcomes, or requests")
STEP("job_retry_many", CALL, "cli/job.c", "outcomes", "tickets again")
STEP("family_add", CALL, "cli/family.c", "no family", "its row")
STEP("family_set", CALL, "cli/family.c", "its row", "the same, changed")
STEP("family_pause", CALL, "cli/family.c", "a family", "the same, paused")
STEP("family_resume", CALL, "cli/family.c", "a paused family", "the same, claimed")
STEP("schedule_add", CALL, "cli/schedule.c", "no schedule", "its row")
STEP("schedule_pause", CALL, "cli/schedule.c", "a schedule", "the same, paused")
STEP("schedule_resume", CALL, "cli/schedule.c", "a paused schedule", "the same, firing")
STEP("schedule_run", CALL, "cli/schedule.c", "a schedule", "a job of it")
STEP("schedule_remove", CALL, "cli/schedule.c", "a schedule", "none")
STEP("adopt", CALL, "cli/adopt.c", "a copy of a system", "a system")
STEP("dev", "create", "cli/dev.c", "a server", "the database athena in it")

/* A clone, phase by phase. */
STEP("clone", "validated prepared create created piped describe described verified",
	"families/clone/", "one phase", "the next")
STEP("clone_copies", "send answered", "families/clone/copy.c", "a piece of a table", "its rows")
STEP("clone_parallel", "made copied restored", "families/clone/parallel.c", "one part", "the next")
STEP("clone_staged", "dumped restored", "families/clone/staged.c", "a dump on disk", "its rows")
STEP("clone_name", "mark marked rename renamed", "families/clone/staging.c",
	"a verified staging database", "the target")
STEP("clone_drop", "send answered", "families/clone/staging.c", "a staging database", "none")

/* A backup, and what becomes of it. */
STEP("backup_begin", CALL, "families/backup/create.c", "a session", "a row that names the objects")
STEP("backup", "snapshot begun written stored verified manifested", "families/backup/",
	"some of the objects", "more of them")
STEP("backup_complete", CALL, "families/backup/create.c", "all objects", "a backup")
STEP("backup_verified", CALL, "families/backup/verify.c", "a backup", "the same, proved or not")
STEP("backup_drilled", CALL, "families/backup/restore.c", "a backup", "the same, drilled or not")
STEP("backup_expiring", CALL, "families/backup/expire.c", "a backup", "none that counts")
STEP("backup_sweep", CALL, "families/backup/place.c", "objects", "none")
STEP("backup_expired", CALL, "families/backup/expire.c", "a row whose objects are gone", "its end")
STEP("backup_restore", "filled compared swap swapped", "families/backup/restore.c",
	"a staging database", "the target")
STEP("backup_pin", CALL, "cli/backup.c", "a backup", "the same, pinned or not")

#undef STATEMENT
#undef CALL
