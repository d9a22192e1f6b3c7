# SPDX-License-Identifier: PostgreSQL
"""A cloning worker is killed at points chosen by phase: another one finishes, and nothing is left."""
import os
import threading

import pytest

from athena_test import Database, processes, wait_until
from clones import (PHASES, assert_no_traces, databases, events, load_bytes, tools, traces,
                    wait_for_phase)
from workers import wait_dead


@pytest.fixture(scope="module")
def busy(cluster):
    """A source that is written to all the time."""
    source = load_bytes(cluster.new_database(label="busy"), 60)
    source.query("CREATE TABLE accounts (id serial PRIMARY KEY, money bigint NOT NULL);"
                 "INSERT INTO accounts (money) SELECT 100 FROM generate_series(1, 1000)")
    ended = threading.Event()

    def write():
        with cluster.connect(source.name) as conn:
            n = 0
            while not ended.wait(0.002):
                n += 1
                with conn.transaction():
                    conn.execute("UPDATE accounts SET money = money - 7 WHERE id = %s", (1 + n % 1000,))
                    conn.execute("INSERT INTO accounts (money) VALUES (7)")
    thread = threading.Thread(target=write)
    thread.start()
    yield source
    ended.set()
    thread.join()
    source.drop()


def progress_of(database, job):
    rows = database.query("SELECT done::float / total AS part FROM athena.progress WHERE job_id = %s", job)
    return rows[0]["part"] if rows else 0


def in_the_middle_of(phase, part):
    """Once the phase has begun and the bar has come so far."""
    def reached(database, cluster, job, target):
        wait_for_phase(database, job, phase)
        wait_until(lambda: progress_of(database, job) >= part
                   or database.job(job)["state"] != "running", what=f"{part} of the clone")
    return reached


def at_the_start_of(phase):
    def reached(database, cluster, job, target):
        wait_for_phase(database, job, phase)
    return reached


def staging_is_there(database, cluster, job, target):
    wait_until(lambda: any(name.startswith("athena_stg_") for name in databases(cluster)))


def target_is_there(database, cluster, job, target):
    wait_until(lambda: target in databases(cluster), every_s=0.001)


POINTS = {
    **{phase: at_the_start_of(phase) for phase in PHASES},
    "staging created": staging_is_there,
    "half of the dump": in_the_middle_of("dump_source", 0.25),
    "half of the comparison": in_the_middle_of("verify_target", 0.75),
    "target created": target_is_there,
}


def executors(worker):
    """All processes below a worker."""
    found, everybody = set(), processes()
    below = {worker.pid}
    while below:
        below = {pid for pid, (parent, _) in everybody.items() if parent in below}
        found |= below
    return found


@pytest.mark.parametrize("point", POINTS)
def test_another_worker_finishes(database, cluster, workers, busy, tmp_path, point):
    target = f"copy_{os.getpid()}_{list(POINTS).index(point)}"
    before = databases(cluster)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    victim = workers.start("clone", env={"TMPDIR": str(scratch)})
    job = database.enqueue("clone", {"source": busy.url, "target": cluster.url(target)})
    POINTS[point](database, cluster, job, target)
    children = executors(victim)
    victim.kill()
    wait_dead(*children)
    assert not tools(cluster)

    workers.start("clone")
    row = database.wait_for_state(job, "succeeded")
    assert row["attempt"] in (1, 2)
    if point not in ("complete", "target created"):
        assert row["attempt"] == 2
    copy = Database(cluster, target)
    try:
        count, money = copy.query("SELECT count(*) AS n, sum(money) AS m FROM accounts")[0].values()
        assert money == 100 * 1000 and count >= 1000
        assert copy.value("SELECT count(*) FROM t1") == 15000
        assert_no_traces(cluster)
        assert databases(cluster) == before | {target}
        assert os.listdir(scratch) == []
        assert sorted(os.listdir(victim.directory)) == ["stderr", "stdout"]
        assert not database.conservation()
    finally:
        copy.drop()


def test_work_that_was_finished_is_not_done_again(database, cluster, workers, busy):
    """Killed after the rename, before the job is settled: the next attempt only says so."""
    target = f"copy_{os.getpid()}_once"
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    victim = workers.start("clone")
    job = database.enqueue("clone", {"source": busy.url, "target": cluster.url(target)})
    wait_for_phase(database, job, "verify_target")
    # The settling waits for this lock, until its session is ended as well.
    settling = ("SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND query ILIKE '%outcomes%' OR query ILIKE '%settle%'"
                " AND wait_event_type = 'Lock'")
    with database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE athena.outcomes IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: target in databases(cluster))
        wait_until(lambda: database.query(settling), what="the job is being settled")
        victim.kill()
        for pid in database.column(settling):
            database.query("SELECT pg_terminate_backend(%s)", pid)
        wait_until(lambda: not database.query(settling), what="its session has ended")
    oid = "SELECT oid FROM pg_database WHERE datname = %s"
    made = cluster.connect().execute(oid, (target,)).fetchone()
    workers.start("clone")
    row = database.wait_for_state(job, "succeeded")
    assert row["attempt"] == 2
    assert len(events(database, job, "already_complete")) == 1
    assert cluster.connect().execute(oid, (target,)).fetchone() == made
    assert not traces(cluster)
    cluster.drop_database(target)


def test_an_executor_that_is_killed_costs_one_attempt(database, cluster, workers, busy):
    target = f"copy_{os.getpid()}_executor"
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    worker = workers.start("clone")
    job = database.enqueue("clone", {"source": busy.url, "target": cluster.url(target)})
    wait_for_phase(database, job, "dump_source")
    (executor,) = [pid for pid, (parent, _) in processes().items() if parent == worker.pid]
    os.kill(executor, 9)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    assert_no_traces(cluster)
    cluster.drop_database(target)
