# SPDX-License-Identifier: PostgreSQL
"""athena job explain: one reason, in words, and the command that helps."""
import json
import re

import pytest

from athena_test import wait_until
from sessions import Worker, assert_lawful
from workers import stop


@pytest.fixture
def explain(run, database):
    """The JSON of a job; that people read the same answer is checked each time."""
    def explain(job):
        data = json.loads(run("athena", "job", "explain", job, "--json").stdout)
        text = run("athena", "job", "explain", job).stdout
        assert text.startswith(f"job {job}, {data['family']}, {data['state']}: ")
        for command in data["commands"]:
            assert f"  {command} " in text
        without_times = re.compile(r"\d[\d.]* (ms|s|min|h|d)\b( \d+ (ms|s|min|h|d)\b)?")
        assert without_times.sub("T", data["answer"]) in without_times.sub("T", text)
        return data
    return explain


def told(data, *names):
    return tuple(data[name] for name in names)


def alive(worker):
    worker.is_silent_for(-3600)
    return worker


@pytest.fixture
def worker(database):
    """A registered worker of noop that does nothing by itself, and is alive however slow the test is."""
    return alive(Worker(database))


def test_a_paused_family(explain, database, worker):
    job = database.enqueue("noop")
    database.query("SELECT athena.pause('noop')")
    database.query("UPDATE athena.families SET paused_at = now() - interval '2 h 5 min' WHERE name = 'noop'")
    data = explain(job)
    assert told(data, "reason", "commands") == ("paused", ["athena family resume noop"])
    assert re.fullmatch(r"its family noop has been paused for 2 h \d+ min", data["answer"])


def test_no_worker(explain, run, database):
    job = database.enqueue("noop")
    data = explain(job)
    assert told(data, "reason", "answer") == ("no_worker", "no worker that is alive serves its family noop")
    assert data["commands"] == ["athena-worker --family=noop", "athena worker list"]
    other = alive(Worker(database))
    assert explain(job)["reason"] == "next"
    other.is_silent_for(60)
    data = explain(job)
    assert told(data, "reason", "answer", "silent_workers") == (
        "no_worker", "no worker that is alive serves its family noop; 1 that did is silent", 1)


def test_behind_others_in_the_order_of_claims(explain, run, database, worker):
    """By priority, then ticket; a job that was retried is at the end of its line, under its new ticket."""
    first, second, third = (database.enqueue("noop", priority=5) for _ in range(3))
    for _ in range(4):
        database.enqueue("noop", priority=2)
    database.enqueue("noop", priority=8)
    database.enqueue("clone", {"source": "a", "target": "b"}, priority=0)
    for job, ahead in ((first, 4), (second, 5), (third, 6)):
        assert told(explain(job), "reason", "ahead", "ahead_is_least") == ("behind", ahead, False)
    run("athena", "job", "cancel", first)
    run("athena", "job", "retry", first)
    assert told(explain(first), "ahead", "answer") == (6, "it is behind 6 others of its family")
    urgent = database.enqueue("noop", priority=0)
    data = explain(urgent)
    assert told(data, "reason", "ahead") == ("next", 0)
    assert data["commands"] == ["athena job list --family noop --state running"]


def test_counting_has_an_end(explain, database, worker):
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 10002)")
    last = database.value("SELECT max(id) FROM athena.jobs")
    assert told(explain(last), "answer", "ahead", "ahead_is_least") == (
        "it is behind at least 10,000 others of its family", 10000, True)
    assert told(explain(last - 1), "ahead", "ahead_is_least") == (10000, True)
    assert told(explain(last - 2), "answer", "ahead") == ("it is behind 9999 others of its family", 9999)


@pytest.mark.parametrize("limit,key,says", [
    ("max_running = 1", None, "max_running: 1 run"),
    ("max_running_per_key = 1", "tenant", "max_running_per_key: 1 of its key run"),
    ("rate_count = 1, rate_period = '1 h'", None, "rate: the next start is in "),
])
def test_limits(explain, run, database, worker, limit, key, says):
    database.query(f"UPDATE athena.families SET {limit} WHERE name = 'noop'")
    columns = {"concurrency_key": key} if key else {}
    database.enqueue("noop", **columns)
    job = database.enqueue("noop", **columns)
    database.query("SELECT * FROM athena.claim_limited(%s, 'noop', 1)", worker.id)
    data = explain(job)
    assert data["reason"] == "limit"
    assert data["answer"].startswith(f"a limit of its family noop is reached: {says}")
    assert data["commands"][0] == "athena family show noop"
    run("athena", "family", "show", "noop")


def test_not_due(explain, run, database, worker):
    job = database.enqueue("noop", run_at="2035-01-01")
    data = explain(job)
    assert data["reason"] == "not_due" and data["answer"].startswith("it is not due: it runs in ")
    assert data["commands"] == [f"athena job retry {job}"]
    run("athena", "job", "retry", job)
    assert explain(job)["reason"] == "next"


def test_waiting_out_a_back_off(explain, database, worker):
    database.query("UPDATE athena.families SET backoff_base = '1 h' WHERE name = 'noop'")
    job = database.enqueue("noop")
    (row,) = worker.claim(1)
    worker.settle(row, "failed", error_kind="transient", error="the disk is full")
    data = explain(job)
    assert data["reason"] == "not_due"
    assert re.fullmatch(r"it is not due: it runs again in .*, since attempt 1 failed: the disk is full", data["answer"])


def test_nobody_promotes(explain, database):
    job = database.enqueue("noop", run_at="2035-01-01")
    database.query("UPDATE athena.scheduled SET run_at = now() - interval '3 min'")
    data = explain(job)
    assert data["reason"] == "overdue"
    assert re.fullmatch(r"it has been due for 3 min.*, but nobody runs maintenance: its lane promote has never run", data["answer"])
    assert data["commands"] == ["athena maintenance status", "athena maintenance run"]
    database.query("UPDATE athena.lanes SET last_at = now() - interval '2 min'")
    assert re.search(r"its lane promote ran last 2 min.* ago", explain(job)["answer"])
    database.query("UPDATE athena.lanes SET last_at = now() + interval '1 h'")
    assert told(explain(job), "reason", "answer") == ("not_due", "it is due just now")


def test_running_cancelling_silent_and_unknown(explain, database, worker):
    job = database.enqueue("noop")
    worker.claim(1)
    data = explain(job)
    assert data["reason"] == "running" and re.fullmatch(r"it runs: \S+:\d+ has had it for .*", data["answer"])
    database.query("SELECT athena.cancel(%s)", job)
    data = explain(job)
    assert data["reason"] == "cancelling" and re.search(r"was asked to stop it .* ago", data["answer"])
    database.query("UPDATE athena.families SET lease = '1 h' WHERE name = 'noop'")
    worker.is_silent_for(600)
    data = explain(job)
    assert data["reason"] == "silent"
    assert re.search(r"which has been silent for 1\d min.*; others may have it in 4\d min", data["answer"])
    worker.is_silent_for(3600)
    data = explain(job)
    assert re.search(r"silent for 1 h.*; its lease is over, and whoever runs maintenance takes it", data["answer"])
    assert data["commands"] == ["athena worker list", "athena maintenance status"]
    database.query("DELETE FROM athena.workers")
    data = explain(job)
    assert data["reason"] == "unregistered" and "not registered" in data["answer"]


def test_waiting_for_a_callback(explain, database, worker):
    job = database.enqueue("noop")
    (row,) = worker.claim(1)
    database.query("SELECT athena.open_wait(%s, %s, %s, 'the scan')", worker.id, row["job_id"], row["ticket"])
    worker.settle(row, "parked", retry_in="1 h")
    data = explain(job)
    assert data["reason"] == "waiting"
    assert re.fullmatch(r'it waits for somebody to call back about "the scan", for another (1 h|59 min.*)', data["answer"])
    assert data["commands"] == [f"athena job events {job} --follow", f"athena job retry {job}"]
    database.query("UPDATE athena.waiting SET expires_at = now() - interval '1 min'")
    data = explain(job)
    assert data["reason"] == "overdue" and "its callback has been late for 1 min" in data["answer"]
    assert "lane waits" in data["answer"]


def test_ended(explain, run, database, worker):
    done, bad, gone = (database.enqueue("noop", max_attempts=1) for _ in range(3))
    for row in worker.claim(2):
        if row["job_id"] == done:
            worker.settle_succeeded(row)
        else:
            worker.settle(row, "failed", error_kind="transient", error="no such host")
    run("athena", "job", "cancel", gone)
    assert re.fullmatch(r"it has ended: succeeded .* ago", explain(done)["answer"])
    assert explain(done)["commands"] == [f"athena job show {done}"]
    data = explain(bad)
    assert re.fullmatch(r"it has ended: dead .* ago, after 1 of 1 attempts: no such host", data["answer"])
    assert data["commands"] == [f"athena job show {bad}", f"athena job retry {bad}"]
    assert explain(gone)["reason"] == "ended"
    assert_lawful(database)


def test_a_stopped_worker_is_told_as_silent(run, database, workers):
    """The whole of it, with a real one."""
    program = workers.start(concurrency=1)
    job = database.enqueue("noop", {"sleep_ms": 600000})
    database.wait_for_state(job, "running")
    stop(program.pid)
    wait_until(lambda: json.loads(run("athena", "job", "explain", job, "--json").stdout)["reason"] == "silent")


def test_what_a_reader_may_ask(run, database):
    database.query("DO $$ BEGIN CREATE ROLE an_explainer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    database.query("GRANT athena_reader TO an_explainer")
    job = database.enqueue("noop")
    url = database.cluster.url(database.name, user="an_explainer")
    assert json.loads(run("athena", "job", "explain", job, "--json", url=url).stdout)["reason"] == "no_worker"


def test_no_such_job(run, database):
    done = run("athena", "job", "explain", "42", status=1)
    assert "there is no job 42" in done.stderr
    run("athena", "job", "explain", "x", status=2)
