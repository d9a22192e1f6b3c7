# SPDX-License-Identifier: PostgreSQL
"""clone: rows and owners that stay behind, and how much is compared, whichever way rows travel."""
import time

import pytest

from athena_test import Cluster, Database
from clones import assert_no_traces, databases, events, failures, load_shop

MODES = ["pipe", "staged", "parallel"]


@pytest.fixture(scope="module")
def source(cluster):
    source = cluster.new_database(label="choices")
    source.query('''
        CREATE SCHEMA "a.b ""c""";
        CREATE TABLE "a.b ""c"""."größe $1*" AS SELECT n AS id FROM generate_series(1, 100) AS n;
        CREATE TABLE kept (id integer PRIMARY KEY, word text);
        INSERT INTO kept SELECT n, n::text FROM generate_series(1, 5000) AS n;
        CREATE TABLE keptlog AS SELECT * FROM kept;
        CREATE TABLE years (at integer) PARTITION BY RANGE (at);
        CREATE TABLE years_1 PARTITION OF years FOR VALUES FROM (1) TO (100);
        CREATE TABLE years_2 PARTITION OF years FOR VALUES FROM (100) TO (200);
        CREATE INDEX ON years (at);
        INSERT INTO years SELECT generate_series(1, 199)''')
    yield source
    source.drop()


@pytest.fixture
def target(cluster):
    name = f"copy_{time.monotonic_ns()}"
    yield Database(cluster, name)
    cluster.drop_database(name)


@pytest.fixture
def clone(database, workers, tmp_path):
    def clone(source, target, state="succeeded", **payload):
        database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
        if not workers.all:
            workers.start("clone", env={"TMPDIR": str(tmp_path)})
        job = database.enqueue("clone", {"source": source, "target": target, "jobs": 2, **payload})
        database.wait_for_state(job, state)
        return job
    return clone


@pytest.mark.parametrize("mode", MODES)
def test_rows_that_stay_behind(database, clone, source, target, mode):
    job = clone(source.url, target.url, mode=mode, exclude_data=['a.b "c".größe $1*', "public.keptlog", "public.years"])
    tables = ["kept", "keptlog", "years", '"a.b ""c"""."größe $1*"']
    assert [target.value(f"SELECT count(*) FROM {table}") for table in tables] == [5000, 0, 0, 0]
    (result,) = events(database, job, "verification_result")
    assert (result["details"]["tables"], result["details"]["rows"]) == (1, 5000)
    target.close()


def test_a_name_of_no_table_is_a_finding(database, cluster, clone, source, target):
    job = clone(source.url, target.url, "dead", exclude_data=["public.kept", "public.nobody", "kept"])
    assert [row["code"] for row in failures(database, job)] == ["no_such_table"]
    assert [row["message"] for row in events(database, job, "preflight_check")] == [
        "the source has no table public.nobody, to exclude its rows", "the source has no table kept, to exclude its rows"]
    assert target.name not in databases(cluster)


@pytest.fixture(scope="module")
def elsewhere():
    """A server that knows the roles that policies of the shop name, and none of its owners."""
    server = Cluster()
    server.start()
    with server.connect() as conn:
        conn.execute('CREATE ROLE shop_reader; CREATE ROLE "shop ""Auditor"""')
    yield server
    server.remove()


@pytest.fixture(scope="module")
def shop(cluster):
    shop = load_shop(cluster.new_database(label="shop"))
    shop.query("SELECT lo_from_bytea(0, 'mine')")
    yield shop
    shop.drop()


@pytest.mark.parametrize("mode", MODES)
def test_owners_that_stay_behind(database, clone, shop, elsewhere, mode):
    job = clone(shop.url, elsewhere.url("strict"), "dead", mode=mode)
    assert [row["code"] for row in failures(database, job)] == ["missing_role"]
    job = clone(shop.url, elsewhere.url("copy"), mode=mode, owner_policy="skip")
    (result,) = events(database, job, "verification_result")
    assert result["details"]["passed"] and result["details"]["definitions"] > 100
    copy = Database(elsewhere, "copy")
    assert copy.column("SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid >= 16384"
                       " AND relkind = 'r'") == [copy.value("SELECT current_user::text")]
    assert copy.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relacl IS NOT NULL") == 0
    copy.close()
    elsewhere.drop_database("copy")
    assert_no_traces(elsewhere)


def test_a_policy_still_needs_its_roles(database, cluster, clone, elsewhere):
    source = cluster.new_database(label="policy")
    with cluster.connect() as conn:
        conn.execute("CREATE ROLE only_here")
    source.query("CREATE TABLE t (); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO only_here USING (true)")
    job = clone(source.url, elsewhere.url("copy"), "dead", owner_policy="skip")
    assert [row["message"] for row in events(database, job, "preflight_check")] == [
        "role only_here, which policies name, does not exist in the target"]
    source.drop()
    with cluster.connect() as conn:
        conn.execute("DROP ROLE only_here")


@pytest.fixture(scope="module")
def twisted(cluster):
    """Rows of which a clone that is still in its staging database says something else."""
    source = cluster.new_database(label="twisted")
    source.query("""
        CREATE FUNCTION place(integer) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
            $$BEGIN RETURN CASE WHEN $1 > 0 THEN pg_catalog.current_database() END; END$$;
        CREATE TABLE keyed (id integer PRIMARY KEY, place text GENERATED ALWAYS AS (place(id)) STORED);
        CREATE TABLE keyless (id integer, place text GENERATED ALWAYS AS (place(id)) STORED)""")
    yield source
    source.drop()


@pytest.mark.parametrize("table", ["keyed", "keyless"])
def test_a_sample_finds_rows_that_differ(database, clone, twisted, target, table):
    twisted.query(f"TRUNCATE keyed, keyless; INSERT INTO {table} (id) SELECT generate_series(1, 500)")
    job = clone(twisted.url, target.url, "dead", verify="sample", sample_percent=5)
    (failure,) = failures(database, job)
    assert failure["code"] == "verification_failed" and f"rows of table public.{table} differs" in failure["error"]
    assert events(database, job, "verification_result")[0]["details"]["percent"] == 5
    job = clone(twisted.url, target.url, verify="counts")
    assert events(database, job, "verification_result")[0]["details"]["percent"] == 0
    target.close()


@pytest.mark.parametrize("verify, percent", [("full", 100), ("sample", 10)])
def test_levels_of_verification(database, clone, source, target, verify, percent):
    job = clone(source.url, target.url, verify=verify)
    (result,) = events(database, job, "verification_result")
    assert (result["details"]["percent"], result["details"]["rows"]) == (percent, 100 + 5000 + 5000 + 199)
    target.close()


def test_the_command_takes_them(database, workers, run, shop, target):
    workers.start("clone")
    run("athena", "clone", shop.url, target.url, "--follow", "--exclude-data", "shop.audit,shop.customers",
        "--owner-policy=skip", "--verify=sample", "--sample-percent=20", url=database.url, status=1)
    (failure,) = database.query("SELECT code, error FROM athena.failures")
    assert failure["code"] == "sql_error" and "violates foreign key" in failure["error"]
    run("athena", "clone", shop.url, target.url, "--follow", "--exclude-data", "shop.audit", "--owner-policy=skip",
        "--verify=sample", "--sample-percent=20", url=database.url)
    assert target.value("SELECT count(*) FROM shop.audit") == 0 < shop.value("SELECT count(*) FROM shop.audit")
    target.close()
