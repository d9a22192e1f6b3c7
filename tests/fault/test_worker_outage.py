# SPDX-License-Identifier: PostgreSQL
"""Postgres goes away under running jobs: stopped, frozen, crashed, replaced by another one."""
import contextlib
import os
import signal
import time

import pytest

from athena_test import FAULT_BUILD, Cluster, processes, run_program, wait_until
from ledger import Ledger
from proxy import Proxy
from sessions import assert_lawful
from workers import is_dead, read_lines, script, settled, wait_line


@pytest.fixture(scope="module")
def server():
    """A server of these tests' own, which they may stop."""
    server = Cluster()
    try:
        yield server.start()
    finally:
        thaw(server)
        server.remove()


@pytest.fixture
def away(server, programs):
    """A database there, with leases of 8 s."""
    database = server.migrated_database("away")
    database.query("UPDATE athena.families SET lease = '8 s', backoff_base = '0 s' WHERE name = 'noop'")
    yield database
    thaw(server)
    if not server.is_running():
        server.start()
    programs.end()
    database.drop()


def server_pids(server):
    return [server.process.pid, *(pid for pid, (parent, _) in processes().items()
                                  if parent == server.process.pid)]


def freeze(server):
    """SIGSTOP, to the postmaster first, so that there are no more of them."""
    os.kill(server.process.pid, signal.SIGSTOP)
    for pid in server_pids(server):
        os.kill(pid, signal.SIGSTOP)


def thaw(server):
    if server.is_running():
        for pid in server_pids(server):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def gone(server, database, how):
    """Frozen, or stopped and started again as pg_ctl does."""
    database.close()
    if how == "frozen":
        freeze(server)
    else:
        server.stop({"stopped": "fast", "crashed": "immediate"}[how])
    yield
    if how == "frozen":
        thaw(server)
    else:
        server.start()


def beats(tmp_path):
    """A command that writes the time ten times a second, and its log."""
    log = tmp_path / "beats"
    return script(tmp_path, "beat", f"echo $$ >>{log}-pid\nwhile :; do date +%s.%N >>{log}; sleep 0.1; done\n"), log


@pytest.mark.parametrize("how", ["frozen", "stopped", "crashed"])
def test_away_for_less_than_the_lease(server, away, workers, how):
    """Two workers, each a job over all of it and a job that ends meanwhile: the same attempts finish,
    nobody is rescued, nothing is fenced."""
    away.query("UPDATE athena.families SET lease = '60 s' WHERE name = 'noop'")
    pair = [workers.start(url=away.url, concurrency=2) for _ in range(2)]
    long = [away.enqueue("noop", {"sleep_ms": 5500}) for _ in range(2)]
    short = [away.enqueue("noop", {"sleep_ms": 1500}) for _ in range(2)]
    wait_until(lambda: away.value("SELECT count(*) FROM athena.leases") == 4)
    with gone(server, away, how):
        time.sleep(3.5)
    for job in short:
        assert away.wait_for_state(job, "succeeded")["attempt"] == 1
    for job in long:
        assert away.wait_for_state(job, "succeeded")["attempt"] == 1
    assert away.query("SELECT * FROM athena.failures") == []
    assert away.value("SELECT count(*) FROM athena.workers") == 2
    for worker in pair:
        assert worker.stderr().count(" registered ") == 1
        assert worker.stderr().count("connection_failed") <= 20, "once per session and reason, not per try"
    assert away.wait_for_state(away.enqueue("noop"), "succeeded")
    assert_lawful(away)


@pytest.mark.parametrize("how", ["frozen", "stopped"])
def test_away_for_longer_than_the_fence(server, away, workers, tmp_path, how):
    """What runs is dead before its lease could have ended, and is tried again; what ended in time is
    settled as it ended."""
    command, log = beats(tmp_path)
    families = {"own": {"run": "command", "command": command, "lease": "8s", "max_attempts": 1}}
    worker = workers.start("noop,own", url=away.url, families=families, fence_margin="2s")
    job, own, short = (away.enqueue("noop", {"sleep_ms": 60000}), away.enqueue("own"),
                       away.enqueue("noop", {"sleep_ms": 2500}))
    wait_until(lambda: away.value("SELECT count(*) FROM athena.leases") == 3)
    pid = int(wait_line(f"{log}-pid", r"(\d+)")[1])
    with gone(server, away, how):
        began = time.time()
        wait_until(lambda: is_dead(pid), what="the fence has fallen")
        fenced_s = time.time() - began
        time.sleep(max(0, began + 8.5 - time.time()))
    away.query("UPDATE athena.jobs SET payload = '{}' WHERE id = %s", job)
    # 6 s after the last heartbeat, which was sent at most 300 ms before, or a second where it met the
    # end of the server.
    assert 3 < fenced_s < 8, fenced_s
    assert float(read_lines(log)[-1]) < began + 8
    assert away.wait_for_state(short, "succeeded")["attempt"] == 1
    away.wait_for_state(own, "dead")
    row = away.wait_for_state(job, "succeeded")
    assert row["attempt"] == 2
    errors = away.query("SELECT job_id, attempt, kind, error FROM athena.failures ORDER BY job_id")
    assert [(row["job_id"], row["attempt"], row["kind"]) for row in errors] == [
        (job, 1, "crashed"), (own, 1, "crashed")]
    assert all(row["error"].startswith("fenced: no heartbeat") for row in errors), errors
    assert worker.stderr().count(" registered ") == 1
    assert_lawful(away)


def test_nothing_begins_that_would_be_fenced_at_once(server, away, workers):
    """Held jobs wait, and are run once a heartbeat has been answered."""
    worker = workers.start(url=away.url, concurrency=1)
    for _ in range(20):
        away.wait_for_state(away.enqueue("noop"), "succeeded")
    slow = away.enqueue("noop", {"sleep_ms": 4500}, priority=0)
    away.wait_for_state(slow, "running")
    rest = away.column("INSERT INTO athena.jobs (family, payload) SELECT 'noop', '{\"sleep_ms\": 200}'"
                       " FROM generate_series(1, 20) RETURNING id")
    wait_until(lambda: away.value("SELECT count(*) FROM athena.leases") > 5)
    with gone(server, away, "frozen"):
        time.sleep(7.5)  # fences fall after 7 s
    for job in [slow, *rest]:
        away.wait_for_state(job, "succeeded")
    assert away.query("SELECT * FROM athena.failures") == [], "none was fenced"
    assert worker.is_running()
    assert_lawful(away)


def test_a_crash_of_the_server_under_load(server, away, workers):
    """SIGKILL to all of it, twice, between claims and settles of any kind."""
    pair = [workers.start(url=away.url) for _ in range(2)]
    jobs = away.column("INSERT INTO athena.jobs (family, payload)"
                       " SELECT 'noop', jsonb_build_object('sleep_ms', n % 30) FROM generate_series(1, 2000) AS n"
                       " RETURNING id")
    for ended in (200, 800):
        wait_until(lambda: away.value("SELECT count(*) FROM athena.outcomes") > ended)
        away.close()
        server.kill()
        server.start()
    wait_until(lambda: away.value("SELECT count(*) FROM athena.outcomes") == len(jobs))
    assert away.query("SELECT state::text, attempt, count(*) FROM athena.outcomes GROUP BY 1, 2") == [
        {"state": "succeeded", "attempt": 1, "count": 2000}]
    assert away.query("SELECT * FROM athena.failures") == []
    for worker in pair:
        assert worker.terminate() == 0
    assert_lawful(away)


def test_another_server_at_the_same_address(server, cluster, away, workers, tmp_path):
    """As after a failover: leases and numbers of the old one mean nothing. What runs is stopped, the
    worker registers anew, and jobs of the new one run."""
    command, log = beats(tmp_path)
    proxy = Proxy(server)
    new = cluster.create_database(away.name)
    run_program("athena", "migrate", url=new.url)
    worker = workers.start("noop,own", url=proxy.url(away),
                           families={"own": {"run": "command", "command": command}})
    worker.wait_log("asleep", count=2)
    own = away.enqueue("own")
    pid = int(wait_line(f"{log}-pid", r"(\d+)")[1])
    proxy.cluster = cluster
    proxy.drop_all()
    worker.wait_log("fenced .*another one")
    wait_until(lambda: is_dead(pid), what="what ran is stopped")
    worker.wait_log(" registered ", count=2)
    assert new.column("SELECT id FROM athena.workers") != away.column("SELECT id FROM athena.workers")
    for _ in range(5):
        assert new.wait_for_state(new.enqueue("noop"), "succeeded")["attempt"] == 1
    assert new.query("SELECT * FROM athena.failures") == []
    assert away.value("SELECT count(*) FROM athena.leases WHERE job_id = %s", own) == 1, "left to the rescue"
    assert worker.terminate() == 0
    assert_lawful(new)
    proxy.close()
    new.drop()


def test_nothing_is_claimed_on_another_server_than_the_heartbeats(server, cluster, away, workers, tmp_path):
    """As in the moment after a failover in which only one of both sessions has moved. The new server
    knows the worker, and gives its numbers out once more: a job of there must not be held beside the
    one of here that has its number."""
    work, pulse = Proxy(server), Proxy(server)
    new = cluster.create_database(away.name)
    run_program("athena", "migrate", url=new.url)
    worker = workers.start(url=work.url(away), env={"ATHENA_DATABASE_DIRECT_URL": pulse.url(away)}, concurrency=2)
    runs = away.enqueue("noop", {"sleep_ms": 3600000})
    away.wait_for_state(runs, "running")
    (row,) = away.query("SELECT id, host FROM athena.workers")
    new.query("INSERT INTO athena.workers (id, kind, host, families) VALUES (%s, 'worker', %s, '{noop}')", row["id"], row["host"])
    new.query("SELECT setval('athena.tickets', %s, false)", runs)
    assert new.enqueue("noop") == runs
    work.cluster = cluster
    work.drop_all()
    worker.wait_log("connection_lost session=work .*another server than the heartbeat", count=2)
    assert new.job(runs)["state"] == "ready"
    pulse.cluster = cluster
    pulse.drop_all()
    worker.wait_log("fenced .*another one")
    assert new.wait_for_state(runs, "succeeded")["attempt"] == 1
    (outcome,) = new.query("SELECT worker_id FROM athena.outcomes")
    assert outcome["worker_id"] != row["id"], "who it was there before does nothing more"
    assert away.value("SELECT count(*) FROM athena.leases WHERE job_id = %s", runs) == 1
    new.query("DELETE FROM athena.workers WHERE id = %s", row["id"])
    assert worker.terminate() == 0
    assert_lawful(new)
    for proxy in (work, pulse):
        proxy.close()
    new.drop()


def promote_in_place(server):
    """As after a failover to a standby that had everything: another timeline, the same rows."""
    server.stop()
    (server.data / "standby.signal").touch()
    server.start()
    with server.connect() as conn:
        assert conn.execute("SELECT pg_promote(true, 60) AS done").fetchone()["done"]


def test_after_a_failover_nothing_waits_for_old_leases(server, away, workers, spawn, tmp_path):
    """Who the worker was holds them for an hour yet; nobody but itself can know that nothing runs
    under them any more. And a process for maintenance alone leaves no second row either."""
    command, log = beats(tmp_path)
    worker = workers.start("noop,own", url=away.url, drain="100ms", poll="1h", families={
        "own": {"run": "command", "command": command, "lease": "1h"}})
    service = spawn("athena", "maintenance", "run", url=away.url)
    service.wait_log(" registered ")
    own = away.enqueue("own")
    pid = int(wait_line(f"{log}-pid", r"(\d+)")[1])
    former = set(away.column("SELECT id FROM athena.workers"))
    away.close()
    promote_in_place(server)
    worker.wait_log("fenced .*another one")
    wait_until(lambda: len(read_lines(f"{log}-pid")) == 2, what="it runs again")
    assert is_dead(pid)
    (failure,) = away.query("SELECT job_id, attempt, kind FROM athena.failures")
    assert failure == {"job_id": own, "attempt": 1, "kind": "lost"}
    assert away.job(own)["attempt"] == 2
    wait_until(lambda: len(now := set(away.column("SELECT id FROM athena.workers"))) == 2 and not now & former)
    assert away.wait_for_state(away.enqueue("noop"), "succeeded"), "it listens, and is told"
    assert worker.terminate() == 0 and service.terminate() == 0
    assert_lawful(away)


class Nowhere:
    host, port = "/nonexistent", 1


def test_numbers_that_are_given_out_again(server, cluster, away, workers, tmp_path):
    """After a failover to a standby that lagged behind: results of the old jobs wait in the worker while
    jobs of the same numbers wait in the new server. They have nothing to do with each other."""
    work, pulse, ledger = Proxy(server), Proxy(server), Ledger(tmp_path / "ledger")
    new = cluster.create_database(away.name)
    run_program("athena", "migrate", url=new.url)
    worker = workers.start(url=work.url(away), program=str(FAULT_BUILD / "athena-worker"), concurrency=4,
                           env={"ATHENA_FAULT_LEDGER": str(ledger.directory), "ATHENA_DATABASE_DIRECT_URL": pulse.url(away)})
    insert = "INSERT INTO athena.jobs (family, payload) SELECT 'noop', %s::jsonb FROM generate_series(1, %s) RETURNING id"
    away.column(insert, '{"sleep_ms": 10}', 1000)
    wait_until(lambda: away.value("SELECT count(*) FROM athena.outcomes") > 100)
    for proxy in (work, pulse):
        proxy.cluster = Nowhere
        proxy.drop_all()
    ended = set(away.column("SELECT job_id FROM athena.outcomes"))
    wait_until(lambda: len(ledger.executions()) > len(ended) + 20, what="what was held runs on")
    new.query("SELECT setval('athena.tickets', %s, false)", min({run.job for run in ledger.executions()} - ended))
    new.column(insert, '{"fail": "permanent"}', 1000)
    pulse.cluster = cluster
    worker.wait_log(" registered ", count=2)
    work.cluster = cluster
    wait_until(lambda: new.value("SELECT count(*) FROM athena.outcomes") == 1000)
    assert new.column("SELECT DISTINCT state::text FROM athena.outcomes") == ["dead"], "each was run, and failed"
    assert worker.terminate() == 0
    assert_lawful(new)
    for proxy in (work, pulse):
        proxy.close()
    new.drop()


def test_a_connection_that_swallows_everything(server, away, workers):
    """Established, and silent: no answer to two heartbeats is an end, whatever the socket says."""
    proxy = Proxy(server)
    worker = workers.start(url=proxy.url(away))
    job = away.enqueue("noop", {"sleep_ms": 2000})
    away.wait_for_state(job, "running")
    proxy.hang_all()
    worker.wait_log("connection_lost session=pulse .*no answer")
    worker.wait_log("connection_lost session=work .*no answer")
    assert away.wait_for_state(job, "succeeded")["attempt"] == 1
    assert settled(worker, job)["answer"] == "settled"
    assert worker.terminate() == 0
    proxy.close()
    assert_lawful(away)
