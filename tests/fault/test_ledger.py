# SPDX-License-Identifier: PostgreSQL
"""The ledger test: jobs write down outside of the database that they run; whatever is done to workers,
executors and connections meanwhile, the accounts balance. Without the fence they do not."""
import random
import time

import pytest

from athena_test import FAULT_BUILD, kill_pid, wait_until
from crash import LEASE_S
from ledger import TOTALS, Accounts, Ledger, settle_accounts, wait_drained
from outside import Outside, asking
from sessions import Worker
from workers import resume, stop


@pytest.fixture
def short(database):
    database.query("INSERT INTO athena.families (name) VALUES ('ask')")
    database.query("UPDATE athena.families SET lease = '6 s', backoff_base = '50 ms' WHERE name IN ('noop', 'ask')")
    return database


@pytest.fixture
def start(workers, tmp_path):
    """Starts a worker whose executors write into the ledger, and whose jobs may ask."""
    ledger = Ledger(tmp_path / "ledger")
    asked = tmp_path / "asked"
    asked.mkdir()
    ask = asking(asked)

    def start(fault=None, **options):
        env = {"ATHENA_FAULT_LEDGER": str(ledger.directory), **({"ATHENA_FAULT": fault} if fault else {})}
        return workers.start("noop,ask", program=str(FAULT_BUILD / "athena-worker"), env=env, families={"ask": ask}, **options)
    start.ledger = ledger
    start.asked = asked
    return start


# How job 1 was settled, what the ledger says of it, and what is found then.
BOOKS = [
    ("succeeded", ["begin 1 1 1 5 7 ", "end 1 1 ok 9 7"], set()),
    ("succeeded", [], {"success_is_in_the_ledger"}),
    ("succeeded", ["begin 1 1 1 5 7 "], {"success_is_in_the_ledger"}),
    ("succeeded", ["begin 1 1 1 5 7 ", "end 1 1 failed 9 7"], {"success_is_in_the_ledger"}),
    ("succeeded", ["begin 1 1 1 5 7 ", "end 1 1 parked 9 7"], {"success_is_in_the_ledger"}),
    ("succeeded", 2 * ["begin 1 1 1 5 7 ", "end 1 1 ok 9 7"], {"a_ticket_runs_once"}),
    ("succeeded", ["begin 1 1 1 5 7 ", "end 1 1 ok 9 7", "begin 1 2 1 5 8 "], {"executions_are_recorded"}),
    ("succeeded", ["begin 1 1 1 5 7 beside 1 8", "end 1 1 ok 9 7"], {"nobody_ran_beside_another"}),
    ("parked", ["begin 1 1 1 5 7 ", "end 1 1 parked 9 7"], {"one_outcome_each"}),
    ("parked", ["begin 1 1 1 5 7 ", "end 1 1 ok 9 7"], {"one_outcome_each", "parking_is_in_the_ledger"}),
    ("failed", [], {"one_outcome_each", "reports_come_from_executions"}),
]


@pytest.mark.parametrize("result, lines, wrong", BOOKS)
def test_what_the_books_notice(database, tmp_path, result, lines, wrong):
    worker = Worker(database)
    job = database.enqueue("noop")
    (row,) = worker.claim()
    worker.conn.execute("SELECT athena.open_wait(%s, %s, %s)", [worker.id, job, row["ticket"]])
    worker.settle(row, result, retry_in="1 h")
    (tmp_path / "ledger").write_text("".join(f"{line}\n" for line in lines))
    assert {finding.split(":")[0] for finding in Accounts(database, Ledger(tmp_path)).findings()} == wrong


@pytest.mark.parametrize("fault", [None, "fence=off"])
def test_a_worker_that_is_stopped_past_its_lease(short, start, workers, fault):
    """Its executor runs on. With the fence it is dead before another one begins; without, the ledger
    has two executions of one job at once, and says so."""
    stopped = start(fault, concurrency=1)
    job = short.enqueue("noop", {"sleep_ms": 120000})
    wait_until(start.ledger.executions, what="the job has begun")
    short.query("UPDATE athena.jobs SET payload = '{}' WHERE id = %s", job)
    stop(stopped.pid)
    start(concurrency=1)
    wait_until(lambda: len(start.ledger.executions()) == 2, LEASE_S + 20, "another one has begun")
    wait_drained(short)
    resume(stopped.pid)
    for worker in workers.all:
        assert worker.terminate() == 0
    if not fault:
        settle_accounts(short, start.ledger, workers.all)
        return
    findings = Accounts(short, start.ledger, workers.all).findings()
    assert [finding for finding in findings if finding.startswith("nobody_ran_beside_another: job")], findings


@pytest.mark.parametrize("chunked", [False, True], ids=["", "chunked"])
def test_the_accounts_balance_after_any_harm(short, start, workers, chunked):
    """Two workers, and somebody who answers; five times a second something bad happens to one of the two."""
    short.query("UPDATE athena.families SET chunked = %s WHERE name = 'noop'", chunked)
    short.query("UPDATE athena.settings SET value = '20' WHERE name = 'chunk_jobs'")
    chance = random.Random(7)
    pair = [start(reconnect_min="10ms", reconnect_max="50ms") for _ in range(2)]
    short.query("INSERT INTO athena.jobs (family, max_attempts, payload, priority, run_at)"
                " SELECT 'noop', 20, CASE n % 8 WHEN 0 THEN '{\"fail_times\": 1}' WHEN 1 THEN '{\"crash\": \"kill\", \"fail_times\": 1}'"
                " ELSE jsonb_build_object('sleep_ms', n % 40) END, n % 10, now() + greatest(n % 50 - 25, 0) * interval '40 ms'"
                " FROM generate_series(1, 800) AS n")
    short.query("INSERT INTO athena.jobs (family, max_attempts, run_at)"
                " SELECT 'ask', 20, now() + n * interval '60 ms' FROM generate_series(1, 100) AS n")
    outside = Outside(start.asked, short, refuses=True)
    outside.start()

    def kill_worker():
        pair.pop(0).kill()
        pair.append(start(until=None, reconnect_min="10ms", reconnect_max="50ms"))

    def kill_executor():
        for pid in chance.choice(pair).children()[:1]:
            kill_pid(pid)

    def end_sessions():
        short.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name LIKE 'athena%' AND random() < 0.5")

    def drain_worker():
        pair.pop(0).signal(15)
        pair.append(start(until=None))

    done = {}
    for _ in range(30):
        harm = chance.choice([kill_worker, kill_executor, kill_executor, end_sessions, end_sessions, drain_worker])
        harm()
        done[harm.__name__] = done.get(harm.__name__, 0) + 1
        TOTALS["faults injected"] += 1
        time.sleep(0.2)
    print(done)
    wait_drained(short, 60)
    outside.stop()
    wait_until(lambda: short.value("SELECT count(*) FROM athena.workers WHERE pid <> ALL (%s)",
                                   [worker.pid for worker in pair]) == 0, what="the dead are forgotten")
    for worker in pair:
        assert worker.terminate() == 0
    accounts = settle_accounts(short, start.ledger, workers.all)
    assert len(accounts.executions) > 1000
    assert len(outside.of_state("failed")) == len(outside.of_state("completed")) == 100
