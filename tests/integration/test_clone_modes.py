# SPDX-License-Identifier: PostgreSQL
"""clone: whichever way rows travel, the copy is the same, and nothing is left when it fails."""
import fcntl
import os
import re
import time

import pytest

from athena_test import Database, wait_until
from clones import (assert_no_traces, copy_by_hand, databases, dump, events, failures, load_bytes, load_shop,
                    wait_for_event)

MODES = ["pipe", "staged", "parallel"]

# What the sample shop does not have, and what has cost other tools rows.
ODD = """
    CREATE TABLE "Zeilen ""ohne"" Spalten" ();
    INSERT INTO "Zeilen ""ohne"" Spalten" DEFAULT VALUES;
    CREATE TABLE "none at all" (id integer);
    CREATE SCHEMA "schöne, neue Welt";
    CREATE TABLE "schöne, neue Welt"."täbles täbles täbles täbles täbles täbles täbl" ("a\\b" text, "c.d" text);
    INSERT INTO "schöne, neue Welt"."täbles täbles täbles täbles täbles täbles täbl"
        VALUES (E'\\\\N', NULL), (E'tab\\tnewline\\nreturn\\rbackslash\\\\', ''), ('\\.', 'ü');
    CREATE TABLE made (
        id integer GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY,
        price numeric NOT NULL, twice numeric GENERATED ALWAYS AS (price * 2) STORED,
        float8 float8, money money, xml xml, gone integer, kind character varying(3) DEFAULT 'abc');
    ALTER TABLE made DROP COLUMN gone;
    INSERT INTO made (price, float8, money, xml)
        SELECT n, 1 / n::float8, n, '<a/>text' FROM generate_series(1, 1000) AS n;
    CREATE SEQUENCE alone START 5 INCREMENT -2 MINVALUE -100 MAXVALUE 100;
    SELECT nextval('alone'), nextval('alone');
    CREATE SEQUENCE untouched;
    CREATE TABLE years (at date NOT NULL, what text) PARTITION BY RANGE (at);
    CREATE TABLE years_1 PARTITION OF years FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE years_rest PARTITION OF years DEFAULT;
    INSERT INTO years SELECT '2020-06-01'::date + n, 'x' FROM generate_series(1, 500) AS n;
    CREATE TABLE animals (name text);
    CREATE TABLE dogs (breed text) INHERITS (animals);
    INSERT INTO animals VALUES ('any'); INSERT INTO dogs VALUES ('Rex', 'pug');
    CREATE TABLE a (id integer PRIMARY KEY, b integer); CREATE TABLE b (id integer PRIMARY KEY, a integer);
    INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1);
    ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b; ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a;
    CREATE TABLE booked (span int4range, EXCLUDE USING gist (span WITH &&));
    INSERT INTO booked VALUES ('[1,3)'), ('[3,9)');
    CREATE UNLOGGED TABLE scratch AS SELECT 1 AS one;
    CREATE TABLE audited (id integer); CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'no'; END$$;
    INSERT INTO audited VALUES (1);
    CREATE TRIGGER refuse BEFORE INSERT OR TRUNCATE ON audited EXECUTE FUNCTION refuse();
    ALTER TABLE audited ENABLE ALWAYS TRIGGER refuse;
    ALTER TABLE audited ENABLE ROW LEVEL SECURITY; CREATE POLICY nobody ON audited USING (false);
    REVOKE ALL ON audited FROM PUBLIC; GRANT SELECT ON audited TO PUBLIC;
    CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z]+$') NOT NULL DEFAULT 'none';
    CREATE TYPE pair AS (left_one code, right_one integer[]);
    CREATE TABLE pairs (id code PRIMARY KEY, both_of pair, rest pair[]);
    INSERT INTO pairs VALUES ('x', ('l', '{1,NULL,3}'), ARRAY[('a', '{}')::pair, NULL]);
    -- A line of more than 1024 characters in the archive's contents, and rights that name it.
    CREATE FUNCTION wide({WIDE}) RETURNS integer LANGUAGE sql AS 'SELECT 1';
    COMMENT ON FUNCTION wide IS 'wide';
    REVOKE EXECUTE ON FUNCTION wide FROM PUBLIC;
    SELECT lo_create(0);
    SELECT lo_from_bytea(0, convert_to(repeat('blob', 100000), 'UTF8'));
"""


@pytest.fixture(scope="module")
def shop(cluster):
    database = load_shop(cluster.new_database(label="shop"))
    database.query(ODD.replace("{WIDE}", ", ".join(["character varying"] * 70)))
    yield database
    database.drop()


# Inside a staging database a copy of the first row waits, as long as there is a role `stall`.
STALL = """
    CREATE FUNCTION stall(id integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF id = 1 AND current_database() LIKE 'athena_stg_%'
           AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stall') THEN
            PERFORM pg_catalog.pg_sleep(600);
        END IF;
        RETURN true;
    END$$;
    ALTER TABLE t0 ADD CHECK (stall(id))"""


@pytest.fixture(scope="module")
def large(cluster):
    """One table that is cut into pieces, others that are not, and a second of work."""
    database = load_bytes(cluster.new_database(label="large"), 40, tables=1)
    database.query(STALL)
    load = "CREATE TABLE s{0} AS SELECT n AS id FROM generate_series(1, 1000) AS n"
    for number in range(20):
        database.query(load.format(number))
    yield database
    database.drop()


@pytest.fixture
def target(cluster):
    name = f"copy_{time.monotonic_ns()}"
    yield Database(cluster, name)
    cluster.drop_database(name)


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def start(database, workers, scratch):
    """start(source, target, ...) enqueues, with a worker that keeps its files in `scratch`."""
    def start(source, target, **payload):
        database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
        if not workers.all:
            workers.start("clone", env={"TMPDIR": str(scratch)})
        return database.enqueue("clone", {"source": source.url, "target": target.url, "jobs": 3, **payload})
    return start


@pytest.fixture
def stalled(database, cluster, start, large, target):
    """stalled(mode): a job that stands in the middle of its copy, and will not the next time."""
    def stalled(mode):
        with cluster.connect() as conn:
            conn.execute("CREATE ROLE stall")
        job = start(large, target, mode=mode)
        wait_until(lambda: database.query(
            "SELECT pid FROM pg_stat_activity WHERE datname LIKE 'athena_stg_%' AND wait_event = 'PgSleep'"),
            what="the copy stands")
        release()
        return job

    def release():
        with cluster.connect() as conn:
            conn.execute("DROP ROLE IF EXISTS stall")
    yield stalled
    release()


@pytest.mark.parametrize("mode", MODES)
def test_every_way_gives_the_same(database, cluster, start, scratch, shop, target, mode):
    job = start(shop, target, mode=mode)
    database.wait_for_state(job, "succeeded")
    copy_by_hand(cluster, shop.name, "by_hand")
    assert dump(cluster, target.name) == dump(cluster, "by_hand")
    cluster.drop_database("by_hand")
    (chosen,) = events(database, job, "mode_chosen")
    assert (chosen["details"]["mode"], chosen["details"]["why"]) == (mode, "as the payload asks")
    (result,) = events(database, job, "verification_result")
    assert result["details"]["passed"] and result["details"]["large_objects"] == 6
    assert target.value("SELECT count(*) FROM made WHERE twice = price * 2") == 1000
    assert target.value("INSERT INTO made (price) VALUES (1) RETURNING id") == 7 + 1000 * 3
    target.close()
    assert_no_traces(cluster)
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("jobs", [1, 20])
def test_few_and_many_jobs(database, cluster, start, shop, target, jobs):
    for mode in ("staged", "parallel"):
        database.wait_for_state(start(shop, target, mode=mode, jobs=jobs), "succeeded")
        target.close()
        cluster.drop_database(target.name)


def test_a_large_table_is_copied_in_pieces(database, cluster, start, large, target):
    job = start(large, target, mode="parallel")
    database.wait_for_state(job, "succeeded")
    done = [row["details"] for row in events(database, job, "table_done")]
    assert sorted(row["piece"] for row in done if row["table"] == "public.t0") == [1, 2]
    assert sorted(row["table"] for row in done if row["table"] != "public.t0") == sorted(
        f"public.s{number}" for number in range(20))
    assert target.value("SELECT count(DISTINCT id) FROM t0") == 40000


def test_bytes_that_are_no_text_arrive_as_they_are(database, cluster, start, target):
    source = cluster.new_database(label="ascii")
    source.drop()
    with cluster.connect() as conn:
        conn.execute(f'CREATE DATABASE "{source.name}" TEMPLATE template0 ENCODING \'SQL_ASCII\''
                     " LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        source.query(r"CREATE TABLE t AS SELECT convert_from('\xe4ff80', 'SQL_ASCII') AS name")
        database.wait_for_state(start(source, target, mode="parallel"), "succeeded")
        assert target.value("SELECT convert_to(name, 'SQL_ASCII') FROM t") == b"\xe4\xff\x80"
    finally:
        source.drop()


def test_a_table_that_the_clone_refuses_is_named(database, cluster, start, large, target):
    """In the middle of it, so that the rest need not be sent."""
    large.close()
    source = cluster.create_database(large.name + "_bad", template=large.name)
    try:
        source.query("CREATE FUNCTION good(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'")
        source.query("ALTER TABLE t0 ADD CHECK (good(id))")
        source.query("CREATE OR REPLACE FUNCTION good(integer) RETURNS boolean LANGUAGE sql IMMUTABLE"
                     " AS 'SELECT $1 <> 1000'")
        job = start(source, target, mode="parallel")
        database.wait_for_state(job, "dead")
        (failure,) = failures(database, job)
        assert failure["kind"] == "permanent"
        assert 'copying table public.t0: staging: new row for relation "t0" violates check' in failure["error"]
        assert_no_traces(cluster)
    finally:
        source.drop()


@pytest.mark.parametrize("codes, where", [
    ({"no_connection", "admin_shutdown"}, "state = 'active' AND query LIKE 'COPY %t0% TO STDOUT%'"),
    ({"no_connection", "admin_shutdown"}, "wait_event = 'PgSleep'"),
    ({"source_lost"}, "query LIKE '%clone_copies%'")], ids=["source", "staging", "snapshot"])
def test_a_session_that_is_ended_is_a_retry(database, cluster, stalled, target, codes, where):
    job = stalled("parallel")
    ended = database.column("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE application_name LIKE 'athena:clone:%' AND " + where)
    assert ended and all(ended)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    (failure,) = failures(database, job)
    assert failure["kind"] == "transient" and failure["code"] in codes
    target.close()
    assert_no_traces(cluster)


@pytest.mark.parametrize("mode", MODES)
def test_cancel_in_the_middle(database, cluster, stalled, scratch, target, mode):
    job = stalled(mode)
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert target.name not in databases(cluster)
    assert_no_traces(cluster)
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("mode", ["pipe", "parallel"])
def test_what_takes_long_is_told(database, stalled, mode):
    job = stalled(mode)
    doing = wait_for_event(database, job, "progress")["details"]["doing"]
    assert any(re.match("COPY public.t0 ?[(]id, filler[)] FROM ", row["statement"])
               and row["seconds"] > 0 and row["bytes"] > 0 and row["rows"] == 0 for row in doing)
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")


@pytest.mark.parametrize("mode", MODES)
def test_a_worker_that_is_killed_leaves_nothing_behind(database, cluster, workers, stalled, scratch, target, mode):
    foreign = scratch / "athena_spool_of_somebody"
    foreign.write_text("a file is no spool")
    job = stalled(mode)
    (victim,) = workers.all
    victim.kill()
    workers.start("clone", env={"TMPDIR": str(scratch)})
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    assert target.value("SELECT count(*) FROM t0") == 40000
    target.close()
    assert_no_traces(cluster)
    assert os.listdir(scratch) == [foreign.name]
    assert not database.conservation()


@pytest.mark.usefixtures("database")
def test_a_worker_that_starts_removes_folders_that_nobody_holds(workers, scratch):
    left, held = scratch / "athena_spool_901_901_0000beef", scratch / "athena_spool_902_902_0000beef"
    for folder in (left, held):
        folder.mkdir()
        (folder / "toc.dat").write_text("half a dump")
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    workers.start("clone", env={"TMPDIR": str(scratch)})
    wait_until(lambda: not left.exists(), what="the folder is removed")
    os.close(lock)
    assert sorted(os.listdir(held)) == ["toc.dat"]
