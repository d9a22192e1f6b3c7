# SPDX-License-Identifier: PostgreSQL
"""Leaves made ahead of need, and pruning, while others hold locks on them.

Leaves hold ten ids here. `dump` is a session that holds ACCESS SHARE on every table, as pg_dump
does from its first to its last second; an open producer holds ROW EXCLUSIVE on the leaf of its job.
"""
import subprocess
import time

import psycopg
import pytest

from athena_test import PROMPT_S, client, wait_until
from sessions import Background, Worker, assert_lawful, depth, place, small_leaves, somebody

LEADER = somebody()
PAIR = "jobs_{0}, outcomes_{0}"


@pytest.fixture
def database(database):
    """With leaves of ten ids, and none yet used."""
    small_leaves(database, 10)
    assert lows(database) == [0, 10, 20, 30]
    return database


def lows(database):
    return database.column("SELECT low FROM athena.pairs()")


def lane(database, name, **args):
    args = "{%s}" % ", ".join(f'"{key}": "{value}"' for key, value in args.items())
    return database.value("SELECT athena.run_lane(%s, %s, %s::jsonb)", name, LEADER, args)


def make_leaves(database):
    steps = []
    while step := lane(database, "leaves"):
        steps.append(step)
    return len(steps)


def prune(database, finished="0 s", dead="0 s"):
    return lane(database, "prune", finished=finished, dead=dead)


def prune_all(database, **retention):
    """Until nothing is left to do; a walk over rows may take several steps."""
    total = idle = 0
    while idle < 3:
        did = prune(database, **retention)
        total, idle = total + did, 0 if did else idle + 1
    return total


def finish(database, worker, count, result="succeeded"):
    """Jobs put in and ended; their ids."""
    ids = database.column("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, %s) RETURNING id", count)
    for row in worker.claim(count):
        worker.settle(row, result, error_kind="permanent")
    return ids


def skip_to(database, number):
    """The next job gets this id."""
    database.query("SELECT setval('athena.tickets', %s, false)", number)


def leaf_of(database, job_id):
    return database.value("SELECT tableoid::regclass::text FROM athena.jobs WHERE id = %s", job_id)


@pytest.fixture
def worker(database):
    return Worker(database)


@pytest.fixture
def dump(database):
    """A session that holds what pg_dump holds, until the test rolls it back."""
    conn = database.connect()
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    tables = database.column("SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
                             " AND relnamespace = 'athena'::regnamespace")
    conn.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
    return conn


@pytest.fixture
def producer(database):
    """An open producer on the leaf that is being filled."""
    conn = database.connect()
    conn.execute("BEGIN")
    conn.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    return conn


def patient(database, function):
    """Lets a function wait for its locks, so that a test can act while it does."""
    database.query(f"ALTER FUNCTION athena.{function} SET lock_timeout = '10s'")


# Leaves

def test_5_1_jobs_and_outcomes_have_the_same_bounds_and_one_outcome_each(database, worker):
    bounds = {table: database.column(
        "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass ORDER BY 1", f"athena.{table}") for table in ("jobs", "outcomes")}
    assert bounds["jobs"] == bounds["outcomes"] and len(bounds["jobs"]) == 5
    (job,) = finish(database, worker, 1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.query("INSERT INTO athena.outcomes SELECT * FROM athena.outcomes WHERE job_id = %s", job)


def test_leaves_are_made_ahead_and_never_more_than_eight(database, worker):
    finish(database, worker, 12)
    assert make_leaves(database) == 1
    assert lows(database) == [0, 10, 20, 30, 40]
    skip_to(database, 45)
    assert make_leaves(database) == 3
    assert lows(database) == [0, 10, 20, 30, 40, 50, 60, 70]
    finish(database, worker, 40)
    assert make_leaves(database) == 0
    assert len(lows(database)) == 8
    assert_lawful(database)


def test_one_leaf_a_step_since_its_locks_last_to_the_end(database, worker):
    skip_to(database, 35)
    finish(database, worker, 1)
    assert lane(database, "leaves") == 1
    assert lows(database) == [0, 10, 20, 30, 40]


def test_5_2_leaves_are_made_while_a_producer_is_open(database, producer):
    skip_to(database, 25)
    assert make_leaves(database) == 2
    producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    producer.execute("COMMIT")
    assert lows(database) == [0, 10, 20, 30, 40, 50]
    assert_lawful(database)


def test_5_2_a_dump_delays_leaves_and_nothing_else(database, worker, dump):
    """Making a leaf takes the default one for itself, which the dump holds: not now."""
    skip_to(database, 25)
    started = time.monotonic()
    assert lane(database, "leaves") == 0
    assert time.monotonic() - started < PROMPT_S
    assert lows(database) == [0, 10, 20, 30]
    finish(database, worker, 3)
    dump.execute("ROLLBACK")
    assert make_leaves(database) == 2
    assert_lawful(database)


def test_5_2_ids_that_outrun_the_leaves_land_in_default_and_come_out_again(database, worker, dump):
    skip_to(database, 36)
    early = finish(database, worker, 8)
    assert make_leaves(database) == 0
    assert [leaf_of(database, job) for job in early] == ["athena.jobs_30"] * 4 + ["athena.jobs_default"] * 4
    waiting = database.enqueue("noop")
    dump.execute("ROLLBACK")
    assert make_leaves(database) == 3
    assert lows(database) == [0, 10, 20, 30, 50, 60, 70]  # whole steps above the numbers
    skip_to(database, 52)
    late = database.enqueue("noop")
    assert (late, leaf_of(database, late)) == (52, "athena.jobs_50")
    prune_all(database)
    assert database.column("SELECT id FROM athena.jobs_default") == [waiting]
    assert_lawful(database)
    worker.settle_succeeded(*worker.claim(2))
    prune_all(database)
    assert database.column("SELECT id FROM athena.jobs") == []
    assert_lawful(database)


def test_5_2_rows_of_the_range_in_default_prevent_the_leaf_and_leave_nothing_behind(database):
    skip_to(database, 45)
    job = database.enqueue("noop")
    assert leaf_of(database, job) == "athena.jobs_default"
    assert database.value("SELECT athena.make_pair(40, 50)") is False
    assert database.value("SELECT to_regclass('athena.outcomes_40')") is None
    assert_lawful(database)


def test_5_2_a_new_leaf_begins_well_above_the_numbers(database, dump):
    """An INSERT that began before knows nothing of the leaf: its ids would be refused by default."""
    producer = database.connect()
    skip_to(database, 36)
    dump.execute("ROLLBACK")
    bulk = Background(database, producer, "INSERT INTO athena.jobs (family)"
                      " SELECT 'noop' FROM generate_series(1, 12) AS n, LATERAL (SELECT pg_sleep(n / n * 0.05)) AS s")
    wait_until(lambda: database.value("SELECT last_value FROM athena.tickets") > 36)
    assert make_leaves(database) > 0
    bulk.result()
    assert leaf_of(database, 44) == "athena.jobs_default"
    assert 50 in lows(database) and 40 not in lows(database)
    assert_lawful(database)


def test_a_change_of_leaf_ids_holds_for_leaves_yet_to_be_made(database, worker):
    database.query("UPDATE athena.settings SET value = '25' WHERE name = 'leaf_ids'")
    skip_to(database, 10)
    finish(database, worker, 1)
    assert make_leaves(database) == 3
    assert database.query("SELECT * FROM athena.pairs() WHERE low >= 30") == [
        {"low": 30, "high": 40}, {"low": 40, "high": 50}, {"low": 50, "high": 75}, {"low": 75, "high": 100}]
    assert_lawful(database)


def test_a_pair_is_made_whole_or_not_at_all(database, producer):
    """Somebody holds one of the two default leaves."""
    skip_to(database, 25)
    holder = database.connect()
    holder.execute("BEGIN")
    holder.execute("SELECT count(*) FROM athena.jobs_default")
    assert lane(database, "leaves") == 0
    assert database.value("SELECT to_regclass('athena.outcomes_40')") is None
    holder.execute("COMMIT")
    assert make_leaves(database) == 2


def test_leaves_carry_the_checks_the_key_trigger_and_no_grants(database):
    skip_to(database, 45)
    make_leaves(database)
    for leaf in ("jobs_60", "jobs_0"):
        assert database.value("SELECT relacl FROM pg_class WHERE oid = %s::regclass", f"athena.{leaf}") is None
        assert database.column("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'"
                               " EXCEPT SELECT conname FROM pg_constraint WHERE conrelid = 'athena.jobs'::regclass",
                               f"athena.{leaf}") == []
        assert database.column("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass", f"athena.{leaf}") == ["take_key"]
        assert database.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = %s::regclass",
                              f"athena.{leaf}") == "athena_owner"
    assert database.value("SELECT count(*) FROM pg_constraint WHERE conrelid = 'athena.jobs_60'::regclass") == database.value(
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'athena.jobs'::regclass")


def test_weeks_are_made_ahead(database):
    for parent in ("events", "failures"):
        leaves = database.column("SELECT relname FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid"
                                 " WHERE i.inhparent = %s::regclass ORDER BY 1", f"athena.{parent}")
        assert leaves[:-1] == database.column(
            "SELECT %s || to_char(date_trunc('week', now() AT TIME ZONE 'UTC') + n * interval '7 days', '_YYYYMMDD')"
            " FROM generate_series(0, 2) AS n", parent)
        database.query(f"INSERT INTO athena.{parent} SELECT (jsonb_populate_record(NULL::athena.{parent}, %s::jsonb)).*",
                       '{"job_id": 1, "seq": 1, "ticket": 1, "attempt": 1, "kind": "x", "level": "info", "message": "",'
                       ' "family": "noop", "error": "", "at": "%s"}' % database.value("SELECT now() + interval '14 days'"))
        assert database.value(f"SELECT count(*) FROM athena.{parent}_default") == 0


# Pruning whole pairs

def test_5_4_a_pair_is_emptied_and_its_unfinished_jobs_stay(database, worker):
    finished = finish(database, worker, 5)
    ready, keyed = database.enqueue("noop"), database.enqueue("noop", unique_key="k")
    scheduled = database.enqueue("noop", run_at="tomorrow", unique_key="l", payload={"sleep_ms": 7})
    finish(database, worker, 2, "failed")  # takes the two ready ones, and leaves two of its own
    leased = [row["job_id"] for row in worker.claim(2)]
    skip_to(database, 10)
    bodies = database.query("SELECT * FROM athena.jobs WHERE id >= 8 AND id < 10 ORDER BY id")
    assert prune(database) == 7
    assert database.column("SELECT id FROM athena.jobs ORDER BY 1") == [scheduled, 9, 10][:3]
    assert database.query("SELECT * FROM athena.jobs WHERE id < 10 ORDER BY id") == bodies
    assert leased == [9, 10] and place(database, 9) == ["leases"]
    assert database.value("SELECT athena.enqueue('noop', unique_key => 'l')") == scheduled
    assert {ready, keyed} & set(database.column("SELECT id FROM athena.jobs")) == set()
    assert finished[0] not in database.column("SELECT job_id FROM athena.outcomes")
    assert_lawful(database)
    worker.settle_succeeded(*[{"ticket": 9}, {"ticket": 10}])
    database.query("SELECT athena.retry(%s)", scheduled)
    assert [row["payload"] for row in worker.claim(1)] == [{"sleep_ms": 7}]
    assert_lawful(database)


def test_5_4_finished_jobs_that_stay_neither_take_their_keys_again_nor_fall_to_those_who_hold_them(database, worker):
    keyed = "INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', %s) RETURNING id"
    for key in ("free", "held"):
        database.query(keyed, key)
        worker.settle_succeeded(*worker.claim())
    finish(database, worker, 3)
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '1 d' WHERE job_id > 2")
    (holder,) = database.column(keyed, "held")
    skip_to(database, 10)
    assert prune(database, finished="1 h") == 3
    assert database.column("SELECT id FROM athena.jobs ORDER BY 1") == [1, 2, holder]
    assert database.query("SELECT key, job_id FROM athena.uniques") == [{"key": "held", "job_id": holder}]
    assert len(database.column(keyed, "free")) == 1
    assert database.column("SELECT DISTINCT tgenabled::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
                           " WHERE c.relname ~ '^jobs' AND NOT tgisinternal") == ["O"]
    assert_lawful(database)


def test_5_4_retention_counts_from_the_end_of_each_job(database, worker):
    finish(database, worker, 3)
    dead = finish(database, worker, 2, "failed")
    cancelled = finish(database, worker, 2, "cancelled")
    skip_to(database, 10)
    assert prune_all(database, finished="1 h", dead="2 h") == 0
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '61 min' WHERE job_id <> %s", cancelled[0])
    assert prune_all(database, finished="1 h", dead="2 h") == 4
    assert database.column("SELECT id FROM athena.jobs ORDER BY 1") == [*dead, cancelled[0]]
    assert depth(database) == {("noop", "dead"): 2, ("noop", "cancelled"): 1}
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '121 min'")
    assert prune(database, finished="1 h", dead="2 h") == 3
    assert_lawful(database)


def test_5_4_a_pair_with_too_much_to_keep_is_left_alone(database, worker):
    database.query("UPDATE athena.settings SET value = '3' WHERE name = 'prune_keep_rows'")
    finish(database, worker, 5)
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 4)")
    skip_to(database, 10)
    assert prune_all(database) == 0
    worker.settle_succeeded(*worker.claim(1))
    assert prune(database) == 6
    database.query("UPDATE athena.settings SET value = '7000' WHERE name = 'prune_keep_bytes'")
    worker.settle_succeeded(*worker.claim(1))
    assert prune_all(database) == 0
    database.query("UPDATE athena.settings SET value = '30000' WHERE name = 'prune_keep_bytes'")
    assert prune(database) == 1
    assert_lawful(database)


def test_5_4_pruning_while_a_producer_is_open_on_another_leaf(database, worker):
    finish(database, worker, 9)
    skip_to(database, 25)
    producer = database.connect()
    producer.execute("BEGIN")
    (job,) = producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop') RETURNING id").fetchall()
    assert prune(database) == 9
    producer.execute("COMMIT")
    assert place(database, job["id"]) == ["ready"]
    assert_lawful(database)


def test_5_4_a_producer_that_is_late_loses_no_job(database, worker):
    """It drew a number of the old leaf, and commits while pruning waits for the leaf."""
    patient(database, "prune_pair")
    patient(database, "pair_is_free")
    finish(database, worker, 5)
    producer = database.connect()
    producer.execute("BEGIN")
    (late,) = producer.execute("INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', 'late') RETURNING id").fetchall()
    skip_to(database, 10)
    pruning = Background(database, database.connect(),
                         "SELECT athena.prune_pair(0, 10, '0 s', '0 s')").wait_blocked()
    producer.execute("COMMIT")
    assert pruning.value() == 5
    assert [row["job_id"] for row in worker.claim()] == [late["id"]]
    assert database.value("SELECT count(*) FROM athena.jobs WHERE id = %s", late["id"]) == 1
    assert_lawful(database)


def test_5_4_an_open_producer_on_the_leaf_itself_only_delays(database, worker, producer):
    skip_to(database, 5)
    finish(database, worker, 4)
    skip_to(database, 10)
    started = time.monotonic()
    assert prune(database) == 0
    assert time.monotonic() - started < PROMPT_S
    producer.execute("COMMIT")
    assert prune(database) == 4
    assert_lawful(database)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_5_4_a_retry_that_is_open_keeps_its_job(database, worker, state):
    jobs = finish(database, worker, 5, state)
    skip_to(database, 10)
    retrying = database.connect()
    retrying.execute("BEGIN")
    retrying.execute("SELECT athena.retry(%s)", [jobs[0]])
    assert prune(database) == 0
    retrying.execute("COMMIT")
    assert prune(database) == 4
    assert place(database, jobs[0]) == ["ready"]
    assert [row["job_id"] for row in worker.claim(9)] == [jobs[0]]
    assert_lawful(database)


def test_5_4_a_retry_that_comes_too_late_finds_no_job(database, worker):
    jobs = finish(database, worker, 5, "failed")
    skip_to(database, 10)
    pruner = database.connect()
    with pruner.transaction():
        assert pruner.execute("SELECT athena.prune_pair(0, 10, '0 s', '0 s') AS n").fetchone()["n"] == 5
        retry = Background(database, database.connect(), "SELECT athena.retry(%s)", jobs[0]).wait_blocked()
    with pytest.raises(psycopg.errors.NoDataFound, match=f"no job {jobs[0]}"):
        retry.result()
    assert_lawful(database)


@pytest.mark.parametrize("move", ["retry", "cancel"])
def test_5_4_who_waits_for_the_pruning_of_a_leaf_still_finds_what_was_kept(database, worker, move):
    """TRUNCATE is not MVCC-safe: an older snapshot sees an empty leaf."""
    finish(database, worker, 5)
    job = database.enqueue("noop", run_at="tomorrow")
    skip_to(database, 10)
    pruner = database.connect()
    with pruner.transaction():
        assert pruner.execute("SELECT athena.prune_pair(0, 10, '0 s', '0 s') AS n").fetchone()["n"] == 5
        waiting = Background(database, database.connect(), f"SELECT athena.{move}(%s)", job).wait_blocked()
    assert waiting.value() == (job if move == "retry" else "cancelled")
    assert_lawful(database)


def test_5_4_a_settle_while_a_pair_is_being_read_is_kept(database, worker):
    """Between the two locks of pruning settles go on; theirs is the newer word."""
    patient(database, "prune_pair")
    finish(database, worker, 5)
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 3)")
    rows = worker.claim(3)
    skip_to(database, 10)
    reader = database.connect()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM athena.jobs_0")  # EXCLUSIVE passes, ACCESS EXCLUSIVE waits
    pruning = Background(database, database.connect(), "SELECT athena.prune_pair(0, 10, '0 s', '0 s')").wait_blocked()
    worker.settle(rows[0], "succeeded")
    worker.settle_succeeded(rows[1])
    reader.execute("COMMIT")
    assert pruning.value() == 5
    assert [place(database, row["job_id"]) for row in rows] == [["succeeded"], ["succeeded"], ["leases"]]
    assert_lawful(database)


def test_5_4_lost_jobs_are_not_pruned_away(database, worker):
    """A body without a place is evidence: conservation() has to be able to name it."""
    jobs = finish(database, worker, 5)
    lost = database.enqueue("noop")
    database.query("DELETE FROM athena.ready")
    database.query("INSERT INTO athena.tallies VALUES ('noop', 'ready', -1)")
    skip_to(database, 10)
    conn = database.connect()
    notices = []
    conn.add_notice_handler(lambda notice: notices.append((notice.severity, notice.message_primary)))
    conn.execute("SELECT athena.run_lane('prune', %s, '{\"finished\": \"0 s\"}')", [LEADER])
    assert notices == [("WARNING", "athena.jobs_0 is not pruned: of its 6 jobs 5 are finished for good and 0 have to stay")]
    assert [row["job_id"] for row in database.conservation()] == [lost]
    assert database.value("SELECT count(*) FROM athena.jobs") == len(jobs) + 1


def test_5_3_a_dump_delays_pruning_and_nothing_else(database, worker, dump):
    finish(database, worker, 9)
    skip_to(database, 10)
    started = time.monotonic()
    assert prune(database) == 0
    assert time.monotonic() - started < PROMPT_S
    finish(database, worker, 1)
    dump.execute("ROLLBACK")
    assert prune(database) == 9
    assert_lawful(database)


def test_5_3_a_real_pg_dump_gets_a_whole_database(database, worker, tmp_path):
    """Pruning and leaves go on around it; the dump restores to a database that is lawful. (Only the
    drop of a pair can fail a dump that has listed, but not yet locked it: here none is empty.)"""
    finish(database, worker, 8)
    database.enqueue("noop", unique_key="k")
    skip_to(database, 10)
    dump = subprocess.Popen([client("pg_dump"), "-Fc", "-f", tmp_path / "dump", database.url])
    while dump.poll() is None:
        lane(database, "leaves")
        prune(database)
    assert dump.wait() == 0
    copy = database.cluster.new_database()
    subprocess.run([client("pg_restore"), "-e", "-d", copy.url, tmp_path / "dump"], check=True)
    assert copy.conservation() == []
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="copy of another system"):
        Worker(copy)
    copy.drop()
    prune_all(database)
    assert_lawful(database)


@pytest.mark.parametrize("lane_name, function", [("prune", "pair_is_free"), ("leaves", "make_pair")])
def test_5_3_a_waiting_lock_request_stops_no_producer(database, worker, dump, lane_name, function):
    """With the real 20 ms: inserts and claims issued during the attempts all complete, and soon."""
    finish(database, worker, 9)
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '1 d'")
    skip_to(database, 15)
    other, took, attempts = database.connect(), [], 0
    while attempts <= 5 or len(took) <= 20:
        attempt = Background(database, other, "SELECT athena.run_lane(%s, %s, '{\"finished\": \"1 h\"}')",
                             lane_name, LEADER)
        while not attempt.is_done():
            started = time.monotonic()
            database.enqueue("noop")
            worker.settle_succeeded(*worker.claim(1))
            took.append(time.monotonic() - started)
        assert attempt.value() == 0
        attempts += 1
    assert max(took) < PROMPT_S, max(took)  # 20 ms of waiting, and a busy machine
    assert_lawful(database)


def test_5_3_without_the_timeout_a_waiting_request_would_stop_them(database, worker, dump):
    """What the 20 ms are for: the measurement above is able to fail."""
    patient(database, "pair_is_free")
    finish(database, worker, 9)
    skip_to(database, 10)
    database.enqueue("noop")
    pruning = Background(database, database.connect(),
                         "SELECT athena.run_lane('prune', %s, '{\"finished\": \"0 s\"}')", LEADER).wait_blocked()
    claiming = Background(database, database.connect(), "SELECT * FROM athena.claim(%s, 'noop')", worker.id).wait_blocked()
    dump.execute("ROLLBACK")
    assert pruning.value() == 9
    assert len(claiming.result()) == 1


def test_pruning_needs_no_right_to_make_temporary_tables(database, worker):
    database.query(f'REVOKE TEMPORARY ON DATABASE "{database.name}" FROM PUBLIC')
    finish(database, worker, 9)
    skip_to(database, 10)
    assert prune(database) == 9


# Dropping pairs

def test_an_empty_pair_is_dropped_when_its_parents_are_free(database, worker):
    finish(database, worker, 9)
    skip_to(database, 25)
    assert [prune(database) for _ in range(4)] == [9, 1, 1, 0]
    assert lows(database) == [20, 30]
    assert_lawful(database)


def test_an_empty_pair_stays_while_a_producer_is_open(database, producer):
    skip_to(database, 25)
    started = time.monotonic()
    assert prune(database) == 0
    assert time.monotonic() - started < PROMPT_S
    assert lows(database) == [0, 10, 20, 30]
    producer.execute("ROLLBACK")
    assert [prune(database) for _ in range(3)] == [1, 1, 0]
    assert lows(database) == [20, 30]


def test_a_pair_that_holds_a_job_is_not_dropped(database):
    database.enqueue("noop")
    skip_to(database, 25)
    prune_all(database)
    assert lows(database) == [0, 20, 30]
    assert database.value("SELECT athena.drop_pair(0)") is False
    assert_lawful(database)


def test_a_late_insert_is_seen_before_the_drop(database):
    patient(database, "drop_pair")
    producer = database.connect()
    producer.execute("BEGIN")
    producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    skip_to(database, 25)
    dropping = Background(database, database.connect(), "SELECT athena.drop_pair(0)").wait_blocked()
    producer.execute("COMMIT")
    assert dropping.value() is False
    assert_lawful(database)


# Pruning by rows

def test_the_leaf_that_is_being_filled_is_pruned_by_rows(database, worker):
    finish(database, worker, 3)
    kept = database.enqueue("noop", unique_key="k")
    assert prune(database) == 3
    assert database.column("SELECT id FROM athena.jobs") == [kept]
    assert lows(database) == [0, 10, 20, 30]
    assert_lawful(database)


def test_rows_go_in_batches_and_the_walk_goes_on_where_it_stopped(database, worker):
    database.query("UPDATE athena.settings SET value = '1000000' WHERE name = 'leaf_ids'")
    make_leaves(database)
    skip_to(database, 1000000)
    prune_all(database)
    database.query("UPDATE athena.settings SET value = '4' WHERE name = 'prune_batch_rows'")
    database.query("UPDATE athena.settings SET value = '6' WHERE name = 'prune_look_rows'")
    dead = finish(database, worker, 8, "failed")
    finish(database, worker, 9)
    position = "SELECT position - 999999 FROM athena.lanes WHERE lane = 'prune'"
    seen = []
    for _ in range(7):
        seen.append((prune(database, dead="1 h"), database.value(position)))
    reset = -999999
    # 8 dead ones stay. Looks at 6, 6 (4 of them expired), 5 ...; then from the beginning again.
    assert seen == [(0, 6), (4, 12), (4, 16), (1, reset), (0, 6), (0, reset), (0, 6)]
    assert database.column("SELECT id FROM athena.jobs ORDER BY 1") == dead
    assert_lawful(database)


def test_rows_that_a_retry_holds_are_passed_by(database, worker):
    jobs = finish(database, worker, 4, "failed")
    retrying = database.connect()
    with retrying.transaction():
        retrying.execute("SELECT athena.retry(%s)", [jobs[1]])
        assert prune(database) == 3
    assert [row["job_id"] for row in worker.claim(5)] == [jobs[1]]
    assert prune(database) == 0
    assert_lawful(database)


def test_a_retry_of_a_row_that_is_being_pruned_finds_no_job(database, worker):
    jobs = finish(database, worker, 4, "failed")
    pruner = database.connect()
    with pruner.transaction():
        assert pruner.execute("SELECT athena.run_lane('prune', %s, '{\"dead\": \"0 s\"}') AS n", [LEADER]).fetchone()["n"] == 4
        retry = Background(database, database.connect(), "SELECT athena.retry(%s)", jobs[0]).wait_blocked()
    with pytest.raises(psycopg.errors.NoDataFound):
        retry.result()
    assert_lawful(database)


# Weeks of events and failures

@pytest.fixture
def old_weeks(database):
    for parent in ("events", "failures"):
        for week in ("2020-01-06", "2020-01-13"):
            database.query(f"SET ROLE athena_owner; SELECT athena.make_leaf('{parent}', '{parent}_{week.replace('-', '')}',"
                           f" '{week} 00:00+00', '{week} 00:00+00'::timestamptz + interval '7 days' || ''); RESET ROLE")
    database.query("INSERT INTO athena.events (job_id, kind, at) VALUES (1, 'x', '2020-01-07'), (1, 'x', '2020-01-14'),"
                   " (1, 'now', now()), (1, 'in default', '2019-01-01')")
    return database


def weeks(database):
    return {leaf: database.value(f"SELECT count(*) FROM athena.{leaf}") for leaf in database.column(
        r"SELECT relname FROM pg_class WHERE relname ~ '^(events|failures)_2020\d+$' ORDER BY 1")}


def test_old_weeks_are_emptied_then_dropped_one_a_step(database, old_weeks):
    found = []
    while prune(database, finished="1 d", dead="30 d"):
        found.append(weeks(database))
    assert found == [
        {"events_20200106": 0, "events_20200113": 1, "failures_20200106": 0, "failures_20200113": 0},
        {"events_20200113": 1, "failures_20200106": 0, "failures_20200113": 0},
        {"events_20200113": 0, "failures_20200106": 0, "failures_20200113": 0},
        {"failures_20200106": 0, "failures_20200113": 0},
        {"failures_20200106": 0, "failures_20200113": 0},  # the row in default
        {"failures_20200113": 0},
        {}]
    assert database.column("SELECT kind FROM athena.events") == ["now"]


def test_weeks_wait_for_the_longer_retention(database, old_weeks):
    assert prune(database, finished="1 d", dead="100000 d") == 0
    assert prune(database, finished="100000 d", dead="1 d") == 0


def test_5_3_an_open_writer_of_events_does_not_keep_old_weeks(database, old_weeks):
    """It holds the parent: no leaf can be dropped, but each can be emptied."""
    writer = database.connect()
    writer.execute("BEGIN")
    writer.execute("INSERT INTO athena.events (job_id, kind) VALUES (2, 'open')")
    for _ in range(9):
        prune(database, finished="1 d")
    assert weeks(database) == {"events_20200106": 0, "events_20200113": 0}
    writer.execute("COMMIT")
    while prune(database, finished="1 d"):
        pass
    assert weeks(database) == {}


def test_5_3_a_dump_delays_old_weeks(database, old_weeks, dump):
    assert prune(database, finished="1 d") == 1  # the row in default, by DELETE
    assert prune(database, finished="1 d") == 0
    dump.execute("ROLLBACK")
    while prune(database, finished="1 d"):
        pass
    assert weeks(database) == {}


# Claims and the rest while leaves change

def test_leaves_are_made_and_pruned_under_load(database):
    """A worker and a producer go on; nothing fails, nothing is lost, and old leaves go."""
    database.query("UPDATE athena.settings SET value = '60' WHERE name = 'leaf_ids'")  # ten go by too fast
    worker = Worker(database)
    producer, maintenance = database.connect(), database.connect()
    sql = ("SELECT athena.run_lane('leaves', %(id)s) AS made, athena.run_lane('prune', %(id)s,"
           " '{\"finished\": \"0 s\", \"dead\": \"0 s\"}') AS pruned").replace("%(id)s", f"'{LEADER}'")
    done = 0
    step = Background(database, maintenance, sql)
    for _ in range(150):
        producer.execute("INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', NULL), ('noop', gen_random_uuid())")
        done += worker.settle_succeeded(*worker.claim(2))["settled"]
        if step.is_done():
            step.result()
            step = Background(database, maintenance, sql)
    step.result()
    assert done == 300
    while sum(maintenance.execute(sql).fetchone().values()):
        pass
    assert lows(database)[0] >= 240
    assert database.value("SELECT count(*) FROM athena.jobs") == 0
    assert_lawful(database)
