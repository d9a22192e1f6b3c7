# SPDX-License-Identifier: PostgreSQL
"""A plain pg_dump of the control-plane database, and what the restored one is: docs/operations.md."""
import subprocess

import pytest

from athena_test import client, wait_until
from ledger import wait_drained
from sessions import assert_lawful


@pytest.fixture
def dump(database, workers):
    """Of a database in the middle of its work: (archive, the jobs that were there before it, those after it)."""
    worker = workers.start(concurrency=2, poll="1h")
    ended = [database.enqueue("noop"), database.enqueue("noop", {"fail": "permanent"})]
    for job, state in zip(ended, ("succeeded", "dead")):
        database.wait_for_state(job, state)
    running = [database.enqueue("noop", {"sleep_ms": 3000}) for _ in range(2)]
    for job in running:
        wait_until(lambda job=job: database.job(job)["state"] != "ready", what="they are claimed")
    waiting = [database.enqueue("noop", unique_key="only one"), database.enqueue("noop", priority=0),
               database.enqueue("noop", run_at="2035-01-01"), *(database.enqueue("noop") for _ in range(50))]
    done = subprocess.run([client("pg_dump"), "-Fc", database.url], check=True, capture_output=True)
    yield done.stdout, [*ended, *running, *waiting], worker
    assert_lawful(database)


def restore(archive, database, *options, status=0):
    done = subprocess.run([client("pg_restore"), *options, "-d", database.url], input=archive, capture_output=True)
    assert done.returncode == status, done.stderr.decode()
    return done.stderr.decode()


def finish(database, workers):
    """Everything that is there is done, by a worker; what is due in years, now."""
    database.query("SELECT athena.cancel(job_id) FROM athena.scheduled WHERE run_at > now() + interval '1 year'")
    worker = workers.start(url=database.url)
    wait_drained(database)
    assert worker.terminate() == 0
    assert_lawful(database)


def test_the_copy_has_everything_and_runs_nothing_until_adopted(database, dump, own_cluster, workers, run):
    """In a cluster that has never seen Athena: one `athena migrate` in it makes the roles."""
    archive, jobs, original = dump
    run("athena", "migrate", url=own_cluster.new_database().url)
    copy = own_cluster.new_database(label="copy")
    assert restore(archive, copy, "--exit-on-error") == ""
    assert copy.column("SELECT job_id FROM athena.job_status ORDER BY 1") == jobs
    assert_lawful(copy)

    refused = workers.start(url=copy.url, until=None)
    assert refused.wait() == 1
    assert "athena adopt" in refused.stderr()
    assert "athena adopt" in run("athena", "doctor", url=copy.url, status=1).stdout
    held = copy.value("SELECT count(*) FROM athena.leases")
    done = run("athena", "adopt", url=copy.url)
    assert f"{held} jobs that the original's workers held are ready again" in done.stdout

    taken = copy.value("SELECT athena.enqueue('noop', '{}', unique_key => 'only one')")
    assert taken == jobs[4] or taken > max(jobs) + 1_000_000  # its holder may have ended before the dump
    finish(copy, workers)
    assert copy.column("SELECT job_id FROM athena.job_status WHERE state <> 'succeeded' ORDER BY 1") == [jobs[1], jobs[6]]
    assert copy.enqueue("noop") > max(jobs) + 1_000_000
    assert original.is_running()
    assert database.enqueue("noop") < max(jobs) + 1_000
    copy.close()


def test_in_place_of_the_original_it_is_a_copy_too(database, dump, workers, run):
    """The same cluster, the same name: the original is gone, but only its operator can know that."""
    archive, _, original = dump
    assert original.terminate() == 0
    database.close()
    database.cluster.drop_database(database.name)
    database.cluster.create_database(database.name)
    assert restore(archive, database, "--exit-on-error") == ""
    assert "copied one" in run("athena", "doctor", status=1).stdout
    run("athena", "adopt")
    finish(database, workers)


def test_not_over_a_schema_that_is_there(database, dump, run):
    """Half of each would be worth nothing: in one transaction, nothing happens."""
    archive, *_ = dump
    other = database.cluster.migrated_database()
    other.enqueue("noop")
    restore(archive, other, "--single-transaction", "--exit-on-error", status=1)
    assert other.column("SELECT id FROM athena.jobs") == [1]
    assert_lawful(other)
    other.drop()
