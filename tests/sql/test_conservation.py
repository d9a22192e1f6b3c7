# SPDX-License-Identifier: PostgreSQL
"""athena.conservation(): one offender of each kind is planted; it is named, and nothing else is."""
import uuid

import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, place


@pytest.fixture
def full(database):
    """A database with jobs in every place, some with keys, some with later tickets."""
    worker = Worker(database)
    for _ in range(2):
        for key in (None, "a key"):
            for result in ("succeeded", "returned", "snoozed", "failed", "cancelled"):
                database.enqueue("noop", unique_key=key and f"{key} {uuid.uuid4()}")
                (row,) = worker.claim()
                worker.settle(row, result, retry_in="1 h")
                if result == "returned":
                    worker.claim()
    for key in (None, "left", "waiting"):
        database.enqueue("noop", unique_key=key)
    park(database, worker.claim(3)[-1])
    database.enqueue("noop", run_at="tomorrow", unique_key="scheduled")
    database.enqueue("noop", unique_key="ready")
    database.enqueue("noop")
    assert database.conservation() == []
    return database


def park(database, row):
    """leases -> waiting, as an attempt does that waits for a callback."""
    database.query(
        "WITH l AS (DELETE FROM athena.leases WHERE ticket = %s RETURNING *)"
        " INSERT INTO athena.waiting (job_id, ticket, expires_at, priority, attempt, has_key, family)"
        " SELECT job_id, ticket, now() + interval '1 h', priority, attempt, has_key, family FROM l", row["ticket"])
    database.query("INSERT INTO athena.tallies VALUES ('noop', 'running', -1), ('noop', 'waiting', 1)")


def job_in(database, table, condition="true"):
    return database.value(f"SELECT min(job_id) FROM athena.{table} WHERE {condition}")


def offenders(database):
    return {(row["job_id"], row["problem"], row["detail"]) for row in database.conservation()}


def test_all_places_are_filled(full):
    for table in ("ready", "scheduled", "leases", "waiting", "outcomes", "uniques"):
        assert full.value(f"SELECT count(*) FROM athena.{table}") > 0
    for table in ("leases", "scheduled"):
        assert job_in(full, table, "has_key") and job_in(full, table, "NOT has_key")


NOWHERE = "the job has a body but is neither ready, scheduled, leased, waiting nor finished"


@pytest.mark.parametrize("table", ["ready", "scheduled", "leases", "waiting", "outcomes"])
def test_no_place(full, table):
    condition = "state = 'succeeded'" if table == "outcomes" else "NOT has_key" if table != "waiting" else "true"
    job = job_in(full, table, condition)
    expected = {(job, "no place", NOWHERE)}
    if table == "waiting":
        expected.add((job, "stray key", 'unique key "waiting" of family "noop" is held by a job that is not unfinished'))
    full.query(f"DELETE FROM athena.{table} WHERE job_id = %s", job)
    assert offenders(full) == expected


@pytest.mark.parametrize("insert", [
    "INSERT INTO athena.jobs_0 (id, family) OVERRIDING SYSTEM VALUE VALUES (4000, 'noop')",
    "SET session_replication_role = replica; INSERT INTO athena.jobs (family) VALUES ('noop')",
    "ALTER TABLE athena.jobs DISABLE TRIGGER make_tickets; INSERT INTO athena.jobs (family) VALUES ('noop')",
])
def test_4_2_bodies_that_came_past_the_trigger(full, insert):
    conn = full.connect()
    before = full.value("SELECT max(id) FROM athena.jobs")
    conn.execute(insert)
    (job,) = full.column("SELECT id FROM athena.jobs WHERE id > %s", before)
    assert offenders(full) == {(job, "no place", NOWHERE)}


def test_two_places(full):
    job = job_in(full, "ready", "NOT has_key")
    full.query("INSERT INTO athena.ready SELECT nextval('athena.tickets'), job_id, priority, attempt, has_key, family"
               " FROM athena.ready WHERE job_id = %s", job)
    done = job_in(full, "outcomes", "state = 'succeeded'")
    full.query("INSERT INTO athena.scheduled (job_id, run_at, priority, attempt, has_key, family)"
               " VALUES (%s, now(), 5, 0, false, 'noop')", done)
    (waiting,) = full.query("SELECT * FROM athena.waiting")
    full.query("INSERT INTO athena.leases (ticket, job_id, worker_id, priority, attempt, has_key, family)"
               " SELECT 70000, %s, id, 5, 1, true, 'noop' FROM athena.workers", waiting["job_id"])
    full.query("INSERT INTO athena.outcomes (job_id, ticket, state, attempt, family) VALUES (%s, 1, 'dead', 1, 'noop')",
               waiting["job_id"])
    assert offenders(full) == {(job, "two places", "ready, ready"), (done, "two places", "outcomes, scheduled"),
                               (waiting["job_id"], "two places", "leases, outcomes, waiting")}


@pytest.mark.parametrize("table", ["ready", "scheduled", "leases", "waiting", "outcomes"])
def test_no_body(full, table):
    (row,) = full.query(f"SELECT * FROM athena.{table} ORDER BY job_id LIMIT 1")
    full.query("DELETE FROM athena.jobs WHERE id = %s", row["job_id"])
    ticket = row.get("ticket")
    assert offenders(full) == {(row["job_id"], "no body",
                                f"in {table}, ticket {ticket}" if ticket else f"in {table}")}


def test_no_worker(full):
    job = job_in(full, "leases")
    nobody = uuid.uuid4()
    full.query("UPDATE athena.leases SET worker_id = %s WHERE job_id = %s", nobody, job)
    assert offenders(full) == {(job, "no worker", f"leased by {nobody}, which is not registered")}


def test_stray_keys(full):
    done = job_in(full, "outcomes", "state = 'succeeded'")
    full.query("INSERT INTO athena.uniques VALUES ('noop', 'kept', %s), ('noop', 'of nobody', 80000)", done)
    words = 'unique key "%s" of family "noop" is held by a job that is not unfinished'
    assert offenders(full) == {(done, "stray key", words % "kept"), (80000, "stray key", words % "of nobody")}


def test_no_key(full):
    """A key that is not held, is held by another, or that the ticket knows nothing of."""
    ready, scheduled, waiting = (job_in(full, table, "has_key") for table in ("ready", "scheduled", "waiting"))
    full.query("DELETE FROM athena.uniques WHERE job_id = %s", ready)
    full.query("UPDATE athena.uniques SET key = 'another' WHERE job_id = %s", scheduled)
    full.query("UPDATE athena.waiting SET has_key = false WHERE job_id = %s", waiting)
    keys = dict(full.connect().execute("SELECT id, unique_key FROM athena.jobs WHERE id = ANY(%s)",
                                       [[ready, scheduled, waiting]]).fetchall() and [
        (row["id"], row["unique_key"]) for row in full.query("SELECT id, unique_key FROM athena.jobs")])
    assert offenders(full) == {(job, "no key", f'unfinished, but its unique key "{keys[job]}" is not held by it')
                               for job in (ready, scheduled, waiting)}


def test_a_key_that_the_ticket_would_never_free(full):
    """has_key without a key in the body is harmless; a ticket without has_key leaves its key behind."""
    job = job_in(full, "leases", "NOT has_key")
    full.query("UPDATE athena.leases SET has_key = true WHERE job_id = %s", job)
    assert offenders(full) == set()


def test_windows_name_their_own_and_together_all(full):
    jobs = sorted(full.column("SELECT id FROM athena.jobs"))
    for job in jobs:
        full.query("DELETE FROM athena.ready WHERE job_id = %s", job)
    full.query("DELETE FROM athena.jobs WHERE id = %s", job_in(full, "outcomes"))
    everything = offenders(full)
    assert len(everything) > 2
    windows = [{(row["job_id"], row["problem"], row["detail"]) for row in full.query(
        "SELECT * FROM athena.conservation(%s, %s)", job, job)} for job in jobs]
    assert set().union(*windows) == everything
    for job, window in zip(jobs, windows):
        assert {offender[0] for offender in window} <= {job}


def test_4_1_jobs_that_move_meanwhile_are_no_offenders(database):
    """One statement is one snapshot. Two would see a moving job twice, or never."""
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 3000)")
    worker = Worker(database)
    check = Background(database, database.connect(),
                       "SELECT count(*) AS n FROM generate_series(1, 40) AS turn,"
                       " LATERAL (SELECT * FROM athena.conservation(turn - turn)) AS c")
    moves = 0
    while not check.is_done() and moves < 100:
        rows = worker.claim(30)
        for row in rows[:10]:
            worker.settle(row, "returned")
        worker.settle_succeeded(*rows[10:])
        moves += 1
    assert check.value(60) == 0
    assert moves > 1
    assert_lawful(database)


@pytest.mark.parametrize("table", ["jobs", "ready", "scheduled", "leases", "waiting", "outcomes"])
def test_4_2_truncate_is_refused_even_to_the_owner(full, table):
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState,
                       match=f"athena.{table} cannot be truncated: jobs would be lost or run twice"):
        full.query(f"TRUNCATE athena.{table}")
    assert_lawful(full)


def test_4_2_on_conflict_queues_what_was_inserted(database):
    database.query("INSERT INTO athena.jobs (family) VALUES ('noop'), ('noop') ON CONFLICT DO NOTHING")
    assert database.value("SELECT count(*) FROM athena.ready") == 2
    assert_lawful(database)


def test_4_4_a_copy_of_a_database_runs_nothing_until_adopted(database):
    job, unstarted = database.enqueue("noop", unique_key="k"), database.enqueue("noop")
    worker = Worker(database)
    worker.claim()
    last = database.value("SELECT last_value FROM athena.tickets")
    database.close()
    copy = database.cluster.new_database(template=database.name)
    assert copy.value("SELECT athena.is_own_system()") is False
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is a copy of another system"):
        Worker(copy)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is a copy of another system"):
        copy.value("SELECT athena.run_lane('promote', gen_random_uuid())")
    assert copy.value("SELECT athena.adopt()") == 1
    assert copy.value("SELECT athena.is_own_system()") is True
    assert copy.value("SELECT count(*) FROM athena.workers") == 0
    assert place(copy, job) == ["ready"] and place(copy, unstarted) == ["ready"]
    assert copy.enqueue("noop") > last + 1000000
    row = Worker(copy).claim(2)[1]
    assert (row["job_id"], row["attempt"]) == (job, 1)
    assert_lawful(copy)
    copy.drop()
    assert database.value("SELECT athena.is_own_system()") is True
