# SPDX-License-Identifier: PostgreSQL
"""Who may settle: the fence, rescue, failover, and what an answer says when it was lost before."""
import uuid

import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, place, run_statement, somebody


@pytest.fixture
def worker(database):
    return Worker(database)


def heartbeat_of(worker):
    return worker.database.value("SELECT heartbeat_at FROM athena.workers WHERE id = %s", worker.id)


def rescue(worker, watched="1 h", is_dead=False, seen=None, by=None, most=1000):
    return worker.database.value(
        "SELECT athena.rescue(%s, %s, %s, %s, %s, %s)", by or rescue.by, worker.id,
        seen or heartbeat_of(worker), watched, is_dead, most)


rescue.by = somebody()


def leave_silent(worker, seconds=3600):
    worker.is_silent_for(seconds)
    return worker


def recalled(worker, row):
    (answer,) = run_statement(worker.conn, "settle_recall", worker.id, [row["job_id"]], [row["ticket"]])
    return answer["answer"]


def test_6_1_the_ticket_is_the_fence(database, worker):
    """The same job, attempt and worker once more, but a new ticket: the zombie of the first run is out."""
    database.enqueue("noop")
    (first,) = worker.claim()
    worker.settle(first, "returned")
    (second,) = worker.claim()
    same = ("job_id", "attempt")
    assert [first[key] for key in same] == [second[key] for key in same]
    for result in ("succeeded", "failed", "cancelled", "returned", "snoozed"):
        assert worker.settle(first, result) == {"answer": "lost", "state": None, "run_at": None}
    assert worker.settle_succeeded(first) == {"settled": 0, "woken": 0, "missing": [first["ticket"]]}
    assert recalled(worker, first) == "lost"
    assert place(database, second["job_id"]) == ["leases"]
    assert worker.settle(second, "succeeded")["answer"] == "settled"
    assert_lawful(database)


def test_6_1_after_retry_attempts_begin_anew_and_the_zombie_is_out(database, worker):
    job = database.enqueue("noop")
    (first,) = worker.claim()
    worker.settle(first, "failed", error_kind="permanent")
    database.query("SELECT athena.retry(%s)", job)
    (second,) = worker.claim()
    assert (second["attempt"], second["ticket"] > first["ticket"]) == (1, True)
    assert worker.settle(first, "succeeded")["answer"] == "already"  # it failed, and that counted
    assert place(database, job) == ["leases"]
    assert worker.settle(second, "succeeded")["answer"] == "settled"
    assert_lawful(database)


def test_6_1_progress_goes_with_the_lease(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    other = Worker(database)

    def progress(who, done, ticket=row["ticket"]):
        (answer,) = run_statement(who.conn, "progress_set", who.id, row["job_id"], ticket, done, None, "bytes", None)
        return answer["set_progress"]

    assert progress(worker, 7) and progress(worker, 5)
    assert not progress(other, 100)
    assert not progress(worker, 100, row["ticket"] + 1)
    assert database.job(row["job_id"])["progress"]["done"] == 7  # never less
    worker.settle(row, "succeeded")
    assert not progress(worker, 100)
    assert database.job(row["job_id"])["progress"]["done"] == 7


@pytest.mark.parametrize("field", ["worker", "job_id", "ticket"])
def test_6_1_all_three_have_to_match(database, worker, field):
    database.enqueue("noop")
    (row,) = worker.claim()
    wrong = {"worker": worker.id, "job_id": row["job_id"], "ticket": row["ticket"]}
    wrong[field] = Worker(database).id if field == "worker" else wrong[field] + 1
    (answer,) = database.query("SELECT answer FROM athena.settle(%s, %s, %s, 'succeeded')", *wrong.values())
    assert answer["answer"] == "lost"
    assert place(database, row["job_id"]) == ["leases"]


def test_6_2_worker_ids_are_random(database):
    assert uuid.UUID(str(Worker(database).id)).version == 4


def test_6_3_leases_of_a_worker_that_is_gone_are_rescued(database, worker):
    job = database.enqueue("noop")
    worker.claim()
    database.query("DELETE FROM athena.workers")
    assert database.value("SELECT athena.run_lane('rescue', %s)", somebody()) == 1
    assert place(database, job) == ["ready"]
    assert database.value("SELECT error FROM athena.failures") == f"its worker {worker.id} is not registered"
    assert_lawful(database)


def test_6_3_the_registry_keeps_workers_that_hold_leases(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    leave_silent(worker, 2 * 3600)
    leave_silent(Worker(database), 2 * 3600)
    fresh, leader = Worker(database), somebody()
    assert database.value("SELECT athena.run_lane('registry', %s)", leader) == 1
    assert set(database.column("SELECT id FROM athena.workers")) == {worker.id, fresh.id}
    worker.settle(row, "succeeded")
    assert database.value("SELECT athena.run_lane('registry', %s)", leader) == 1
    assert database.column("SELECT id FROM athena.workers") == [fresh.id]


def test_6_4_rescue_and_settle_never_deadlock(database, worker):
    """Two leases, settled in one transaction in the order that is wrong for rescue."""
    first, second = database.enqueue("noop"), database.enqueue("noop")
    rows = worker.claim(2)
    leave_silent(worker)
    with worker.conn.transaction():
        worker.settle(rows[1], "succeeded")
        assert rescue(worker) == 1  # it skips what is being settled
        answer = worker.settle(rows[0], "succeeded")
    assert answer["answer"] == "lost"
    assert (place(database, first), place(database, second)) == (["ready"], ["succeeded"])
    assert_lawful(database)


@pytest.mark.parametrize("lane", ["deadlines", "rescue"])
def test_6_4_lanes_skip_what_is_being_settled(database, worker, lane):
    database.enqueue("noop", timeout="1 s")
    database.enqueue("noop", timeout="1 s")
    rows = worker.claim(2)
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s'")
    if lane == "rescue":
        database.query("DELETE FROM athena.workers")
    leader = somebody()
    with worker.conn.transaction():
        worker.settle(rows[0], "succeeded")
        assert database.value("SELECT athena.run_lane(%s, %s)", lane, leader) == 1
    assert place(database, rows[0]["job_id"]) == ["succeeded"]
    assert rows[1]["ticket"] not in database.column("SELECT ticket FROM athena.leases")


def test_6_4_cancel_waits_for_a_settle_and_tells_its_result(database, worker):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    with worker.conn.transaction():
        worker.settle(row, "succeeded")
        cancel = Background(database, database.connect(), "SELECT athena.cancel(%s)", job).wait_blocked()
    assert cancel.value() == "succeeded"
    assert_lawful(database)


def test_6_5_a_heartbeat_that_moved_on_saves_its_leases(database, worker):
    job = database.enqueue("noop")
    worker.claim()
    leave_silent(worker)
    seen = heartbeat_of(worker)
    worker.beat()
    assert rescue(worker, seen=seen) == 0
    assert place(database, job) == ["leases"]


def test_6_5_a_heartbeat_under_way_saves_its_leases(database, worker):
    job = database.enqueue("noop")
    worker.claim()
    leave_silent(worker)
    with worker.conn.transaction():
        worker.beat()
        assert rescue(worker) == 0
    assert place(database, job) == ["leases"]


def test_6_5_the_rescuer_has_to_have_watched_and_postgres_has_to_agree(database, worker):
    job = database.enqueue("noop")
    worker.claim()
    leave_silent(worker, 19)
    assert rescue(worker, watched="1 h") == 0  # Postgres' clock says 19 s of 20
    leave_silent(worker, 3600)
    assert rescue(worker, watched="19.9 s") == 0
    assert place(database, job) == ["leases"]
    assert rescue(worker, watched="20 s") == 1
    assert place(database, job) == ["ready"]
    assert_lawful(database)


def test_6_5_each_family_has_its_own_lease(database, worker):
    database.query("UPDATE athena.families SET lease = '120 s' WHERE name = 'clone'")
    short = database.enqueue("noop")
    long = database.enqueue("clone", {"source": "a", "target": "b"})
    worker.claim()
    worker.claim(family="clone")
    leave_silent(worker, 60)
    assert rescue(worker, watched="60 s") == 1
    assert (place(database, short), place(database, long)) == (["ready"], ["leases"])
    leave_silent(worker, 121)
    assert rescue(worker, watched="121 s") == 1
    assert place(database, long) == ["ready"]
    assert_lawful(database)


def test_6_5_a_dead_process_is_rescued_at_once_by_whoever_shares_its_host(database, worker):
    """Another process may lead the lane, but only a neighbour can know that the process is dead."""
    job = database.enqueue("noop")
    worker.claim()
    assert database.value("SELECT athena.run_lane('rescue', %s)", somebody()) == 0  # leads from now on
    neighbour = somebody()
    assert rescue(worker, watched="1 h", by=neighbour) is None
    assert rescue(worker, watched="0 s", is_dead=True, by=neighbour) == 1
    assert place(database, job) == ["ready"]
    assert worker.beat()[0]["what"] == "fenced"
    assert database.value("SELECT error FROM athena.failures") == "its worker died (unknown, pid 0)"
    assert_lawful(database)


def test_6_5_rescue_in_steps(database, worker):
    for _ in range(5):
        database.enqueue("noop")
    worker.claim(5)
    assert [rescue(worker, is_dead=True, most=2) for _ in range(3)] == [2, 2, 1]
    assert database.value("SELECT count(*) FROM athena.workers") == 0
    assert_lawful(database)


def test_6_5_two_rescuers_rescue_once(database, worker):
    for _ in range(4):
        database.enqueue("noop")
    worker.claim(4)
    leave_silent(worker)
    seen = heartbeat_of(worker)
    first = database.connect()
    with first.transaction():
        sql = "SELECT athena.rescue(%s, %s, %s, '1 h', true) AS n"
        assert first.execute(sql, [somebody(), worker.id, seen]).fetchone()["n"] == 4
        assert database.value(sql, somebody(), worker.id, seen) == 0
    assert database.value("SELECT count(*) FROM athena.failures") == 4
    assert_lawful(database)


def test_6_5_a_rescued_attempt_counts(database, worker):
    job = database.enqueue("noop", max_attempts=2)
    for _ in range(2):
        (row,) = worker.claim()
        assert rescue(leave_silent(worker)) == 1
    assert row["attempt"] == 2
    assert place(database, job) == ["dead"]
    assert database.column("SELECT kind FROM athena.failures ORDER BY at") == ["lost", "lost"]
    assert_lawful(database)


def test_6_6_a_settle_repeated_after_a_lost_answer_says_already(database, worker):
    for result, named in (("succeeded", {}), ("failed", {}), ("failed", {"error_kind": "permanent"}),
                          ("cancelled", {})):
        database.enqueue("noop")
        (row,) = worker.claim()
        assert worker.settle(row, result, **named)["answer"] == "settled"
        assert worker.settle(row, result, **named)["answer"] == "already"
        assert recalled(worker, row) == "already"
        assert worker.settle_succeeded(row)["missing"] == [row["ticket"]]
    assert database.value("SELECT count(*) FROM athena.failures") == 2
    assert_lawful(database)


@pytest.mark.parametrize("how", ["rescue", "deadline"])
@pytest.mark.parametrize("max_attempts", [1, 2])
def test_6_6_who_lost_the_lease_is_told_lost_even_when_that_ended_the_job(database, worker, how, max_attempts):
    """The last attempt of a silent worker makes an outcome that carries its ticket and its name."""
    job = database.enqueue("noop", max_attempts=max_attempts, timeout="1 s")
    (row,) = worker.claim()
    if how == "rescue":
        assert rescue(leave_silent(worker)) == 1
    else:
        database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s'")
        assert database.value("SELECT athena.run_lane('deadlines', %s)", somebody()) == 1
    assert (place(database, job) == ["dead"]) == (max_attempts == 1)
    assert recalled(worker, row) == "lost"
    assert worker.settle(row, "succeeded") == {"answer": "lost", "state": None, "run_at": None}
    assert_lawful(database)


def test_6_6_who_lost_the_lease_of_a_job_to_be_cancelled_is_told_lost(database, worker):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    assert rescue(leave_silent(worker)) == 1
    assert place(database, job) == ["cancelled"]
    assert worker.settle(row, "succeeded")["answer"] == "lost"
    assert_lawful(database)


def test_6_7_a_poison_settle_fails_alone(database, worker):
    for _ in range(3):
        database.enqueue("noop")
    rows = worker.claim(3)
    with pytest.raises(psycopg.errors.UntranslatableCharacter):
        worker.conn.execute("SELECT athena.settle(%s, %s, %s, 'failed', details => %s::jsonb)",
                            [worker.id, rows[0]["job_id"], rows[0]["ticket"], '{"error": "a\\u0000b"}'])
    assert worker.settle(rows[0], "failed", error="unreportable result")["state"] == "scheduled"
    assert worker.settle_succeeded(*rows[1:])["settled"] == 2
    assert_lawful(database)


def test_6_7_long_errors_are_cut(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    worker.settle(row, "failed", error="é" * 100000)
    assert database.value("SELECT error FROM athena.failures") == "é" * 8192


def test_6_8_the_deadline_lies_30_s_after_the_timeout(database, worker):
    database.query("UPDATE athena.families SET timeout = '10 s' WHERE name = 'noop'")
    database.enqueue("noop")
    database.enqueue("noop", timeout="1 min")
    worker.claim(2)
    assert [str(time) for time in database.column(
        "SELECT deadline_at - claimed_at FROM athena.leases ORDER BY job_id")] == ["0:00:40", "0:01:30"]
    assert database.value("SELECT athena.run_lane('deadlines', %s)", somebody()) == 0


def test_an_overdue_attempt_is_a_retryable_failure(database, worker):
    job = database.enqueue("noop", timeout="1 s", max_attempts=2)
    leader = somebody()
    for expected in ("scheduled", "dead"):
        worker.claim()
        database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s'")
        assert database.value("SELECT athena.run_lane('deadlines', %s)", leader) == 1
        assert place(database, job) == [expected]
        database.query("UPDATE athena.scheduled SET run_at = now() - interval '1 s'")
        database.query("SELECT athena.run_lane('promote', %s)", leader)
    assert database.column("SELECT kind FROM athena.failures") == ["overdue", "overdue"]
    assert_lawful(database)


def test_success_beats_a_late_cancel(database, worker):
    for settle in (worker.settle_succeeded, lambda row: worker.settle(row, "succeeded")):
        job = database.enqueue("noop")
        (row,) = worker.claim()
        assert database.value("SELECT athena.cancel(%s)", job) == "requested"
        settle(row)
        assert place(database, job) == ["succeeded"]
        assert database.value("SELECT athena.cancel(%s)", job) == "succeeded"
    assert_lawful(database)


@pytest.mark.parametrize("result", ["failed", "returned", "snoozed", "cancelled"])
def test_anything_but_success_obeys_a_cancel(database, worker, result):
    job = database.enqueue("noop", unique_key="k")
    (row,) = worker.claim()
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    assert worker.settle(row, result)["state"] == "cancelled"
    assert place(database, job) == ["cancelled"]
    assert database.value("SELECT count(*) FROM athena.cancel_requests") == 0
    assert database.value("SELECT count(*) FROM athena.uniques") == 0
    assert_lawful(database)


def test_a_worker_that_leaves_hands_nothing_back_that_is_to_be_cancelled(database, worker):
    kept, cancelled = database.enqueue("noop"), database.enqueue("noop", unique_key="k")
    worker.claim(2)
    assert database.value("SELECT athena.cancel(%s)", cancelled) == "requested"
    assert database.value("SELECT athena.unregister_worker(%s)", worker.id) == 2
    assert (place(database, kept), place(database, cancelled)) == (["ready"], ["cancelled"])
    assert database.value("SELECT count(*) FROM athena.cancel_requests") == 0
    assert database.value("SELECT count(*) FROM athena.uniques") == 0
    assert_lawful(database)
