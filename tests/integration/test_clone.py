# SPDX-License-Identifier: PostgreSQL
"""clone: a row inserted by psql becomes a copied database, exact and verified, or nothing at all."""
import json
import shutil
import signal
import threading
import time

import pytest

from athena_test import Cluster, Database, kill_pid, run_program, wait_until
from canary import CANARY, sections
from clones import (PHASES, assert_no_traces, copy_by_hand, databases, dump, events, failures, load_bytes,
                    load_shop, messages, sessions, tools, wait_for_phase)
from workers import script


@pytest.fixture(scope="module")
def shop(cluster):
    database = load_shop(cluster.new_database(label="shop"))
    yield database
    database.drop()


@pytest.fixture(scope="module")
def large(cluster):
    """Takes long enough that a test can do something in between."""
    database = load_bytes(cluster.new_database(label="large"), 60)
    yield database
    database.drop()


@pytest.fixture
def target(cluster):
    """A name that no database has; dropped afterwards."""
    class Target:
        name = f"copy_{time.monotonic_ns()}"
        url = cluster.url(name)

        def database(self):
            return Database(cluster, self.name)
    target = Target()
    yield target
    cluster.drop_database(target.name)


@pytest.fixture
def clone(database, workers):
    """clone(source, target) enqueues and waits for the end; the job's row."""
    def clone(source, target, state="succeeded", worker=True, deadline_s=60, **payload):
        database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
        if worker and not workers.all:
            workers.start("clone")
        job = database.enqueue("clone", {"source": source, "target": target, **payload})
        return database.wait_for_state(job, state, deadline_s)
    return clone


# --- The copy

def test_a_row_inserted_by_psql_becomes_a_database(database, cluster, workers, shop, target):
    """Source and target say nothing but names: the rest is that of the control plane."""
    workers.start("clone")
    payload = json.dumps({"source": f"postgresql:///{shop.name}", "target": f"postgresql:///{target.name}"})
    run_program("psql", "-X", database.url, "-c",
                f"INSERT INTO athena.jobs (family, payload) VALUES ('clone', '{payload}')")
    database.wait_for_state(1, "succeeded")
    copy_by_hand(cluster, shop.name, "by_hand")
    assert dump(cluster, target.name) == dump(cluster, "by_hand")
    cluster.drop_database("by_hand")
    assert_no_traces(cluster)
    assert not database.conservation()


def test_tells_its_story(database, cluster, clone, shop, target):
    job = clone(shop.url, target.url)["job_id"]
    assert [row["phase"] for row in events(database, job, "phase_started")] == PHASES
    (result,) = events(database, job, "verification_result")
    assert result["details"]["passed"] is True
    assert result["details"]["tables"] == 18 and result["details"]["large_objects"] == 4
    assert result["details"]["rows"] == 4753
    tools_seen = {row["details"]["tool"]: row["details"] for row in events(database, job, "tool_finished")}
    assert {name: (row["exit_status"], row["signal"]) for name, row in tools_seen.items()} == {
        "pg_dump": (0, 0), "pg_restore": (0, 0)}
    assert events(database, job, "verification_difference") == []
    assert {row["level"] for row in events(database, job)} <= {"info", "warn"}


def test_what_belongs_to_the_database_itself_is_copied(database, cluster, clone, shop, target):
    facts = """
        SELECT shobj_description(d.oid, 'pg_database') AS comment, pg_get_userbyid(d.datdba) AS owner,
               d.datconnlimit, d.datcollate, d.encoding,
               (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(d.datacl) AS a) AS rights,
               ARRAY(SELECT s.setrole::text || c FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
                     WHERE s.setdatabase = d.oid AND c NOT LIKE 'athena.clone=%%' ORDER BY 1) AS settings
          FROM pg_database AS d WHERE d.datname = %s"""
    clone(shop.url, target.url)
    source, copy = shop.query(facts, shop.name), shop.query(facts, target.name)
    assert source[0]["comment"] and source[0]["rights"] and len(source[0]["settings"]) == 3
    assert source == copy


def test_an_empty_database_and_odd_names(database, cluster, clone):
    source, copy = "Läden \"x\" 100% 'y'", 'Kopie"; DROP DATABASE "nichts'
    with cluster.connect() as conn:
        conn.execute('CREATE DATABASE "{}"'.format(source.replace('"', '""')))
        try:
            clone(cluster.url(source), cluster.url(copy))
            assert copy in databases(cluster)
        finally:
            for name in (source, copy):
                conn.execute('DROP DATABASE IF EXISTS "{}"'.format(name.replace('"', '""')))


def test_key_value_strings_and_names_of_clients(database, cluster, programs, tmp_path, shop, target):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"postgres_clients": {"the shop": shop.url}}))
    programs.spawn("athena-worker", "--family=clone", "--config", path, url=database.url)
    job = database.enqueue("clone", {"source": "the shop", "target": f"dbname='{target.name}'"})
    database.wait_for_state(job, "succeeded")
    assert target.name in databases(cluster)


@pytest.mark.parametrize("locale", [
    "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    "LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' ENCODING 'UTF8'"])
def test_encoding_and_locale_are_kept(cluster, clone, target, locale):
    source = cluster.new_database(label="locale")
    source.drop()
    with cluster.connect() as conn:
        conn.execute(f'CREATE DATABASE "{source.name}" TEMPLATE template0 {locale}')
    try:
        source.query("CREATE TABLE namen (name text); INSERT INTO namen VALUES ('abc')")
        if "SQL_ASCII" in locale:
            source.query(r"INSERT INTO namen SELECT convert_from('\xe4ff', 'SQL_ASCII')")
        else:
            source.query("INSERT INTO namen VALUES (U&'\\00e4')")
        clone(source.url, target.url)
        of = ("SELECT encoding, datcollate, datctype, datlocprovider, daticulocale FROM pg_database"
              " WHERE datname = %s")
        assert source.query(of, source.name) == source.query(of, target.name)
    finally:
        source.drop()


def test_a_source_without_schema_public(cluster, clone, target):
    source = cluster.new_database(label="nopublic")
    source.query("DROP SCHEMA public; CREATE SCHEMA s; CREATE TABLE s.t ()")
    clone(source.url, target.url)
    copy = target.database()
    assert copy.column("SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 's')") == ["s"]
    copy.close()
    source.drop()


def test_the_copy_is_of_one_moment(cluster, clone, target):
    """Money moves between accounts while they are copied; none may appear or vanish."""
    source = load_bytes(cluster.new_database(label="bank"), 30)
    source.query("CREATE TABLE accounts (id serial PRIMARY KEY, money bigint NOT NULL);"
                 "INSERT INTO accounts (money) SELECT 100 FROM generate_series(1, 1000)")
    done = threading.Event()
    moved = [0]

    def move():
        with source.cluster.connect(source.name) as conn:
            while not done.is_set():
                with conn.transaction():
                    conn.execute("UPDATE accounts SET money = money - 7 WHERE id = %s", (1 + moved[0] % 1000,))
                    conn.execute("INSERT INTO accounts (money) VALUES (7)")
                moved[0] += 1
    thread = threading.Thread(target=move)
    thread.start()
    try:
        clone(source.url, target.url)
    finally:
        done.set()
        thread.join()
    copy = target.database()
    rows, money = copy.query("SELECT count(*) AS n, sum(money) AS m FROM accounts")[0].values()
    assert money == 100 * 1000
    assert moved[0] > 100 and 1000 < rows < 1000 + moved[0]
    assert copy.value("SELECT last_value FROM accounts_id_seq") >= rows
    copy.close()
    source.drop()


@pytest.fixture
def standby(cluster):
    """A hot standby of the cluster."""
    server = Cluster()
    shutil.rmtree(server.data)
    server._tool("pg_basebackup", "-h", cluster.host, "-U", cluster.user, "-D", server.data, "-R",
                 "--checkpoint=fast")
    server.configure(unix_socket_directories=server.host)
    yield server.start()
    server.remove()


def test_a_standby_is_a_source(database, cluster, clone, shop, standby, target):
    job = clone(standby.url(shop.name), target.url)["job_id"]
    assert "unlogged tables (1) have no rows on a standby" in messages(database, job, "preflight_check")
    copy = target.database()
    assert copy.query("SELECT (SELECT count(*) FROM shop.carts) AS unlogged,"
                      " (SELECT count(*) FROM shop.lines) AS lines") == [{"unlogged": 0, "lines": 3000}]
    copy.close()


@pytest.mark.parametrize("level", ["counts", "none"])
def test_less_verification_on_request(database, clone, shop, target, level):
    job = clone(shop.url, target.url, verify=level)["job_id"]
    results = events(database, job, "verification_result")
    assert len(results) == (level == "counts")
    assert target.database().value("SELECT count(*) FROM shop.lines") == 3000


def test_progress_in_bytes_only_grows(database, cluster, clone, target):
    source = load_bytes(cluster.new_database(label="progress"), 200)
    database.query("""
        CREATE TABLE seen (n serial, done bigint, total bigint, unit text, phase text);
        GRANT ALL ON seen, seen_n_seq TO PUBLIC;
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.seen (done, total, unit, phase)
            VALUES (NEW.done, NEW.total, NEW.unit, NEW.phase);
            RETURN NULL;
        END $$;
        CREATE TRIGGER see AFTER INSERT OR UPDATE ON athena.progress FOR EACH ROW EXECUTE FUNCTION see()""")
    clone(source.url, target.url)
    source.drop()
    seen = database.query("SELECT * FROM seen ORDER BY n")
    assert len(seen) >= 10
    done = [row["done"] for row in seen]
    assert done == sorted(done)
    assert {row["unit"] for row in seen} == {"bytes"}
    assert all(row["total"] is None or row["done"] <= row["total"] for row in seen)
    assert seen[-1]["total"] >= 200_000_000 and seen[-1]["done"] > 0.9 * seen[-1]["total"]
    assert all(row["done"] < row["total"] for row in seen if row["phase"] != "complete")


# --- What stands in the way

def test_a_target_that_exists_is_not_touched(database, cluster, clone, shop, target):
    there = cluster.create_database(target.name)
    there.query("CREATE TABLE mine ()")
    job = clone(shop.url, target.url, "dead")
    assert failures(database, job["job_id"]) == [
        {"attempt": 1, "kind": "permanent", "code": "target_exists",
         "error": f"database {target.name} exists in the target"}]
    assert there.value("SELECT count(*) FROM mine") == 0
    there.close()
    assert_no_traces(cluster)


def test_source_and_target_may_not_be_one(database, clone, shop):
    job = clone(shop.url, shop.url, "dead")
    assert failures(database, job["job_id"])[0]["code"] == "same_database"


@pytest.mark.parametrize("source, target, code", [
    ("nobody", "postgresql:///x", "unknown_client"),
    ("postgresql:///no_such_db", "postgresql:///x", "no_such_database_or_role"),
    ("postgresql:///x?sslmode=maybe", "postgresql:///x", "bad_uri"),
    ("postgresql://", "postgresql:///x", "bad_uri"),
    ("host=/nowhere dbname=x", "postgresql:///x", None)])
def test_a_source_that_cannot_be_reached(database, clone, source, target, code):
    database.query("UPDATE athena.families SET max_attempts = 2 WHERE name = 'clone'")
    job = clone(source, target, "dead")["job_id"]
    failed = failures(database, job)
    if code:
        assert [(row["kind"], row["code"]) for row in failed] == [("permanent", code)]
    else:
        assert [(row["kind"], row["code"]) for row in failed] == [("transient", "no_connection")] * 2


def test_everything_that_is_wrong_is_said_at_once(database, cluster, own_cluster, clone, shop):
    """The other server lacks the roles; the target is there; an extension is not to be had."""
    own_cluster.create_database("taken")
    shop.close()
    source = cluster.new_database(shop.name, "odd")
    source.query("SET allow_system_table_mods = on;"
                 "INSERT INTO pg_extension VALUES (60000, 'no_such_thing', 10, 2200, true, '1', NULL, NULL)")
    job = clone(source.url, own_cluster.url("taken"), "dead")["job_id"]
    found = [(row["details"]["check"], row["level"]) for row in events(database, job, "preflight_check")
             if not row["details"]["passed"]]
    assert sorted(found) == [("missing_extension", "error"), *[("missing_role", "error")] * 3,
                             ("target_exists", "error")]
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["code"]) == ("permanent", "target_exists")
    assert failed["error"].startswith("5 findings: ")
    for word in ("taken", "no_such_thing", "shop_owner", "shop_reader", 'shop "Auditor"'):
        assert word in failed["error"]
    assert_no_traces(cluster, own_cluster)
    source.drop()


def test_all_that_may_not_be_read_is_said_at_once(database, cluster, clone, target):
    source = cluster.new_database(label="closed")
    source.query("""
        DO $$ BEGIN CREATE ROLE clone_reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
        CREATE TABLE open (); GRANT SELECT ON open TO clone_reader;
        CREATE TABLE closed_1 (); CREATE TABLE "closed 2" (); CREATE SEQUENCE closed_3;
        CREATE SCHEMA hidden; CREATE TABLE hidden.t (); GRANT SELECT ON hidden.t TO clone_reader;
        CREATE TABLE filtered (); GRANT SELECT ON filtered TO clone_reader;
        ALTER TABLE filtered ENABLE ROW LEVEL SECURITY""")
    job = clone(cluster.url(source.name, "clone_reader"), target.url, "dead")["job_id"]
    found = {(row["details"]["check"], row["message"]) for row in events(database, job, "preflight_check")
             if not row["details"]["passed"]}
    assert found == {
        ("no_select", "role clone_reader has no right to read public.closed_1"),
        ("no_select", 'role clone_reader has no right to read public."closed 2"'),
        ("no_select", "role clone_reader has no right to read public.closed_3"),
        ("no_usage", "role clone_reader has no right to use schema hidden"),
        ("row_security", "row security hides rows of public.filtered from role clone_reader")}
    assert failures(database, job)[0]["kind"] == "permanent"
    source.drop()


def test_a_role_without_the_right_to_make_databases(database, cluster, clone, shop, target):
    with cluster.connect() as conn:
        conn.execute("CREATE ROLE clone_nobody LOGIN")
    job = clone(shop.url, cluster.url(target.name, "clone_nobody"), "dead")["job_id"]
    checks = {row["details"]["check"] for row in events(database, job, "preflight_check")
              if not row["details"]["passed"]}
    assert checks == {"no_createdb", "not_member"}
    with cluster.connect() as conn:
        conn.execute("DROP ROLE clone_nobody")


def test_a_source_newer_than_pg_dump(database, cluster, programs, tmp_path, shop, target):
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.9'\n")
    old.chmod(0o755)
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"pg": {"dump_path": str(old)}}))
    programs.spawn("athena-worker", "--family=clone", "--config", path, url=database.url)
    job = database.enqueue("clone", {"source": shop.url, "target": target.url})
    database.wait_for_state(job, "dead")
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["code"]) == ("permanent", "source_newer_than_pg_dump")
    assert str(old) in failed["error"]
    assert_no_traces(cluster)


def test_a_table_that_stays_locked_is_a_retry(database, cluster, workers, shop, target):
    """Cancelled while it waits for the lock: the wait would be a minute."""
    workers.start("clone")
    with shop.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE shop.vans")
        job = database.enqueue("clone", {"source": shop.url, "target": target.url})
        wait_until(lambda: cluster.connect().execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'athena:%' AND wait_event_type"
            " = 'Lock'").fetchone(), what="it waits for the lock")
        database.query("SELECT athena.cancel(%s)", job)
        database.wait_for_state(job, "cancelled")
    assert_no_traces(cluster)


# --- What goes wrong on the way

def kill_sessions(cluster, like, state=None):
    """pg_terminate_backend on a clone's sessions, by the beginning of what they do."""
    with cluster.connect() as conn:
        return conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'athena:%%'"
            " AND query LIKE %s AND (%s::text IS NULL OR state = %s)", (like, state, state)).rowcount


@pytest.mark.parametrize("whose, codes", [
    # The server's last words may or may not reach libpq in the middle of a COPY.
    ("%TO stdout%", ["admin_shutdown", "no_connection"]),  # pg_dump
    ("%FROM stdin%", ["admin_shutdown", "no_connection"]),  # pg_restore
    # Before pg_dump has taken the snapshot over, or after.
    ("%pg_export_snapshot%", ["snapshot_lost", "source_lost"])])
def test_a_session_that_is_ended_is_a_retry(database, cluster, workers, large, target, whose, codes):
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    workers.start("clone")
    job = database.enqueue("clone", {"source": large.url, "target": target.url})
    wait_for_phase(database, job, "dump_source")
    wait_until(lambda: kill_sessions(cluster, whose), what="a session to end")
    row = database.wait_for_state(job, "succeeded")
    assert row["attempt"] == 2
    (failed,) = failures(database, job)
    assert failed["kind"] == "transient"
    assert failed["code"] in codes, failed
    assert_no_traces(cluster)


def test_the_other_end_is_named_when_one_fails(database, cluster, workers, large, target):
    workers.start("clone")
    job = database.enqueue("clone", {"source": large.url, "target": target.url}, max_attempts=1)
    wait_until(lambda: kill_sessions(cluster, "%TO stdout%"), what="a session to end")
    database.wait_for_state(job, "dead")
    ends = {row["details"]["tool"]: row["details"] for row in events(database, job, "tool_finished")}
    assert ends["pg_dump"]["exit_status"] == 1 and not ends["pg_dump"]["stopped_by_us"]
    assert ends["pg_restore"]["signal"] == signal.SIGKILL and ends["pg_restore"]["stopped_by_us"]
    output = "\n".join(ends["pg_dump"]["output"])
    assert 'Dumping the contents of table' in output
    (failed,) = failures(database, job)
    assert failed["error"].startswith("pg_dump: exit status 1: pg_dump: error: Dumping the contents")
    assert "terminating connection" in failed["error"] or "server closed the connection" in failed["error"]
    assert_no_traces(cluster)


def test_a_tool_that_is_killed_is_a_retry(database, cluster, workers, large, target):
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    workers.start("clone")
    job = database.enqueue("clone", {"source": large.url, "target": target.url})
    victim = wait_until(lambda: next((pid for pid, argv in tools(cluster).items() if "pg_restore" in argv[0]), 0))
    kill_pid(victim)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["error"]) == ("transient", "pg_restore: signal 9 (Killed)")
    assert_no_traces(cluster)


@pytest.mark.parametrize("phase", ["dump_source", "restore_target", "verify_target"])
def test_cancel(database, cluster, workers, large, target, phase):
    workers.start("clone", cancel_grace="10s")
    job = database.enqueue("clone", {"source": large.url, "target": target.url})
    wait_for_phase(database, job, phase)
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert target.name not in databases(cluster)
    assert_no_traces(cluster)
    assert any(row["details"]["what"] == "database" for row in events(database, job, "cleanup_done"))


def test_sigterm_hands_the_job_back(database, cluster, workers, large, target):
    worker = workers.start("clone", drain="500ms", cancel_grace="10s")
    job = database.enqueue("clone", {"source": large.url, "target": target.url})
    wait_for_phase(database, job, "dump_source")
    assert worker.terminate() == 0
    assert_no_traces(cluster)
    assert database.job(job)["state"] == "ready"
    workers.start("clone")
    assert database.wait_for_state(job, "succeeded")["attempt"] == 1


class SmallDisk(Cluster):
    """A server whose files cannot grow beyond 24 MB: it reports that as it reports a full disk."""

    def __init__(self):
        super().__init__()
        self._prefix = ["prlimit", "--fsize=25165824", *self._prefix]


@pytest.fixture
def small_disk():
    server = SmallDisk()
    yield server.start()
    server.remove()


def test_a_full_disk_is_a_retry(database, cluster, small_disk, workers):
    source = load_bytes(cluster.new_database(label="wide"), 40, tables=1)
    database.query("UPDATE athena.families SET backoff_base = '50 ms', max_attempts = 2"
                   " WHERE name = 'clone'")
    workers.start("clone")
    job = database.enqueue("clone", {"source": source.url, "target": small_disk.url("copy")})
    database.wait_for_state(job, "dead")
    source.drop()
    assert [(row["kind"], row["code"]) for row in failures(database, job)] == [
        ("transient", "disk_full")] * 2
    assert_no_traces(small_disk)


def test_definitions_that_change_under_the_clone_are_a_retry(database, cluster, workers, large, target):
    """A function is renamed after pg_dump has read it, and Postgres tells its new name from then on."""
    large.close()
    source = cluster.new_database(large.name, "changing")
    source.query("CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    workers.start("clone")
    job = database.enqueue("clone", {"source": source.url, "target": target.url})
    wait_until(lambda: sessions(cluster) and cluster.connect().execute(
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY public.t%'").fetchone(), what="rows are dumped")
    source.query("ALTER FUNCTION f() RENAME TO g")
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["code"]) == ("transient", "source_changed")
    assert "function public.g() is missing in the clone" in failed["error"]
    copy = target.database()
    assert copy.value("SELECT g()") == 1
    copy.close()
    source.drop()


def test_a_copy_that_differs_is_dropped(database, cluster, workers, shop, target):
    """Somebody changes the staging database while it is compared."""
    source = load_bytes(cluster.new_database(label="watched"), 60)
    workers.start("clone")
    job = database.enqueue("clone", {"source": source.url, "target": target.url})
    wait_for_phase(database, job, "restore_target")
    staging = wait_until(lambda: next((n for n in databases(cluster) if n.startswith("athena_stg_")), None))
    spoiler = Database(cluster, staging)
    wait_until(lambda: spoiler.value("SELECT 1 FROM pg_class WHERE relname = 't3_pkey'"))
    spoiler.query("DELETE FROM t3 WHERE id = 15000")
    spoiler.close()
    database.wait_for_state(job, "dead")
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["code"]) == ("permanent", "verification_failed")
    assert "rows of table public.t3 differs: source has 15000 rows" in failed["error"]
    assert target.name not in databases(cluster)
    assert_no_traces(cluster)
    source.drop()


# --- What earlier attempts left

def plant(cluster, name):
    cluster.create_database(name)


def test_leftovers_of_older_tickets_are_removed_and_others_are_not(database, cluster, workers, shop, target):
    database.query("SELECT setval('athena.tickets', 1000)")
    database.query("SELECT athena.pause('clone')")
    job = database.enqueue("clone", {"source": shop.url, "target": target.url})
    older, others = [f"athena_stg_{job}_{job - 7}"], [f"athena_stg_{job - 1}_{job - 7}", f"athena_stg_{job}_x",
                                                      f"athena_stg_{job}_{job - 7}_00000000"]
    for name in older + others:
        plant(cluster, name)
    old = cluster.connect(older[0], application_name=f"athena:clone:{job}:{job - 7}")
    other = cluster.connect(application_name=f"athena:clone:{job - 1}:{job - 7}")
    database.query("SELECT athena.resume('clone')")
    workers.start("clone")
    database.wait_for_state(job, "succeeded")
    assert {(row["details"]["what"], row["details"].get("name"), row["details"].get("pid"))
            for row in events(database, job, "cleanup_done")} == {
        ("session", None, old.info.backend_pid), ("database", older[0], None)}
    assert set(others) <= databases(cluster) and older[0] not in databases(cluster)
    assert other.execute("SELECT 1 AS one").fetchone() == {"one": 1}
    other.close()
    for name in others:
        cluster.drop_database(name)


def test_a_newer_ticket_is_left_alone(database, cluster, workers, shop, target):
    database.query("SELECT athena.pause('clone')")
    job = database.enqueue("clone", {"source": shop.url, "target": target.url}, max_attempts=1)
    newer = f"athena_stg_{job}_{job + 100}"
    plant(cluster, newer)
    database.query("SELECT athena.resume('clone')")
    workers.start("clone")
    database.wait_for_state(job, "dead")
    assert failures(database, job)[0]["code"] == "newer_ticket"
    assert newer in databases(cluster)
    cluster.drop_database(newer)


def queue_id(database):
    return database.value("SELECT system_identifier || '.' || (SELECT oid FROM pg_database WHERE datname ="
                          " current_database()) FROM pg_control_system()")


@pytest.mark.parametrize("kind", ["setting", "comment"])
def test_own_finished_work_is_recognised(database, cluster, workers, shop, target, kind):
    """As if an earlier attempt had died between the rename and the settling of its job."""
    database.query("SELECT athena.pause('clone')")
    job = database.enqueue("clone", {"source": shop.url, "target": target.url})
    there = cluster.create_database(target.name)
    mark = f"queue={queue_id(database)} job={job} ticket={job} verified"
    if kind == "setting":
        there.query(f"ALTER DATABASE {target.name} SET athena.clone = '{mark}'")
    else:
        there.query(f"COMMENT ON DATABASE {target.name} IS E'Ours\\nathena.clone={mark}'")
    there.close()
    database.query("SELECT athena.resume('clone')")
    workers.start("clone")
    database.wait_for_state(job, "succeeded")
    assert len(events(database, job, "already_complete")) == 1


@pytest.mark.parametrize("mark", ["queue={q} job={other} ticket=1 verified",
                                  "queue=1.2 job={job} ticket=1 verified"])
def test_the_work_of_another_job_is_not_ones_own(database, cluster, workers, shop, target, mark):
    database.query("SELECT athena.pause('clone')")
    job = database.enqueue("clone", {"source": shop.url, "target": target.url})
    there = cluster.create_database(target.name)
    mark = mark.format(q=queue_id(database), job=job, other=job + 1)
    there.query(f"ALTER DATABASE {target.name} SET athena.clone = '{mark}'")
    there.close()
    database.query("SELECT athena.resume('clone')")
    workers.start("clone")
    database.wait_for_state(job, "dead")
    assert failures(database, job)[0]["code"] == "target_exists"


# --- Roles and secrets

def test_without_a_superuser(database, cluster, clone, target):
    """The mark goes into the comment, and what may not be copied is a warning."""
    with cluster.connect() as conn:
        conn.execute("CREATE ROLE clone_maker LOGIN CREATEDB")
        conn.execute("CREATE DATABASE makers OWNER clone_maker")
        conn.execute("COMMENT ON DATABASE makers IS 'Mine'")
        conn.execute("ALTER DATABASE makers SET log_min_messages = 'error'")
    with cluster.connect("makers", "clone_maker") as conn:
        conn.execute("CREATE TABLE t AS SELECT 1 AS one; SELECT lo_from_bytea(77, 'x')")
    job = clone(cluster.url("makers", "clone_maker"), cluster.url(target.name, "clone_maker"))["job_id"]
    assert [row["details"]["what"] for row in events(database, job, "not_copied")] == ["log_min_messages"]
    with cluster.connect() as conn:
        comment = conn.execute("SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database"
                               " WHERE datname = %s", (target.name,)).fetchone()["c"]
        assert comment == f"Mine\nathena.clone=queue={queue_id(database)} job={job} ticket={job} verified"
        conn.execute(f"DROP DATABASE makers; DROP DATABASE {target.name}".split(";")[0])
        conn.execute(f"DROP DATABASE {target.name}")
        conn.execute("DROP ROLE clone_maker")


@pytest.fixture
def locked_cluster():
    """A server that asks for passwords."""
    server = Cluster(hba="local all postgres trust\nlocal all all scram-sha-256\n").start()
    yield server
    server.remove()


def test_passwords_are_nowhere_to_be_seen(database, workers, locked_cluster, request):
    """Not in argv, environment, events, failures, logs or on disk; while the tools run and after."""
    canary = "canary:pass\\word'é"
    with locked_cluster.connect() as conn:
        conn.execute("CREATE ROLE app LOGIN SUPERUSER")
        conn.execute("SET password_encryption = 'scram-sha-256'")
        conn.execute("ALTER ROLE app PASSWORD " + "'" + canary.replace("'", "''") + "'")
    load_bytes(locked_cluster.create_database("secret"), 60)
    worker = workers.start("clone", env={"PGOPTIONS": "-c work_mem=1MB"})
    job = database.enqueue("clone", {"source": locked_cluster.url("secret", "app", password=canary),
                                     "target": locked_cluster.url("copy", "app", password=canary)})
    running = wait_until(lambda: len(tools(locked_cluster)) == 2 and tools(locked_cluster), what="both tools run")
    for pid, argv in running.items():
        environment = open(f"/proc/{pid}/environ").read()
        assert "canary" not in "\0".join(argv) and "canary" not in environment
        assert "PGPASSFILE=/proc/self/fd/" in environment and "ATHENA_" not in environment
        assert sorted(part.split("=")[0] for part in environment.split("\0") if part.startswith("PG")) == [
            "PGCONNECT_TIMEOUT", "PGPASSFILE"]
        assert f"application_name='athena:clone:{job}:{job}:" in "\0".join(argv)
    database.wait_for_state(job, "succeeded")
    told = "".join(str(row) for row in events(database, job)) + str(failures(database, job))
    assert "canary" not in told and "canary" not in worker.stderr()


def test_tools_are_asked_for_their_version_without_our_environment(database, workers, shop, target, tmp_path):
    """Every call of pg_dump, those for its version, too."""
    log = tmp_path / "environments"
    (wrapper,) = script(tmp_path, "pg_dump", f'{{ echo "call $1"; env; }} >>{log}\nexec {shutil.which("pg_dump")} "$@"\n')
    workers.start("clone", secrets={**sections(), "pg": {"dump_path": wrapper}},
                  env={"AWS_SECRET_ACCESS_KEY": f"{CANARY}-bucket"})
    job = database.enqueue("clone", {"source": shop.url, "target": target.url})
    database.wait_for_state(job, "succeeded")
    told = log.read_text()
    assert "call --version\n" in told and told.count("call ") > 1
    assert not [line for line in told.splitlines() if line.startswith(("ATHENA_", "AWS_")) or CANARY in line]


def test_the_password_of_the_control_plane_serves_its_own_server(locked_cluster, programs, tmp_path):
    """Where a URI names neither host, port nor user it is the same login, password included."""
    with locked_cluster.connect() as conn:
        conn.execute("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'canary-own'")
    url = locked_cluster.url("queue", "app", password="canary-own")
    locked_cluster.create_database("queue")
    run_program("athena", "migrate", url=url)
    worker = programs.spawn("athena-worker", "--family=clone", "--once", url=url)
    with locked_cluster.connect("queue") as conn:
        conn.execute("INSERT INTO athena.jobs (family, payload) VALUES ('clone',"
                     " '{\"source\": \"postgresql:///queue\", \"target\": \"postgresql:///copy\"}')")
    assert worker.wait() == 0
    assert "canary" not in worker.stderr()
    assert "copy" in databases(locked_cluster)


def test_a_wrong_password_is_permanent_and_not_repeated(database, workers, locked_cluster):
    with locked_cluster.connect() as conn:
        conn.execute("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'right'")
    worker = workers.start("clone")
    job = database.enqueue("clone", {
        "source": locked_cluster.url("postgres", "app", password="canary-wrong"),
        "target": locked_cluster.url("copy", "app", password="canary-wrong")})
    database.wait_for_state(job, "dead")
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["code"]) == ("permanent", "auth")
    assert "canary" not in failed["error"] + worker.stderr()
