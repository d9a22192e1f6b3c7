# SPDX-License-Identifier: PostgreSQL
"""Job ids and tickets: what the claim cursor's floor is proved from."""
import psycopg
import pytest

from sessions import Worker, assert_lawful, somebody


def last_number(database):
    return database.value("SELECT last_value FROM athena.tickets")


def test_2_1_numbers_are_handed_out_one_by_one(database):
    """A session with cached numbers could insert low ones days later."""
    (sequence,) = database.query("SELECT seqcache, seqincrement, seqcycle FROM pg_sequence"
                                 " WHERE seqrelid = 'athena.tickets'::regclass")
    assert sequence == {"seqcache": 1, "seqincrement": 1, "seqcycle": False}
    first, second = database.connect(), database.connect()
    ids = []
    for conn in (first, second, first, second):
        ids.append(conn.execute("INSERT INTO athena.jobs (family) VALUES ('noop') RETURNING id").fetchone()["id"])
    assert ids == [ids[0] + n for n in range(4)]


# A trigger that sees what a number is drawn under. It runs after the identity default of its row.
WATCH = """
CREATE TABLE public.seen (number bigint, has_xid boolean);
GRANT ALL ON public.seen TO PUBLIC;
CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	had boolean := pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL;
BEGIN
	INSERT INTO public.seen VALUES (NEW.id, had);
	RETURN NEW;
END $$;
CREATE TRIGGER a_watch BEFORE INSERT ON athena.jobs FOR EACH ROW EXECUTE FUNCTION public.watch();
"""


@pytest.mark.parametrize("insert", [
    "INSERT INTO athena.jobs (family) VALUES ('noop')",
    "INSERT INTO athena.jobs (family) VALUES ('noop'), ('noop'), ('noop')",
    "INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 3)",
    "INSERT INTO athena.jobs (family, unique_key) SELECT 'noop', n FROM generate_series(1, 3) AS n",
    "SELECT athena.enqueue('noop')",
])
def test_2_4_a_number_is_drawn_under_an_xid(database, insert):
    """nextval itself assigns an xid only when it logs, every 32nd time: so many rounds."""
    database.query(WATCH)
    conn = database.connect()
    for _ in range(35):
        conn.execute(insert)
        database.query("DELETE FROM athena.uniques")
    seen = database.query("SELECT has_xid, count(*) AS n FROM public.seen GROUP BY 1")
    assert [row["has_xid"] for row in seen] == [True]


def test_2_4_copy_draws_under_an_xid(database):
    database.query(WATCH)
    conn = database.connect()
    for _ in range(35):
        with conn.cursor().copy("COPY athena.jobs (family) FROM STDIN") as copy:
            copy.write("noop\nnoop\n")
    assert database.value("SELECT bool_and(has_xid) FROM public.seen WHERE number > 1")
    assert_lawful(database)


RENUMBER = """
CREATE TABLE public.seen (number bigint, has_xid boolean);
GRANT ALL ON public.seen TO PUBLIC;
CREATE FUNCTION public.next_seen(seq regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	had boolean := pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL;
	n bigint := pg_catalog.nextval(seq);
BEGIN
	INSERT INTO public.seen VALUES (n, had);
	RETURN n;
END $$;
DO $$
DECLARE f record;
BEGIN
	FOR f IN SELECT pg_get_functiondef(p.oid) AS def FROM pg_proc AS p
		  WHERE p.pronamespace = 'athena'::regnamespace AND p.prokind = 'f' AND p.prosrc LIKE '%nextval(%' LOOP
		EXECUTE replace(f.def, 'nextval(''athena.tickets'')', 'public.next_seen(''athena.tickets'')');
	END LOOP;
END $$;
"""


def test_2_4_every_move_draws_its_number_under_an_xid(database):
    """All functions that call nextval, with nextval replaced by one that looks."""
    database.query(RENUMBER)
    worker, leader = Worker(database), somebody()
    for _ in range(3):
        for result in ("returned", "failed", "snoozed", "cancelled"):
            database.enqueue("noop")
            (row,) = worker.claim()
            worker.settle(row, result, retry_in="0 s")
            if result == "cancelled":
                database.query("SELECT athena.retry(%s)", row["job_id"])
            database.query("SELECT athena.run_lane('promote', %s)", leader)
            assert len(worker.claim(10)) == 1
            database.query("SELECT athena.rescue(%s, %s, (SELECT heartbeat_at FROM athena.workers), '1 h', true)",
                           leader, worker.id)
            worker = Worker(database)
            worker.settle_succeeded(*worker.claim(10))
    assert database.value("SELECT count(*) FROM public.seen") == 3 * (4 + 4)
    assert database.value("SELECT bool_and(has_xid) FROM public.seen")
    assert_lawful(database)


def test_2_5_nobody_but_the_sequence_numbers_a_job(database):
    with pytest.raises(psycopg.errors.GeneratedAlways):
        database.query("INSERT INTO athena.jobs (id, family) VALUES (7, 'noop')")
    last = last_number(database)
    assert database.enqueue("noop") == last + (1 if last > 1 else 0)
    (ticket,) = database.query("SELECT ticket, job_id FROM athena.ready")
    assert ticket["ticket"] == ticket["job_id"]


def test_2_5_later_tickets_are_higher_than_every_number_before(database):
    """Returned, promoted, rescued and retried jobs join the end of their line."""
    first, second = database.enqueue("noop"), database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    assert row["job_id"] == first
    worker.settle(row, "returned")
    rows = worker.claim(2)
    assert [r["job_id"] for r in rows] == [second, first]
    assert rows[1]["ticket"] > second
    assert_lawful(database)
