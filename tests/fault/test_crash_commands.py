# SPDX-License-Identifier: PostgreSQL
"""The crash matrix of commands: each is hurt around what it changes, and then given again."""
import pytest

from athena_test import FAULT_BUILD, run_program, wait_until
from crash import enqueue, rows
from ledger import TOTALS
from sessions import assert_lawful

# Point, command, harms; * is the sample.
ROWS = """
migrate.begin              migrate kill error drop
migrate.apply              migrate kill error drop
migrate.record             migrate *kill error drop
migrate.commit             migrate *kill error *drop
migrate.committed          migrate kill error *drop
migrations_record.send     migrate kill error drop
migrations_record.answered migrate kill error drop
job_enqueue.send           enqueue kill error drop
job_enqueue.answered       enqueue *kill drop
jobs_copy.send             file kill error drop
jobs_copy.commit           file kill error drop
jobs_copy.committed        file *kill drop
job_cancel.send            cancel  kill error drop
job_cancel.answered        cancel  *kill drop
job_retry.send             retry   kill error drop
job_retry.answered         retry   *kill drop
job_cancel_many.send       cancel_many kill drop
job_cancel_many.answered   cancel_many *kill drop
job_retry_many.send        retry_many  kill drop
job_retry_many.answered    retry_many  *kill drop
family_add.send            add     kill error drop
family_add.answered        add     kill drop
family_set.send            set     kill error drop
family_set.answered        set     kill drop
family_pause.send          pause   kill error drop
family_pause.answered      pause   kill drop
family_resume.send         resume  kill error drop
family_resume.answered     resume  kill drop
schedule_add.send          schedule kill error drop
schedule_add.answered      schedule kill drop
schedule_pause.send        pause_schedule kill error drop
schedule_pause.answered    pause_schedule kill drop
schedule_resume.send       resume_schedule kill error drop
schedule_resume.answered   resume_schedule kill drop
schedule_run.send          run_schedule kill error drop
schedule_run.answered      run_schedule *kill drop
schedule_remove.send       remove_schedule kill error drop
schedule_remove.answered   remove_schedule kill drop
adopt.send                 adopt   kill error drop
adopt.answered             adopt   *kill drop
"""


class Command:
    """What to type, what must be true before, and what afterwards, however often it was typed."""

    def __init__(self, args, before, after):
        self.args, self.before, self.after = args, before, after


def cancelled(database):
    (job,) = enqueue(database)
    database.query("SELECT athena.cancel(%s)", job)


def scheduled(database):
    database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('nightly', '@daily', 'noop')")


def pause_of(database):
    return database.value("SELECT paused_at FROM athena.schedules")


COMMANDS = {
    "enqueue": Command(["enqueue", "noop", "--unique-key", "once"], lambda db: None,
                       lambda db: db.column("SELECT unique_key FROM athena.jobs") == ["once"]),
    "cancel": Command(["job", "cancel", "1"], enqueue,
                      lambda db: db.column("SELECT state::text FROM athena.outcomes") == ["cancelled"]),
    "retry": Command(["job", "retry", "1"], cancelled, lambda db: db.column("SELECT job_id FROM athena.ready") == [1]),
    "cancel_many": Command(["job", "cancel", "--state", "ready"], lambda db: enqueue(db, 3),
                           lambda db: db.column("SELECT state::text FROM athena.outcomes") == 3 * ["cancelled"]),
    "retry_many": Command(["job", "retry", "--state", "cancelled"],
                          lambda db: [cancelled(db) for _ in range(3)],
                          lambda db: db.value("SELECT count(*) FROM athena.ready") == 3),
    "add": Command(["family", "add", "thumbnails"], lambda db: None,
                   lambda db: db.value("SELECT count(*) FROM athena.families WHERE name = 'thumbnails'") == 1),
    "set": Command(["family", "set", "noop", "--lease", "9s"], lambda db: None,
                   lambda db: db.value("SELECT lease FROM athena.families WHERE name = 'noop'").total_seconds() == 9),
    "pause": Command(["family", "pause", "noop"], lambda db: None,
                     lambda db: db.value("SELECT paused_at IS NOT NULL FROM athena.families WHERE name = 'noop'")),
    "resume": Command(["family", "resume", "noop"], lambda db: db.query("SELECT athena.pause('noop')"),
                      lambda db: db.value("SELECT paused_at IS NULL FROM athena.families WHERE name = 'noop'")),
    "schedule": Command(["schedule", "add", "nightly", "@daily", "noop"], lambda db: None,
                        lambda db: db.column("SELECT name FROM athena.schedules") == ["nightly"]),
    "pause_schedule": Command(["schedule", "pause", "nightly"], scheduled, lambda db: pause_of(db) is not None),
    "resume_schedule": Command(["schedule", "resume", "nightly"],
                               lambda db: (scheduled(db), db.query("UPDATE athena.schedules SET paused_at = now()")),
                               lambda db: pause_of(db) is None),
    "run_schedule": Command(["schedule", "run-now", "nightly"], scheduled, lambda db: db.column("SELECT id FROM athena.jobs") == [1]),
    "remove_schedule": Command(["schedule", "remove", "nightly"], scheduled,
                               lambda db: db.value("SELECT count(*) FROM athena.schedules") == 0),
    "adopt": Command(["adopt"], lambda db: db.query("UPDATE athena.meta SET database_oid = 1"),
                     lambda db: db.value("SELECT athena.is_own_system()")),
}


def sessions_of(database):
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                          " AND application_name LIKE 'athena%'")


@pytest.mark.parametrize("point, load, harm", [row for row in rows(ROWS) if row.values[1] in COMMANDS])
def test_command(case, point, load, harm):
    command, database = COMMANDS[load], case.database
    command.before(database)
    hurt = case.run(*command.args, is_armed=True, status=None)
    assert case.mark.exists() and hurt.returncode != 0, hurt
    wait_until(lambda: sessions_of(database) == 0)
    # Said again: done, or that it is done already, which for some is an error.
    again = case.run(*command.args, status=None)
    assert again.returncode in (0, 1), again
    assert command.after(database)
    assert_lawful(database)


@pytest.mark.parametrize("point, load, harm", [row for row in rows(ROWS) if row.values[1] == "file"])
def test_a_file_is_queued_whole_or_not_at_all(case, point, load, harm, tmp_path):
    database = case.database
    (tmp_path / "jobs.ndjson").write_text("{}\n" * 1000)
    hurt = case.run("enqueue", "noop", "--from-file", str(tmp_path / "jobs.ndjson"), is_armed=True, status=None)
    assert case.mark.exists() and hurt.returncode != 0 and not hurt.stdout, hurt
    wait_until(lambda: sessions_of(database) == 0)
    jobs = database.value("SELECT count(*) FROM athena.jobs")
    assert jobs == (1000 if point == "jobs_copy.committed" else 0)
    if harm != "kill":
        is_known = point == "jobs_copy.send" or harm == "error"
        assert ("nothing is queued" if is_known else "all jobs are queued, or none: ") in hurt.stderr
        assert is_known or hurt.stderr.endswith("\n  next: athena job show 1\n")
    assert_lawful(database)


@pytest.mark.parametrize("point, load, harm", [row for row in rows(ROWS) if row.values[1] == "migrate"])
def test_migrate(case, point, load, harm, empty_database):
    """A schema that was begun is finished by the next run; there is no third state."""
    hurt = case.run("migrate", is_armed=True, status=None, url=empty_database.url)
    assert case.mark.exists() and hurt.returncode != 0, hurt
    wait_until(lambda: sessions_of(empty_database) == 0)
    case.run("migrate", url=empty_database.url)
    assert case.run("migrate", url=empty_database.url).stdout.endswith("is up to date\n")
    numbers = empty_database.column("SELECT number FROM athena.migrations ORDER BY number")
    assert numbers == list(range(1, len(numbers) + 1))
    enqueue(empty_database)
    assert_lawful(empty_database)


@pytest.mark.parametrize("harm", ["kill", "error"])
def test_dev_is_started_again(folder, harm):
    """Hurt before its database is made: the next start makes it."""
    env = {"ATHENA_FAULT": f"dev.create={harm}", "ATHENA_FAULT_MARK": str(folder / "mark")}
    first = run_program(str(FAULT_BUILD / "athena"), "dev", "--", "true", cwd=folder, env=env, status=None)
    assert (folder / "mark").exists() and first.returncode != 0, first
    TOTALS["faults injected"] += 1
    run_program(str(FAULT_BUILD / "athena"), "dev", "--", str(FAULT_BUILD / "athena"), "enqueue", "noop", "--wait", cwd=folder)
