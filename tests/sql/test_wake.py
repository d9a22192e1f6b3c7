# SPDX-License-Identifier: PostgreSQL
"""Wake-ups, the side of producers and of whatever else puts work in front of a sleeping worker."""
import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, run_statement, somebody


class Sleeper(Worker):
    """A worker that listens and has its sign up."""

    def __init__(self, database, family="noop"):
        super().__init__(database, family)
        self.ears = database.connect()
        self.ears.execute("LISTEN athena")
        self.conn.execute("INSERT INTO athena.sleepers (family, worker_id) VALUES (%s, %s)", [family, self.id])

    def heard(self):
        """What has been notified by now. The server sends it before it answers."""
        heard = []
        self.ears.add_notify_handler(handler := lambda notify: heard.append(notify.payload))
        self.ears.execute("SELECT 1")
        self.ears.remove_notify_handler(handler)
        return heard


def insert(conn, family="noop"):
    conn.execute("INSERT INTO athena.jobs (family) VALUES (%s)", [family])


def test_nobody_is_notified_while_nobody_sleeps(database):
    awake = Sleeper(database)
    database.query("DELETE FROM athena.sleepers")
    insert(database.connect())
    assert awake.heard() == []


def test_only_families_with_a_sleeper_are_notified(database):
    database.query("INSERT INTO athena.families (name) VALUES ('other')")
    sleeper = Sleeper(database, "other")
    insert(database.connect(), "noop")
    assert sleeper.heard() == []
    database.query("INSERT INTO athena.jobs (family) VALUES ('noop'), ('other'), ('other')")
    assert sleeper.heard() == ["ready other"]


def test_a_delayed_job_wakes_nobody_until_it_is_promoted(database):
    sleeper = Sleeper(database)
    job = database.enqueue("noop", run_at="tomorrow")
    assert sleeper.heard() == []
    database.query("UPDATE athena.scheduled SET run_at = now() WHERE job_id = %s", job)
    assert database.value("SELECT athena.run_lane('promote', %s)", somebody()) == 1
    assert sleeper.heard() == ["ready noop"]


def test_3_1_a_sign_committed_before_the_trigger_is_seen(database):
    """READ COMMITTED: the producer began first, the sign came, then the insert."""
    producer = database.connect()
    with producer.transaction():
        producer.execute("SELECT pg_current_xact_id()")
        sleeper = Sleeper(database)
        insert(producer)
    assert sleeper.heard() == ["ready noop"]


def test_3_1_every_statement_of_a_producer_looks_anew(database):
    producer = database.connect()
    with producer.transaction():
        insert(producer)
        sleeper = Sleeper(database)
        insert(producer)
    assert sleeper.heard() == ["ready noop"]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_3_2_producers_with_an_old_snapshot_always_notify(database, level):
    producer = database.connect()
    with producer.transaction():
        producer.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        producer.execute("SELECT count(*) FROM athena.jobs")
        sleeper = Sleeper(database)  # the producer's snapshot cannot see this sign
        insert(producer)
    assert sleeper.heard() == ["ready noop"]


def test_3_3_two_phase_producers_can_switch_notify_off(database):
    sleeper = Sleeper(database)
    producer = database.connect()
    producer.execute("BEGIN")
    insert(producer)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="NOTIFY"):
        producer.execute("PREPARE TRANSACTION 'one'")
    producer.execute("ROLLBACK")
    producer.execute("SET athena.notify = off")
    producer.execute("BEGIN")
    insert(producer)
    producer.execute("PREPARE TRANSACTION 'one'")
    database.query("COMMIT PREPARED 'one'")
    assert sleeper.heard() == []
    assert len(sleeper.claim()) == 1
    for call in ("SELECT athena.pause('noop')", "SELECT athena.resume('noop')"):
        producer.execute("BEGIN")
        producer.execute(call)
        producer.execute("PREPARE TRANSACTION 'one'")
        database.query("COMMIT PREPARED 'one'")
    assert sleeper.heard() == []


def test_3_4_an_open_producer_is_found_in_pg_locks(database):
    """So that a worker waits for it, and for no other writer in the cluster."""
    holders = ("SELECT virtualtransaction FROM pg_locks WHERE relation = 'athena.ready'::regclass"
               " AND mode = 'RowExclusiveLock' AND database ="
               " (SELECT oid FROM pg_database WHERE datname = current_database())")
    producer, writer = database.connect(), database.connect()
    producer.execute("BEGIN")
    writer.execute("BEGIN")
    writer.execute("SELECT pg_current_xact_id()")
    assert database.column(holders) == []
    insert(producer)
    assert len(database.column(holders)) == 1
    producer.execute("PREPARE TRANSACTION 'kept'")
    assert len(database.column(holders)) == 1
    database.query("COMMIT PREPARED 'kept'")
    assert database.column(holders) == []
    writer.execute("ROLLBACK")


@pytest.mark.parametrize("move", [
    "SELECT athena.settle(%(worker)s, %(job)s, %(job)s, 'succeeded')",
    "SELECT athena.settle(%(worker)s, %(job)s, %(job)s, 'failed')",
    "SELECT athena.settle(%(worker)s, %(job)s, %(job)s, 'returned')",
    "UPDATE athena.families SET max_running = 7 WHERE name = 'noop'"])
def test_3_4_whoever_frees_a_place_is_found_in_pg_locks_too(database, move):
    """sleep_holders.sql is what a worker asks that goes to sleep."""
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    job, worker = database.enqueue("noop"), Worker(database)
    worker.claim()
    sleeper = Worker(database)
    with worker.conn.transaction():
        worker.conn.execute(move, {"worker": worker.id, "job": job})
        assert len(run_statement(sleeper.conn, "sleep_holders")) == 1
    assert run_statement(sleeper.conn, "sleep_holders") == []


def settle(result, **named):
    def move(worker, row):
        worker.settle(row, result, **named)
    move.__name__ = f"settle_{result}"
    return move


def settle_statement(worker, row):
    worker.settle_succeeded(row)


def test_3_5_what_makes_a_ticket_ready_wakes(database):
    sleeper, worker, leader = Sleeper(database), Worker(database), somebody()

    def claimed():
        (row,) = worker.claim()
        assert sleeper.heard() == []
        return row

    insert(database.connect())
    assert sleeper.heard() == ["ready noop"]
    worker.settle(claimed(), "returned")
    assert sleeper.heard() == ["ready noop"]
    worker.settle(claimed(), "snoozed", retry_in="0 s")
    assert sleeper.heard() == []
    database.query("SELECT athena.run_lane('promote', %s)", leader)
    assert sleeper.heard() == ["ready noop"]
    row = claimed()
    worker.settle(row, "failed", error="x", error_kind="permanent")
    assert sleeper.heard() == []
    database.query("SELECT athena.retry(%s)", row["job_id"])
    assert sleeper.heard() == ["ready noop"]
    claimed()
    database.query("SELECT athena.rescue(%s, %s, (SELECT heartbeat_at FROM athena.workers WHERE id = %s), '1 h', true)",
                   leader, worker.id, worker.id)
    assert sleeper.heard() == ["ready noop"]
    database.query("SELECT athena.pause('noop')")
    assert sleeper.heard() == ["pause noop"]
    database.query("SELECT athena.resume('noop')")
    assert sleeper.heard() == ["ready noop"]
    assert_lawful(database)


@pytest.mark.parametrize("end", [
    settle_statement, settle("succeeded"), settle("failed"), settle("cancelled"), settle("snoozed"),
    settle("returned"), settle("failed", error_kind="permanent")], ids=lambda end: end.__name__)
def test_3_5_a_freed_place_of_a_limited_family_wakes(database, end):
    """The other job was ready all the time: nothing is inserted that could wake anybody."""
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    database.enqueue("noop")
    database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    sleeper = Sleeper(database)
    assert sleeper.claim() == []
    end(worker, row)
    assert sleeper.heard() == ["ready noop"]
    assert len(sleeper.claim()) == 1


def test_3_5_a_raised_limit_wakes(database):
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    database.enqueue("noop")
    database.enqueue("noop")
    worker, sleeper = Worker(database), Sleeper(database)
    worker.claim()
    assert sleeper.heard() == []
    database.query("UPDATE athena.families SET max_running = 2 WHERE name = 'noop'")
    assert sleeper.heard() == ["ready noop"]
    database.query("UPDATE athena.families SET summary = 'other words' WHERE name = 'noop'")
    assert sleeper.heard() == []


def test_3_7_the_sign_of_a_dead_worker_costs_producers_nothing_for_long(database):
    sleeper = Sleeper(database)
    sleeper.is_silent_for(31)
    insert(database.connect())
    assert sleeper.heard() == []
    database.query("UPDATE athena.workers SET heartbeat_at = now() - interval '61 s'")
    assert database.value("SELECT athena.run_lane('registry', %s)", somebody()) == 1
    assert database.value("SELECT count(*) FROM athena.sleepers") == 0


def test_3_7_rescue_takes_the_sign_down(database):
    sleeper = Sleeper(database)
    sleeper.is_silent_for(60)
    database.query("SELECT athena.rescue(%s, %s, (SELECT heartbeat_at FROM athena.workers), '60 s', false)",
                   somebody(), sleeper.id)
    assert database.value("SELECT count(*) FROM athena.sleepers") == 0


def test_3_6_the_sign_is_a_narrow_table_with_room_in_its_pages(database):
    assert database.value("SELECT 'fillfactor=10' = ANY (reloptions) FROM pg_class"
                          " WHERE oid = 'athena.sleepers'::regclass")


def test_notifying_twice_in_a_transaction_tells_once(database):
    sleeper = Sleeper(database)
    producer = database.connect()
    with producer.transaction():
        insert(producer)
        insert(producer)
    assert sleeper.heard() == ["ready noop"]


def test_a_waiting_producer_blocks_no_sleeper(database):
    """A producer that waits for a unique key holds no lock that a worker going to sleep needs."""
    holder, waiter = database.connect(), database.connect()
    holder.execute("BEGIN")
    holder.execute("INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', 'k')")
    waiting = Background(database, waiter, "SELECT athena.enqueue('noop', unique_key => 'k')").wait_blocked()
    sleeper = Sleeper(database)
    assert sleeper.claim() == []
    holder.execute("ROLLBACK")
    job = waiting.value()
    assert sleeper.heard() == ["ready noop"]
    assert [row["job_id"] for row in sleeper.claim()] == [job]
