# SPDX-License-Identifier: PostgreSQL
"""Crashes inside of the server: every move of a ticket is broken off at each table that it writes.

Nobody lists these points: triggers on all tables find them. A move that writes five tables is ended
before and after each of the five, by an error (a full disk) and by the end of its backend. Each time
nothing of it may be there; then it is done again, in full.
"""
import psycopg
import pytest

from ledger import TOTALS
from sessions import Worker, assert_lawful, run_statement, small_leaves, somebody

# Statement triggers before and after every write, and one before every DDL command. A session says
# by settings of its own at which of them, counted from 1, it wants to be ended, and how.
SABOTAGE = """
CREATE SEQUENCE public.passed;
CREATE FUNCTION public.sabotage_here() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF coalesce(current_setting('sabotage.how', true), '') = '' THEN
		RETURN;
	END IF;
	IF nextval('public.passed') = current_setting('sabotage.at')::bigint THEN
		IF current_setting('sabotage.how') = 'terminate' THEN
			PERFORM pg_terminate_backend(pg_backend_pid());
			PERFORM pg_sleep(60);
		END IF;
		RAISE 'sabotage' USING ERRCODE = 'disk_full';
	END IF;
END $$;
CREATE FUNCTION public.sabotage() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM public.sabotage_here(); RETURN NULL; END $$;
CREATE FUNCTION public.sabotage_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM public.sabotage_here(); END $$;
DO $$
DECLARE t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'athena'::regnamespace AND relkind IN ('r', 'p') LOOP
		EXECUTE format('CREATE TRIGGER sabotage_before BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION public.sabotage()', t);
		EXECUTE format('CREATE TRIGGER sabotage_after AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION public.sabotage()', t);
	END LOOP;
END $$;
CREATE EVENT TRIGGER sabotage ON ddl_command_start EXECUTE FUNCTION public.sabotage_ddl();
"""

TABLES = ("jobs", "ready", "scheduled", "leases", "waiting", "outcomes", "uniques", "failures", "cancel_requests", "waits",
          "schedules", "fires")


class Stage:
    """A database with triggers, a worker, and what is in its tables."""

    def __init__(self, database):
        self.database = database
        database.query(SABOTAGE)
        self.worker = Worker(database)

    def enqueue(self, count=3, **columns):
        names = "".join(f", {name}" for name in columns)
        values = "".join(", %s" for _ in columns)
        return self.database.column(f"INSERT INTO athena.jobs (family{names}) SELECT 'noop'{values}"
                                    " FROM generate_series(1, %s) RETURNING id", *columns.values(), count)

    def contents(self):
        rows = {table: sorted(map(str, self.database.query(f"SELECT * FROM athena.{table}"))) for table in TABLES}
        depth = self.database.query("SELECT * FROM athena.depth ORDER BY family, state")
        folded = self.database.value("SELECT count(*) FROM athena.tallies")
        leaves = self.database.column("SELECT inhrelid::regclass::text FROM pg_inherits"
                                      " WHERE inhparent::regclass::text LIKE 'athena.%%' ORDER BY 1")
        return rows, depth, folded, leaves, self.database.conservation()

    def sabotaged(self, conn, how, at):
        conn.execute("SELECT set_config('sabotage.how', %s, false), set_config('sabotage.at', %s, false)", (how, str(at)))
        self.database.query("ALTER SEQUENCE public.passed RESTART")


# --- Moves: each prepares, and answers what a session has to do: a function of its connection

def insert(stage):
    return lambda conn: conn.execute(
        "INSERT INTO athena.jobs (family, unique_key, run_at) SELECT 'noop', 'key ' || n, now() + (n - 1) * interval '1 h'"
        " FROM generate_series(1, 2) AS n")


def claim(stage):
    stage.enqueue()
    return lambda conn: run_statement(conn, "claim", "noop", stage.worker.id, 2, list(range(10)), [0] * 10)


def settle_succeeded(stage):
    stage.enqueue(unique_key="held", count=1)
    rows = stage.worker.claim(3)
    return lambda conn: run_statement(conn, "settle_succeeded", stage.worker.id, [row["ticket"] for row in rows])


def settle(result, **columns):
    def prepare(stage):
        stage.enqueue(1, unique_key="held", **columns)
        (row,) = stage.worker.claim()
        return lambda conn: conn.execute("SELECT * FROM athena.settle(%s, %s, %s, %s)",
                                         (stage.worker.id, row["job_id"], row["ticket"], result))
    return prepare


def cancel(running):
    def prepare(stage):
        (job,) = stage.enqueue(1, unique_key="held")
        if running:
            stage.worker.claim()
        return lambda conn: conn.execute("SELECT athena.cancel(%s)", (job,))
    return prepare


def retry(stage):
    (job,) = stage.enqueue(1, unique_key="held")
    stage.database.query("SELECT athena.cancel(%s)", job)
    return lambda conn: conn.execute("SELECT athena.retry(%s)", (job,))


def rescue(stage):
    stage.enqueue()
    stage.worker.claim(2)
    stage.worker.is_silent_for(60)
    seen = stage.database.value("SELECT heartbeat_at FROM athena.workers WHERE id = %s", stage.worker.id)
    return lambda conn: conn.execute("SELECT athena.rescue(%s, %s, %s, '60 s', true)", (somebody(), stage.worker.id, seen))


def unregister(stage):
    stage.enqueue()
    stage.worker.claim(2)
    return lambda conn: conn.execute("SELECT athena.unregister_worker(%s)", (stage.worker.id,))


def asker(stage):
    """A job that is leased, with a wait: its row, and the token."""
    stage.enqueue(1, unique_key="held")
    (row,) = stage.worker.claim()
    return row, stage.worker.conn.execute("SELECT athena.open_wait(%s, %s, %s) AS token",
                                          (stage.worker.id, row["job_id"], row["ticket"])).fetchone()["token"]


def open_wait(stage):
    stage.enqueue(1)
    (row,) = stage.worker.claim()
    return lambda conn: conn.execute("SELECT athena.open_wait(%s, %s, %s)", (stage.worker.id, row["job_id"], row["ticket"]))


def park(answered):
    def prepare(stage):
        row, token = asker(stage)
        if answered:
            stage.database.query("SELECT athena.complete_wait(%s)", token)
        return lambda conn: conn.execute("SELECT * FROM athena.settle(%s, %s, %s, 'parked', retry_in => '1 h')",
                                         (stage.worker.id, row["job_id"], row["ticket"]))
    return prepare


def end_wait(sql):
    def prepare(stage):
        row, token = asker(stage)
        stage.worker.settle(row, "parked", retry_in="1 h")
        return lambda conn: conn.execute(sql, (token,))
    return prepare


def unanswered(stage):
    for _ in range(2):
        stage.enqueue(1)
        (row,) = stage.worker.claim()
        stage.worker.conn.execute("SELECT athena.open_wait(%s, %s, %s)", (stage.worker.id, row["job_id"], row["ticket"]))
        stage.worker.settle(row, "parked", retry_in="1 h")
    stage.database.query("UPDATE athena.waiting SET expires_at = now()")


def lane(name, prepare):
    def prepared(stage):
        prepare(stage)
        return lambda conn: conn.execute("SELECT athena.run_lane(%s, %s)", (name, stage.worker.id))
    return prepared


def due(stage):
    stage.database.query("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '1 ms' FROM generate_series(1, 3)")
    stage.database.query("SELECT pg_sleep(0.002)")


def overdue(stage):
    stage.enqueue()
    stage.worker.claim(2)
    stage.database.query("UPDATE athena.leases SET deadline_at = now()")


def unregistered(stage):
    stage.enqueue()
    other = Worker(stage.database)
    other.claim(2)
    stage.database.query("DELETE FROM athena.workers WHERE id = %s", other.id)


def uncounted(stage):
    stage.database.query("INSERT INTO athena.tallies SELECT 'noop', 'ready', (-1) ^ n FROM generate_series(1, 120) AS n")


def outrun(stage):
    stage.enqueue(40)


def expired(stage):
    """Of leaves of 20 ids, the first is behind: emptied whole, with one job that stays."""
    jobs = stage.enqueue(45)
    for job in jobs[1:15]:
        stage.database.query("SELECT athena.cancel(%s)", job)
    stage.database.query("UPDATE athena.outcomes SET finished_at = now() - interval '90 days'")


def scheduled(stage):
    """Two schedules that are due: one of them missed a time, the other's family takes no such payload any more."""
    stage.database.query("INSERT INTO athena.schedules (name, cron, family, payload)"
                         " VALUES ('a', '* * * * *', 'noop', '{}'), ('b', '@yearly', 'command', '{\"name\": \"x\"}')")
    stage.database.query("UPDATE athena.families SET payload_keys = '{}' WHERE name = 'command'")
    stage.database.query("UPDATE athena.schedules SET next_fire = date_trunc('minute', now()) - interval '3 min', next_at = now()")


def by_hand(stage):
    scheduled(stage)
    return lambda conn: conn.execute("SELECT athena.run_schedule('a')")


MOVES = {
    "insert": insert, "claim": claim, "settle_succeeded": settle_succeeded,
    "settle failed": settle("failed"), "settle failed for good": settle("failed", max_attempts=1),
    "settle returned": settle("returned"), "settle snoozed": settle("snoozed"), "settle cancelled": settle("cancelled"),
    "cancel ready": cancel(False), "cancel running": cancel(True), "retry": retry,
    "rescue": rescue, "unregister": unregister,
    "open wait": open_wait, "park": park(False), "park answered": park(True),
    "complete wait": end_wait("SELECT athena.complete_wait(%s)"),
    "fail wait": end_wait("SELECT athena.fail_wait(%s, 'no')"), "waits": lane("waits", unanswered),
    "promote": lane("promote", due), "deadlines": lane("deadlines", overdue), "rescue lane": lane("rescue", unregistered),
    "tallies": lane("tallies", uncounted), "leaves": lane("leaves", outrun), "prune": lane("prune", expired),
    "schedule": lane("schedule", scheduled), "run schedule": by_hand,
}


HARMS = {0: "error", 1: "terminate"}


def broken_off(stage, act, how, at):
    """Whether there was an `at`-th moment to break it off; else it was done."""
    conn = stage.database.connect()
    stage.sabotaged(conn, how, at)
    try:
        act(conn)
    except psycopg.OperationalError as error:
        assert error.sqlstate in ("53100", "57P01", None), error  # None: the connection is gone
        return True
    finally:
        conn.close()
    return False


@pytest.mark.parametrize("move", MOVES)
def test_a_move_is_done_in_full_or_not_at_all(database, move):
    if move in ("leaves", "prune"):
        small_leaves(database, 20)
    stage = Stage(database)
    act = MOVES[move](stage)
    before = stage.contents()
    broken = 0
    while broken_off(stage, act, HARMS[broken % 2], 1 + broken // 2):
        broken += 1
        assert stage.contents() == before, f"broken off {broken} times"
    TOTALS["faults injected"] += broken
    print(f"{move}: broken off {broken} times")
    assert broken >= 4
    assert stage.contents() != before, "the last one was not hurt"
    assert_lawful(database)
