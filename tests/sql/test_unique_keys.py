# SPDX-License-Identifier: PostgreSQL
"""Unique keys: one unfinished job per family and key, and who waits for whom."""
import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, place, somebody

KEYED = "INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', 'k') RETURNING id"


def test_a_duplicate_inserts_nothing_and_is_no_error(database):
    (first,) = database.column(KEYED)
    assert database.column(KEYED) == []
    assert database.column("INSERT INTO athena.jobs (family, unique_key)"
                           " VALUES ('noop', 'k'), ('noop', 'l'), ('noop', 'l') RETURNING unique_key") == ["l"]
    assert database.column("SELECT job_id FROM athena.uniques WHERE key = 'k'") == [first]
    assert_lawful(database)


def test_a_key_is_scoped_by_family(database):
    database.query("INSERT INTO athena.families (name) VALUES ('other')")
    assert len(database.column("INSERT INTO athena.jobs (family, unique_key)"
                               " VALUES ('noop', 'k'), ('other', 'k') RETURNING id")) == 2
    assert_lawful(database)


def test_enqueue_answers_with_the_holder(database):
    (first,) = database.column(KEYED)
    assert database.value("SELECT athena.enqueue('noop', unique_key => 'k')") == first
    assert database.value("SELECT athena.enqueue('noop')") != first
    assert_lawful(database)


@pytest.mark.parametrize("end", ["succeeded", "dead", "cancelled", "cancelled unstarted"])
def test_every_end_frees_the_key(database, end):
    (first,) = database.column(KEYED)
    worker = Worker(database)
    if end == "cancelled unstarted":
        database.query("SELECT athena.cancel(%s)", first)
    else:
        (row,) = worker.claim()
        worker.settle(row, "failed" if end == "dead" else end, error_kind="permanent")
    assert place(database, first) == [end.split()[0]]
    assert len(database.column(KEYED)) == 1
    assert_lawful(database)


def test_the_key_is_held_all_the_way(database):
    """Through claim, failure, back-off, promotion, hand-back and rescue."""
    (first,) = database.column(KEYED)
    worker, leader = Worker(database), somebody()
    for result in ("failed", "returned", "snoozed"):
        (row,) = worker.claim()
        assert database.column(KEYED) == []
        worker.settle(row, result)
        assert database.column(KEYED) == []
        database.query("UPDATE athena.scheduled SET run_at = now() - interval '1 s'")
        database.query("SELECT athena.run_lane('promote', %s)", leader)
        assert database.column(KEYED) == []
    worker.claim()
    database.query("SELECT athena.rescue(%s, %s, (SELECT heartbeat_at FROM athena.workers), '1 h', true)",
                   leader, worker.id)
    assert (place(database, first), database.column(KEYED)) == (["ready"], [])
    worker = Worker(database)
    worker.settle_succeeded(*worker.claim())
    assert len(database.column(KEYED)) == 1
    assert_lawful(database)


def test_7_1_a_second_producer_waits_for_the_first(database):
    """Only blocking is right: the holder may still roll back."""
    first, second = database.connect(), database.connect()
    first.execute("BEGIN")
    first.execute(KEYED)
    waiting = Background(database, second, KEYED).wait_blocked()
    first.execute("ROLLBACK")
    assert waiting.value() > 0
    first.execute("BEGIN")
    first.execute("INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', 'l')")
    waiting = Background(database, second, KEYED.replace("'k'", "'l'")).wait_blocked()
    first.execute("COMMIT")
    assert waiting.result() == []
    assert_lawful(database)


def test_7_1_the_wait_ends_after_5_s(database):
    first, second = database.connect(), database.connect()
    first.execute("BEGIN")
    first.execute(KEYED)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        Background(database, second, KEYED).result()
    assert second.execute("SHOW lock_timeout").fetchone() == {"lock_timeout": "0"}
    first.execute("COMMIT")
    assert_lawful(database)


@pytest.mark.parametrize("settle", ["statement", "function", "cancel"])
def test_7_1_who_waits_for_a_settle_gets_the_key(database, settle):
    (job,) = database.column(KEYED)
    worker = Worker(database)
    with worker.conn.transaction():
        if settle == "cancel":
            worker.conn.execute("SELECT athena.cancel(%s)", [job])
        else:
            (row,) = worker.claim()
            worker.settle_succeeded(row) if settle == "statement" else worker.settle(row, "succeeded")
        waiting = Background(database, database.connect(), "SELECT athena.enqueue('noop', unique_key => 'k')")
        waiting.wait_blocked()
    assert waiting.value() > job
    assert_lawful(database)


def test_7_1_enqueue_under_repeatable_read_fails_as_documented(database):
    conn = database.connect()
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    conn.execute("SELECT 1 FROM athena.families LIMIT 1")
    (first,) = database.column(KEYED)
    with pytest.raises(psycopg.errors.SerializationFailure):
        conn.execute("SELECT athena.enqueue('noop', unique_key => 'k')")
    conn.execute("ROLLBACK")
    assert conn.execute("SELECT athena.enqueue('noop', unique_key => 'k') AS id").fetchone()["id"] == first


def test_7_1_opposite_orders_deadlock_as_40p01_and_lose_nothing(database):
    first, second = database.connect(), database.connect()
    sql = "INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', %s)"
    first.execute("BEGIN")
    second.execute("BEGIN")
    first.execute(sql, ["a"])
    second.execute(sql, ["b"])
    waiting = Background(database, first, sql, "b").wait_blocked()
    crossing = Background(database, second, sql, "a")
    errors = []
    for background in (waiting, crossing):
        try:
            background.result()
        except psycopg.errors.DeadlockDetected as error:
            errors.append(error.sqlstate)
            crossing.result() if background is waiting else second.execute("ROLLBACK")
    assert errors == ["40P01"]
    for conn in (first, second):
        conn.execute("COMMIT")
    assert database.value("SELECT count(*) FROM athena.jobs") == 2
    assert_lawful(database)


def test_retry_takes_the_key_first_and_names_the_holder(database):
    (first,) = database.column(KEYED)
    worker = Worker(database)
    (row,) = worker.claim()
    worker.settle(row, "failed", error_kind="permanent")
    (second,) = database.column(KEYED)
    with pytest.raises(psycopg.errors.UniqueViolation) as error:
        database.query("SELECT athena.retry(%s)", first)
    assert error.value.diag.message_primary == (
        f"job {first} cannot be retried: its unique key is held by job {second}")
    assert place(database, first) == ["dead"]
    worker.settle_succeeded(*worker.claim())
    assert database.value("SELECT athena.retry(%s)", first) == first
    assert database.column("SELECT job_id FROM athena.uniques") == [first]
    assert_lawful(database)


def test_retry_waits_for_a_holder_that_may_roll_back(database):
    (first,) = database.column(KEYED)
    database.query("SELECT athena.cancel(%s)", first)
    producer = database.connect()
    producer.execute("BEGIN")
    producer.execute(KEYED)
    retry = Background(database, database.connect(), "SELECT athena.retry(%s)", first).wait_blocked()
    producer.execute("ROLLBACK")
    assert retry.value() == first
    assert_lawful(database)


@pytest.mark.parametrize("key", [None, "k"])
def test_two_retries_at_once_make_one_ticket(database, key):
    """The second says what the job is, not that it stands in its own way."""
    job = database.enqueue("noop", unique_key=key)
    database.query("SELECT athena.cancel(%s)", job)
    first = database.connect()
    with first.transaction():
        first.execute("SELECT athena.retry(%s)", [job])
        second = Background(database, database.connect(), "SELECT athena.retry(%s)", job).wait_blocked()
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as error:
        second.result()
    assert error.value.diag.message_primary == (
        f"job {job} is ready: only dead, cancelled, scheduled and waiting jobs can be retried")
    assert_lawful(database)


def test_1_8_retry_follows_a_moving_job(database):
    """scheduled -> ready -> dead, while retry waits for the promotion."""
    job = database.enqueue("noop", run_at="tomorrow")
    mover = database.connect()
    with mover.transaction():
        mover.execute("SELECT athena.cancel(%s)", [job])
        retry = Background(database, database.connect(), "SELECT athena.retry(%s)", job).wait_blocked()
    assert retry.value() == job
    assert place(database, job) == ["ready"]
    assert_lawful(database)


def test_retry_of_a_scheduled_job_makes_it_ready_now_and_keeps_its_count(database):
    database.enqueue("noop", unique_key="k")
    worker = Worker(database)
    (row,) = worker.claim()
    worker.settle(row, "failed", retry_in="1 h")
    assert database.value("SELECT athena.retry(%s)", row["job_id"]) == row["job_id"]
    (again,) = worker.claim()
    assert (again["attempt"], again["ticket"] > row["ticket"]) == (2, True)
    assert_lawful(database)


@pytest.mark.parametrize("state", ["ready", "running", "succeeded"])
def test_retry_refuses_other_states(database, state):
    job = database.enqueue("noop")
    worker = Worker(database)
    rows = worker.claim() if state != "ready" else []
    if state == "succeeded":
        worker.settle_succeeded(*rows)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState,
                       match=f"job {job} is {state}: only dead, cancelled, scheduled and waiting jobs can be retried"):
        database.query("SELECT athena.retry(%s)", job)
    assert_lawful(database)


@pytest.mark.parametrize("function", ["retry", "cancel"])
def test_unknown_jobs(database, function):
    with pytest.raises(psycopg.errors.NoDataFound, match="no job 12345"):
        database.query(f"SELECT athena.{function}(12345)")
