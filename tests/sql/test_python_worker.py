# SPDX-License-Identifier: PostgreSQL
"""docs/examples/worker.py does real work through the SQL API: failures, cancels, and a fence."""
import os
import re
import signal
import sys

import pytest

from athena_test import ROOT, wait_until
from sessions import assert_lawful, depth, place, somebody

SOURCE = ROOT / "docs/examples/worker.py"


@pytest.fixture
def database(database):
    database.query("INSERT INTO athena.families (name, backoff_base, lease) VALUES ('chores', '10 ms', '6 s')")
    database.query("CREATE ROLE chores_worker LOGIN IN ROLE athena_worker")
    yield database
    database.close()
    database.cluster.connect().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chores_worker'")
    database.query("DROP ROLE chores_worker")


@pytest.fixture
def start(database, spawn):
    def start():
        return spawn(sys.executable, SOURCE, database.cluster.url(database.name, "chores_worker"), "chores")
    return start


def test_it_has_forty_lines():
    lines = SOURCE.read_text().splitlines()
    code = [line for line in lines if line.strip() and not re.match(r'\s*(#|""")', line)]
    assert len(code) <= 40


def test_two_hundred_jobs(database, start):
    """A fifth fails for good, a fifth once or more, some are cancelled before and while they run."""
    database.query("SELECT athena.pause('chores')")
    ids = [database.enqueue("chores", payload, max_attempts=2) for payload in
           [{}, {"sleep_ms": 30}, {"fail": "permanent"}, {"fail": "transient"}, {"sleep_ms": 40}] * 40]
    cancelled = ids[::25]
    for job in cancelled:
        assert database.value("SELECT athena.cancel(%s)", job) == "cancelled"
    workers, leader = [start(), start()], somebody()
    wait_until(lambda: database.value("SELECT count(*) FROM athena.workers") == 2)
    database.query("SELECT athena.resume('chores')")

    def is_done():
        database.query("SELECT athena.run_lane('promote', %s)", leader)
        return database.value("SELECT count(*) FROM athena.outcomes") == 200

    wait_until(is_done)
    states = {row["state"]: row["n"] for row in database.query("SELECT state::text, count(*) AS n FROM athena.outcomes GROUP BY 1")}
    assert states == {"succeeded": 120 - len(cancelled), "dead": 80, "cancelled": len(cancelled)}
    assert {row["error"]: row["n"] for row in database.query(
        "SELECT error, count(*) AS n FROM athena.failures GROUP BY 1")} == {"permanent": 40, "transient": 80}
    assert database.value("SELECT count(DISTINCT worker_id) FROM athena.outcomes WHERE worker_id IS NOT NULL") == 2
    assert_lawful(database)
    for worker in workers:
        assert worker.terminate() == 0, worker.stderr()
    assert database.value("SELECT count(*) FROM athena.workers") == 0


def test_a_cancel_that_comes_while_it_runs_is_not_obeyed_but_success_stands(database, start):
    job = database.enqueue("chores", {"sleep_ms": 1500})
    worker = start()
    database.wait_for_state(job, "running")
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    wait_until(lambda: place(database, job) == ["succeeded"])
    assert worker.terminate() == 0
    assert_lawful(database)


def test_sigterm_hands_back_what_runs(database, start):
    job = database.enqueue("chores", {"sleep_ms": 60000}, max_attempts=1)
    worker = start()
    database.wait_for_state(job, "running")
    assert worker.terminate() == 0
    assert "returned: settled" in worker.stdout()
    assert (place(database, job), database.job(job)["attempt"]) == (["ready"], 0)
    assert_lawful(database)


def test_a_fenced_worker_settles_nothing_and_ends(database, start):
    """Stopped beyond its lease, rescued, woken: its late result is lost, and the heartbeat ends it."""
    job = database.enqueue("chores", {"sleep_ms": 300})
    worker = start()
    database.wait_for_state(job, "running")
    os.kill(worker.pid, signal.SIGSTOP)
    database.query("UPDATE athena.workers SET heartbeat_at = now() - interval '7 s'")
    assert database.value("SELECT athena.rescue(%s, id, heartbeat_at, '7 s', true) FROM athena.workers", somebody()) == 1
    database.query("SELECT athena.pause('chores')")
    os.kill(worker.pid, signal.SIGCONT)
    wait_until(lambda: f"job {job} succeeded: lost" in worker.stdout())
    assert place(database, job) == ["ready"]
    assert worker.wait(15) == 1
    assert depth(database) == {("chores", "ready"): 1}
    assert_lawful(database)


def test_the_document_shows_this_very_file():
    text = (ROOT / "docs/sql.md").read_text()
    assert SOURCE.read_text() in text

