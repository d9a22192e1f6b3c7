# SPDX-License-Identifier: PostgreSQL
"""What people read: job_status in every state, redaction, public ids."""
import json
import uuid

import psycopg
import pytest

from sessions import Worker, assert_lawful, somebody


@pytest.fixture(scope="module")
def plain(cluster):
    """A database for functions that touch no job."""
    database = cluster.migrated_database("plain")
    yield database
    database.drop()


# Redaction

SECRETS = [
    ({"url": "postgresql://u:hunter2@h/d"}, {"url": "postgresql://u:***@h/d"}),
    ({"url": "postgresql://u:hun:ter2@with@h/d?a=b"}, {"url": "postgresql://u:***@h/d?a=b"}),
    ({"url": "http://h/d", "mail": "a@b.c"}, {"url": "http://h/d", "mail": "a@b.c"}),
    ({"dsn": "host=h password=hunter2 user=u"}, {"dsn": "host=h password=*** user=u"}),
    ({"dsn": "host=h password = 'hunter2 with \\' it' user=u"}, {"dsn": "host=h password = *** user=u"}),
    ({"dsn": 'password="hunter2" x'}, {"dsn": "password=*** x"}),
    ({"dsn": "a?user=u&password=hunter2&x=1"}, {"dsn": "a?user=u&password=***&x=1"}),
    ({"password": "hunter2"}, {"password": "***"}),
    ({"db_PASSWORD": "hunter2"}, {"db_PASSWORD": "***"}),
    ({"api_key": 42, "apiKey": "hunter2", "access-key": "hunter2"}, {"api_key": "***", "apiKey": "***", "access-key": "***"}),
    ({"secret": {"inner": "hunter2", "n": 1}}, {"secret": "***"}),
    ({"token": ["hunter2"]}, {"token": "***"}),
    ({"password": None, "secret": True, "token": ""}, {"password": None, "secret": True, "token": "***"}),
    ({"deep": [{"er": {"passwd": "hunter2"}}]}, {"deep": [{"er": {"passwd": "***"}}]}),
    ({"note": '{"password": 5}'}, {"note": '{"password": ***}'}),
    ({"note": '{"password": "hunter2"}'}, {"note": '{"password": "***"}'}),
    ({"note": 'say "password": "hunter2" twice'}, {"note": 'say "password": "***" twice'}),
    ({"passwordless": False, "tokens_used": 3}, {"passwordless": False, "tokens_used": 3}),
    ({"back\\slash": "password=a\\"}, {"back\\slash": "password=***"}),
    ({"header": "x\nAuthorization: Bearer hunter2\ny"}, {"header": "x\nAuthorization: ***\ny"}),
    ({"sql": "ALTER ROLE u PASSWORD 'hunter2' LOGIN"}, {"sql": "ALTER ROLE u PASSWORD *** LOGIN"}),
    ({"max_tokens": 5, "monkey": 1, "keys": ["a"]}, {"max_tokens": 5, "monkey": 1, "keys": ["a"]}),
    ({"x": "wrong password: authentication failed"}, {"x": "wrong password: authentication failed"}),
    ({"x": '{"url":"http://h:80","mail":"a@b"}'}, {"x": '{"url":"http://h:80","mail":"a@b"}'}),
    ({}, {}), ([], []), ("postgresql://u:hunter2@h", "postgresql://u:***@h"), (None, None), (7, 7),
]


@pytest.mark.parametrize("value, expected", SECRETS, ids=range(len(SECRETS)))
def test_redact_masks_secrets_and_leaves_json(plain, value, expected):
    assert plain.value("SELECT athena.redact(%s::jsonb)", json.dumps(value)) == expected


NASTY = ['"', "\\", "\\\\", '\\"', "password=", 'password="', "password='", 'password=\\', '"password": ', "://u:", "://u:p@",
         "secret", "token\": 7", "}", "{", "é", "\n", "' or", "password='\\", '"secret":"']


def test_no_payload_breaks_the_view(database):
    """Redacting the text of a JSON value could leave no JSON: then nobody can read any job."""
    values = NASTY + [a + b for a in NASTY for b in NASTY] + [a + b + c for a in NASTY[:9] for b in NASTY[:9] for c in NASTY]
    database.query("INSERT INTO athena.families (name) VALUES ('free')")
    database.query("INSERT INTO athena.jobs (family, payload)"
                   " SELECT 'free', jsonb_build_object('x', value, value, 'x') FROM jsonb_array_elements_text(%s::jsonb) AS value",
                   json.dumps(values))
    rows = database.query("SELECT payload FROM athena.job_status")
    assert len(rows) == len(values)
    assert all(set(row["payload"]) >= {"x"} for row in rows)


@pytest.mark.parametrize("depth", [5, 100, 3000])
def test_no_depth_breaks_the_view(plain, depth):
    """A recursion could run out of stack: then nobody can read any job."""
    for inner in ('"plain"', '{"password": "hunter2"}'):
        text = '{"a": [' * depth + inner + "]}" * depth
        shown = plain.value("SELECT athena.redact(%s::jsonb)::text", text)
        assert "hunter2" not in shown
        assert ("plain" in shown) == (inner == '"plain"')


def test_redacted_text_of_errors(plain):
    for text, expected in (
            ("connection to postgresql://u:hunter2@h/d failed", "connection to postgresql://u:***@h/d failed"),
            ('FATAL: password authentication failed for user "u"', 'FATAL: password authentication failed for user "u"'),
            ("password=hunter2", "password=***"), (None, None), ("", "")):
        assert plain.value("SELECT athena.redact(%s::text)", text) == expected


def test_redaction_takes_linear_time(plain):
    plain.query("SET statement_timeout = '5s'")
    for text in ("://" * 100000, "://a:" * 60000, "password" * 30000, '"' * 100000, "password='" * 20000, "a" * 300000, "\\" * 200000):
        plain.query("SELECT athena.redact(%s::text), athena.redact(to_jsonb(%s::text))", text, text)
    plain.query("RESET statement_timeout")


# Public ids

@pytest.mark.parametrize("number", [0, 1, 2, 255, 256, 65535, 50000000, 2 ** 32, 2 ** 52 + 12345, 2 ** 63 - 1])
def test_public_ids_are_reversible_uuids(plain, number):
    public = plain.value("SELECT athena.public_id(%s)", number)
    assert (public.version, public.variant) == (8, uuid.RFC_4122)
    assert plain.value("SELECT athena.job_id(%s)", public) == number


def test_public_ids_differ(plain):
    assert plain.value("SELECT count(DISTINCT athena.public_id(n)) FROM generate_series(1, 70000) AS n") == 70000


def test_a_foreign_uuid_is_no_job(plain):
    for foreign in (uuid.uuid4(), uuid.UUID(int=0), uuid.UUID(int=2 ** 128 - 1)):
        assert plain.value("SELECT athena.job_id(%s)", foreign) is None


# job_status

def test_job_status_through_a_jobs_life(database):
    job = database.enqueue("noop", {"sleep_ms": 1}, kind="k", priority=3, run_at="tomorrow", unique_key="u", max_attempts=2)
    worker, leader = Worker(database), somebody()

    def status(*columns):
        row = database.job(job)
        return tuple(row[column] for column in columns)

    assert status("family", "kind", "state", "priority", "attempt", "max_attempts", "payload", "started_at", "worker", "error") == (
        "noop", "k", "scheduled", 3, 0, 2, {"sleep_ms": 1}, None, None, None)
    assert status("run_at")[0] > status("created_at")[0]
    database.query("SELECT athena.retry(%s)", job)
    assert status("state", "attempt") == ("ready", 0)
    (row,) = worker.claim()
    assert status("state", "attempt", "worker", "ticket") == ("running", 1, "unknown:0", row["ticket"])
    database.query("SELECT athena.set_progress(%s, %s, %s, 3, 10, 'rows', 'copying')", worker.id, job, row["ticket"])
    progress = database.job(job)["progress"]
    assert (progress["done"], progress["total"], progress["unit"], progress["phase"]) == (3, 10, "rows", "copying")
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    assert database.job(job)["cancel_requested_at"] is not None
    database.query("DELETE FROM athena.cancel_requests")
    worker.settle(row, "failed", error="first", retry_in="1 h")
    assert status("state", "attempt", "error", "started_at") == ("scheduled", 1, "first", None)
    database.query("SELECT athena.retry(%s)", job)
    assert status("state", "attempt", "error") == ("ready", 1, "first")
    (row,) = worker.claim()
    worker.settle(row, "failed", error="second")
    assert status("state", "attempt", "error", "worker") == ("dead", 2, "second", "unknown:0")
    database.query("SELECT athena.retry(%s)", job)
    assert status("state", "attempt") == ("ready", 0)
    worker.settle_succeeded(*worker.claim())
    assert status("state", "attempt", "error") == ("succeeded", 1, None)
    assert status("started_at")[0] <= status("finished_at")[0]
    assert leader and database.value("SELECT count(*) FROM athena.job_status") == 1
    assert_lawful(database)


def test_job_status_has_the_promised_columns_in_their_order(plain):
    columns = plain.column("SELECT attname FROM pg_attribute WHERE attrelid = 'athena.job_status'::regclass AND attnum > 0 ORDER BY attnum")
    assert columns[:15] == ["job_id", "family", "kind", "state", "priority", "attempt", "max_attempts", "run_at", "created_at",
                            "started_at", "finished_at", "worker", "progress", "error", "payload"]
    assert plain.column("SELECT attname FROM pg_attribute WHERE attrelid = 'athena.events'::regclass AND attnum > 0") >= [
        "job_id", "seq", "at", "attempt", "phase", "level", "kind", "message", "details"][:1]
    assert plain.column("SELECT unnest(enum_range(NULL::athena.job_state))::text") == [
        "ready", "scheduled", "running", "waiting", "succeeded", "dead", "cancelled"]


def test_job_status_agrees_with_the_tables_in_every_state(database):
    worker = Worker(database)
    for result in ("succeeded", "failed", "returned", "cancelled", "snoozed"):
        for priority in (0, 5):
            database.enqueue("noop", priority=priority)
        for row in worker.claim(2):
            worker.settle(row, result, retry_in="1 h")
        if result == "returned":
            worker.claim(1)
    states = {row["state"]: row["n"] for row in database.query("SELECT state::text, count(*) AS n FROM athena.job_status GROUP BY 1")}
    assert states == {"succeeded": 2, "scheduled": 4, "ready": 1, "running": 1, "cancelled": 2}
    assert states == {row["state"]: row["jobs"] for row in database.query("SELECT state::text, jobs FROM athena.depth")}


def test_events_are_numbered_in_order(database):
    conn, other = database.connect(), database.connect()
    conn.execute("INSERT INTO athena.events (job_id, kind) VALUES (1, 'a'), (1, 'b')")
    other.execute("INSERT INTO athena.events (job_id, kind) VALUES (1, 'c')")
    conn.execute("INSERT INTO athena.events (job_id, kind) VALUES (1, 'd')")
    assert database.column("SELECT kind FROM athena.events WHERE job_id = 1 ORDER BY seq") == ["a", "b", "c", "d"]
    with pytest.raises(psycopg.errors.CheckViolation, match="level is debug, info, warn or error"):
        conn.execute("INSERT INTO athena.events (job_id, kind, level) VALUES (1, 'x', 'fatal')")
