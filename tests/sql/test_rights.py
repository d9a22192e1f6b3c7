# SPDX-License-Identifier: PostgreSQL
"""Rights: the table rights.tsv against the catalogs, attacks by producers, and a day's work of each role."""
import json
import re

import psycopg
import pytest

import rights
from athena_test import ROOT, wait_until
from sessions import Worker, assert_lawful, place, queue_options, somebody

ROLES = ["athena_owner", "athena_worker", "athena_maintenance", "athena_producer", "athena_reader"]


@pytest.fixture(scope="module")
def shared(cluster):
    database = cluster.migrated_database("rights")
    for role in ("worker", "producer", "reader"):
        database.query(f"CREATE ROLE a_{role} LOGIN IN ROLE athena_{role}")
    yield database
    database.drop()
    with cluster.connect() as conn:
        conn.execute("DROP ROLE a_worker, a_producer, a_reader")


@pytest.fixture
def database(shared):
    yield shared
    tables = ["jobs", "ready", "scheduled", "leases", "waiting", "outcomes", "uniques", "tallies", "workers", "sleepers",
              "events", "failures", "cancel_requests", "progress"]
    for table in tables:
        shared.query(f"DELETE FROM athena.{table}")
    shared.query("UPDATE athena.lanes SET last_by = NULL, last_at = NULL")
    shared.close()


@pytest.fixture
def producer(database):
    return database.connect(user="a_producer")


@pytest.fixture
def reader(database):
    return database.connect(user="a_reader")


# The table

def test_rights_are_those_of_the_table_and_no_others(database):
    expected, granted = set(rights.expected()), set(rights.granted(database))
    assert sorted(expected - granted) == [], "in rights.tsv, but not granted"
    assert sorted(granted - expected) == [], "granted, but not in rights.tsv"
    assert len(rights.expected()) == len(expected), "a line stands twice"


@pytest.mark.parametrize("change", [
    "GRANT SELECT ON athena.jobs TO athena_producer",
    "GRANT INSERT (id) ON athena.jobs TO athena_producer",
    "GRANT EXECUTE ON FUNCTION athena.settle TO PUBLIC",
    "GRANT USAGE ON SCHEMA athena TO PUBLIC",
    "GRANT SELECT ON SEQUENCE athena.tickets TO athena_reader",
    "GRANT INSERT ON athena.jobs_0 TO athena_producer",
    "GRANT SELECT ON athena.families TO athena_reader WITH GRANT OPTION",
    "REVOKE SELECT ON athena.job_status FROM athena_reader",
    "CREATE TABLE athena.other (); GRANT SELECT ON athena.other TO PUBLIC",
    "CREATE FUNCTION athena.other() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE TYPE athena.other AS ENUM ('a')",
])
def test_every_deviation_is_seen(database, change):
    conn = database.connect()
    conn.execute("BEGIN")
    conn.execute(change)
    assert set(rights.expected()) != {tuple(row.values()) for row in conn.execute(rights.GRANTED).fetchall()}
    conn.execute("ROLLBACK")


def test_public_has_nothing(database):
    assert [line for line in rights.expected() if line[0] == "PUBLIC"] == []
    assert {line[0] for line in rights.expected()} == set(ROLES) - {"athena_owner"}


def test_what_later_migrations_make_is_closed_too(database):
    conn = database.connect()
    conn.execute("BEGIN")
    conn.execute("SET ROLE athena_owner")
    conn.execute("CREATE FUNCTION athena.later() RETURNS int LANGUAGE sql RETURN 1")
    conn.execute("CREATE TYPE athena.later AS ENUM ('a')")
    conn.execute("CREATE TABLE athena.later_table (n int)")
    granted = {tuple(row.values()) for row in conn.execute(rights.GRANTED).fetchall()}
    assert sorted(granted - set(rights.expected())) == []
    conn.execute("ROLLBACK")


def test_8_1_the_roles_are_plain(database):
    for role in ROLES:
        (row,) = database.query("SELECT rolsuper, rolcanlogin, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,"
                                " EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) AS is_member"
                                " FROM pg_roles AS r WHERE rolname = %s", role)
        assert set(row.values()) == {False}, row


def test_8_1_everything_belongs_to_the_owner(database):
    assert database.column(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'athena'::regnamespace AND relowner <> 'athena_owner'::regrole"
        " UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'athena'::regnamespace AND proowner <> 'athena_owner'::regrole"
        " UNION ALL SELECT oid::regtype::text FROM pg_type WHERE typnamespace = 'athena'::regnamespace AND typowner <> 'athena_owner'::regrole"
        " UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'athena' AND nspowner <> 'athena_owner'::regrole") == []


def test_8_1_every_definer_function_pins_its_names(database):
    """By SET search_path, or by a body that was bound when it was made."""
    functions = database.query("SELECT oid::regprocedure::text AS name, proconfig, prosqlbody IS NOT NULL AS is_bound"
                               " FROM pg_proc WHERE pronamespace = 'athena'::regnamespace AND prosecdef")
    assert len(functions) > 5
    loose = [f["name"] for f in functions
             if not f["is_bound"] and "search_path=pg_catalog, pg_temp" not in (f["proconfig"] or [])]
    assert loose == []


def test_other_functions_pin_their_names_too_but_the_one_that_runs_as_the_producer(database):
    loose = database.column("SELECT proname FROM pg_proc WHERE pronamespace = 'athena'::regnamespace"
                            " AND prosqlbody IS NULL AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))")
    assert loose == ["jobs_check_producer"]


def test_8_4_no_row_security(database):
    """Enabling it refuses every producer."""
    assert database.column("SELECT relname FROM pg_class WHERE relnamespace = 'athena'::regnamespace AND relrowsecurity") == []


# Attacks by producers

FORBIDDEN = {
    "read payloads": "SELECT payload FROM athena.jobs",
    "read payloads of one's own insert": "INSERT INTO athena.jobs (family) VALUES ('noop') RETURNING payload",
    "read all columns": "SELECT * FROM athena.jobs",
    "count by family": "SELECT count(*) FROM athena.jobs WHERE family = 'noop'",
    "read the view": "SELECT * FROM athena.job_status",
    "read errors": "SELECT error FROM athena.failures",
    "read families": "SELECT * FROM athena.families",
    "read tickets": "SELECT * FROM athena.ready",
    "choose an id": "INSERT INTO athena.jobs (id, family) OVERRIDING SYSTEM VALUE VALUES (42, 'noop')",
    "copy an id": "COPY athena.jobs (id, family) FROM STDIN",
    "choose created_at": "INSERT INTO athena.jobs (family, created_at) VALUES ('noop', 'epoch')",
    "insert into a leaf": "INSERT INTO athena.jobs_0 (id, family) OVERRIDING SYSTEM VALUE VALUES (1, 'noop')",
    "insert into default": "INSERT INTO athena.jobs_default (id, family) OVERRIDING SYSTEM VALUE VALUES (1, 'noop')",
    "insert a ticket": "INSERT INTO athena.ready VALUES (1, 1, 0, 0, false, 'noop')",
    "insert a tally": "INSERT INTO athena.tallies VALUES ('noop', 'ready', 1)",
    "insert a sleeper": "INSERT INTO athena.sleepers VALUES ('noop', gen_random_uuid())",
    "insert an event": "INSERT INTO athena.events (job_id, kind) VALUES (1, 'x')",
    "update": "UPDATE athena.jobs SET priority = 0",
    "upsert": "INSERT INTO athena.jobs (family) VALUES ('noop') ON CONFLICT (id) DO UPDATE SET priority = 0",
    "delete": "DELETE FROM athena.jobs",
    "lock rows": "SELECT id FROM athena.jobs FOR UPDATE",
    "lock the table": "LOCK TABLE athena.jobs IN ACCESS EXCLUSIVE MODE",
    "lock the tickets": "LOCK TABLE athena.ready IN ROW EXCLUSIVE MODE",
    "truncate": "TRUNCATE athena.jobs",
    "truncate a leaf": "TRUNCATE athena.jobs_0",
    "drop": "DROP TABLE athena.jobs_0",
    "disable triggers": "ALTER TABLE athena.jobs DISABLE TRIGGER ALL",
    "be a replica": "SET session_replication_role = replica",
    "add a trigger": "CREATE TRIGGER t BEFORE INSERT ON athena.jobs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "add a rule": "CREATE RULE r AS ON INSERT TO athena.jobs DO ALSO NOTHING",
    "add a function": "CREATE FUNCTION athena.f() RETURNS int LANGUAGE sql RETURN 1",
    "add a table": "CREATE TABLE athena.t ()",
    "draw numbers": "SELECT nextval('athena.tickets')",
    "reset numbers": "SELECT setval('athena.tickets', 1)",
    "read numbers": "SELECT last_value FROM athena.tickets",
    "become the owner": "SET ROLE athena_owner",
    "become a worker": "SET ROLE athena_worker",
    "name oneself a producer": "SELECT athena.jobs_check_producer()",
}


@pytest.mark.parametrize("attack", FORBIDDEN)
def test_8_2_producers_may_not(database, producer, attack):
    database.query("INSERT INTO athena.jobs (family, payload) VALUES ('noop', '{\"message\": \"secret\"}')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        if attack.startswith("copy"):
            with producer.cursor().copy(FORBIDDEN[attack]) as stream:
                stream.write("42\tnoop\n")
        else:
            with producer.transaction():
                producer.execute(FORBIDDEN[attack])
    assert database.value("SELECT count(*) FROM athena.jobs") == 1
    assert_lawful(database)


def test_8_2_producers_call_seven_functions_and_no_others(database):
    callable_by = "SELECT proname FROM pg_proc WHERE pronamespace = 'athena'::regnamespace AND has_function_privilege(%s, oid, 'EXECUTE') ORDER BY 1"
    assert database.column(callable_by, "a_producer") == [
        "complete_wait", "enqueue", "fail_wait", "families_with_producers", "key_holder", "next_fire", "refuse_producer"]
    assert database.column(callable_by, "a_reader") == ["block_of", "chunk_place", "conservation", "held_back", "ids_of", "is_secret_name",
                                                            "job_id", "jobs_ahead", "jobs_in", "limit_status", "next_fire", "place_of",
                                                            "public_id", "redact", "redact", "redact_nested", "schedule_fires"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function settle"):
        database.connect(user="a_producer").execute("SELECT athena.settle(gen_random_uuid(), 1, 1, 'succeeded')")


EVIL = """
CREATE SCHEMA evil;
CREATE TABLE evil.seen (who name, is_super boolean);
GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.seen TO PUBLIC;
CREATE FUNCTION evil.note() RETURNS void LANGUAGE sql AS
	'INSERT INTO evil.seen SELECT current_user, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user';
"""
OPERATORS = [("<=", "timestamptz"), (">", "timestamptz"), ("<", "timestamptz"), (">=", "timestamptz"), ("=", "text"),
             ("<>", "jsonb"), ("?", None), ("||", "text"), ("=", "bigint"), ("=", "smallint"), ("<>", "text"), ("+", "bigint")]
FUNCTIONS = ["now() RETURNS timestamptz AS 'SELECT evil.note(); SELECT pg_catalog.now()'",
             "format(text, text) RETURNS text AS 'SELECT evil.note(); SELECT pg_catalog.format($1, $2)'",
             "jsonb_each(jsonb) RETURNS TABLE (key text, value jsonb) AS 'SELECT evil.note(); SELECT * FROM pg_catalog.jsonb_each($1)'",
             "pg_notify(text, text) RETURNS void AS 'SELECT evil.note(); SELECT pg_catalog.pg_notify($1, $2)'",
             "current_setting(text, boolean) RETURNS text AS 'SELECT evil.note(); SELECT pg_catalog.current_setting($1, $2)'"]


def make_evil(conn):
    """Operators and functions that shadow those of pg_catalog, and note as whom they are called."""
    conn.execute(EVIL)
    for number, (operator, argument) in enumerate(OPERATORS):
        left, right = ("jsonb", "text") if argument is None else (argument, argument)
        result = {"||": "text", "+": "bigint"}.get(operator, "boolean")
        conn.execute(f"CREATE FUNCTION evil.op_{number}({left}, {right}) RETURNS {result} LANGUAGE sql AS"
                     f" 'SELECT evil.note(); SELECT $1 OPERATOR(pg_catalog.{operator}) $2'")
        conn.execute(f"CREATE OPERATOR evil.{operator} (FUNCTION = evil.op_{number}, LEFTARG = {left}, RIGHTARG = {right})")
    for function in FUNCTIONS:
        conn.execute(f"CREATE FUNCTION evil.{function.replace(' AS ', ' LANGUAGE sql AS ')}")


def test_8_1_operators_of_the_producer_run_as_nobody_else(database, producer):
    make_evil(database.connect())
    try:
        worker = Worker(database)
        worker.conn.execute("INSERT INTO athena.sleepers VALUES ('noop', %s)", [worker.id])
        producer.execute("SET search_path = evil, pg_catalog")
        producer.execute("SELECT now() <= now()")  # the trap works
        producer.execute("INSERT INTO athena.jobs (family, payload, unique_key, run_at)"
                         " VALUES ('noop', '{\"sleep_ms\": 1}', 'k', pg_catalog.now()), ('noop', '{}', 'l', 'tomorrow')")
        producer.execute("SELECT athena.enqueue('noop', unique_key => 'k')")
        for bad in ("'nop'", "'clone'"):
            with pytest.raises(psycopg.Error):
                producer.execute(f"INSERT INTO athena.jobs (family) VALUES ({bad})")
        seen = database.column("SELECT DISTINCT who::text FROM evil.seen")
        assert seen == ["a_producer"], seen
    finally:
        database.query("DROP SCHEMA evil CASCADE")


def test_8_1_nor_temporary_objects(database, producer):
    """pg_temp comes last in every pinned path: a temporary table cannot stand for one of ours."""
    producer.execute("CREATE TEMPORARY TABLE families (name text, payload_keys jsonb, wants_keys boolean)")
    producer.execute("CREATE TEMPORARY TABLE new_jobs (id bigint, family text, payload jsonb)")
    producer.execute("CREATE TEMPORARY TABLE pg_roles (rolname name, oid oid)")
    producer.execute("INSERT INTO families VALUES ('mine', NULL, false)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match='unknown family "mine"'):
        producer.execute("INSERT INTO athena.jobs (family) VALUES ('mine')")
    producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    assert_lawful(database)


def test_8_3_families_may_name_their_producers(database, producer):
    database.query("CREATE ROLE deployers; CREATE ROLE a_deployer LOGIN IN ROLE athena_producer, deployers")
    database.query("UPDATE athena.families SET producers = '{deployers}' WHERE name = 'command'")
    payload = '{"name": "deploy"}'
    try:
        deployer = database.connect(user="a_deployer")
        for sql in ("INSERT INTO athena.jobs (family, payload) VALUES ('noop', '{}'), ('command', %s)",
                    "SELECT athena.enqueue('command', %s)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as error:
                producer.execute(sql, [payload])
            assert error.value.diag.message_primary == 'role "a_producer" may not enqueue into family "command"'
            deployer.execute(sql, [payload])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            with producer.cursor().copy("COPY athena.jobs (family, payload) FROM STDIN") as stream:
                stream.write_row(("command", payload))
        producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
        assert database.value("SELECT count(*) FROM athena.jobs") == 4
        assert_lawful(database)
    finally:
        database.query("UPDATE athena.families SET producers = NULL WHERE name = 'command'")
        database.close()
        database.query("DROP ROLE a_deployer, deployers")


def test_8_3_a_definer_function_of_ones_own_enqueues_as_its_owner(database, producer):
    """The way to open a closed family for one kind of payload."""
    database.query("CREATE ROLE deployers; GRANT athena_producer TO deployers")
    database.query("UPDATE athena.families SET producers = '{deployers}' WHERE name = 'command'")
    database.query("CREATE FUNCTION public.deploy() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
                   " AS $$ SELECT athena.enqueue('command', '{\"name\": \"deploy\"}') $$")
    database.query("ALTER FUNCTION public.deploy() OWNER TO deployers")
    try:
        producer.execute("SELECT public.deploy()")
        assert database.value("SELECT count(*) FROM athena.jobs") == 1
    finally:
        database.query("UPDATE athena.families SET producers = NULL WHERE name = 'command'")
        database.query("DROP FUNCTION public.deploy(); DROP ROLE deployers")


# What workers and readers may not

@pytest.mark.parametrize("sql", [
    "TRUNCATE athena.ready", "DROP TABLE athena.jobs_0", "ALTER TABLE athena.jobs ADD COLUMN x int", "CREATE TABLE athena.t ()",
    "SELECT setval('athena.tickets', 1)", "UPDATE athena.jobs SET payload = '{}'", "DELETE FROM athena.jobs",
    "INSERT INTO athena.jobs (id, family) OVERRIDING SYSTEM VALUE VALUES (42, 'noop')", "DELETE FROM athena.events",
    "UPDATE athena.failures SET error = ''", "DELETE FROM athena.tallies", "UPDATE athena.outcomes SET state = 'dead'",
    "UPDATE athena.settings SET value = '1'", "DELETE FROM athena.migrations", "SELECT athena.adopt()", "SET ROLE athena_owner",
    "SELECT athena.prune_pair(0, 10, '0', '0')", "SELECT athena.lane_prune('0', '0')",
    "INSERT INTO athena.jobs_0 (id, family) OVERRIDING SYSTEM VALUE VALUES (1, 'noop')"])
def test_workers_move_tickets_and_nothing_else(database, sql):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.connect(user="a_worker").execute(sql)


@pytest.mark.parametrize("sql", [
    "SELECT payload FROM athena.jobs", "SELECT id FROM athena.jobs", "INSERT INTO athena.jobs (family) VALUES ('noop')",
    "SELECT * FROM athena.ready", "SELECT athena.cancel(1)", "SELECT athena.run_lane('prune', gen_random_uuid())",
    "UPDATE athena.families SET paused_at = now()", "DELETE FROM athena.workers"])
def test_readers_read_what_is_redacted(database, sql):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.connect(user="a_reader").execute(sql)


# A day's work

OWNERS_STATEMENTS = {"adopt", "migrations_record"}
READERS_STATEMENTS = {"cron_next", "family_list", "family_rows", "job_ahead", "job_events", "job_explain", "job_failures", "job_list", "job_show", "job_watch",
                      "maintenance_status", "migrations_list", "schedule_list", "schedule_next", "watch", "worker_list"}
PRODUCERS_STATEMENTS = {"job_enqueue", "job_key_holder", "jobs_before", "jobs_copied", "jobs_copy"}
QUEUE_STATEMENTS = sorted(path for path in (ROOT / "sql/statements").glob("*.sql") if not path.stem.startswith("clone_"))


@pytest.mark.parametrize("path", QUEUE_STATEMENTS, ids=lambda path: path.stem)
def test_every_statement_runs_for_the_role_that_it_is_for(database, path):
    """Planned and started as these roles, which is when Postgres asks for the rights."""
    text = path.read_text().rstrip().rstrip(";")
    count = max([0, *map(int, re.findall(r"\$(\d+)", text))])
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    allowed = set()
    for role in ("worker", "producer", "reader"):
        conn = database.connect(user=f"a_{role}", options=queue_options())
        try:
            if re.search("^COPY", text, re.MULTILINE):
                with conn.cursor().copy(text):
                    pass
            else:
                conn.execute(f"PREPARE this_one AS {text}")
                conn.execute(f"EXPLAIN EXECUTE this_one{nulls}")
            allowed.add(role)
        except psycopg.errors.InsufficientPrivilege:
            pass
    assert ("worker" in allowed) == (path.stem not in OWNERS_STATEMENTS)
    for role, names in (("reader", READERS_STATEMENTS), ("producer", PRODUCERS_STATEMENTS)):
        assert role in allowed or path.stem not in names


def test_a_workers_day(database):
    conn = database.connect(user="a_worker", options=queue_options())
    worker, leader = Worker(database, conn=conn), somebody()
    ids = [conn.execute("SELECT athena.enqueue('noop', unique_key => %s) AS id", [str(n)]).fetchone()["id"] for n in range(9)]
    conn.execute("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '1 ms')")
    rows = worker.claim(8)
    assert worker.settle_succeeded(*rows[:2])["settled"] == 2
    for row, (result, named) in zip(rows[2:7], [("failed", {}), ("failed", {"error_kind": "permanent"}), ("returned", {}),
                                                 ("snoozed", {"retry_in": "1 h"}), ("cancelled", {})]):
        assert worker.settle(row, result, **named)["answer"] == "settled"
    assert conn.execute("SELECT athena.set_progress(%s, %s, %s, 1, 2, 'steps') AS ok",
                        [worker.id, rows[7]["job_id"], rows[7]["ticket"]]).fetchone()["ok"]
    conn.execute("INSERT INTO athena.events (job_id, kind) VALUES (%s, 'said')", [ids[7]])
    for job, answer in ((ids[7], "requested"), (ids[8], "cancelled"), (rows[0]["job_id"], "succeeded")):
        assert conn.execute("SELECT athena.cancel(%s) AS answer", [job]).fetchone()["answer"] == answer
    for job in (rows[3]["job_id"], rows[2]["job_id"], ids[8]):
        conn.execute("SELECT athena.retry(%s)", [job])
    assert [row["what"] for row in worker.beat()] == ["alive", "cancel"]
    for lane in database.column("SELECT lane FROM athena.lanes"):
        wait_until(lambda: conn.execute("SELECT athena.run_lane(%s, %s) AS n", [lane, leader]).fetchone()["n"] is not None)
    for sql in ("SELECT athena.pause('noop')", "SELECT athena.resume('noop')", "SELECT * FROM athena.job_status",
                "SELECT * FROM athena.worker_status", "SELECT * FROM athena.conservation()",
                "INSERT INTO athena.families (name) VALUES ('made')", "UPDATE athena.families SET timeout = '1 s' WHERE name = 'made'",
                "DELETE FROM athena.families WHERE name = 'made'"):
        conn.execute(sql)
    other = Worker(database, conn=database.connect(user="a_worker", options=queue_options()))
    (held,) = other.claim()
    conn.execute("SELECT athena.rescue(%s, w.id, w.heartbeat_at, '1 h', true) FROM athena.workers AS w WHERE w.id = %s",
                 [leader, other.id])
    assert place(database, held["job_id"]) == ["ready"]
    assert conn.execute("SELECT athena.unregister_worker(%s) AS n", [worker.id]).fetchone()["n"] == 1
    assert_lawful(database)


def test_a_producers_day(database, producer):
    with producer.transaction():
        job = producer.execute("INSERT INTO athena.jobs (family, payload, kind, priority, run_at, max_attempts, timeout, unique_key)"
                               " VALUES ('noop', '{}', 'k', 0, now(), 3, '1 min', 'u') RETURNING id").fetchone()["id"]
        assert producer.execute("SELECT athena.enqueue('noop', unique_key => 'u') AS id").fetchone()["id"] == job
        with producer.cursor().copy("COPY athena.jobs (family, payload, run_at) FROM STDIN") as stream:
            stream.write_row(("noop", json.dumps({"sleep_ms": 1}), "tomorrow"))
            stream.write_row(("noop", "{}", "today"))
    producer.execute("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 5)")
    assert len(producer.execute("SELECT id FROM athena.jobs").fetchall()) == 8
    assert_lawful(database)


def test_a_readers_day(database, reader):
    secret = {"source": "postgresql://u:hunter2@h/d", "target": "t"}
    job = database.enqueue("clone", secret)
    worker = Worker(database, "clone")
    worker.settle(worker.claim(family="clone")[0], "failed", error="could not reach postgresql://u:hunter2@h/d")
    for view in ("job_status", "worker_status", "depth", "families", "workers", "lanes", "progress", "outcomes", "settings",
                 "meta", "migrations", "events", "failures"):
        columns = "*" if view not in ("events", "failures") else "job_id"
        reader.execute(f"SELECT {columns} FROM athena.{view}")
    row = reader.execute("SELECT * FROM athena.job_status WHERE job_id = %s", [job]).fetchone()
    assert "hunter2" not in json.dumps(row, default=str)
    assert row["payload"]["source"] == "postgresql://u:***@h/d"
    assert reader.execute("SELECT * FROM athena.conservation()").fetchall() == []
    assert reader.execute("SELECT athena.job_id(athena.public_id(%s)) AS id", [job]).fetchone()["id"] == job
