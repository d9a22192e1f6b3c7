# SPDX-License-Identifier: PostgreSQL
"""Workers of limited families: what runs at once per key, starts per period, and nobody left waiting.

The slow poll is out of the way everywhere: what is claimed was heard of, or waited for.
"""
import time

from athena_test import wait_until
from sessions import Worker, assert_lawful
from workers import overlap, script

HOUR = "1h"


def limit(database, family="noop", **columns):
    names = ", ".join(f"{name} = %s" for name in columns)
    database.query(f"UPDATE athena.families SET {names} WHERE name = %s", *columns.values(), family)


def insert(database, count, key=None, family="noop", payload="{}"):
    """`count` jobs; key: an expression of n, or null."""
    return database.column(
        f"INSERT INTO athena.jobs (family, payload, concurrency_key) SELECT %s, %s, {key or 'NULL'}"
        " FROM generate_series(1, %s) AS n RETURNING id", family, payload, count)


def wait_done(database, count, deadline_s=60):
    wait_until(lambda: database.value("SELECT count(*) FROM athena.outcomes") >= count, deadline_s,
               f"{count} jobs have ended")


def test_no_key_has_more_at_once_than_allowed_over_two_workers(database, workers, tmp_path):
    log = tmp_path / "log"
    command = script(tmp_path, "span", f"b=$(date +%s.%N); sleep 0.03; echo $ATHENA_JOB_ID $b $(date +%s.%N) >>{log}\n")
    database.query("INSERT INTO athena.families (name, max_running_per_key) VALUES ('own', 2)")
    insert(database, 60, "mod(n, 3)", "own")
    insert(database, 12, None, "own")
    families = {"own": {"run": "command", "command": command, "concurrency": 5}}
    for _ in range(2):
        workers.start("own", families=families, until=None, poll=HOUR)
    wait_done(database, 72)
    keys = {row["id"]: row["concurrency_key"] for row in database.query("SELECT id, concurrency_key FROM athena.jobs")}
    spans = [(keys[int(job)], float(begin), float(end))
             for job, begin, end in (line.split() for line in log.read_text().splitlines())]
    assert len(spans) == 72
    for key in ("0", "1", "2"):
        of_key = [span[1:] for span in spans if span[0] == key]
        assert len(of_key) == 20 and overlap(of_key) <= 2
    assert overlap([span[1:] for span in spans]) > 2, "keys wait for each other"
    assert_lawful(database)


def test_a_full_key_with_a_long_backlog_holds_up_nobody(database, workers):
    limit(database, max_running_per_key=1)
    other = Worker(database)
    insert(database, 1, "'big'")
    (row,) = other.claim()
    insert(database, 20000, "'big'")
    worker = workers.start(poll=HOUR, concurrency=2)
    worker.wait_log("asleep")
    for job in (*insert(database, 1, "'small'"), *insert(database, 1), *insert(database, 1, "'small'")):
        database.wait_for_state(job, "succeeded")
    assert database.value("SELECT count(*) FROM athena.outcomes") == 3
    other.settle_succeeded(row)  # a place of the key: its jobs go on, one by one
    wait_done(database, 20)
    assert_lawful(database)


def test_two_workers_hand_the_place_of_a_key_to_each_other(database, workers, tmp_path):
    log = tmp_path / "log"
    command = script(tmp_path, "span", f"b=$(date +%s.%N); sleep 0.005; echo $b $(date +%s.%N) >>{log}\n")
    database.query("INSERT INTO athena.families (name, max_running_per_key) VALUES ('own', 1)")
    for _ in range(2):
        workers.start("own", families={"own": {"run": "command", "command": command, "concurrency": 2}}, poll=HOUR)
    insert(database, 60, "'only'", "own")
    wait_done(database, 60)
    spans = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    assert len(spans) == 60 and overlap(spans) == 1
    assert_lawful(database)


def test_rate_of_two_workers_over_every_window(database, workers):
    limit(database, rate_count=40, rate_period="1 s", rate_burst=4)
    insert(database, 60)
    for _ in range(2):
        workers.start(poll=HOUR, concurrency=4)
    wait_done(database, 60)
    starts = database.column("SELECT extract(epoch FROM started_at)::float8 FROM athena.outcomes ORDER BY 1")
    for first in range(60):
        for last in range(first, 60):
            assert last - first + 1 <= 4 + 40 * (starts[last] - starts[first]) + 1e-3
    assert_lawful(database)


def test_a_worker_that_a_rate_holds_back_rests(database, workers):
    limit(database, rate_count=2, rate_period="1 h")
    insert(database, 5)
    worker = workers.start(poll=HOUR)
    wait_done(database, 2)
    worker.wait_log("asleep")

    def commits():
        return database.value("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    before = commits()
    time.sleep(2)  # what is asked is how much it does meanwhile: heartbeats and lanes, some 20 a second
    assert commits() - before < 400
    assert database.value("SELECT count(*) FROM athena.outcomes") == 2
    limit(database, rate_count=None, rate_period=None)
    wait_done(database, 5)
    assert_lawful(database)


def test_limits_that_come_and_go_while_a_worker_runs(database, workers):
    worker = workers.start(poll=HOUR)
    done = 0
    for columns in ({"max_running_per_key": 1}, {"max_running_per_key": None, "max_running": 1},
                    {"max_running": None, "rate_count": 1000, "rate_period": "1 s"}, {"rate_count": None, "rate_period": None}):
        limit(database, **columns)
        insert(database, 20, "'k'")
        wait_done(database, done := done + 20)
    assert worker.is_running()
    assert_lawful(database)


def test_a_job_without_a_key_behind_thousands_with_one_is_found(database, workers):
    limit(database, max_running_per_key=1)
    other = Worker(database)
    insert(database, 1, "'big'")
    other.claim()
    insert(database, 5000, "'big'")
    (lone,) = insert(database, 1)
    workers.start(poll=HOUR)
    database.wait_for_state(lone, "succeeded")
    assert_lawful(database)
