# SPDX-License-Identifier: PostgreSQL
"""Migrations from zero: by an ordinary role, twice in a cluster, at once, and as a script."""
import subprocess
import threading

import psycopg
import pytest

import rights
from athena_test import Cluster, client, run_program
from sessions import Worker, assert_lawful

ROLES = ("athena_owner", "athena_worker", "athena_maintenance", "athena_producer", "athena_reader")


@pytest.fixture
def zero():
    """A cluster that has never heard of Athena, with a role that may just do what is needed."""
    server = Cluster().start()
    with server.connect() as conn:
        conn.execute("CREATE ROLE installer LOGIN CREATEROLE")
    yield server
    server.remove()


def new_database(cluster, *installers):
    database = cluster.new_database()
    for installer in installers:
        database.query(f'GRANT CREATE ON DATABASE "{database.name}" TO {installer}')
    return database


def migrate(database, user):
    return run_program("athena", "migrate", url=database.cluster.url(database.name, user))


def assert_works(database):
    assert set(rights.granted(database)) == set(rights.expected())
    job = database.enqueue("noop", unique_key="k")
    worker = Worker(database)
    (row,) = worker.claim()
    assert row["job_id"] == job
    worker.settle_succeeded(row)
    for lane in database.column("SELECT lane FROM athena.lanes"):
        assert database.value("SELECT athena.run_lane(%s, gen_random_uuid())", lane) is not None
    assert_lawful(database)


def schema_of(database):
    """The schema as pg_dump writes it, without the random words of \\restrict."""
    text = subprocess.run([client("pg_dump"), "--schema-only", "--schema=athena", database.url],
                          check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if "restrict" not in line]


def test_from_zero_by_an_ordinary_role(zero):
    database = new_database(zero, "installer")
    migrate(database, "installer")
    assert_works(database)
    assert database.value("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'athena'") == "athena_owner"
    for role in ROLES:
        (row,) = database.query("SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = %s", role)
        assert row == {"rolcanlogin": False, "rolsuper": False}


def test_a_second_time_changes_nothing(zero):
    database = new_database(zero, "installer")
    migrate(database, "installer")
    before = schema_of(database)
    migrate(database, "installer")
    migrate(database, "postgres")
    assert schema_of(database) == before


def test_two_databases_of_one_cluster(zero):
    first, second = new_database(zero, "installer"), new_database(zero, "installer")
    migrate(first, "installer")
    migrate(second, "installer")
    assert schema_of(first) == schema_of(second)
    for database in (first, second):
        assert_works(database)
    first.enqueue("noop")
    assert second.value("SELECT count(*) FROM athena.jobs") == 1


def test_two_installers(zero):
    """The roles are the cluster's: who comes second finds them there."""
    with zero.connect() as conn:
        conn.execute("CREATE ROLE another LOGIN CREATEROLE")
    first, second = new_database(zero, "installer"), new_database(zero, "another")
    migrate(first, "installer")
    if first.value("SELECT current_setting('server_version_num')::integer") >= 160000:
        # From then on who may make roles has no power over those of others.
        with zero.connect(user="installer") as conn:
            conn.execute("GRANT athena_owner TO another")
    migrate(second, "another")
    assert_works(second)


def test_two_databases_at_the_same_moment(zero, tmp_path):
    """Both make the roles."""
    databases = [new_database(zero, "installer") for _ in range(3)]
    errors = []

    def run(database):
        try:
            migrate(database, "installer")
        except AssertionError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for database in databases:
        assert_works(database)


def test_a_role_that_may_not_is_refused_and_nothing_is_left(zero):
    with zero.connect() as conn:
        conn.execute("CREATE ROLE nobody_special LOGIN")
    database = zero.new_database()
    done = run_program("athena", "migrate", url=zero.url(database.name, "nobody_special"), status=None)
    assert done.returncode != 0
    assert "permission denied" in done.stderr
    assert database.value("SELECT to_regnamespace('athena')") is None
    assert database.column("SELECT rolname FROM pg_roles WHERE rolname LIKE 'athena%'") == []


def test_the_script_makes_the_same_schema(zero):
    with zero.connect() as conn:
        conn.execute("CREATE ROLE scripted LOGIN CREATEROLE")
    by_program, by_script = new_database(zero, "installer"), new_database(zero, "scripted")
    script = run_program("athena", "migrate", "--sql").stdout
    subprocess.run([client("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", zero.url(by_script.name, "scripted")],
                   input=script, text=True, check=True, stdout=subprocess.DEVNULL)
    migrate(by_program, "installer")
    assert schema_of(by_program) == schema_of(by_script)
    assert_works(by_script)


def test_a_schema_of_somebody_else_is_not_taken_over(zero):
    database = new_database(zero, "installer")
    database.query("CREATE ROLE squatter; CREATE SCHEMA athena AUTHORIZATION squatter")
    done = run_program("athena", "migrate", url=zero.url(database.name, "installer"), status=None)
    assert done.returncode != 0
    assert database.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'athena'::regnamespace") == 0


def test_the_schema_survives_dump_and_restore(zero):
    """And is a copy afterwards, which runs nothing until it is adopted."""
    database = new_database(zero, "installer")
    migrate(database, "installer")
    database.enqueue("noop")
    dump = subprocess.run([client("pg_dump"), "-Fc", database.url], check=True, capture_output=True).stdout
    copy = zero.new_database()
    subprocess.run([client("pg_restore"), "-e", "-d", copy.url], input=dump, check=True)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        Worker(copy)
    copy.query("SELECT athena.adopt()")
    assert_lawful(copy)
    assert set(rights.granted(copy)) == set(rights.expected())
    assert len(Worker(copy).claim()) == 1
