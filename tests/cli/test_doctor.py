# SPDX-License-Identifier: PostgreSQL
"""athena doctor: finds what was broken on purpose, names the remedy, and is quiet about a healthy system."""
import json
import re

import pytest

from athena_test import ROOT, wait_until
from proxy import Proxy

CHECKS = ["connection", "pooler", "schema", "system", "durability", "role", "rights", "structure", "leaves", "lanes", "workers", "versions",
          "families", "schedules", "horizon", "vacuum", "wakeups", "connections", "listen", "clock", "conservation"]


def findings(run, *args, status=0, **options):
    return json.loads(run("athena", "doctor", "--json", *args, status=status, **options).stdout)


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
    ("CREATE PUBLICATION p FOR ALL TABLES", "structure", " more: tickets of two systems would mix", "take the schema"),
    ("GRANT INSERT ON athena.jobs_default TO athena_producer", "rights",
     "role athena_producer has INSERT on the leaf athena.jobs_default, past the triggers of its parent",
     "REVOKE ALL ON athena.jobs_default FROM athena_producer"),
    ("REVOKE INSERT, UPDATE ON athena.leases FROM athena_worker", "rights",
     "role athena_worker lacks INSERT, UPDATE on athena.leases: workers cannot work",
     "GRANT INSERT, UPDATE ON TABLE athena.leases TO athena_worker"),
    ("GRANT UPDATE (state) ON athena.outcomes_default TO athena_reader", "rights",
     "role athena_reader has UPDATE on the leaf athena.outcomes_default", "REVOKE ALL ON athena.outcomes_default FROM athena_reader"),
    ("GRANT EXECUTE ON FUNCTION athena.settle TO PUBLIC", "rights", "anybody (PUBLIC) has EXECUTE on athena.settle(",
     "REVOKE ALL ON FUNCTION athena.settle("),
    ("GRANT SELECT ON ALL TABLES IN SCHEMA athena TO PUBLIC", "rights", " tables of athena, such as athena.",
     "REVOKE ALL ON ALL TABLES IN SCHEMA athena FROM PUBLIC"),
    ("GRANT SELECT (payload) ON athena.jobs TO PUBLIC", "rights", "anybody (PUBLIC) has SELECT on athena.jobs",
     "REVOKE ALL ON TABLE athena.jobs FROM PUBLIC"),
    ("GRANT CREATE ON SCHEMA athena TO PUBLIC", "rights", "anybody (PUBLIC) has CREATE on athena", "REVOKE ALL ON SCHEMA athena FROM PUBLIC"),
    ("ALTER FUNCTION athena.jobs_make_tickets RESET search_path", "rights",
     "function athena.jobs_make_tickets runs as its owner, with names looked up as its caller likes",
     "ALTER FUNCTION athena.jobs_make_tickets() SET search_path = pg_catalog, pg_temp"),
    ("INSERT INTO athena.workers (kind, host, pid, version, heartbeat_at) VALUES ('worker', 'far', 7, '0.0.9', now() + interval '1 h')",
     "versions", "a process is of athena 0.0.9", "end it, and start one of this release"),
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


@pytest.mark.parametrize("harm", [
    "GRANT INSERT ON athena.jobs_default TO athena_producer", "GRANT EXECUTE ON FUNCTION athena.settle TO PUBLIC",
    "GRANT SELECT ON ALL TABLES IN SCHEMA athena TO PUBLIC", "GRANT SELECT (payload) ON athena.jobs TO PUBLIC",
    "ALTER FUNCTION athena.jobs_make_tickets RESET search_path",
    "REVOKE ALL ON ALL TABLES IN SCHEMA athena FROM athena_worker", "REVOKE USAGE ON SEQUENCE athena.tickets FROM athena_worker"])
def test_remedies_that_are_statements_cure(run, database, harm):
    database.query(harm)
    for row in of(findings(run, status=None), "rights", "wrong"):
        database.query(row["remedy"])
    assert of(findings(run, status=None), "rights", "wrong") == []


def test_it_knows_all_that_workers_need():
    """The same as the table of all rights, and so as the catalogs (tests/sql/test_rights.py)."""
    rights = (ROOT / "tests/sql/rights.tsv").read_text()
    expected = {tuple(line.split("\t")[1:]) for line in rights.splitlines()
                if re.match(r"athena_worker\t(table|sequence)\t", line)}
    statement = (ROOT / "sql/statements/doctor_rights.sql").read_text()
    told = {(kind.lower(), name, words.replace(",", ""))
            for kind, name, words in re.findall(r"\('(TABLE|SEQUENCE)', '(\w+)', '([A-Z, ]+)'\)", statement)}
    assert told == expected


def test_a_subscription_that_writes_into_it(run, database, cluster):
    source = cluster.migrated_database("published")
    source.query("CREATE PUBLICATION p FOR TABLE athena.leases")
    database.connect().execute(f"CREATE SUBSCRIPTION s CONNECTION '{source.url}' PUBLICATION p WITH (create_slot = false, enabled = false,"
                               " copy_data = false, slot_name = NONE)")
    try:
        told = [row["finding"] for row in of(findings(run, status=None), "structure", "wrong")]
        assert told == ["subscription s writes into athena.leases, past its triggers"]
    finally:
        database.query("DROP SUBSCRIPTION s")
        source.drop()


def test_processes_of_a_newer_release(run, healthy):
    healthy.query("INSERT INTO athena.workers (kind, host, pid, version, heartbeat_at)"
                  " SELECT 'worker', 'far', n, '9.9.9', now() + interval '1 h' FROM generate_series(1, 2) AS n")
    (row,) = of(findings(run, status=None), "versions", "note")
    assert row["finding"].startswith("2 processes are of athena 9.9.9, and this is ") and "worker on far, process 1" in row["finding"]


@pytest.fixture
def asker(database, cluster):
    """Of no group, until it is given one."""
    database.query("CREATE ROLE an_asker LOGIN")
    yield cluster.url(database.name, user="an_asker")
    database.query("DROP OWNED BY an_asker; DROP ROLE an_asker")


def test_what_the_role_may_do(run, database, asker):
    def told():
        return [(row["verdict"], row["finding"], row["remedy"]) for row in findings(run, status=None, url=asker) if row["check"] == "role"]
    database.query("GRANT athena_reader, athena_producer TO an_asker")
    assert told() == [("note", "an_asker may enqueue, look", "if it is to run jobs: athena grants --worker an_asker")]
    database.query("GRANT athena_worker TO an_asker")
    assert told() == [("good", "an_asker may run jobs, enqueue, look", None)]
    database.query("REVOKE EXECUTE ON FUNCTION athena.settle FROM athena_worker")
    assert told() == [("wrong", "an_asker may run jobs, but may not call athena.settle",
                       "GRANT EXECUTE ON FUNCTION athena.settle TO athena_worker")]


def test_a_role_that_does_not_inherit(run, database, asker):
    """It reads as nobody in particular: that it is a member helps it nowhere."""
    database.query("ALTER ROLE an_asker NOINHERIT; GRANT athena_worker TO an_asker; GRANT athena_reader TO an_asker;"
                   " GRANT USAGE ON SCHEMA athena TO an_asker")
    (row,) = of(findings(run, status=None, url=asker), "role", "wrong")
    assert row["finding"] == "an_asker is a member of athena_worker, and does not inherit its rights"
    assert "INHERIT" in row["remedy"]


@pytest.mark.parametrize("version, verdict, remedy", [("13.9", "wrong", "use Postgres 14 to 18"),
                                                      ("19.1", "note", "this athena was tried with Postgres 14 to 18")])
def test_a_server_of_another_major(run, database, cluster, version, verdict, remedy):
    """Which is this one, with another version on its lips."""
    proxy = Proxy(cluster)
    real = database.value("SHOW server_version")
    proxy.says_instead(b"server_version\0" + real.encode() + b"\0", b"server_version\0" + version.ljust(len(real)).encode() + b"\0")
    try:
        (row,) = [row for row in findings(run, status=None, url=proxy.url(database)) if row["check"] == "connection"]
        assert (row["verdict"], row["remedy"]) == (verdict, remedy)
        assert row["finding"].startswith(f"Postgres {version}")
    finally:
        proxy.close()


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
