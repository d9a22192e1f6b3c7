# SPDX-License-Identifier: PostgreSQL
"""Everything works behind PgBouncer in transaction mode, and leaves nothing in its sessions."""
import json

import pytest

from athena_test import Database, wait_until
from clones import load_shop
from pages import Pages
from pooler import Pooler
from sessions import assert_lawful


@pytest.fixture(scope="module")
def pooler(cluster):
    pooler = Pooler(cluster)
    yield pooler
    pooler.remove()


@pytest.fixture
def pooled(pooler, database):
    """What programs are told: {"url", "env"}. With more names for ATHENA_DATABASE_..."""
    def pooled(database=database, **more):
        more = {f"ATHENA_DATABASE_{name.upper()}": value for name, value in more.items()}
        return {"url": pooler.url(database.name), "env": {"ATHENA_DATABASE_PREPARE": "never", **more}}
    return pooled


def finish(database, count=40):
    """Enqueues jobs of all sorts and waits until all have succeeded."""
    jobs = [database.enqueue("noop") for _ in range(count)]
    jobs.append(database.enqueue("noop", {"fail": "transient", "fail_times": 1}))
    jobs.append(database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '100 ms') RETURNING id"))
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 1000)")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.outcomes WHERE state = 'succeeded'") == count + 1002)
    return jobs


def sessions(database):
    """How many of each program are on the server, past the pooler or through it."""
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'athena%'")


def test_a_worker_that_hears_past_the_pooler(database, pooler, pooled, workers):
    """Woken at once: its slow poll is an hour away."""
    database.query("UPDATE athena.families SET backoff_base = '50 ms'")
    worker = workers.start("noop", poll="1h", concurrency=4, **pooled(direct_url=database.url))
    worker.wait_log(" asleep ")
    finish(database)
    wait_until(lambda: database.value("SELECT count(*) FROM athena.sleepers") == 1, what="it sleeps again")
    database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert "not_listening" not in worker.stderr()
    assert worker.wait_log(r" connections url=3 direct_url=1$")
    assert worker.terminate() == 0
    assert database.query("SELECT FROM athena.workers") == database.query("SELECT FROM athena.leases") == []
    assert pooler.left_behind(database) == []
    assert_lawful(database)


def test_a_worker_that_cannot_hear(database, pooler, pooled, workers):
    """It says so, does not listen with a session that is somebody else's next, and polls."""
    database.query("UPDATE athena.families SET backoff_base = '50 ms'")
    worker = workers.start("noop", "--http=:0", poll="50ms", **pooled())
    worker.wait_log(" warn not_listening hint=.*direct_url")
    finish(database)
    pages = Pages.of(worker)
    wait_until(lambda: pages.metrics().get("athena_listener_connected") == 0)
    assert database.query("SELECT FROM athena.sleepers") == []
    assert worker.terminate() == 0
    assert pooler.left_behind(database) == []
    assert_lawful(database)


def test_a_killed_worker_behind_it_is_replaced(database, pooler, pooled, workers):
    """Leases are rescued through the pooler, too."""
    database.query("UPDATE athena.families SET lease = '6 s', backoff_base = '50 ms'")
    first = workers.start("noop", poll="50ms", **pooled())
    job = database.enqueue("noop", {"sleep_ms": 600000})
    database.wait_for_state(job, "running")
    first.kill()
    workers.start("noop", poll="50ms", **pooled())
    wait_until(lambda: database.value("SELECT count(*) FROM athena.failures WHERE job_id = %s", job) == 1)
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert_lawful(database)


@pytest.mark.parametrize("program,url", [(["athena-daemon"], 3), (["athena", "maintenance", "run"], 3)])
def test_daemon_and_maintenance(database, pooler, pooled, spawn, program, url):
    running = spawn(*program, **pooled(direct_url=database.url))
    direct = 1 if program[0] == "athena-daemon" else 0
    running.wait_log(rf" connections url={url} direct_url={direct}$")
    job = database.enqueue("noop", run_at="2035-01-01")
    database.query("UPDATE athena.scheduled SET run_at = now()")
    database.wait_for_state(job, "succeeded" if direct else "ready")
    assert running.terminate() == 0
    assert pooler.left_behind(database) == []


def test_connections_are_as_many_as_were_said(database, workers, spawn):
    """Without a pooler, where each is one of the server's."""
    worker = workers.start("noop", "--http=:0", env={"ATHENA_HTTP_CALLBACK_SECRET": "only-for-counting"})
    said = int(worker.wait_log(r" connections url=(\d+) direct_url=0$")[1])
    wait_until(lambda: sessions(database) == said == 6)
    worker.terminate()
    maintenance = spawn("athena", "maintenance", "run", "--http=:0")
    said = int(maintenance.wait_log(r" connections url=(\d+) direct_url=0$")[1])
    wait_until(lambda: sessions(database) == said == 4)


def test_the_command_line(empty_database, pooler, pooled, run, spawn):
    """From nothing to a job that was run, and back to nothing in the pool."""
    behind = pooled(empty_database)
    database = empty_database

    def athena(*args, **options):
        return run("athena", *args, **{**behind, **options})
    assert " migrations\n" in athena("migrate").stdout
    spawn("athena-daemon", **pooled(empty_database, direct_url=database.url)).wait_log(" registered ")
    job = athena("enqueue", "noop", "--wait").stdout.split()[0]
    assert json.loads(athena("job", "show", job, "--json").stdout)["state"] == "succeeded"
    assert json.loads(athena("job", "explain", job, "--json").stdout)["reason"] == "ended"
    athena("family", "set", "noop", "--max-running", "3")
    athena("family", "pause", "noop")
    later = athena("enqueue", "noop").stdout.split()[0]
    assert json.loads(athena("job", "explain", later, "--json").stdout)["reason"] == "paused"
    athena("job", "cancel", later)
    athena("job", "retry", later)
    athena("family", "resume", "noop")
    assert athena("job", "events", later, "--follow").returncode == 0
    for words in (["job", "list"], ["worker", "list"], ["family", "list"], ["family", "show", "noop"], ["maintenance", "status"]):
        assert athena(*words).stdout
    assert pooler.left_behind(database) == []
    assert_lawful(database)


def test_doctor_says_that_nothing_is_heard_through_it(database, pooled, run):
    def listen(**more):
        findings = json.loads(run("athena", "doctor", "--json", status=None, **pooled(**more)).stdout)
        return next(finding for finding in findings if finding["check"] == "listen")
    assert listen()["verdict"] == "wrong"
    assert "direct_url" in listen()["remedy"]
    assert listen(direct_url=database.url)["verdict"] == "good"


@pytest.fixture
def session_pooler(cluster):
    """It keeps a session for each client, and takes what is said at the start of one."""
    pooler = Pooler(cluster, pool_mode="session", ignore_startup_parameters="options")
    yield pooler
    pooler.remove()


def test_doctor_sees_the_pooler(database, pooled, session_pooler, run):
    def told(check, url=database.url, prepare="auto", **more):
        env = {f"ATHENA_DATABASE_{name.upper()}": value for name, value in {"prepare": prepare, **more}.items()}
        findings = json.loads(run("athena", "doctor", "--json", status=None, url=url, env=env).stdout)
        (finding,) = [finding for finding in findings if finding["check"] == check]
        return finding["verdict"], finding["finding"], finding["remedy"]
    assert told("pooler") == ("good", "there is none", None)
    assert told("pooler", prepare="never") == (
        "note", "there is none, and database.prepare is never: each statement is planned anew", "database.prepare: auto")
    assert told("pooler", **{"url": pooled()["url"], "prepare": "never"}) == (
        "good", "there is one, and nothing is prepared in its sessions", None)
    through = session_pooler.url(database.name)
    assert told("pooler", url=through) == ("note", "there is one, and statements are prepared in its sessions",
                                           "database.prepare: never, unless it keeps a session for each client")
    assert told("listen", url=through, prepare="never", direct_url=through) == (
        "note", "a notification arrives, but a pooler stands between",
        "database.direct_url past it, unless it keeps a session for each client")


def test_prepared_statements_are_refused_with_a_hint(database, pooler, workers):
    worker = workers.start("noop", until=None, url=pooler.url(database.name))
    worker.wait_log(r"unsupported startup parameter: options.*database\.prepare")


def test_a_clone_whose_databases_are_named_by_the_control_plane(database, cluster, pooler, pooled, workers):
    """Names without a host stand for the server itself: pg_dump needs a session of its own."""
    shop = load_shop(cluster.new_database(label="shop"))
    try:
        worker = workers.start("clone", poll="50ms", **pooled(direct_url=database.url))
        job = database.enqueue("clone", {"source": f"dbname={shop.name}", "target": f"dbname={shop.name}_copy"})
        database.wait_for_state(job, "succeeded")
        copy = Database(cluster, f"{shop.name}_copy")
        tables = "SELECT relname, n_live_tup >= 0 AS there FROM pg_stat_user_tables ORDER BY 1"
        assert copy.query(tables) == shop.query(tables) != []
    finally:
        cluster.drop_database(f"{shop.name}_copy")
        shop.drop()
    worker.wait_log(rf"job_settled job={job} .*result=succeeded")
