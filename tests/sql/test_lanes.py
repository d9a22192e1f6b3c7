# SPDX-License-Identifier: PostgreSQL
"""Who leads a lane, limits and pauses, back-off, tallies."""
import time
from datetime import timedelta

import psycopg
import pytest

from athena_test import PROMPT_S, wait_until
from sessions import Background, Worker, assert_lawful, counted_depth, depth, place, somebody

LANES = ["promote", "rescue", "deadlines", "waits", "tallies", "leaves", "prune", "registry", "schedule"]


def run(database, lane, who, conn=None):
    sql = "SELECT athena.run_lane(%s, %s) AS did"
    return (conn.execute(sql, [lane, who]).fetchone()["did"] if conn else database.value(sql, lane, who))


def age(database, lane, seconds):
    database.query("UPDATE athena.lanes SET last_at = clock_timestamp() - make_interval(secs => %s) WHERE lane = %s", seconds, lane)


# 9 Leaders

def test_the_lanes_of_the_table_are_those_that_run(database):
    assert database.column("SELECT lane FROM athena.lanes ORDER BY number") == LANES
    with pytest.raises(psycopg.errors.NoDataFound):
        run(database, "no_such", somebody())


@pytest.mark.parametrize("lane", LANES)
def test_9_2_who_ran_a_lane_last_keeps_it_while_fresh(database, lane):
    first, second = somebody(), somebody()
    assert run(database, lane, first) is not None
    assert run(database, lane, second) is None
    assert run(database, lane, first) is not None
    age(database, lane, 21)  # twice the interval of the slowest, at least 2 s
    assert run(database, lane, second) is not None
    assert run(database, lane, first) is None
    assert database.value("SELECT last_by FROM athena.lanes WHERE lane = %s", lane) == second


@pytest.mark.parametrize("lane", LANES)
def test_9_1_a_stolen_advisory_lock_stops_no_lane_for_long(database, lane):
    """Any role may take it; ten intervals overdue, nobody asks for it any more."""
    database.query("CREATE ROLE thief LOGIN IN ROLE athena_producer")
    try:
        leader, thief = somebody(), database.connect(user="thief")
        assert run(database, lane, leader) is not None
        thief.execute("SELECT pg_advisory_lock(1635018855, n) FROM generate_series(1, 9) AS n")
        assert run(database, lane, leader) is None
        age(database, lane, 99 if lane in ("tallies", "leaves", "prune", "registry") else 9)
        assert run(database, lane, leader) is None
        age(database, lane, 101 if lane in ("tallies", "leaves", "prune", "registry") else 11)
        assert run(database, lane, leader) is not None
        assert database.value("SELECT usename FROM pg_locks JOIN pg_stat_activity USING (pid)"
                              " WHERE locktype = 'advisory' AND classid = 1635018855 AND objid ="
                              " (SELECT number FROM athena.lanes WHERE lane = %s)", lane) == "thief"
    finally:
        database.close()
        database.query("DROP ROLE thief")


def test_9_1_lock_numbers_are_those_of_the_rows(database):
    assert database.column("SELECT number FROM athena.lanes ORDER BY number") == list(range(1, 10))


def test_9_2_a_frozen_leader_holds_nothing_beyond_its_step(database):
    """The lock lasts for a step; a session that is stopped between two steps holds none."""
    frozen = database.connect()
    assert run(database, "promote", somebody(), frozen) is not None
    assert database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    age(database, "promote", 2.1)
    assert run(database, "promote", somebody()) is not None


def test_9_2_two_leaders_promote_each_job_once(database):
    ids = database.column("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '1 h'"
                          " FROM generate_series(1, 50) RETURNING id")
    database.query("UPDATE athena.scheduled SET run_at = now()")
    first, second = database.connect(), database.connect()
    with first.transaction():
        assert first.execute("SELECT athena.lane_promote(20) AS n").fetchone()["n"] == 20
        assert second.execute("SELECT athena.lane_promote(1000) AS n").fetchone()["n"] == 30
    assert sorted(database.column("SELECT job_id FROM athena.ready")) == ids
    assert_lawful(database)


def test_9_2_two_leaders_fold_the_tallies_once(database):
    worker = Worker(database)
    for _ in range(60):
        database.enqueue("noop")
        worker.settle_succeeded(*worker.claim())
    before = depth(database)
    first = database.connect()
    with first.transaction():
        assert first.execute("SELECT athena.lane_tallies() AS n").fetchone()["n"] > 100
        second = Background(database, database.connect(), "SELECT athena.lane_tallies()").wait_blocked()
    assert second.value() == 0
    assert depth(database) == before == counted_depth(database)


def test_9_2_two_leaders_take_each_overdue_attempt_once(database):
    for _ in range(4):
        database.enqueue("noop", timeout="1 s")
    worker = Worker(database)
    worker.claim(4)
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s'")
    first = database.connect()
    with first.transaction():
        assert first.execute("SELECT athena.lane_deadlines(3) AS n").fetchone()["n"] == 3
        assert database.value("SELECT athena.lane_deadlines(1000)") == 1
    assert database.value("SELECT count(*) FROM athena.failures") == 4
    assert_lawful(database)


def test_steps_are_bounded(database):
    database.query("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '1 h' FROM generate_series(1, 25)")
    database.query("UPDATE athena.scheduled SET run_at = now() - job_id * interval '1 s'")
    leader = somebody()
    sql = "SELECT athena.run_lane('promote', %s, '{\"most\": 10}')"
    assert [database.value(sql, leader) for _ in range(4)] == [10, 10, 5, 0]
    worker = Worker(database)
    assert [row["job_id"] for row in worker.claim(25)] == list(range(25, 0, -1))  # what was due first, is first
    assert_lawful(database)


def test_a_lane_writes_its_row_once_a_second_when_there_is_nothing_to_do(database):
    leader = somebody()
    for _ in range(20):
        run(database, "promote", leader)
    assert database.value("SELECT runs FROM athena.lanes WHERE lane = 'promote'") <= 2


def test_figures_of_a_lane(database):
    database.query("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '1 h' FROM generate_series(1, 3)")
    database.query("UPDATE athena.scheduled SET run_at = now()")
    leader = somebody()
    run(database, "promote", leader)
    (row,) = database.query("SELECT did, total, last_by, took_ms BETWEEN 0 AND 10000 AS took,"
                            " next_at - last_at BETWEEN every - interval '10 ms' AND every + interval '1 s' AS next FROM athena.lanes WHERE lane = 'promote'")
    assert row == {"did": 3, "total": 3, "last_by": leader, "took": True, "next": True}


def test_a_copy_of_a_database_runs_no_lane(database):
    database.query("UPDATE athena.meta SET database_oid = 1")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="copy of another system"):
        run(database, "promote", somebody())


# 10 Pause and limits

def limit(database, number):
    database.query("UPDATE athena.families SET max_running = %s WHERE name = 'noop'", number)


def claim_function(worker, most=1):
    return worker.conn.execute("SELECT * FROM athena.claim(%s, 'noop', %s)", [worker.id, most]).fetchall()


CLAIMS = {
    "claim_limited": "SELECT * FROM athena.claim_limited(%s, 'noop', 3)",
    "claim": "SELECT * FROM athena.claim(%s, 'noop', 3)",
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_10_1_two_claims_at_once_do_not_exceed_the_limit(database, claim):
    limit(database, 1)
    for _ in range(5):
        database.enqueue("noop")
    first, second = Worker(database), Worker(database)
    with first.conn.transaction():
        assert len(first.claim(3)) == 1
        waiting = Background(database, second.conn, CLAIMS[claim], second.id).wait_blocked()
    assert waiting.result() == []
    assert database.value("SELECT count(*) FROM athena.leases") == 1
    assert_lawful(database)


@pytest.mark.parametrize("claim", [Worker.claim, claim_function])
@pytest.mark.parametrize("number", [1, 3])
def test_10_1_a_claim_takes_at_most_the_room(database, claim, number):
    limit(database, number)
    for _ in range(6):
        database.enqueue("noop")
    worker = Worker(database)
    rows = claim(worker, 5)
    assert len(rows) == number
    assert claim(worker, 5) == []
    worker.settle(rows[0], "succeeded")
    assert len(claim(worker, 5)) == 1
    limit(database, number - 1 or 1)
    assert claim(worker, 5) == []
    limit(database, None)
    assert len(claim(worker, 5)) == 5 - number
    assert_lawful(database)


def test_10_1_unlimited_families_never_lock(database):
    database.enqueue("noop")
    worker = Worker(database)
    with worker.conn.transaction():
        claim_function(worker)
        assert database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


@pytest.mark.parametrize("claim", [Worker.claim, claim_function])
def test_10_2_no_claim_that_starts_after_a_pause_takes_a_job(database, claim):
    database.enqueue("noop")
    worker = Worker(database)
    assert database.value("SELECT athena.pause('noop')") is True
    assert database.value("SELECT athena.pause('noop')") is False
    assert claim(worker, 5) == []
    assert worker.beat() == [{"what": "alive", "family": None, "job_id": None, "ticket": None},
                             {"what": "paused", "family": "noop", "job_id": None, "ticket": None}]
    assert database.value("SELECT athena.resume('noop')") is True
    assert database.value("SELECT athena.resume('noop')") is False
    assert len(claim(worker, 5)) == 1
    assert_lawful(database)


def test_10_2_what_runs_runs_on_and_ends_as_always(database):
    for _ in range(3):
        database.enqueue("noop")
    worker = Worker(database)
    rows = worker.claim(3)
    database.query("SELECT athena.pause('noop')")
    assert worker.settle_succeeded(rows[0])["settled"] == 1
    assert worker.settle(rows[1], "failed")["state"] == "scheduled"
    assert worker.settle(rows[2], "returned")["state"] == "ready"
    database.query("UPDATE athena.scheduled SET run_at = now()")
    assert run(database, "promote", somebody()) == 1
    assert worker.claim(5) == []
    assert_lawful(database)


@pytest.mark.parametrize("function", ["pause", "resume"])
def test_pausing_an_unknown_family_says_so(database, function):
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match='unknown family "nop"'):
        database.query(f"SELECT athena.{function}('nop')")


# Retries

def backoffs(database, attempt, count=200):
    return database.column("SELECT athena.backoff('noop', %s) FROM generate_series(1, %s)", attempt, count)


def test_backoff_doubles_up_to_its_cap_give_or_take_the_jitter(database):
    for attempt, seconds in ((1, 2), (2, 4), (5, 32), (11, 2048), (12, 3600), (1000, 3600)):
        found = backoffs(database, attempt)
        middle = timedelta(seconds=seconds)
        assert middle * 0.8 <= min(found) < middle * 0.9 and middle * 1.1 < max(found) <= middle * 1.2
    database.query("UPDATE athena.families SET backoff_jitter = 0 WHERE name = 'noop'")
    assert set(backoffs(database, 3)) == {timedelta(seconds=8)}


@pytest.mark.parametrize("base, cap, expected", [
    ("10 days", "30 days", timedelta(days=30)), ("1 year", "1 h", timedelta(hours=1)), ("0", "1 h", timedelta(0)),
    ("1 year", "1 year", timedelta(days=365, hours=6))])
def test_no_backoff_is_too_long_for_a_settle(database, base, cap, expected):
    """An interval that overflows would make the settle fail, again and again."""
    database.query("UPDATE athena.families SET backoff_base = %s, backoff_cap = %s, backoff_jitter = 0 WHERE name = 'noop'", base, cap)
    assert database.value("SELECT athena.backoff('noop', 999)") == expected
    job = database.enqueue("noop", max_attempts=1000)
    worker = Worker(database)
    worker.claim()
    database.query("UPDATE athena.leases SET attempt = 999")
    (lease,) = database.query("SELECT * FROM athena.leases")
    assert worker.settle(lease, "failed")["state"] == "scheduled"
    assert place(database, job) == ["scheduled"]
    assert_lawful(database)


@pytest.mark.parametrize("error_kind, expected", [("transient", "scheduled"), ("timeout", "scheduled"), ("crashed", "scheduled"),
                                                  ("permanent", "dead"), (None, "scheduled")])
def test_what_a_failure_leads_to(database, error_kind, expected):
    job = database.enqueue("noop")
    worker = Worker(database)
    answer = worker.settle(worker.claim()[0], "failed", error_kind=error_kind, error="why", code="E1",)
    assert (answer["answer"], answer["state"]) == ("settled", expected)
    assert place(database, job) == [expected]
    (failure,) = database.query("SELECT kind, error, code, attempt, retry_at FROM athena.failures")
    assert failure == {"kind": error_kind or "transient", "error": "why", "code": "E1", "attempt": 1,
                       "retry_at": answer["run_at"]}
    assert (failure["retry_at"] is None) == (expected == "dead")
    assert_lawful(database)


@pytest.mark.parametrize("error_kind", ["lost", "overdue", "permanant", ""])
def test_kinds_of_error_that_a_worker_may_not_report(database, error_kind):
    """lost and overdue are what others record; an unknown one is a typing error."""
    database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="transient, permanent, timeout, crashed"):
        worker.settle(row, "failed", error_kind=error_kind)
    assert worker.settle(row, "failed")["answer"] == "settled"


def test_unknown_results_are_refused(database):
    database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    for result in ("success", "", None):
        with pytest.raises(psycopg.errors.InvalidParameterValue) as error:
            worker.settle(row, result)
        assert error.value.diag.message_detail == "Known results: succeeded, failed, cancelled, returned, snoozed, parked."
    assert worker.settle_succeeded(row)["settled"] == 1


@pytest.mark.parametrize("own, family, expected", [(2, 5, 2), (None, 3, 3), (7, 1, 7)])
def test_attempts_of_a_job_before_those_of_its_family(database, own, family, expected):
    database.query("UPDATE athena.families SET max_attempts = %s, backoff_base = '0' WHERE name = 'noop'", family)
    job = database.enqueue("noop", max_attempts=own)
    worker, leader, attempts = Worker(database), somebody(), []
    while place(database, job) != ["dead"]:
        (row,) = worker.claim()
        attempts.append(row["attempt"])
        worker.settle(row, "failed")
        run(database, "promote", leader)
    assert attempts == list(range(1, expected + 1))
    assert_lawful(database)


@pytest.mark.parametrize("result", ["returned", "snoozed"])
def test_unrun_and_snoozed_attempts_do_not_count(database, result):
    database.query("INSERT INTO athena.jobs (family, max_attempts) VALUES ('noop', 1)")
    worker, leader = Worker(database), somebody()
    for _ in range(3):
        (row,) = worker.claim()
        assert row["attempt"] == 1
        worker.settle(row, result, retry_in="0 s")
        run(database, "promote", leader)
    assert worker.settle(worker.claim()[0], "failed")["state"] == "dead"
    assert_lawful(database)


def test_retry_in_is_obeyed(database):
    worker = Worker(database)
    for result in ("failed", "snoozed"):
        database.enqueue("noop")
        answer = worker.settle(worker.claim()[0], result, retry_in="90 min")
        assert database.value("SELECT %s - now() BETWEEN '89 min' AND '90 min'", answer["run_at"])


@pytest.mark.parametrize("retry_in", ["-1 h", "1000000 years", "infinity"])
def test_senseless_waits_are_refused_and_the_lease_stays(database, retry_in):
    database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    with pytest.raises(psycopg.errors.DataError):
        worker.settle(row, "snoozed", retry_in=retry_in)
    assert place(database, row["job_id"]) == ["leases"]
    assert worker.settle_succeeded(row)["settled"] == 1


# Tallies

def test_depth_is_exact_after_everything(database):
    database.query("INSERT INTO athena.families (name) VALUES ('other')")
    worker, leader = Worker(database, "noop", "other"), somebody()
    for turn in range(3):
        database.query("INSERT INTO athena.jobs (family, run_at) SELECT CASE WHEN n % 3 = 0 THEN 'other' ELSE 'noop' END,"
                       " now() + CASE WHEN n % 4 = 0 THEN interval '1 h' ELSE '0' END FROM generate_series(1, 20) AS n")
        for row in worker.claim(8):
            worker.settle(row, ["succeeded", "failed", "returned", "cancelled", "snoozed"][row["job_id"] % 5])
        worker.settle_succeeded(*worker.claim(3, family="other"))
        database.query("SELECT athena.cancel(job_id) FROM athena.scheduled WHERE job_id % 7 = 0")
        database.query("SELECT athena.cancel(job_id) FROM athena.ready WHERE job_id % 5 = 0")
        database.query("SELECT athena.retry(job_id) FROM athena.outcomes WHERE state = 'cancelled' AND job_id % 2 = 0")
        database.query("UPDATE athena.scheduled SET run_at = now() WHERE job_id % 2 = 0")
        run(database, "promote", leader)
        assert depth(database) == counted_depth(database)
        run(database, "tallies", leader)
        assert depth(database) == counted_depth(database)
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s' WHERE job_id % 2 = 0")
    run(database, "deadlines", leader)
    worker.conn.execute("SELECT athena.unregister_worker(%s)", [worker.id])
    database.query("SELECT athena.run_lane('prune', %s, '{\"finished\": \"0 s\", \"dead\": \"0 s\"}')", leader)
    assert len(depth(database)) >= 3
    assert_lawful(database)


def test_tallies_are_folded_to_one_row_for_each_that_is_not_zero(database):
    worker = Worker(database)
    for _ in range(50):
        database.enqueue("noop")
    worker.settle_succeeded(*worker.claim(50))
    for _ in range(60):
        database.enqueue("noop")
    assert run(database, "tallies", somebody()) == 50 + 2 + 2 + 60
    assert sorted(tuple(row.values()) for row in database.query("SELECT * FROM athena.tallies")) == [
        ("noop", "ready", 60), ("noop", "succeeded", 50)]
    assert_lawful(database)


def test_a_rolled_back_insert_counts_nothing(database):
    conn = database.connect()
    conn.execute("BEGIN")
    conn.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    conn.execute("ROLLBACK")
    assert depth(database) == {}


def test_lanes_do_not_wait_for_each_other(database):
    """Hygiene that hangs on somebody's lock does not stop promotion."""
    holder, hygiene = database.connect(), database.connect()
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE athena.progress IN ACCESS EXCLUSIVE MODE")
    stuck = Background(database, hygiene, "SELECT athena.run_lane('registry', %s)", somebody()).wait_blocked()
    database.query("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '1 h')")
    database.query("UPDATE athena.scheduled SET run_at = now()")
    started = time.monotonic()
    assert run(database, "promote", somebody()) == 1
    assert time.monotonic() - started < PROMPT_S
    assert not stuck.is_done()
    holder.execute("ROLLBACK")
    wait_until(stuck.is_done)
