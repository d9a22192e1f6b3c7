# SPDX-License-Identifier: PostgreSQL
"""noop does what its payload says, on the same way as every other family."""
import time

import psycopg
import pytest

from athena_test import PROMPT_S, wait_until


@pytest.fixture
def serve(database, spawn):
    """Starts a worker of noop whose retries come soon."""
    def serve(cancel_grace="60s"):
        database.query("UPDATE athena.families SET backoff_base = '10 ms', backoff_jitter = 0 WHERE name = 'noop'")
        program = spawn("athena-worker", "--family=noop", env={"ATHENA_WORKER_CANCEL_GRACE": cancel_grace})
        program.wait_log("registered")
        return program
    return serve


@pytest.fixture
def worker(serve):
    return serve()


def failures(database, job):
    return database.query("SELECT attempt, kind, error FROM athena.failures WHERE job_id = %s ORDER BY at", job)


def test_does_nothing(database, worker):
    job = database.enqueue("noop")
    row = database.wait_for_state(job, "succeeded")
    assert row["attempt"] == 1
    assert database.query("SELECT * FROM athena.events WHERE job_id = %s", job) == []
    assert not database.conservation()


def test_sleeps(database, worker):
    job = database.enqueue("noop", {"sleep_ms": 700})
    database.wait_for_state(job, "running")
    row = database.wait_for_state(job, "succeeded")
    assert (row["finished_at"] - row["started_at"]).total_seconds() >= 0.7


def test_fails_for_good(database, worker):
    job = database.enqueue("noop", {"fail": "permanent", "message": "no such planet"})
    row = database.wait_for_state(job, "dead")
    assert row["error"] == "no such planet"
    assert failures(database, job) == [{"attempt": 1, "kind": "permanent", "error": "no such planet"}]
    assert not database.conservation()


def test_fails_until_there_is_no_attempt_left(database, worker):
    job = database.enqueue("noop", {"fail": "transient"}, max_attempts=3)
    database.wait_for_state(job, "dead")
    assert failures(database, job) == [
        {"attempt": n, "kind": "transient", "error": "failed as asked"} for n in (1, 2, 3)]


def test_fails_a_few_times(database, worker):
    job = database.enqueue("noop", {"fail_times": 2})
    assert database.wait_for_state(job, "succeeded")["attempt"] == 3
    assert [row["kind"] for row in failures(database, job)] == ["transient", "transient"]


@pytest.mark.parametrize("how, told", [("exit", "status 1"), ("abort", "signal 6"), ("kill", "signal 9")])
def test_crashes(database, worker, how, told):
    job = database.enqueue("noop", {"crash": how, "fail_times": 1})
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    (row,) = failures(database, job)
    assert row["kind"] == "crashed" and told in row["error"]
    assert worker.is_running()
    assert not database.conservation()


def test_stops_when_told_to(database, worker):
    job = database.enqueue("noop", {"sleep_ms": 60000})
    database.wait_for_state(job, "running")
    begin = time.monotonic()
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    database.wait_for_state(job, "cancelled")
    assert time.monotonic() - begin < PROMPT_S  # asking was enough


def test_is_stopped_by_force(database, serve):
    """Asked to when its second is over, killed when the second of grace is."""
    worker = serve(cancel_grace="1s")
    job = database.enqueue("noop", {"sleep_ms": 60000, "ignore_cancel": True}, timeout="1 s", max_attempts=1)
    database.wait_for_state(job, "running")
    (executor,) = wait_until(worker.children)
    row = database.wait_for_state(job, "dead")
    assert failures(database, job)[0]["kind"] == "timeout"
    assert 1.9 < (row["finished_at"] - row["started_at"]).total_seconds() < PROMPT_S
    assert executor not in worker.children()
    assert not database.conservation()


def test_ignores_what_is_padding(database, worker):
    job = database.enqueue("noop", {"pad": "x" * 900_000})
    database.wait_for_state(job, "succeeded")


@pytest.mark.parametrize("payload", ['{"sleep": 1}', '{"sleep_ms": "1"}', '{"sleep_ms": -1}',
                                     '{"fail": "perhaps"}', '{"crash": true}'])
def test_a_bad_payload_is_refused_when_it_is_queued(database, payload):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="noop"):
        database.query("INSERT INTO athena.jobs (family, payload) VALUES ('noop', %s)", payload)
    assert database.value("SELECT count(*) FROM athena.jobs") == 0
