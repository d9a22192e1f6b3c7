# SPDX-License-Identifier: PostgreSQL
"""clone: what is known before a byte is copied, what it is asked for by, and how it is told."""
import datetime
import json
import re
import time

import pytest

from athena_test import Cluster, Database
from clones import PHASES, assert_no_traces, databases, events, failures, load_shop


@pytest.fixture(scope="module")
def shop(cluster):
    database = load_shop(cluster.new_database(label="shop"))
    yield database
    database.drop()


@pytest.fixture
def target(cluster):
    name = f"copy_{time.monotonic_ns()}"
    yield Database(cluster, name)
    cluster.drop_database(name)


@pytest.fixture
def clone(database, workers):
    def clone(source, target, state="succeeded", **payload):
        database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
        if not workers.all:
            workers.start("clone")
        job = database.enqueue("clone", {"source": source, "target": target, **payload})
        database.wait_for_state(job, state)
        return job
    return clone


def test_a_dry_run_tells_the_plan_and_makes_nothing(database, cluster, clone, shop, target):
    before = databases(cluster)
    job = clone(shop.url, target.url, dry_run=True, mode="parallel", jobs=3)
    (plan,) = events(database, job, "plan")
    tables = shop.value("SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
                        " WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_|^information_schema$'")
    assert {key: plan["details"][key] for key in ("mode", "why", "jobs", "tables", "large_objects")} == {
        "mode": "parallel", "why": "as the payload asks", "jobs": 3, "tables": tables, "large_objects": 4}
    assert plan["details"]["database_bytes"] > plan["details"]["table_bytes"] > 0
    assert [row["phase"] for row in events(database, job, "phase_started")] == PHASES[:3]
    assert databases(cluster) == before
    assert_no_traces(cluster)


def test_a_dry_run_tells_all_that_is_in_the_way(database, clone, shop):
    job = clone(shop.url, shop.url, "dead", dry_run=True)
    assert [row["code"] for row in failures(database, job)] == ["same_database"]
    assert events(database, job, "plan") == []


@pytest.fixture
def narrow():
    """A server with room for few sessions."""
    server = Cluster(max_connections=8, superuser_reserved_connections=2, max_wal_senders=0)
    yield server.start()
    server.remove()


def test_too_few_sessions_are_a_finding_that_may_pass(database, cluster, clone, narrow):
    source = cluster.new_database(label="empty")
    job = clone(source.url, narrow.url("copy"), "dead", mode="parallel", jobs=16, dry_run=True)
    (row, *_) = [row for row in events(database, job, "preflight_check") if not row["details"]["passed"]]
    assert row["details"] == {"check": "too_many_connections", "passed": False, "retry": True}
    assert re.match(r"the target has room for \d more sessions, and 18 are needed", row["message"])
    assert {(row["kind"], row["code"]) for row in failures(database, job)} == {("transient", "too_many_connections")}
    source.drop()


def queue_digest(database):
    queue = database.value("SELECT system_identifier || '.' || (SELECT oid FROM pg_database WHERE datname ="
                           " current_database()) FROM pg_control_system()")
    digest = 0x811c9dc5
    for byte in queue.encode():
        digest = (digest ^ byte) * 0x01000193 & 0xffffffff
    return f"{digest:08x}"


def test_what_other_jobs_left_is_removed_unless_somebody_holds_it(database, cluster, clone, shop, target):
    """A job that has had its last attempt while the server was away has no next one to tidy up."""
    digest = queue_digest(database)
    orphan, held, used, foreign = (f"athena_stg_{number}_{number}_{tag}" for number, tag in (
        (901, digest), (902, digest), (903, digest), (904, "00000000")))
    for name in (orphan, held, used, foreign):
        cluster.create_database(name)
    holder = cluster.connect(application_name=f"athena:clone:902:902:{digest}")
    user = cluster.connect(used)
    job = clone(shop.url, target.url)
    assert [row["details"]["name"] for row in events(database, job, "cleanup_done")] == [orphan]
    assert {held, used, foreign} <= databases(cluster) and orphan not in databases(cluster)
    holder.close()
    user.close()
    for name in (held, used, foreign):
        cluster.drop_database(name)


def test_views_speak_of_clone_jobs(database, clone, shop, target):
    done, dead = clone(shop.url, target.url), clone(shop.url, shop.url, "dead")
    database.enqueue("noop")
    waiting = database.enqueue("clone", {"source": "postgresql://me:geheim@nowhere/x", "target": "y"},
                               run_at=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=365))
    rows = {row["job_number"]: row for row in database.query("SELECT * FROM athena.clone_jobs")}
    assert {job: (row["status"], row["phase"], row["attempt_count"]) for job, row in rows.items()} == {
        done: ("completed", "complete", 1), dead: ("failed_terminal", "resolve_tools", 1),
        waiting: ("queued", None, 0)}
    assert rows[done]["verification_summary"]["passed"] is True
    assert "same database" in rows[dead]["failure_summary"]
    assert "geheim" not in str(rows[waiting]["redacted_summary"])
    assert rows[done]["completed_at"] == rows[done]["updated_at"]
    phases = database.column("SELECT phase FROM athena.clone_events WHERE job_id = athena.public_id(%s)"
                             " AND kind = 'phase_started' ORDER BY seq", done)
    assert phases == PHASES


def test_the_command_queues_follows_and_tells(database, cluster, workers, run, shop, target):
    workers.start("clone")
    done = run("athena", "clone", shop.url, target.url, "--dry-run", "--jobs", "2", "--mode=parallel", url=database.url)
    assert re.search(r"would copy \d+ tables with \d+ bytes, .* in the mode parallel: as the payload asks", done.stdout)
    assert target.name not in databases(cluster)
    done = run("athena", "clone", shop.url, target.url, "--follow", "--mode=parallel", url=database.url)
    assert re.search(r"table_done +shop.*: \d+ bytes|: \d+ bytes", done.stdout)
    assert "succeeded" in done.stderr and target.name in databases(cluster)
    done = run("athena", "clone", shop.url, shop.url, "--verify=none", "--json", url=database.url)
    assert json.loads(done.stdout) == {"job_id": 3, "queued": True}


def test_the_command_refuses_what_the_family_does(database, run):
    done = run("athena", "clone", "a", "b", "--mode=fast", status=2, url=database.url)
    assert 'mode' in done.stderr and "auto, pipe, staged, parallel" in done.stderr
    assert database.value("SELECT count(*) FROM athena.jobs") == 0
