# SPDX-License-Identifier: PostgreSQL
"""Limits of a family: so many at once, so many at once per concurrency key, so many per period."""
import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, run_statement, somebody


def key_of(database, job):
    """(place, key) of a job by its ticket."""
    (row,) = database.query(
        "SELECT 'ready' AS place, concurrency_key FROM athena.ready WHERE job_id = %(job)s"
        " UNION ALL SELECT 'scheduled', concurrency_key FROM athena.scheduled WHERE job_id = %(job)s"
        " UNION ALL SELECT 'leases', concurrency_key FROM athena.leases WHERE job_id = %(job)s".replace(
            "%(job)s", str(job)))
    return row["place"], row["concurrency_key"]


def test_every_move_carries_the_key(database):
    later = database.enqueue("noop", concurrency_key="later", run_at="tomorrow", priority=9)
    job = database.value("SELECT athena.enqueue('noop', concurrency_key => 'k')")
    worker = Worker(database)
    assert key_of(database, later) == ("scheduled", "later")
    assert key_of(database, job) == ("ready", "k")
    (row,) = worker.claim()
    assert key_of(database, job) == ("leases", "k")
    worker.settle(row, "returned")
    assert key_of(database, job) == ("ready", "k")
    (row,) = worker.conn.execute("SELECT * FROM athena.claim(%s, 'noop')", [worker.id]).fetchall()
    assert key_of(database, job) == ("leases", "k")
    worker.settle(row, "failed", error="once")
    assert key_of(database, job) == ("scheduled", "k")
    database.query("UPDATE athena.scheduled SET run_at = now()")
    assert database.value("SELECT athena.run_lane('promote', %s)", somebody()) == 2
    assert (key_of(database, job), key_of(database, later)) == (("ready", "k"), ("ready", "later"))
    lost = Worker(database)
    assert len(lost.claim()) == 1
    seen = database.value("SELECT heartbeat_at FROM athena.workers WHERE id = %s", lost.id)
    database.query("SELECT athena.rescue(%s, %s, %s, '1 h', true)", worker.id, lost.id, seen)
    assert key_of(database, job) == ("ready", "k")
    database.query("SELECT athena.cancel(%s)", job)
    database.query("SELECT athena.retry(%s)", job)
    assert key_of(database, job) == ("ready", "k")
    assert database.job(job)["concurrency_key"] == "k"
    assert_lawful(database)


def test_a_key_that_is_not_there_costs_a_ticket_no_byte(database):
    """As long as the null bitmap of a row fits the padding of its header, which is for eight columns."""
    assert database.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'athena.ready'::regclass"
                          " AND attnum > 0 AND NOT attisdropped") == 8


def limit(database, **columns):
    """Sets limits of noop."""
    names = ", ".join(f"{name} = %s" for name in columns)
    database.query(f"UPDATE athena.families SET {names} WHERE name = 'noop'", *columns.values())


def insert(database, count, key=None, **columns):
    """`count` ready jobs; their ids, ascending. key: an expression of n, or null."""
    names = "".join(f", {name}" for name in columns)
    return database.column(
        f"INSERT INTO athena.jobs (family, concurrency_key{names}) SELECT 'noop', {key or 'NULL'}{', %s' * len(columns)}"
        f" FROM generate_series(1, %s) AS n RETURNING id", *columns.values(), count)


def claim_function(worker, most=1):
    return worker.conn.execute("SELECT * FROM athena.claim(%s, 'noop', %s)", [worker.id, most]).fetchall()


def ids(rows):
    return [row["job_id"] for row in rows]


both_claims = pytest.mark.parametrize("claim", [Worker.claim, claim_function])


def test_the_ordinary_claim_takes_nothing_of_a_limited_family(database):
    """A worker that has not heard of the limit yet does not go beyond it."""
    insert(database, 3)
    worker = Worker(database)
    arguments = ["noop", worker.id, 2, list(range(10)), [0] * 10]
    for columns in ({"max_running": 5}, {"max_running_per_key": 5}, {"rate_count": 5, "rate_period": "1 h"}):
        limit(database, **columns)
        assert run_statement(worker.conn, "claim", *arguments) == []
        limit(database, **dict.fromkeys(columns))
    assert len(run_statement(worker.conn, "claim_limited", *arguments, False)) == 2  # nor one that has not heard of its end
    assert len(run_statement(worker.conn, "claim", *arguments)) == 1


# Per key

@both_claims
def test_no_more_of_a_key_at_once_than_allowed(database, claim):
    limit(database, max_running_per_key=2)
    a, b, free = insert(database, 4, "'a'"), insert(database, 1, "'b'"), insert(database, 3)
    worker = Worker(database)
    rows = claim(worker, 20)
    assert ids(rows) == [*a[:2], *b, *free]
    assert claim(worker, 20) == []
    worker.settle(rows[0], "succeeded")
    (third,) = claim(worker, 20)
    assert third["job_id"] == a[2]
    worker.settle(third, "failed", error="waits out its back-off", retry_in="1 h")
    assert ids(claim(worker, 20)) == [a[3]]
    limit(database, max_running_per_key=None)
    assert claim(worker, 20) == []
    assert_lawful(database)


def test_a_limit_counts_what_was_claimed_before_it_was_set(database):
    jobs = insert(database, 3, "'a'")
    worker = Worker(database)
    assert len(worker.claim(2)) == 2
    limit(database, max_running_per_key=2)
    assert worker.claim(5) == []
    limit(database, max_running_per_key=1)
    assert worker.claim(5) == []
    limit(database, max_running_per_key=3)
    assert ids(worker.claim(5)) == jobs[2:]


@both_claims
def test_claims_of_a_key_at_once_wait_for_each_other(database, claim):
    limit(database, max_running_per_key=1)
    insert(database, 3, "'a'")
    first, second = Worker(database), Worker(database)
    with first.conn.transaction():
        assert len(claim(first, 2)) == 1
        other = Background(database, second.conn, "SELECT * FROM athena.claim(%s, 'noop', 2)", second.id).wait_blocked()
    assert other.result() == []
    assert_lawful(database)


def test_all_limits_hold_at_once(database):
    limit(database, max_running=3, max_running_per_key=2, rate_count=4, rate_period="1 h")
    insert(database, 9, "mod(n, 3)::text")
    worker = Worker(database)
    rows = worker.claim(9)
    assert len(rows) == 3  # max_running
    worker.settle_succeeded(*rows)
    assert len(worker.claim(9)) == 1  # the rate
    assert worker.claim(9) == []
    limit(database, rate_count=100)  # another rate begins anew
    assert len(worker.claim(9)) == 2
    counts = database.column("SELECT count(*) FROM athena.leases GROUP BY concurrency_key")
    assert sum(counts) == 3 and max(counts) <= 2
    assert_lawful(database)


def test_better_priorities_come_first_whatever_the_key(database):
    limit(database, max_running_per_key=1)
    last, first, middle = (insert(database, 2, key, priority=priority)
                           for key, priority in (("'a'", 9), ("'z'", 0), ("NULL", 4)))
    worker = Worker(database)
    assert ids(worker.claim(2)) == [first[0], middle[0]]
    assert ids(worker.claim(2)) == [middle[1], last[0]]
    assert worker.claim(2) == []


def test_fair_turns_visit_the_lanes_of_a_key_in_their_order(database):
    limit(database, max_running_per_key=3)
    (low,), *_ = insert(database, 1, "'a'", priority=9), insert(database, 5, "'a'", priority=0)
    worker = Worker(database)
    lanes = [9, *range(9)]
    rows = run_statement(worker.conn, "claim_limited", "noop", worker.id, 1, lanes, [0] * 10, True)
    assert ids(rows) == [low]


@pytest.mark.parametrize("keyed", [True, False])
def test_tickets_that_somebody_has_locked_are_passed_by(database, keyed):
    """A cancel in a transaction that stays open, first in line."""
    limit(database, **{"max_running_per_key" if keyed else "max_running": 2})
    jobs = insert(database, 5, "'a'" if keyed else "NULL")
    holder = database.connect()
    with holder.transaction():
        for job in jobs[:3]:
            holder.execute("SELECT athena.cancel(%s)", [job])
        worker = Worker(database)
        assert ids([*worker.claim(2), *worker.claim(1)]) == jobs[3:]
    assert_lawful(database)


def test_every_key_of_many_has_its_turn(database):
    """More than one claim looks at: the next one goes on where this one stopped, and round again."""
    limit(database, max_running_per_key=1)
    insert(database, 1200, "lpad(mod(n, 600)::text, 3, '0')")
    worker, seen = Worker(database), []
    for _ in range(6):
        rows = worker.claim(100)
        assert len(rows) == 100
        seen += ids(rows)
        worker.settle_succeeded(*rows)
    keys = database.column("SELECT concurrency_key FROM athena.jobs WHERE id = ANY(%s)", seen)
    thirds = {key[0] for key in keys}
    assert thirds == {"0", "1", "2", "3", "4", "5"}, "the first 256 keys had all the turns"
    assert_lawful(database)


def test_a_claim_looks_beyond_keys_that_are_full(database):
    """Though they are more than it would look at otherwise: it comes back empty only when nothing is left."""
    limit(database, max_running_per_key=1)
    insert(database, 800, "lpad(mod(n, 400)::text, 3, '0')")
    worker = Worker(database)
    assert len(worker.claim(400)) == 400
    assert worker.claim(5) == []
    (job,) = insert(database, 1, "'999'")
    assert ids(worker.claim(5)) == [job]


def test_a_job_without_a_key_far_back_in_line_is_found(database):
    limit(database, max_running_per_key=1)
    insert(database, 4500, "'a'")
    lone, other = insert(database, 1), insert(database, 1, priority=9)
    worker = Worker(database)
    found = [ids(worker.claim(3)) for _ in range(7)]
    assert found[0][1:] == other  # each lane from its own beginning
    assert [job for claimed in found[1:] for job in claimed] == lone
    assert database.value("SELECT athena.wait_for_limits('noop')") in (None, 50)


def test_a_busy_family_finds_it_too(database):
    """Claims that come back full look far back on their fair turns only."""
    limit(database, max_running_per_key=1)
    insert(database, 2500, "'a'")
    (lone,) = insert(database, 1)
    insert(database, 300, "'b' || n", priority=0)
    worker = Worker(database)
    turns = []
    while lone not in turns:
        assert len(turns) < 60
        turns += ids(run_statement(worker.conn, "claim_limited", "noop", worker.id, 2, list(range(10)), [0] * 10,
                                   len(turns) // 2 % 8 == 7))


def blocks(conn, *claim):
    """Pages that a claim touches, of the server's own count."""
    with conn.transaction(force_rollback=True):
        rows = conn.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + claim[0], claim[1:]).fetchall()
    plan = rows[0]["QUERY PLAN"][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


CLAIM = "SELECT * FROM athena.claim_limited(%s, 'noop', 10)"


def test_a_long_backlog_of_a_full_key_blocks_nobody_and_costs_little(database):
    limit(database, max_running_per_key=2)
    worker = Worker(database)
    insert(database, 100, "'big'")
    assert len(worker.claim(2)) == 2
    worker.claim(2)
    few = blocks(worker.conn, CLAIM, worker.id)
    insert(database, 100000, "'big'")
    (other,) = insert(database, 1, "'small'")
    many = blocks(worker.conn, CLAIM, worker.id)
    assert many < few + 600, (few, many)  # 2000 tickets of the line at most, beside the keys
    assert ids(worker.claim(10)) == [other]
    assert_lawful(database)


def test_the_look_before_sleep_sees_what_a_claim_would_take(database):
    limit(database, max_running_per_key=1)

    def has_work():
        (row,) = run_statement(worker.conn, "sleep_look", "noop", "0")
        return row["has_work"]

    worker = Worker(database)
    assert not has_work()
    insert(database, 2, "'a'")
    assert has_work()
    (row,) = worker.claim(5)
    assert not has_work()
    insert(database, 1)
    assert has_work()
    worker.claim(5)
    assert not has_work()
    worker.settle_succeeded(row)
    assert has_work()
    limit(database, max_running_per_key=None)
    assert has_work()


# Rates

def test_a_rate_gives_its_burst_and_then_one_at_a_time(database):
    limit(database, rate_count=3, rate_period="1 h")
    insert(database, 10)
    worker = Worker(database)
    assert len(worker.claim(10)) == 3
    assert worker.claim(10) == []
    wait_ms = database.value("SELECT athena.wait_for_limits('noop')")
    assert 1100e3 < wait_ms <= 1200e3  # a third of an hour
    database.query("UPDATE athena.limits SET full_at = full_at - interval '21 min'")
    assert len(worker.claim(10)) == 1
    assert worker.claim(10) == []
    database.query("UPDATE athena.limits SET full_at = full_at - interval '1 day'")
    assert len(worker.claim(10)) == 3  # what was not used in time is no longer there
    assert_lawful(database)


def test_a_burst_of_its_own(database):
    limit(database, rate_count=3600, rate_period="1 h", rate_burst=2)
    insert(database, 10)
    worker = Worker(database)
    assert len(worker.claim(10)) == 2
    assert 1 <= database.value("SELECT athena.wait_for_limits('noop')") <= 1000


def test_only_what_was_claimed_is_taken_from_the_rate(database):
    limit(database, rate_count=5, rate_period="1 h")
    insert(database, 2)
    worker = Worker(database)
    assert len(worker.claim(10)) == 2
    assert worker.claim(10) == []
    with pytest.raises(ZeroDivisionError), worker.conn.transaction():
        insert(database, 3)
        assert len(worker.claim(10)) == 3
        raise ZeroDivisionError
    assert len(worker.claim(10)) == 3
    assert worker.claim(10) == []
    assert database.value("SELECT athena.wait_for_limits('noop')") is None  # there is nothing to come back for


def test_a_start_that_came_since_the_claim_is_not_waited_for_in_vain(database):
    """A claim found none; before the worker asks how long to wait, the next one is there."""
    limit(database, rate_count=10, rate_period="1 s", max_running=1)
    wait = "SELECT athena.wait_for_limits('noop')"
    assert database.value(wait) is None  # no job
    insert(database, 2)
    assert database.value(wait) == 5
    worker = Worker(database)
    (row,) = worker.claim()
    assert database.value(wait) is None  # the end of the job that runs is told
    worker.settle_succeeded(row)
    assert database.value(wait) == 5


def test_a_clock_that_was_set_back_holds_nobody_up_for_longer_than_the_burst(database):
    limit(database, rate_count=2, rate_period="1 min")
    insert(database, 10)
    worker = Worker(database)
    assert len(worker.claim(10)) == 2
    database.query("UPDATE athena.limits SET full_at = full_at + interval '1 year'")
    assert database.value("SELECT athena.wait_for_limits('noop')") <= 30000


def test_the_rate_holds_over_every_window(database):
    """Any time t has at most burst + t * count / period starts: two workers at it, by the outcomes."""
    limit(database, rate_count=50, rate_period="1 s", rate_burst=5)
    insert(database, 60)
    workers = [Worker(database), Worker(database)]
    done = 0
    while done < 60:
        for worker in workers:
            rows = worker.claim(7)
            worker.settle_succeeded(*rows)
            done += len(rows)
    starts = database.column("SELECT extract(epoch FROM started_at)::float8 FROM athena.outcomes ORDER BY 1")
    for first in range(60):
        for last in range(first, 60):
            assert last - first + 1 <= 5 + 50 * (starts[last] - starts[first]) + 1e-3
    assert starts[-1] - starts[0] >= 55 / 50 - 0.001


@pytest.mark.parametrize("columns, constraint", [
    ({"max_running_per_key": 0}, "max_running_per_key is positive"),
    ({"rate_count": 0, "rate_period": "1 s"}, "rate_count is positive"),
    ({"rate_count": 1}, "rate_count comes with rate_period, and rate_burst with both"),
    ({"rate_period": "1 s"}, "rate_count comes with rate_period, and rate_burst with both"),
    ({"rate_burst": 1}, "rate_count comes with rate_period, and rate_burst with both"),
    ({"rate_count": 1, "rate_period": "1 s", "rate_burst": 0}, "rate_burst is positive"),
    ({"rate_count": 1, "rate_period": "0.5 s"}, "rate_period is 1 s to 31 days"),
    ({"rate_count": 1, "rate_period": "32 days"}, "rate_period is 1 s to 31 days"),
])
def test_limits_that_make_no_sense(database, columns, constraint):
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        limit(database, **columns)
    assert error.value.diag.constraint_name == constraint


def test_what_changes_how_a_family_is_claimed_is_told_to_workers(database):
    heard = []
    ears = database.connect()
    ears.execute("LISTEN athena")
    ears.add_notify_handler(lambda notify: heard.append(notify.payload))
    for columns in ({"max_running": 1}, {"max_running": 2}, {"max_running_per_key": 1}, {"max_running_per_key": 2},
                    {"max_running": None, "max_running_per_key": None}):
        limit(database, **columns)
        ears.execute("SELECT 1")
        heard.append("-")
    assert heard == ["limits noop", "-", "-", "limits noop", "-", "-", "limits noop", "-"]
