# SPDX-License-Identifier: PostgreSQL
"""How a worker ends: SIGTERM lets what runs finish, a second signal stops it, nothing is counted."""
import os
import shutil
import signal
import time

import pytest

from athena_test import PROMPT_S, program_path, wait_until
from sessions import assert_lawful
from workers import fetch_behind, is_dead, read_lines, script, wait_line


def fill(database, count, sleep_ms=0, family="noop", **columns):
    return [database.enqueue(family, {"sleep_ms": sleep_ms} if family == "noop" else {}, **columns)
            for _ in range(count)]


def states(database):
    return {row["state"]: row["n"] for row in database.query(
        "SELECT state, count(*) AS n FROM athena.job_status GROUP BY 1")}


def attempts_of_ready(database):
    return sorted(database.column("SELECT attempt FROM athena.ready"))


def assert_left_cleanly(database, worker):
    assert database.query("SELECT * FROM athena.workers") == []
    assert database.query("SELECT * FROM athena.sleepers") == []
    assert database.query("SELECT * FROM athena.leases") == []
    wait_until(lambda: worker.session_pids() == [], what="its executors are gone")
    assert_lawful(database)


def test_sigterm_lets_running_jobs_finish(database, workers):
    worker = workers.start(concurrency=2)
    running = fill(database, 2, sleep_ms=2000)
    wait_until(lambda: states(database) == {"running": 2})
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < PROMPT_S
    assert [database.job(job)["state"] for job in running] == ["succeeded", "succeeded"]
    assert database.column("SELECT attempt FROM athena.outcomes") == [1, 1]
    assert_left_cleanly(database, worker)


def test_a_drained_worker_claims_no_more_and_hands_back_what_it_holds(database, workers):
    """Jobs that were fetched ahead go back at once, unrun and uncounted, while others still run."""
    worker = workers.start(concurrency=1)
    slow, ahead = fetch_behind(database, sleep_ms=4000)
    worker.signal(signal.SIGTERM)
    worker.wait_log(" draining ")
    wait_until(lambda: states(database).get("running") == 1, what="held ones are handed back at once")
    later = fill(database, 1)
    assert worker.wait() == 0
    assert database.job(slow)["state"] == "succeeded"
    assert [database.job(job)["state"] for job in ahead + later] == ["ready"] * 51
    assert attempts_of_ready(database) == [0] * 51
    assert database.query("SELECT * FROM athena.failures") == []
    assert_left_cleanly(database, worker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(database, workers, tmp_path, number):
    """Handed back without costing an attempt, whatever it is at; its processes are dead before."""
    log = tmp_path / "log"
    command = script(tmp_path, "stubborn", f"trap '' TERM INT\necho $$ >>{log}\nwhile :; do sleep 0.1; done\n")
    worker = workers.start("noop,own", families={"own": {"run": "command", "command": command}}, drain="60s")
    jobs = fill(database, 2, sleep_ms=60000) + fill(database, 1, family="own")
    wait_until(lambda: states(database) == {"running": 3})
    pid = int(wait_line(log, r"(\d+)")[1])
    worker.signal(number)
    worker.wait_log(" draining ")
    assert worker.is_running()
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - began < PROMPT_S
    assert is_dead(pid)
    assert states(database) == {"ready": len(jobs)}
    assert attempts_of_ready(database) == [0, 0, 0]
    assert database.query("SELECT * FROM athena.failures") == []
    assert_left_cleanly(database, worker)


def test_what_runs_longer_than_the_drain_is_stopped_and_handed_back(database, workers, tmp_path):
    """Asked first, so that it can clean up; then by force. Neither costs an attempt."""
    log = tmp_path / "log"
    command = script(tmp_path, "tidy", f"""
trap 'echo tidied >>{log}; exit 1' TERM
echo started >>{log}
sleep 60 & wait
""")
    worker = workers.start("noop,own", families={"own": {"run": "command", "command": command}}, drain="500ms")
    database.enqueue("noop", {"sleep_ms": 60000, "ignore_cancel": True})
    database.enqueue("own")
    wait_line(log, "started")
    wait_until(lambda: states(database) == {"running": 2})
    began = time.monotonic()
    assert worker.terminate() == 0
    assert 1.0 <= time.monotonic() - began < PROMPT_S, "drain and grace are half a second each"
    assert read_lines(log) == ["started", "tidied"]
    assert states(database) == {"ready": 2}
    assert attempts_of_ready(database) == [0, 0]
    assert database.query("SELECT * FROM athena.failures") == []
    assert_left_cleanly(database, worker)


def test_a_job_that_comes_to_its_end_while_being_stopped_has_succeeded(database, workers):
    worker = workers.start(drain="200ms", cancel_grace="10s")
    job = database.enqueue("noop", {"sleep_ms": 1000, "ignore_cancel": True})
    database.wait_for_state(job, "running")
    assert worker.terminate() == 0
    assert database.job(job)["state"] == "succeeded"
    assert_left_cleanly(database, worker)


def test_once_ends_when_there_is_nothing_left(database, workers):
    jobs = fill(database, 50) + fill(database, 2, sleep_ms=300)
    worker = workers.start("noop", "--once")
    assert worker.wait() == 0
    assert [database.job(job)["state"] for job in jobs] == ["succeeded"] * 52
    assert_left_cleanly(database, worker)


def test_once_on_an_empty_queue(database, workers):
    began = time.monotonic()
    worker = workers.start("noop", "--once", poll="1h")
    assert worker.wait() == 0
    assert time.monotonic() - began < PROMPT_S
    assert_left_cleanly(database, worker)


def test_once_does_not_wait_for_what_it_may_not_claim(database, workers):
    """Paused, delayed, or running elsewhere: not its business."""
    paused = database.enqueue("noop")
    database.query("SELECT athena.pause('noop')")
    delayed = database.enqueue("noop", run_at="tomorrow")
    worker = workers.start("noop", "--once")
    assert worker.wait() == 0
    assert [database.job(job)["state"] for job in (paused, delayed)] == ["ready", "scheduled"]
    assert_left_cleanly(database, worker)


def test_an_idle_worker_ends_at_once(database, workers):
    worker = workers.start(poll="1h")
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < PROMPT_S
    assert_left_cleanly(database, worker)


def test_sigterm_before_there_is_a_server(programs, workers, tmp_path):
    worker = workers.start(until=None, url=f"postgresql:///x?host={tmp_path}")
    worker.wait_log("connection_failed")
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < PROMPT_S


def test_sigterm_while_the_server_is_away(own_cluster, workers):
    """Its results cannot be settled: it waits for a moment and leaves them to the rescue."""
    database = own_cluster.migrated_database()
    worker = workers.start(url=database.url, drain="1s", cancel_grace="200ms")
    job = database.enqueue("noop", {"sleep_ms": 1000})
    database.wait_for_state(job, "running")
    database.close()
    own_cluster.stop()
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < PROMPT_S
    wait_until(lambda: worker.session_pids() == [])
    own_cluster.start()
    helper = workers.start(url=database.url)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    assert helper.terminate() == 0
    assert_lawful(database)
    database.close()


def test_executors_are_replaced_after_so_many_attempts(database, workers):
    worker = workers.start(concurrency=1, executor_attempts="5")
    seen = []
    for _ in range(12):
        database.wait_for_state(database.enqueue("noop", {"sleep_ms": 20}), "succeeded")
        seen += [pid for pid in worker.children() if pid not in seen]
    wait_until(lambda: len(worker.children()) == 1, what="the old ones have left")
    assert len({*seen, *worker.children()}) == 3
    assert_lawful(database)


def test_a_worker_stays_what_it_is_while_its_program_is_replaced(database, workers, tmp_path):
    """An update must not give it executors of another release."""
    program = shutil.copy(program_path("athena-worker"), tmp_path)
    worker = workers.start(program=program, concurrency=1, executor_attempts=1)
    os.unlink(program)
    script(tmp_path, "athena-worker", "exit 1\n")
    for _ in range(3):
        database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert database.query("SELECT * FROM athena.failures") == []
    assert worker.terminate() == 0
    assert_lawful(database)


def test_an_unknown_family_is_refused(database, workers):
    worker = workers.start("nonesuch", until=None)
    assert worker.wait() == 2
    assert "nonesuch" in worker.stderr() and "families:" in worker.stderr()
    assert database.query("SELECT * FROM athena.workers") == []
