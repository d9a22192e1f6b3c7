# SPDX-License-Identifier: PostgreSQL
"""Claims: who gets which ticket, what the answer says, and what a claim never does."""
import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, place, queue_options, run_statement


def insert_jobs(database, count, family="noop", **columns):
    """`count` jobs in one statement; their ids, ascending."""
    names = "".join(f", {name}" for name in columns)
    return database.column(
        f"INSERT INTO athena.jobs (family{names}) SELECT %s{', %s' * len(columns)}"
        f" FROM generate_series(1, %s) RETURNING id", family, *columns.values(), count)


def claim_function(worker, most=1, family="noop"):
    return worker.conn.execute("SELECT * FROM athena.claim(%s, %s, %s)",
                               [worker.id, family, most]).fetchall()


def remove_body(database, job_id):
    database.query("DELETE FROM athena.jobs WHERE id = %s", job_id)


@pytest.mark.parametrize("claim", [Worker.claim, claim_function])
def test_1_1_the_answer_is_what_was_leased(database, claim):
    first, second, third = insert_jobs(database, 3)
    remove_body(database, first)
    worker = Worker(database)
    rows = claim(worker, 3)
    assert [row["job_id"] for row in rows] == [first, second, third]
    assert database.column("SELECT job_id FROM athena.leases ORDER BY 1") == [first, second, third]
    assert [row["payload"] for row in rows] == [None, {}, {}]
    answer = worker.settle(rows[0], "failed", error="body missing", error_kind="permanent")
    assert (answer["answer"], answer["state"]) == ("settled", "dead")


def test_1_2_a_heartbeat_names_the_leases_older_than_10_s(database):
    insert_jobs(database, 3)
    worker = Worker(database)
    old, older, fresh = worker.claim(3)
    database.query("UPDATE athena.leases SET claimed_at = now() - interval '11 s' WHERE ticket = ANY(%s)",
                   [old["ticket"], older["ticket"]])
    told = worker.beat()
    assert [row["what"] for row in told] == ["alive", "lease", "lease"]
    assert sorted((row["job_id"], row["ticket"]) for row in told[1:]) == [
        (row["job_id"], row["ticket"]) for row in (old, older)]
    assert worker.settle(old, "returned") == {"answer": "settled", "state": "ready", "run_at": None}
    assert [row["ticket"] for row in worker.beat()[1:]] == [older["ticket"]]
    assert_lawful(database)


def test_1_3_ready_and_leases_are_plain_tables(database):
    """ctid is unique per table only, and the claim goes by ctid."""
    assert database.column("SELECT relname FROM pg_class WHERE relkind <> 'r'"
                           " AND oid IN ('athena.ready'::regclass, 'athena.leases'::regclass)") == []
    assert database.value("SELECT count(*) FROM pg_inherits WHERE inhparent IN"
                          " ('athena.ready'::regclass, 'athena.leases'::regclass)") == 0


MOVES = {
    "claim": "SELECT * FROM athena.claim(%(worker)s, 'noop')",
    "settle": "SELECT * FROM athena.settle(%(worker)s, 1, 1, 'succeeded')",
    "cancel": "SELECT athena.cancel(%(job)s)",
    "retry": "SELECT athena.retry(%(job)s)",
    "unregister": "SELECT athena.unregister_worker(%(worker)s)",
    "promote": "SELECT athena.run_lane('promote', %(worker)s)",
    "rescue": "SELECT athena.rescue(%(worker)s, %(worker)s, now(), '1 h', true)",
    "adopt": "SELECT athena.adopt()",
}


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("move", MOVES)
def test_1_4_moves_refuse_other_isolation_levels(database, move, level):
    (job,) = insert_jobs(database, 1)
    worker = Worker(database)
    conn = database.connect()
    conn.execute(f"SET default_transaction_isolation = '{level}'")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as error:
        conn.execute(MOVES[move], {"worker": worker.id, "job": job})
    assert error.value.diag.message_primary == (
        f"athena functions that move jobs need READ COMMITTED, not {level.upper()}")
    assert place(database, job) == ["ready"]


def test_1_4_our_connections_claim_whatever_the_database_sets(database):
    insert_jobs(database, 2)
    database.query(f'ALTER DATABASE "{database.name}" SET default_transaction_isolation = serializable')
    workers = [Worker(database), Worker(database)]
    with workers[0].conn.transaction():
        assert len(workers[0].claim()) == 1
        assert len(workers[1].claim()) == 1
    assert_lawful(database)


def test_1_5_no_move_updates_a_ticket(database):
    """A claim that met an updated row would lose sight of it: nothing in the schema updates one."""
    bodies = "\n".join(database.column(
        "SELECT lower(pg_get_functiondef(p.oid)) FROM pg_proc AS p"
        " WHERE p.pronamespace = 'athena'::regnamespace AND p.prokind = 'f'"))
    for table in ("ready", "scheduled", "leases", "waiting", "jobs", "outcomes"):
        assert f"update athena.{table}" not in bodies
        assert f"update only athena.{table}" not in bodies


def test_1_6_smaller_priority_first_then_the_older_ticket(database):
    jobs = {priority: insert_jobs(database, 2, priority=priority) for priority in (9, 4, 0, 5)}
    worker = Worker(database)
    rows = worker.claim(5)
    assert [row["job_id"] for row in rows] == [*jobs[0], *jobs[4], jobs[5][0]]
    rows = claim_function(worker, 3)
    assert [row["job_id"] for row in rows] == [jobs[5][1], *jobs[9]]


def test_1_6_lanes_are_visited_in_the_order_given_and_after_their_cursors(database):
    low, high = insert_jobs(database, 3, priority=9), insert_jobs(database, 3, priority=1)
    worker = Worker(database)
    assert [row["job_id"] for row in worker.claim(2, lanes=[9, 1])] == low[:2]
    rows = worker.claim(4, lanes=[1, 9], after=[high[0], low[1]])
    assert [row["job_id"] for row in rows] == [high[1], high[2], low[2]]
    assert worker.claim(4, lanes=[1], after=[high[2]]) == []
    assert [row["job_id"] for row in worker.claim(4)] == [high[0]]
    assert_lawful(database)


def test_1_6_a_lane_given_twice_gives_no_duplicate(database):
    jobs = insert_jobs(database, 4)
    worker = Worker(database)
    rows = worker.claim(3, lanes=[5, 5])
    assert [row["job_id"] for row in rows] == jobs[:3]
    assert_lawful(database)


@pytest.mark.parametrize("claim", [Worker.claim, claim_function])
def test_1_7_never_more_than_asked_and_never_a_locked_one(database, claim):
    jobs = insert_jobs(database, 30)
    first, second = Worker(database), Worker(database)
    with first.conn.transaction():
        taken = claim(first, 10)
        others = claim(second, 15)  # in the same instant, and it does not wait
    assert [row["job_id"] for row in taken] == jobs[:10]
    assert [row["job_id"] for row in others] == jobs[10:25]
    assert_lawful(database)


def test_1_7_a_rolled_back_claim_leaves_everything_as_it_was(database):
    jobs = insert_jobs(database, 3)
    worker = Worker(database)
    with pytest.raises(ZeroDivisionError), worker.conn.transaction():
        worker.claim(3)
        raise ZeroDivisionError
    assert [row["job_id"] for row in worker.claim(3)] == jobs
    assert_lawful(database)


def test_1_8_cancel_follows_a_moving_job(database):
    (job,) = insert_jobs(database, 1)
    worker = Worker(database)
    with worker.conn.transaction():
        (row,) = worker.claim()
        cancel = Background(database, database.connect(), "SELECT athena.cancel(%s)", job).wait_blocked()
    assert cancel.value() == "requested"
    assert [(told["what"], told["ticket"]) for told in worker.beat()] == [("alive", None), ("cancel", row["ticket"])]
    assert worker.settle(row, "cancelled")["state"] == "cancelled"
    assert_lawful(database)


def test_1_8_cancel_follows_a_job_that_moves_back(database):
    """lease -> scheduled while cancel runs: from a table that it looks at late to an earlier one."""
    (job,) = insert_jobs(database, 1)
    worker = Worker(database)
    (row,) = worker.claim()
    with worker.conn.transaction():
        worker.settle(row, "failed", error="once")
        cancel = Background(database, database.connect(), "SELECT athena.cancel(%s)", job).wait_blocked()
    assert cancel.value() == "cancelled"
    assert place(database, job) == ["cancelled"]
    assert_lawful(database)


def test_1_8_cancel_against_cancel_and_promotion(database):
    (job,) = database.column("INSERT INTO athena.jobs (family, run_at)"
                             " VALUES ('noop', now() + interval '1 h') RETURNING id")
    other = database.connect()
    with other.transaction():
        assert other.execute("SELECT athena.cancel(%s) AS c", [job]).fetchone()["c"] == "cancelled"
        cancel = Background(database, database.connect(), "SELECT athena.cancel(%s)", job).wait_blocked()
    assert cancel.value() == "cancelled"
    assert_lawful(database)


def test_1_8_cancels_of_many_in_opposite_orders_are_no_hang(database):
    """Postgres has to see that they wait for each other; one is told, and can repeat it."""
    insert_jobs(database, 2)
    rows = Worker(database).claim(2)
    first, second = database.connect(), database.connect()
    first.execute("BEGIN")
    second.execute("BEGIN")
    answers = [conn.execute("SELECT athena.cancel(%s) AS answer", [row["job_id"]]).fetchone()["answer"]
               for conn, row in ((first, rows[0]), (second, rows[1]))]
    waiting = Background(database, first, "SELECT athena.cancel(%s)", rows[1]["job_id"]).wait_blocked()
    crossing = Background(database, second, "SELECT athena.cancel(%s)", rows[0]["job_id"])
    errors = []
    for conn, background in ((first, waiting), (second, crossing)):
        try:
            answers.append(background.value())
        except psycopg.errors.DeadlockDetected:
            errors.append(conn)
            conn.execute("ROLLBACK")
    assert len(errors) == 1  # seen by Postgres, for the retry: not a hang
    assert answers == ["requested"] * 3
    for conn in (first, second):
        conn.execute("COMMIT")
    assert_lawful(database)


def test_1_8_a_cancel_of_many_against_a_settle_of_many_is_no_hang(database):
    insert_jobs(database, 2)
    worker = Worker(database)
    rows = worker.claim(2)
    canceller = database.connect()
    canceller.execute("BEGIN")
    canceller.execute("SELECT athena.cancel(%s)", [rows[0]["job_id"]])
    worker.conn.execute("BEGIN")
    worker.settle(rows[1], "succeeded")
    settle = Background(database, worker.conn, "SELECT athena.settle(%s, %s, %s, 'succeeded')",
                        worker.id, rows[0]["job_id"], rows[0]["ticket"]).wait_blocked()
    cancel = Background(database, canceller, "SELECT athena.cancel(%s)", rows[1]["job_id"])
    deadlocks = 0
    for conn, background in ((worker.conn, settle), (canceller, cancel)):
        try:
            background.result()
        except psycopg.errors.DeadlockDetected:
            deadlocks += 1
            conn.execute("ROLLBACK")
    assert deadlocks == 1
    for conn in (worker.conn, canceller):
        conn.execute("COMMIT")
    assert_lawful(database)


@pytest.mark.parametrize("claim", [Worker.claim, claim_function])
def test_both_claims_leave_the_same_rows(database, claim):
    """claim.sql and athena.claim: the same answers, the same leases, the same tallies."""
    plain = database.enqueue("noop", {"sleep_ms": 1})
    timed = database.enqueue("noop", timeout="90 s", kind="k", unique_key="u", priority=2)
    worker = Worker(database)
    rows = claim(worker, 10)
    assert [(row["job_id"], row["ticket"], row["attempt"], row["priority"], row["kind"], row["payload"])
            for row in rows] == [(timed, timed, 1, 2, "k", {}), (plain, plain, 1, 5, None, {"sleep_ms": 1})]
    leases = database.query("SELECT *, deadline_at - claimed_at AS time FROM athena.leases ORDER BY job_id")
    assert [(lease["ticket"], lease["worker_id"], lease["attempt"], lease["has_key"], lease["family"],
             str(lease["timeout"]), str(lease["time"])) for lease in leases] == [
        (plain, worker.id, 1, False, "noop", "None", "None"),
        (timed, worker.id, 1, True, "noop", "0:01:30", "0:02:00")]
    assert_lawful(database)


@pytest.mark.parametrize("settle", ["settle_succeeded", "function"])
def test_both_settles_leave_the_same_rows(database, settle):
    job = database.enqueue("noop", unique_key="only")
    worker = Worker(database)
    (row,) = worker.claim()
    if settle == "function":
        assert worker.settle(row, "succeeded") == {"answer": "settled", "state": "succeeded", "run_at": None}
    else:
        assert worker.settle_succeeded(row) == {"settled": 1, "woken": 0, "missing": None}
    (outcome,) = database.query("SELECT job_id, ticket, worker_id, state, attempt, family,"
                                " started_at < finished_at AS took FROM athena.outcomes")
    assert outcome == {"job_id": job, "ticket": job, "worker_id": worker.id, "state": "succeeded",
                       "attempt": 1, "family": "noop", "took": True}
    for table in ("leases", "uniques", "ready", "scheduled", "waiting", "events", "failures"):
        assert database.value(f"SELECT count(*) FROM athena.{table}") == 0, table
    assert_lawful(database)


def test_settle_succeeded_names_what_was_not_its_lease(database):
    insert_jobs(database, 4)
    mine, other = Worker(database), Worker(database)
    first, second = mine.claim(2)
    theirs, _ = other.claim(2)
    answer = mine.settle_succeeded(first, theirs, second, {"ticket": 999999})
    assert answer["settled"] == 2
    assert sorted(answer["missing"]) == [theirs["ticket"], 999999]
    assert mine.settle_succeeded(first)["missing"] == [first["ticket"]]
    assert place(database, theirs["job_id"]) == ["leases"]
    assert_lawful(database)


def test_claims_of_another_or_unknown_family_take_nothing(database):
    insert_jobs(database, 1)
    worker = Worker(database)
    assert worker.claim(5, family="command") == []
    assert worker.claim(5, family="no_such") == []
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match='unknown family "no_such"'):
        claim_function(worker, 5, "no_such")
    assert_lawful(database)


@pytest.mark.parametrize("most", [-1, None, 10001])
def test_claim_takes_a_sane_number(database, most):
    """NULL as a LIMIT would be no limit at all."""
    insert_jobs(database, 3)
    worker = Worker(database)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="is for 0 to 10000 jobs, not"):
        claim_function(worker, most)
    assert claim_function(worker, 0) == []
    assert database.value("SELECT count(*) FROM athena.leases") == 0


def test_only_registered_workers_claim(database):
    insert_jobs(database, 1)
    worker = Worker(database)
    worker.conn.execute("SELECT athena.unregister_worker(%s)", [worker.id])
    with pytest.raises(psycopg.errors.NoDataFound, match="is not registered"):
        claim_function(worker)
    assert worker.beat() == [{"what": "fenced", "family": None, "job_id": None, "ticket": None}]


def test_every_session_of_a_program_has_the_settings_of_the_protocol(database):
    conn = database.connect(options=queue_options())
    assert conn.execute("SHOW default_transaction_isolation").fetchone() == {
        "default_transaction_isolation": "read committed"}
    assert conn.execute("SHOW search_path").fetchone()["search_path"].replace(" ", "") == "pg_catalog,pg_temp"
    assert run_statement(conn, "settle_succeeded", Worker(database).id, []) == [{"settled": 0, "woken": 0, "missing": None}]
