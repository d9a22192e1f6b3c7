# SPDX-License-Identifier: PostgreSQL
"""athena doctor: finds what was broken on purpose, names the remedy, and is quiet about a healthy system."""
import json

import pytest

from athena_test import wait_until

CHECKS = ["connection", "schema", "system", "durability", "structure", "leaves", "lanes", "workers", "families", "schedules",
          "horizon", "vacuum", "wakeups", "connections", "listen", "clock", "conservation"]


def findings(run, *args, status=0):
    return json.loads(run("athena", "doctor", "--json", *args, status=status).stdout)


def of(rows, check, verdict):
    return [row for row in rows if (row["check"], row["verdict"]) == (check, verdict)]


@pytest.fixture
def healthy(database, spawn):
    """Everything runs; the throwaway cluster does not fsync, which doctor would tell."""
    spawn("athena-worker", "--family=noop")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.lanes WHERE last_at IS NULL") == 0, what="every lane has run")
    return database


def sick(run, healthy):
    """Findings that are wrong, but for the cluster's own lack of fsync."""
    return [row for row in findings(run, status=None) if row["verdict"] == "wrong" and row["check"] != "durability"]


def test_a_healthy_system_has_nothing_wrong(run, healthy):
    rows = findings(run, status=None)
    assert list(dict.fromkeys(row["check"] for row in rows)) == CHECKS
    assert sick(run, healthy) == []
    assert of(rows, "conservation", "good") and of(rows, "listen", "good")


def test_a_cluster_that_may_lose_commits_is_told(run, healthy):
    off = {name for name in ("fsync", "full_page_writes", "synchronous_commit")
           if healthy.value(f"SHOW {name}") == "off"}
    told = {row["finding"].split()[0] for row in of(findings(run, status=None), "durability", "wrong")}
    assert told == off


def test_people_see_a_line_per_finding_and_the_status_says_it(run, healthy):
    healthy.query("ALTER TABLE athena.jobs DISABLE TRIGGER take_key")
    text = run("athena", "doctor", status=1).stdout
    assert "\nwrong  structure     trigger take_key of athena.jobs is disabled\n" \
           "                     next: ALTER TABLE athena.jobs ENABLE TRIGGER take_key\n" in text


@pytest.mark.parametrize("harm, check, finding, remedy", [
    ("DROP TRIGGER no_truncate ON athena.leases", "structure", "trigger no_truncate of athena.leases is missing", "restore"),
    ("ALTER SEQUENCE athena.tickets CACHE 32", "structure", "hands out 32 numbers at once", "CACHE 1"),
    ("CREATE TABLE public.child () INHERITS (athena.ready)", "structure", "has a child table, public.child", "NO INHERIT"),
    ("ALTER TABLE athena.jobs ENABLE ROW LEVEL SECURITY", "structure", "athena.jobs has row security", "DISABLE"),
    ("CREATE PUBLICATION p FOR TABLE athena.leases", "structure", "publication p replicates athena.leases", "take the schema"),
    ("UPDATE athena.meta SET database_oid = 1", "system", "restored or copied", "athena adopt"),
    ("SELECT setval('athena.tickets', 199999999)", "leaves", "reach 1 ids ahead", "athena maintenance status"),
    ("SELECT athena.enqueue('clone', '{\"source\": \"a\", \"target\": \"b\"}')", "families",
     "family clone has work (1 ready), and no living worker serves it", "athena-worker --family=clone"),
    ("INSERT INTO athena.workers (kind, host, pid, heartbeat_at) VALUES ('worker', 'far', 7, now() - interval '1 h')",
     "workers", "worker on far, process 7, has been silent for 01:00:0", "look at process 7 on far"),
    ("DELETE FROM athena.migrations WHERE number = (SELECT max(number) FROM athena.migrations)", "schema", "", "athena migrate"),
], ids=lambda value: value[:40] if isinstance(value, str) else value)
def test_what_was_broken_is_found(run, healthy, harm, check, finding, remedy):
    healthy.query(harm)
    told = of(sick(run, healthy), check, "wrong")
    assert any(finding in row["finding"] and remedy in row["remedy"] for row in told), told


def test_a_job_without_a_place_is_named(run, healthy):
    healthy.query("SELECT athena.pause('noop')")
    job = healthy.enqueue("noop")
    healthy.query("DELETE FROM athena.ready WHERE job_id = %s", job)
    (row,) = of(sick(run, healthy), "conservation", "wrong")
    assert row["finding"].startswith(f"job {job}: no place") and row["remedy"] == f"athena job show {job}"


def test_a_long_transaction_is_named_with_its_process(run, healthy):
    holder = healthy.connect(application_name="a report")
    pid = holder.execute("SELECT pg_backend_pid() AS pid").fetchone()["pid"]
    holder.execute("BEGIN")
    holder.execute("SELECT pg_current_xact_id()")
    rows = findings(run, status=None)
    assert of(rows, "horizon", "good"), "it is younger than ten minutes"
    assert pid and not of(rows, "horizon", "wrong")


def test_lanes_that_nobody_runs_and_who_holds_them(run, database):
    database.query("UPDATE athena.lanes SET last_at = now() - interval '1 h'")
    holder = database.connect(application_name="squatter")
    holder.execute("SELECT pg_advisory_lock(1635018855, 1)")
    pid = holder.execute("SELECT pg_backend_pid() AS pid").fetchone()["pid"]
    rows = findings(run, status=None)
    lanes = {row["finding"].split()[1]: row for row in rows if row["check"] == "lanes"}
    assert f"its lock is held by process {pid} (squatter)" in lanes["promote"]["finding"]
    assert lanes["promote"]["remedy"] == f"SELECT pg_terminate_backend({pid})"
    assert lanes["rescue"]["remedy"] == "start a worker, or: athena maintenance run"
    assert lanes["prune"]["verdict"] == "note" and lanes["rescue"]["verdict"] == "wrong"


def test_windows_end_with_the_budget_and_deep_looks_at_all(run, database):
    database.query("SELECT athena.pause('noop')")
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 100)")
    database.query("SELECT setval('athena.tickets', 900000)")
    database.query("INSERT INTO athena.jobs (family) VALUES ('noop')")
    (row,) = [row for row in findings(run, "--budget", "1ms", status=None) if row["check"] == "conservation"]
    assert row["verdict"] in ("note", "good")
    (row,) = [row for row in findings(run, "--deep", status=None) if row["check"] == "conservation"]
    assert (row["verdict"], row["remedy"]) == ("good", None) and "(100 % of all)" in row["finding"]


def test_no_server_is_an_error_and_no_finding(run, tmp_path):
    done = run("athena", "doctor", url=f"postgresql:///x?host={tmp_path}", status=1)
    assert done.stdout == "" and "connecting to" in done.stderr
