# SPDX-License-Identifier: PostgreSQL
"""The answer to a COMMIT is lost: its truth is asked for and never guessed."""
import random

import pytest

from athena_test import DEADLINE_S, wait_until
from proxy import Proxy
from sessions import assert_lawful
from workers import resume, settled, stop


@pytest.fixture
def proxy(cluster):
    proxy = Proxy(cluster)
    yield proxy
    proxy.close()


@pytest.fixture
def quick(database):
    database.query("UPDATE athena.families SET backoff_base = '0 s' WHERE name = 'noop'")
    return database


def test_a_claim_whose_answer_is_lost_strands_nothing(quick, workers, proxy):
    """The lease is found and handed back unrun, long before a heartbeat would name it."""
    worker = workers.start(url=proxy.url(quick), poll="1h")
    worker.wait_log("asleep")
    for n in range(1, 4):
        lost = proxy.lose_answer("claim")
        job = quick.enqueue("noop")
        assert lost.wait(DEADLINE_S)
        assert quick.wait_for_state(job, "succeeded")["attempt"] == 1
        worker.wait_log(rf"lease_found job={job}\b")
        worker.wait_log("asleep", count=n + 1)
    assert quick.query("SELECT * FROM athena.failures") == []
    assert_lawful(quick)


def test_a_lost_claim_of_many(quick, workers, proxy):
    worker = workers.start(url=proxy.url(quick), concurrency=2, poll="1h")
    insert = "INSERT INTO athena.jobs (family, priority) SELECT 'noop', n % 10 FROM generate_series(1, 200) AS n RETURNING id"
    for job in quick.column(insert):
        quick.wait_for_state(job, "succeeded")
    worker.wait_log("asleep")
    lost = proxy.lose_answer("claim")
    jobs = quick.column(insert)
    assert lost.wait(DEADLINE_S)
    for job in jobs:
        assert quick.wait_for_state(job, "succeeded")["attempt"] == 1
    assert worker.stderr().count("lease_found") > 20
    assert_lawful(quick)


def test_a_settle_whose_answer_is_lost_is_settled_already(quick, workers, proxy):
    worker = workers.start(url=proxy.url(quick))
    worker.wait_log("asleep")
    lost = proxy.lose_answer("settle_succeeded")
    job = quick.enqueue("noop")
    assert lost.wait(DEADLINE_S)
    assert settled(worker, job)["answer"] == "already"
    assert quick.job(job)["state"] == "succeeded"
    assert quick.value("SELECT count(*) FROM athena.outcomes") == 1
    assert_lawful(quick)


@pytest.mark.parametrize("payload, state, attempts", [
    ({"fail": "permanent"}, "dead", 1),
    ({"fail_times": 1}, "succeeded", 2),
])
def test_a_failure_whose_answer_is_lost_is_recorded_once(quick, workers, proxy, payload, state, attempts):
    worker = workers.start(url=proxy.url(quick))
    worker.wait_log("asleep")
    lost = proxy.lose_answer("settle")
    job = quick.enqueue("noop", payload)
    assert lost.wait(DEADLINE_S)
    assert settled(worker, job)["answer"] == "already"
    assert quick.wait_for_state(job, state)["attempt"] == attempts
    assert quick.value("SELECT count(*) FROM athena.failures") == 1
    assert_lawful(quick)


def test_a_batch_whose_answer_is_lost(quick, workers, proxy):
    """Settles travel with a claim in one group; both were committed, and neither was heard of."""
    worker = workers.start(url=proxy.url(quick))
    lost = proxy.lose_answer("settle_succeeded")
    jobs = quick.column("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 1000) RETURNING id")
    assert lost.wait(DEADLINE_S)
    wait_until(lambda: quick.value("SELECT count(*) FROM athena.outcomes") == len(jobs))
    assert quick.column("SELECT DISTINCT attempt FROM athena.outcomes") == [1]
    assert worker.is_running()
    assert_lawful(quick)


def test_registering_whose_answer_is_lost(quick, workers, proxy):
    lost = proxy.lose_answer("register")
    workers.start(url=proxy.url(quick))
    assert lost.is_set()
    assert quick.wait_for_state(quick.enqueue("noop"), "succeeded")
    wait_until(lambda: quick.value("SELECT count(*) FROM athena.workers") == 1,
               what="the worker has given up who it was first")


def test_a_heartbeat_whose_answer_is_lost(quick, workers, proxy):
    worker = workers.start(url=proxy.url(quick))
    (before,) = quick.column("SELECT id FROM athena.workers")
    job = quick.enqueue("noop", {"sleep_ms": 1000})
    quick.wait_for_state(job, "running")
    assert proxy.lose_answer("heartbeat").wait(DEADLINE_S)
    assert quick.wait_for_state(job, "succeeded")["attempt"] == 1
    assert quick.column("SELECT id FROM athena.workers") == [before]
    assert worker.stderr().count(" registered ") == 1


def test_a_goodbye_whose_answer_is_lost(quick, workers, proxy):
    worker = workers.start(url=proxy.url(quick))
    proxy.lose_answer("unregister")
    assert worker.terminate() == 0
    assert quick.query("SELECT * FROM athena.workers") == []


@pytest.mark.parametrize("statement", ["sleep_sign", "own_xid", "sleep_look"])
def test_falling_asleep_whose_answers_are_lost(quick, workers, proxy, statement):
    lost = proxy.lose_answer(statement)
    worker = workers.start(url=proxy.url(quick), poll="1h")
    worker.wait_log("asleep")
    assert lost.is_set()
    assert quick.wait_for_state(quick.enqueue("noop"), "succeeded")


def test_any_answer_any_time(quick, workers, proxy):
    """Dozens of answers are lost while jobs succeed, fail, crash and are retried: each job ends once,
    and only what really failed has cost an attempt."""
    chance = random.Random(17)
    worker = workers.start(url=proxy.url(quick), reconnect_min="10ms", reconnect_max="20ms")
    kinds = [{}, {"sleep_ms": 50}, {"fail_times": 1, "sleep_ms": 50}, {"crash": "exit", "fail_times": 1}]
    jobs = []
    statements = 4 * ["claim", "settle", "settle_succeeded"] + [
        "settle_recall", "heartbeat", "own_leases", "cursor_heads", "sleep_sign", "sleep_look", "system_id"]
    while proxy.losses < 30 or quick.value("SELECT count(*) FROM athena.outcomes") < len(jobs):
        assert worker.is_running()
        if proxy.losses < 30 and quick.value("SELECT count(*) FROM athena.ready") < 50:
            payloads = [chance.choice(kinds) for _ in range(100)]
            jobs += [(quick.enqueue("noop", payload, max_attempts=3), payload) for payload in payloads]
        proxy.lose_answer(chance.choice(statements)).wait(0.05)
    print(f"{proxy.losses} answers lost, {len(jobs)} jobs")
    for job, payload in jobs:
        row = quick.job(job)
        assert (row["state"], row["attempt"]) == ("succeeded", 2 if "fail_times" in payload else 1), (row, payload)
    failed = sum("fail_times" in payload for _, payload in jobs)
    assert quick.value("SELECT count(*) FROM athena.failures") == failed
    assert worker.is_running()
    assert_lawful(quick)


def test_connections_that_end_in_a_hurry(quick, workers, proxy):
    """The last word of the server and an error come at once. That is found at the socket, and not
    because a heartbeat remains without an answer."""
    worker = workers.start(url=proxy.url(quick), poll="200ms", heartbeat="3s")
    worker.wait_log("asleep")
    proxy.hang_at(b"\0claim\0", b"\0heartbeat\0")
    job = quick.enqueue("noop")
    wait_until(proxy.has_hung)
    stop(worker.pid)
    proxy.end_in_a_hurry()
    resume(worker.pid)
    for session in ("work", "pulse"):
        worker.wait_log(f"connection_lost session={session}")
    assert quick.wait_for_state(job, "succeeded")["attempt"] == 1
    assert "no answer" not in worker.stderr()
    assert_lawful(quick)


def test_connections_that_fall_silent_while_they_come_up(quick, workers, proxy):
    """Open, and no answer comes: to one while it prepares its statements, to the other while it registers."""
    proxy.hang_at(b"settle_recall\0", b"\0register\0")
    worker = workers.start(url=proxy.url(quick), until=None)
    wait_until(proxy.has_hung)
    worker.wait_log("connection_failed session=work .*longer than 10 s")
    worker.wait_log("connection_lost session=pulse .*no answer")
    assert quick.wait_for_state(quick.enqueue("noop"), "succeeded")["attempt"] == 1
    assert worker.terminate() == 0
    assert_lawful(quick)


def test_connections_that_end_at_any_moment(quick, workers):
    """Between any two bytes, reading or writing: hundreds of sessions are terminated under load."""
    pair = [workers.start(reconnect_min="10ms", reconnect_max="20ms") for _ in range(2)]
    ended = jobs = 0
    while quick.value("SELECT count(*) FROM athena.outcomes") < jobs or ended < 300:
        assert all(worker.is_running() for worker in pair)
        if ended < 300 and quick.value("SELECT count(*) FROM athena.ready") < 100:
            jobs += len(quick.column(
                "INSERT INTO athena.jobs (family, payload) SELECT 'noop', jsonb_build_object('sleep_ms', n % 20)"
                " FROM generate_series(1, 200) AS n RETURNING id"))
        ended += quick.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                             " WHERE datname = current_database() AND application_name LIKE 'athena%'"
                             " AND random() < 0.2")
    print(f"{ended} sessions terminated, {jobs} jobs")
    assert quick.query("SELECT state::text, attempt, count(*) FROM athena.outcomes GROUP BY 1, 2") == [
        {"state": "succeeded", "attempt": 1, "count": jobs}]
    for worker in pair:
        assert worker.terminate() == 0
    assert_lawful(quick)
