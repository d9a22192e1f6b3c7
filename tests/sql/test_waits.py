# SPDX-License-Identifier: PostgreSQL
"""Waits: parked jobs and those who answer, early, late and twice. Two at once: test_interleavings.py."""
import json
import re

import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, place, run_statement, somebody

ACCEPTED = ("accepted", "completed")
ENDINGS = {"completed": "SELECT * FROM athena.complete_wait(%s, '{\"by\": 1}')",
           "failed": "SELECT * FROM athena.fail_wait(%s, 'no')"}


@pytest.fixture
def worker(database):
    return Worker(database)


def open_wait(worker, row, name=""):
    return worker.conn.execute("SELECT athena.open_wait(%s, %s, %s, %s) AS token",
                               [worker.id, row["job_id"], row["ticket"], name]).fetchone()["token"]


def park(worker, row, wait_for="1 h"):
    return worker.settle(row, "parked", retry_in=wait_for)


def parked(database, worker, wait_for="1 h", **columns):
    """A job that waits, as its id, its claimed row and its token."""
    job = database.enqueue("noop", **columns)
    (row,) = worker.claim()
    token = open_wait(worker, row)
    assert park(worker, row, wait_for)["state"] == "waiting"
    return job, row, token


def end(database, sql, *args):
    (row,) = database.query(sql, *args)
    return row["answer"], row["state"]


def complete(database, token, payload="{}"):
    return end(database, "SELECT * FROM athena.complete_wait(%s, %s)", token, payload)


def fail(database, token, error="no", permanent=False):
    return end(database, "SELECT * FROM athena.fail_wait(%s, %s, %s)", token, error, permanent)


def expire(database):
    """Lets the time of every wait run out, and runs the lane."""
    database.query("UPDATE athena.waiting SET expires_at = now()")
    return database.value("SELECT athena.lane_waits(1000)")


def failure(database):
    (row,) = database.query("SELECT kind, code, error, attempt, retry_at IS NOT NULL AS again FROM athena.failures")
    return tuple(row.values())


# One wait

def test_a_job_waits_is_answered_and_goes_on(database, worker):
    job, row, token = parked(database, worker)
    assert place(database, job) == ["waiting"]
    status = database.job(job)
    assert (status["state"], status["attempt"]) == ("waiting", 1)
    assert_lawful(database)
    assert worker.claim() == []
    assert complete(database, token, '{"paid": true}') == ACCEPTED
    assert place(database, job) == ["ready"]
    (again,) = worker.claim()
    assert (again["job_id"], again["attempt"], again["answers"]) == (job, 1, {"": {"paid": True}})
    assert again["ticket"] > row["ticket"]
    assert worker.settle(again, "succeeded")["state"] == "succeeded"
    assert database.column("SELECT kind FROM athena.events WHERE job_id = %s ORDER BY seq", job) == ["parked", "answered"]
    assert_lawful(database)


def test_a_wait_costs_no_attempt(database, worker):
    database.enqueue("noop", max_attempts=1)
    for number in range(3):
        (row,) = worker.claim()
        assert row["attempt"] == 1
        token = open_wait(worker, row, f"step {number}")
        park(worker, row)
        assert complete(database, token, str(number)) == ACCEPTED
    (row,) = worker.claim()
    assert (row["attempt"], row["answers"]) == (1, {"step 0": 0, "step 1": 1, "step 2": 2})
    assert worker.settle(row, "failed")["state"] == "dead"
    assert_lawful(database)


def test_answers_outlive_a_failed_attempt(database, worker):
    """Nobody outside answers twice."""
    database.query("UPDATE athena.families SET backoff_base = '0'")
    _, _, token = parked(database, worker)
    complete(database, token, "7")
    (row,) = worker.claim()
    worker.settle(row, "failed")
    database.query("SELECT athena.lane_promote(10)")
    (row,) = worker.claim()
    assert (row["attempt"], row["answers"]) == (2, {"": 7})


@pytest.mark.parametrize("claim", ["statement", "function"])
def test_fresh_jobs_have_no_answers(database, worker, claim):
    database.enqueue("noop")
    (row,) = (worker.claim() if claim == "statement" else
              worker.conn.execute("SELECT * FROM athena.claim(%s, 'noop')", [worker.id]).fetchall())
    assert row["answers"] is None


def test_the_claim_function_gives_the_answers_too(database, worker):
    _, _, token = parked(database, worker)
    complete(database, token, "[1]")
    (row,) = worker.conn.execute("SELECT * FROM athena.claim(%s, 'noop')", [worker.id]).fetchall()
    assert row["answers"] == {"": [1]}


@pytest.mark.parametrize("permanent, attempts, state, kind", [
    (False, 5, "scheduled", "transient"), (True, 5, "dead", "permanent"), (False, 1, "dead", "transient")])
def test_a_failed_wait_is_a_failed_attempt(database, worker, permanent, attempts, state, kind):
    job, _, token = parked(database, worker, max_attempts=attempts)
    assert fail(database, token, "card refused", permanent) == ("accepted", "failed")
    assert place(database, job) == [state]
    assert failure(database) == (kind, "wait_failed", "card refused", 1, state == "scheduled")
    assert_lawful(database)


@pytest.mark.parametrize("attempts, state", [(5, "scheduled"), (1, "dead")])
def test_a_wait_that_nobody_answers_is_a_failed_attempt(database, worker, attempts, state):
    job, _, _ = parked(database, worker, "1 ms", max_attempts=attempts, unique_key="k")
    assert database.value("SELECT athena.run_lane('waits', %s)", somebody()) == 1
    assert place(database, job) == [state]
    kind, code, error, attempt, again = failure(database)
    assert (kind, code, attempt, again) == ("timeout", "wait_timed_out", 1, state == "scheduled")
    assert re.fullmatch(r"nobody answered within 0\.\d s", error)
    assert_lawful(database)


def test_the_lane_takes_who_is_late_and_no_more_than_a_step(database, worker):
    jobs = [parked(database, worker)[0] for _ in range(5)]
    assert database.value("SELECT athena.lane_waits(1000)") == 0
    database.query("UPDATE athena.waiting SET expires_at = now() - job_id * interval '1 s' WHERE job_id <> %s", jobs[0])
    assert [database.value("SELECT athena.lane_waits(3)") for _ in range(3)] == [3, 1, 0]
    assert place(database, jobs[0]) == ["waiting"]
    assert_lawful(database)


def test_what_a_job_had_it_has_afterwards(database, worker):
    """Priority, key, timeout and concurrency key go with the ticket."""
    job = database.enqueue("noop", priority=2, unique_key="k", timeout="7 min", concurrency_key="c")
    (row,) = worker.claim()
    before = database.query("SELECT priority, has_key, timeout, concurrency_key, claimed_at FROM athena.leases")
    token = open_wait(worker, row)
    park(worker, row)
    assert database.query("SELECT priority, has_key, timeout, concurrency_key, claimed_at FROM athena.waiting") == before
    complete(database, token)
    (ticket,) = database.query("SELECT priority, has_key, timeout, concurrency_key FROM athena.ready")
    assert ticket == {name: value for name, value in before[0].items() if name != "claimed_at"}
    assert database.query("INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', 'k') RETURNING id") == []
    assert worker.settle(worker.claim()[0], "succeeded")["state"] == "succeeded"
    assert place(database, job) == ["succeeded"]
    assert_lawful(database)


def test_a_parked_job_holds_no_place_of_a_limited_family(database, worker):
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    parked(database, worker)
    database.enqueue("noop")
    assert len(worker.claim()) == 1


def test_waits_go_with_their_jobs(database, worker):
    finished = [parked(database, worker) for _ in range(2)]
    for _, _, token in finished:
        complete(database, token)
    worker.settle_succeeded(*worker.claim(2))
    still, _, _ = parked(database, worker)
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '8 days'")
    database.query("UPDATE athena.waits SET opened_at = now() - interval '31 days'")
    leader = somebody()
    while database.value("SELECT athena.run_lane('prune', %s)", leader):
        pass
    assert database.column("SELECT job_id FROM athena.waits") == [still]
    assert complete(database, finished[0][2]) == ("refused", "unknown")
    assert_lawful(database)


# Tokens

def test_tokens_fit_a_url_and_are_never_the_same(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    tokens = {open_wait(worker, row) for _ in range(50)}
    assert len(tokens) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_no_token_is_stored(database, worker):
    _, _, token = parked(database, worker)
    for table in ("waits", "waiting", "events", "jobs"):
        assert token not in json.dumps(database.column(f"SELECT to_jsonb(t)::text FROM athena.{table} AS t"))


def test_a_token_is_for_the_holder_of_the_lease(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    assert open_wait(Worker(database), row) is None
    assert open_wait(worker, {**row, "ticket": row["ticket"] + 1}) is None
    worker.settle(row, "returned")
    assert open_wait(worker, row) is None
    assert database.value("SELECT count(*) FROM athena.waits") == 0


def test_opened_again_the_first_token_is_no_more(database, worker):
    """The answer of the COMMIT was lost, so nobody has it."""
    database.enqueue("noop")
    (row,) = worker.claim()
    first, second = open_wait(worker, row), open_wait(worker, row)
    park(worker, row)
    assert complete(database, first) == ("refused", "unknown")
    assert complete(database, second) == ACCEPTED


def test_an_answered_wait_is_not_opened_again(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    complete(database, open_wait(worker, row))
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is answered already"):
        open_wait(worker, row)


@pytest.mark.parametrize("token", ["", "x", "' OR true --", "\\x00"])
def test_unknown_tokens_are_refused(database, worker, token):
    parked(database, worker)
    assert complete(database, token) == ("refused", "unknown")
    assert fail(database, token) == ("refused", "unknown")


def test_the_null_token_is_refused(database, worker):
    parked(database, worker)
    assert complete(database, None) == ("refused", "unknown")


@pytest.mark.parametrize("result, state", [("failed", "scheduled"), ("returned", "ready"), ("snoozed", "scheduled"),
                                           ("succeeded", "succeeded"), ("cancelled", "cancelled")])
def test_tokens_of_attempts_that_ended_otherwise_are_stale(database, worker, result, state):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    token = open_wait(worker, row)
    worker.settle(row, result, retry_in="1 h")
    assert complete(database, token) == ("refused", "stale")
    assert place(database, job) == [state]
    assert_lawful(database)


def test_a_token_of_a_lost_attempt_is_stale_and_does_not_end_the_wait_of_the_next(database, worker):
    job = database.enqueue("noop")
    (first,) = worker.claim()
    old = open_wait(worker, first)
    database.query("SELECT athena.rescue(%s, id, heartbeat_at, '1 h', true) FROM athena.workers", somebody())
    worker = Worker(database)
    (second,) = worker.claim()
    new = open_wait(worker, second)
    park(worker, second)
    assert complete(database, old) == ("refused", "stale")
    assert place(database, job) == ["waiting"]
    assert complete(database, new) == ACCEPTED
    assert worker.claim()[0]["attempt"] == 2


# What is refused

def test_parking_needs_a_wait_and_a_time(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="has no wait to be parked for"):
        park(worker, row)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="needs retry_in"):
        park(worker, row, None)
    assert place(database, row["job_id"]) == ["leases"]


def test_answers_are_small(database, worker):
    job, _, token = parked(database, worker)
    with pytest.raises(psycopg.errors.CheckViolation, match="an answer has at most 64 KiB"):
        complete(database, token, json.dumps("x" * 65536))
    assert place(database, job) == ["waiting"]
    assert complete(database, token, json.dumps("x" * 65534)) == ACCEPTED


def test_answers_of_every_kind(database, worker):
    for sql, given in (("%s, NULL", None), ("%s", {}), ("%s, '[]'", []), ("%s, 'null'", None), ("%s, '\"é\"'", "é")):
        _, _, token = parked(database, worker)
        assert end(database, f"SELECT * FROM athena.complete_wait({sql})", token) == ACCEPTED
        (row,) = worker.claim()
        assert row["answers"] == {"": given}
        worker.settle(row, "succeeded")


def test_under_another_isolation_it_says_so(database, worker):
    _, _, token = parked(database, worker)
    conn = database.connect()
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="READ COMMITTED"):
        conn.execute("SELECT athena.complete_wait(%s)", [token])


# People

def test_a_waiting_job_is_cancelled(database, worker):
    job, _, token = parked(database, worker, unique_key="k")
    assert database.value("SELECT athena.cancel(%s)", job) == "cancelled"
    assert complete(database, token) == ("refused", "cancelled")
    assert fail(database, token) == ("refused", "cancelled")
    assert place(database, job) == ["cancelled"]
    assert_lawful(database)


def test_a_waiting_job_is_retried_without_its_answer(database, worker):
    job, _, token = parked(database, worker, max_attempts=1)
    assert database.value("SELECT athena.retry(%s)", job) == job
    assert complete(database, token) == ("refused", "cancelled")
    (row,) = worker.claim()
    assert (row["attempt"], row["answers"]) == (1, None)
    assert_lawful(database)


def test_a_dead_job_begins_anew_without_answers(database, worker):
    job, _, token = parked(database, worker)
    complete(database, token, "1")
    worker.settle(worker.claim()[0], "failed", error_kind="permanent")
    database.query("SELECT athena.retry(%s)", job)
    (row,) = worker.claim()
    assert (row["attempt"], row["answers"]) == (1, None)
    assert complete(database, token) == ("refused", "unknown")


def test_who_is_asked_to_stop_does_not_park(database, worker):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    token = open_wait(worker, row)
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    assert park(worker, row)["state"] == "cancelled"
    assert complete(database, token) == ("refused", "stale")
    assert_lawful(database)


# Answers that come early, late, twice, or get lost

@pytest.mark.parametrize("ending, state", [("completed", "ready"), ("failed", "scheduled")])
def test_an_answer_before_the_job_is_parked_is_not_lost(database, worker, ending, state):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    token = open_wait(worker, row)
    assert end(database, ENDINGS[ending], token) == ("accepted", ending)
    assert place(database, job) == ["leases"]
    assert park(worker, row)["state"] == state
    assert place(database, job) == [state]
    if ending == "completed":
        assert worker.claim()[0]["answers"] == {"": {"by": 1}}
    assert_lawful(database)


def test_an_early_answer_survives_an_attempt_that_dies_instead_of_parking(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    assert complete(database, open_wait(worker, row), "5") == ACCEPTED
    database.query("SELECT athena.rescue(%s, id, heartbeat_at, '1 h', true) FROM athena.workers", somebody())
    (row,) = Worker(database).claim()
    assert (row["attempt"], row["answers"]) == (2, {"": 5})


def lose(database, worker):
    """Its attempt dies; the job as the next one claims it, with the worker that does."""
    database.query("SELECT athena.rescue(%s, id, heartbeat_at, '1 h', true) FROM athena.workers WHERE id = %s", somebody(), worker.id)
    other = Worker(database)
    return other, *other.claim()


def test_an_early_refusal_is_for_the_attempt_that_asked(database, worker):
    """Should that die instead of parking, the next one asks anew, and may hear something better."""
    database.enqueue("noop")
    (row,) = worker.claim()
    assert fail(database, open_wait(worker, row)) == ("accepted", "failed")
    other, row = lose(database, worker)
    assert failure(database)[0] == "lost"
    assert complete(database, open_wait(other, row), "5") == ACCEPTED
    assert park(other, row)["state"] == "ready"
    assert other.claim()[0]["answers"] == {"": 5}


def test_an_early_refusal_for_good_ends_the_job_that_parks(database, worker):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    assert fail(database, open_wait(worker, row), "card refused", permanent=True) == ("accepted", "failed")
    assert park(worker, row)["state"] == "dead"
    assert failure(database) == ("permanent", "wait_failed", "card refused", 1, False)
    assert place(database, job) == ["dead"]
    assert_lawful(database)


@pytest.mark.parametrize("result", ["lost", "failed", "returned", "snoozed"])
def test_a_refusal_for_good_outlives_the_attempt_that_asked(database, worker, result):
    """Whoever refused has been told that it counts, and need not answer again: whichever attempt asks next has
    it, as it would have an answer."""
    job = database.enqueue("noop")
    (row,) = worker.claim()
    assert fail(database, open_wait(worker, row, "paid"), "card refused", permanent=True) == ("accepted", "failed")
    if result == "lost":
        worker, row = lose(database, worker)
    else:
        worker.settle(row, result, retry_in="0")
        database.query("UPDATE athena.scheduled SET run_at = now()")
        database.query("SELECT athena.lane_promote(10)")
        (row,) = worker.claim()
    token = open_wait(worker, row, "paid, again")
    assert complete(database, token) == ("refused", "failed")
    assert fail(database, token) == ("already", "failed")
    assert park(worker, row)["state"] == "dead"
    assert database.query("SELECT kind, code, error FROM athena.failures ORDER BY at DESC LIMIT 1") == [
        {"kind": "permanent", "code": "wait_failed", "error": "card refused"}]
    assert place(database, job) == ["dead"]
    assert_lawful(database)


def test_a_wait_refused_for_good_is_opened_again(database, worker):
    """As one that is open, when the answer of the COMMIT was lost."""
    database.enqueue("noop")
    (row,) = worker.claim()
    fail(database, open_wait(worker, row), permanent=True)
    worker, row = lose(database, worker)
    first, second = open_wait(worker, row), open_wait(worker, row)
    assert complete(database, first) == ("refused", "unknown")
    assert complete(database, second) == ("refused", "failed")
    assert park(worker, row)["state"] == "dead"


def test_a_job_refused_for_good_may_do_without(database, worker):
    database.enqueue("noop")
    (row,) = worker.claim()
    fail(database, open_wait(worker, row), permanent=True)
    worker, row = lose(database, worker)
    assert worker.settle(row, "succeeded")["state"] == "succeeded"
    assert_lawful(database)


def test_a_job_refused_for_good_begins_anew_by_hand(database, worker):
    job = database.enqueue("noop")
    (row,) = worker.claim()
    fail(database, open_wait(worker, row), permanent=True)
    park(worker, row)
    database.query("SELECT athena.retry(%s)", job)
    (row,) = worker.claim()
    assert complete(database, open_wait(worker, row)) == ACCEPTED
    assert park(worker, row)["state"] == "ready"


@pytest.mark.parametrize("ending, state", [("COMMIT", "dead"), ("ROLLBACK", "waiting")])
def test_a_refusal_for_good_under_way_is_waited_for(database, worker, ending, state):
    """Its attempt is lost and the next one asks, all before it is committed."""
    job = database.enqueue("noop")
    (row,) = worker.claim()
    token = open_wait(worker, row)
    outside = database.connect()
    outside.execute("BEGIN")
    answer = outside.execute("SELECT * FROM athena.fail_wait(%s, 'no', true)", [token]).fetchone()
    assert tuple(answer.values()) == ("accepted", "failed")
    worker, row = lose(database, worker)
    asks = Background(database, database.connect(), "SELECT athena.open_wait(%s, %s, %s)", worker.id, row["job_id"], row["ticket"])
    asks.wait_blocked()
    outside.execute(ending)
    assert asks.value() is not None
    assert park(worker, row)["state"] == state
    assert place(database, job) == [state]
    assert_lawful(database)


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", ENDINGS)
def test_the_second_answer_hears_what_happened(database, worker, first, second):
    job, _, token = parked(database, worker)
    assert end(database, ENDINGS[first], token) == ("accepted", first)
    where = place(database, job)
    for _ in range(2):
        assert end(database, ENDINGS[second], token) == ("already" if first == second else "refused", first)
    assert place(database, job) == where
    assert_lawful(database)


def test_the_first_answer_stands(database, worker):
    _, _, token = parked(database, worker)
    complete(database, token, "1")
    assert complete(database, token, "2") == ("already", "completed")
    assert worker.claim()[0]["answers"] == {"": 1}


@pytest.mark.parametrize("ending", ENDINGS)
def test_too_late_is_told(database, worker, ending):
    job, _, token = parked(database, worker)
    assert expire(database) == 1
    assert end(database, ENDINGS[ending], token) == ("refused", "timed_out")
    assert place(database, job) == ["scheduled"]
    assert_lawful(database)


@pytest.mark.parametrize("then", ["waits", "is answered", "is late", "is cancelled"])
def test_a_settle_whose_answer_was_lost_is_told_already(database, worker, then):
    job, row, token = parked(database, worker)
    {"waits": lambda: None, "is answered": lambda: complete(database, token), "is late": lambda: expire(database),
     "is cancelled": lambda: database.value("SELECT athena.cancel(%s)", job)}[then]()
    where = place(database, job)
    assert park(worker, row)["answer"] == "already"
    (answer,) = run_statement(worker.conn, "settle_recall", worker.id, [job], [row["ticket"]])
    assert answer["answer"] == "already"
    assert park(Worker(database), row)["answer"] == "lost"
    assert place(database, job) == where
    assert_lawful(database)


def test_many_answers_at_once_and_one_is_accepted(database, worker):
    job, _, token = parked(database, worker)
    database.query("UPDATE athena.waiting SET expires_at = now()")
    outside = [database.connect() for _ in range(6)]
    calls = [Background(database, conn, ENDINGS["completed" if n % 2 else "failed"], token) for n, conn in enumerate(outside)]
    answers = [tuple(call.result()[0].values()) for call in calls]
    assert sorted(answer for answer, _ in answers).count("accepted") == 1
    (state,) = {state for _, state in answers}
    assert answers.count(("already", state)) == 2
    assert answers.count(("refused", state)) == 3
    assert place(database, job) == [{"completed": "ready", "failed": "scheduled"}[state]]
    assert_lawful(database)


# Who may

def test_a_producer_answers_and_sees_nothing(database, worker):
    job, _, token = parked(database, worker)
    database.query("CREATE ROLE shop_with_token LOGIN IN ROLE athena_producer")
    try:
        conn = database.connect(user="shop_with_token")
        for sql in ("SELECT * FROM athena.waits", "SELECT * FROM athena.waiting", "SELECT athena.open_wait(gen_random_uuid(), 1, 1)",
                    "SELECT athena.end_wait('x', 'completed', '{}', '', false)", "SELECT athena.unpark(NULL)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(sql)
        assert tuple(conn.execute("SELECT * FROM athena.complete_wait(%s)", [token]).fetchone().values()) == ACCEPTED
        assert tuple(conn.execute("SELECT * FROM athena.fail_wait(%s, 'no')", [token]).fetchone().values()) == ("refused", "completed")
        assert place(database, job) == ["ready"]
    finally:
        database.close()
        database.query("DROP ROLE shop_with_token")
