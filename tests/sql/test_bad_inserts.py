# SPDX-License-Identifier: PostgreSQL
"""Bad inserts get a clear error, and nothing is queued: one row, many, INSERT .. SELECT and COPY."""
import json

import psycopg
import pytest

from sessions import assert_lawful, depth

# A family with a key of every type that families.payload_keys knows.
ALL_TYPES = {
    "text": {"type": "string"}, "word": {"type": "string", "enum": ["red", "green"]},
    "flag": {"type": "boolean"}, "count": {"type": "integer", "min": 1, "max": 10},
    "ratio": {"type": "number", "min": 0}, "wait": {"type": "duration"},
    "list": {"type": "array"}, "more": {"type": "object"}, "must": {"type": "string", "required": True},
}


@pytest.fixture(scope="module")
def shared(cluster):
    """One database for all: what is refused leaves nothing."""
    database = cluster.migrated_database("bad")
    database.query("INSERT INTO athena.families (name, payload_keys) VALUES ('typed', %s), ('free', NULL)",
                   json.dumps(ALL_TYPES))
    database.query("CREATE TABLE public.source (family text, payload jsonb)")
    database.query("CREATE ROLE app LOGIN IN ROLE athena_producer; GRANT ALL ON public.source TO app")
    yield database
    database.query("DROP OWNED BY app; DROP ROLE app")
    database.drop()


@pytest.fixture
def database(shared):
    yield shared
    for table in ("public.source", "athena.jobs", "athena.ready", "athena.scheduled", "athena.uniques", "athena.tallies"):
        shared.query(f"DELETE FROM {table}")
    shared.close()


def insert_one(conn, family, payload):
    conn.execute("INSERT INTO athena.jobs (family, payload) VALUES (%s, %s)", [family, payload])


def insert_many(conn, family, payload):
    conn.execute("INSERT INTO athena.jobs (family, payload, unique_key) VALUES ('noop', '{}', 'first'), (%s, %s, 'bad'),"
                 " ('noop', '{}', 'last')", [family, payload])


def insert_select(conn, family, payload):
    conn.execute("INSERT INTO public.source VALUES ('noop', '{}'), (%s, %s), ('noop', '{}')", [family, payload])
    conn.execute("INSERT INTO athena.jobs (family, payload) SELECT family, payload FROM public.source")


def copy(conn, family, payload):
    with conn.cursor().copy("COPY athena.jobs (family, payload) FROM STDIN") as stream:
        stream.write_row(("noop", "{}"))
        stream.write_row((family, payload))
        stream.write_row(("noop", "{}"))


def enqueue(conn, family, payload):
    conn.execute("SELECT athena.enqueue(%s, %s)", [family, payload])


WAYS = [insert_one, insert_many, insert_select, copy, enqueue]


def assert_nothing_queued(database):
    for table in ("jobs", "ready", "scheduled", "uniques", "tallies"):
        assert database.value(f"SELECT count(*) FROM athena.{table}") == 0, table
    assert_lawful(database)


def refused(database, way, family, payload):
    """What the producer is told; nothing was queued."""
    if not isinstance(payload, (str, type(None))):
        payload = json.dumps(payload)
    with pytest.raises(psycopg.Error) as error:
        way(database.connect(user="app"), family, payload)
    assert_nothing_queued(database)
    return error.value


@pytest.mark.parametrize("way", WAYS)
def test_unknown_family(database, way):
    error = refused(database, way, "nop", {})
    assert isinstance(error, psycopg.errors.ForeignKeyViolation)
    assert error.diag.message_primary == 'unknown family "nop"'
    assert error.diag.message_detail == "Known families: " + ", ".join(
        sorted(database.column("SELECT name FROM athena.families"))) + "."
    assert error.diag.message_hint == "athena family add nop"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("payload", ["[]", '"text"', "7", "null", "true"])
def test_payload_that_is_no_object(database, way, payload):
    error = refused(database, way, "free", payload)
    assert isinstance(error, psycopg.errors.CheckViolation)
    assert error.diag.constraint_name == "a payload is a JSON object"
    assert 'violates check constraint "a payload is a JSON object"' in error.diag.message_primary


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("payload, problem", [
    ({}, 'missing key "must"'),
    ({"text": "x"}, 'missing key "must"'),
    ({"must": "x", "txet": 1, "zzz": 1}, 'unknown key "txet" (known: ' + ", ".join(sorted(ALL_TYPES)) + ")"),
    ({"must": 7}, 'key "must" must be a string, not a number'),
])
def test_keys_of_a_family_that_names_them(database, way, payload, problem):
    error = refused(database, way, "typed", payload)
    assert isinstance(error, psycopg.errors.InvalidParameterValue)
    assert error.diag.message_primary == f'bad payload for family "typed": {problem}'
    assert error.diag.message_hint == "athena family show typed"
    assert error.diag.message_detail == (None if way in (insert_one, enqueue) else "Row 2 of 3.")


@pytest.mark.parametrize("value, problem", [
    ({"text": None}, 'key "text" must be a string, not null'),
    ({"text": ["a"]}, 'key "text" must be a string, not an array'),
    ({"word": "blue"}, 'key "word" must be one of red, green, not "blue"'),
    ({"word": True}, 'key "word" must be a string, not a boolean'),
    ({"flag": "true"}, 'key "flag" must be a boolean, not a string'),
    ({"count": "5"}, 'key "count" must be an integer, not a string'),
    ({"count": 1.5}, 'key "count" must be an integer, not 1.5'),
    ({"count": 0}, 'key "count" must be from 1 to 10, not 0'),
    ({"count": 11}, 'key "count" must be from 1 to 10, not 11'),
    ({"ratio": -0.1}, 'key "ratio" must be at least 0, not -0.1'),
    ({"ratio": {}}, 'key "ratio" must be a number, not an object'),
    ({"wait": True}, 'key "wait" must be a duration, such as "90s" or "5m", not a boolean'),
    ({"wait": "soon"}, 'key "wait" must be a duration, such as "90s" or "5m", not "soon"'),
    ({"wait": "5 minutes"}, 'key "wait" must be a duration, such as "90s" or "5m", not "5 minutes"'),
    ({"wait": -1}, 'key "wait" must be a duration, such as "90s" or "5m", not -1'),
    ({"list": {}}, 'key "list" must be an array, not an object'),
    ({"more": []}, 'key "more" must be an object, not an array'),
])
def test_values_of_every_type(database, value, problem):
    error = refused(database, insert_one, "typed", {"must": "x", **value})
    assert error.diag.message_primary == f'bad payload for family "typed": {problem}'


@pytest.mark.parametrize("value", [
    {"text": ""}, {"word": "red"}, {"flag": False}, {"count": 1}, {"count": 10.0}, {"count": 1e1}, {"ratio": 0},
    {"ratio": 1e100}, {"wait": 90}, {"wait": "90"}, {"wait": "90s"}, {"wait": "250ms"}, {"wait": "5m"}, {"wait": "2h"},
    {"wait": "1d"}, {"list": []}, {"more": {}}])
def test_good_values_pass(database, value):
    insert_one(database.connect(user="app"), "typed", json.dumps({"must": "x", **value}))
    assert depth(database) == {("typed", "ready"): 1}
    assert_lawful(database)


def test_the_first_offence_decides_whatever_its_place(database):
    """Many bad rows: one sentence about one of them."""
    conn = database.connect(user="app")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match='missing key "must"'):
        conn.execute("INSERT INTO athena.jobs (family, payload) SELECT 'typed',"
                     " CASE WHEN n = 900 THEN '{}' ELSE '{\"must\": \"x\"}'::jsonb END FROM generate_series(1, 1000) AS n")
    assert_nothing_queued(database)


RUN_AT = "run_at is finite and less than 10 years ahead"


@pytest.mark.parametrize("columns, constraint", [
    ({"priority": -1}, "priority is 0 (first) to 9 (last)"),
    ({"priority": 10}, "priority is 0 (first) to 9 (last)"),
    ({"max_attempts": 0}, "max_attempts is 1 to 1000"),
    ({"max_attempts": 1001}, "max_attempts is 1 to 1000"),
    ({"run_at": "infinity"}, RUN_AT),
    ({"run_at": "-infinity"}, RUN_AT),
    ({"run_at": "2099-01-01"}, RUN_AT),
    ({"timeout": "0"}, "timeout is positive and at most 30 days"),
    ({"timeout": "-1 s"}, "timeout is positive and at most 30 days"),
    ({"timeout": "31 days"}, "timeout is positive and at most 30 days"),
    ({"unique_key": ""}, "a unique_key has 1 to 512 bytes"),
    ({"unique_key": "é" * 257}, "a unique_key has 1 to 512 bytes"),
    ({"concurrency_key": ""}, "a concurrency_key has 1 to 512 bytes"),
    ({"concurrency_key": "é" * 257}, "a concurrency_key has 1 to 512 bytes"),
    ({"kind": "k" * 201}, "a kind has at most 200 characters"),
    ({"family": "f" * 64}, "a family name has at most 63 characters"),
    ({"payload": json.dumps({"pad": "x" * (1 << 20)})}, "a payload has at most 1 MiB"),
])
def test_8_4_columns_out_of_range(database, columns, constraint):
    columns = {"family": "noop", **columns}
    conn = database.connect(user="app")
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        conn.execute(f"INSERT INTO athena.jobs ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
                     list(columns.values()))
    assert error.value.diag.constraint_name == constraint
    assert_nothing_queued(database)


def test_8_4_what_is_just_within_range(database):
    conn = database.connect(user="app")
    conn.execute("INSERT INTO athena.jobs (family, kind, payload, priority, run_at, max_attempts, timeout, unique_key)"
                 " VALUES ('noop', repeat('k', 200), jsonb_build_object('pad', repeat('x', 1048500)), 0,"
                 " now() + interval '3649 days', 1000, '30 days', repeat('k', 512)),"
                 " ('noop', '', '{}', 9, 'epoch', 1, '1 microsecond', 'k')")
    assert depth(database) == {("noop", "ready"): 1, ("noop", "scheduled"): 1}
    assert_lawful(database)


@pytest.mark.parametrize("size, random", [(3000, True), (7000, True), (100000, False)])
def test_8_4_keys_and_families_too_long_for_an_index(database, size, random):
    """The index of unique keys would refuse them first, with words about indexes."""
    text = "(SELECT left(string_agg(md5(n::text), ''), %s) FROM generate_series(1, 5000) AS n)" if random else "repeat('x', %s)"
    for columns, constraint in ((f"family, unique_key) VALUES ('noop', {text})", "a unique_key has 1 to 512 bytes"),
                                (f"concurrency_key, family) VALUES ({text}, 'noop')", "a concurrency_key has 1 to 512 bytes"),
                                (f"unique_key, family) VALUES ('k', {text})", "a family name has at most 63 characters")):
        with pytest.raises(psycopg.errors.CheckViolation) as error:
            database.connect(user="app").execute(f"INSERT INTO athena.jobs ({columns}", [size])
        assert error.value.diag.constraint_name == constraint
    assert_nothing_queued(database)


def test_8_4_a_large_payload_that_compresses_well(database):
    """What counts is its size, not what it takes in the table that it comes from."""
    conn = database.connect(user="app")
    conn.execute("INSERT INTO public.source VALUES ('free', jsonb_build_object('pad', repeat('x', 20000000)))")
    assert conn.execute("SELECT pg_column_size(payload) AS n FROM public.source").fetchone()["n"] < 1 << 20
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        conn.execute("INSERT INTO athena.jobs (family, payload) SELECT family, payload FROM public.source")
    assert error.value.diag.constraint_name == "a payload has at most 1 MiB"
    assert_nothing_queued(database)


@pytest.mark.parametrize("column", ["family", "payload", "priority", "run_at"])
def test_nulls_where_there_may_be_none(database, column):
    values = {"family": "'noop'", "payload": "'{}'", "priority": "5", "run_at": "now()", "unique_key": "'k'", column: "NULL"}
    with pytest.raises(psycopg.errors.NotNullViolation) as error:
        database.connect(user="app").execute(
            f"INSERT INTO athena.jobs ({', '.join(values)}) VALUES ({', '.join(values.values())})")
    assert (error.value.diag.table_name[:4], error.value.diag.column_name) == ("jobs", column)
    assert_nothing_queued(database)


def test_enqueue_takes_null_for_the_default(database):
    conn = database.connect(user="app")
    conn.execute("SELECT athena.enqueue('noop', NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
    (job,) = database.query("SELECT payload, priority, run_at <= now() AS due, max_attempts FROM athena.jobs")
    assert job == {"payload": {}, "priority": 5, "due": True, "max_attempts": None}


def test_a_refused_statement_spoils_only_its_transaction(database):
    conn = database.connect(user="app", autocommit=False)
    insert_one(conn, "noop", "{}")
    with pytest.raises(psycopg.errors.ForeignKeyViolation), conn.transaction():
        insert_one(conn, "nop", "{}")
    conn.commit()
    assert depth(database) == {("noop", "ready"): 1}
    assert_lawful(database)


def test_families_are_refused_that_workers_could_not_be_given(database):
    for bad in ("", "Upper", "1st", "a" * 64, "a b", "a;b", "ä"):
        with pytest.raises(psycopg.errors.CheckViolation, match="a family name is a-z, then up to 62 of a-z 0-9 _ -"):
            database.query("INSERT INTO athena.families (name) VALUES (%s)", bad)
