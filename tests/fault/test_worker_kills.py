# SPDX-License-Identifier: PostgreSQL
"""Workers and executors that are killed or stopped: what dies with them, who takes over, who is late."""
import os
import re
import signal
import time

import pytest

from athena_test import PROMPT_S, run_program, wait_until
from sessions import assert_lawful
from workers import is_dead, read_lines, resume, script, settled, stop, wait_dead, wait_line

LEASE_S = 8
FENCE_S = 6
MARGIN = {"fence_margin": f"{LEASE_S - FENCE_S}s"}


@pytest.fixture
def short(database):
    """Leases of 8 s, and no back-off that a test would have to wait for."""
    database.query("UPDATE athena.families SET lease = '8 s', backoff_base = '0 s' WHERE name = 'noop'")
    return database


def nested(tmp_path, log, name="nested"):
    """A command whose child has a child; both ignore SIGTERM and hold none of our descriptors. Each
    writes its pid, and then the time, ten times a second, for as long as it lives."""
    beat = script(tmp_path, f"{name}-beat", f"""
trap '' TERM INT HUP
echo $1 $$ >>{log}
while :; do date +%s.%N >>{log}-$1; sleep 0.1; done
""")[0]
    return script(tmp_path, name, f"""
{beat} grandchild </dev/null >/dev/null 2>&1 &
exec {beat} child
""")


def pids_in(log):
    """(child, grandchild) of a nested command."""
    return int(wait_line(log, r"child (\d+)")[1]), int(wait_line(log, r"grandchild (\d+)")[1])


def last_beat(log, who):
    return float(read_lines(f"{log}-{who}")[-1])


def failures(database, job):
    return database.query("SELECT * FROM athena.failures WHERE job_id = %s ORDER BY at", job)


# --- Executors

@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_kill_of_an_executor_costs_one_attempt(short, workers, number):
    worker = workers.start(concurrency=1)
    job = short.enqueue("noop", {"sleep_ms": 1000})
    short.wait_for_state(job, "running")
    (executor,) = wait_until(worker.children)
    os.kill(executor, number)
    assert short.wait_for_state(job, "succeeded")["attempt"] == 2
    (failure,) = failures(short, job)
    assert failure["kind"] == "crashed" and f"signal {number}" in failure["error"]
    assert worker.is_running()
    assert_lawful(short)


def test_kill_of_an_executor_kills_what_it_started(short, workers, tmp_path):
    """Before anybody else gets the job, and grandchildren too."""
    log = tmp_path / "log"
    families = {"own": {"run": "command", "command": nested(tmp_path, log), "max_attempts": 1}}
    worker = workers.start("own", families=families)
    job = short.enqueue("own")
    pids = pids_in(log)
    (executor,) = worker.children()
    os.kill(executor, signal.SIGKILL)
    short.wait_for_state(job, "dead")
    assert is_dead(*pids)
    assert failures(short, job)[0]["kind"] == "crashed"
    assert_lawful(short)


def test_those_behind_a_crashed_attempt_have_not_started(short, workers):
    """Sent to the same executor in one batch: they run elsewhere, at their first attempt; those
    before it, of which the worker may not have been told, do not run again."""
    worker = workers.start(concurrency=1)
    first = [short.enqueue("noop") for _ in range(30)]
    for job in first:
        short.wait_for_state(job, "succeeded")
    short.query("SELECT athena.pause('noop')")
    jobs = [short.enqueue("noop", {"crash": "kill", "fail_times": 1} if n % 10 == 0 else {}) for n in range(30)]
    short.query("SELECT athena.resume('noop')")
    for job in jobs:
        short.wait_for_state(job, "succeeded")
    attempts = [short.job(job)["attempt"] for job in jobs]
    assert attempts == [2 if n % 10 == 0 else 1 for n in range(30)]
    assert short.value("SELECT count(*) FROM athena.failures") == 3
    started = [int(job) for job in re.findall(r" attempt_started job=(\d+) ", worker.stderr())]
    assert [started.count(job) for job in jobs] == attempts
    assert_lawful(short)


# --- Workers that are killed

def test_kill_of_a_worker_kills_executors_commands_and_grandchildren_at_once(short, workers, tmp_path):
    log = tmp_path / "log"
    short.query("UPDATE athena.families SET lease = '5 min' WHERE name = 'noop'")
    families = {"own": {"run": "command", "command": nested(tmp_path, log), "lease": "5m"}}
    worker = workers.start("noop,own", families=families)
    job, own = short.enqueue("noop", {"sleep_ms": 60000}), short.enqueue("own")
    pids = pids_in(log)
    for each in (job, own):
        short.wait_for_state(each, "running")
    executors = worker.children()
    assert len(executors) == 2
    began = time.monotonic()
    worker.kill()
    assert wait_dead(*executors, *pids) - began < PROMPT_S
    wait_until(lambda: worker.session_pids() == [])
    # A neighbour on this host sees that the process is gone: no lease has to run out.
    short.query("UPDATE athena.jobs SET payload = '{}' WHERE id = %s", job)
    short.query("SELECT athena.cancel(%s)", own)
    other = workers.start("noop")
    assert short.wait_for_state(job, "succeeded")["attempt"] == 2
    short.wait_for_state(own, "cancelled")
    assert "its worker died" in failures(short, job)[0]["error"]
    assert failures(short, job)[0]["kind"] == "lost"
    wait_until(lambda: short.value("SELECT count(*) FROM athena.workers") == 1)
    assert other.is_running()
    assert_lawful(short)


def test_what_a_killed_worker_had_fetched_ahead_is_done_by_another(short, workers):
    """It held as much as it ever does: quick jobs, behind some that turned out slow."""
    worker = workers.start(concurrency=2)
    insert = ("INSERT INTO athena.jobs (family, payload)"
              " SELECT 'noop', %s::jsonb FROM generate_series(1, %s)")
    short.query(insert, "{}", 1000)
    outcomes = "SELECT count(*) FROM athena.outcomes WHERE attempt >= %s"
    wait_until(lambda: short.value(outcomes, 1) == 1000)
    short.query("SELECT athena.pause('noop')")
    short.query(insert, '{"sleep_ms": 60000}', 2)
    short.query(insert, "{}", 300)
    short.query("SELECT athena.resume('noop')")
    wait_until(lambda: short.value("SELECT count(*) FROM athena.leases") > 20)
    worker.kill()
    short.query("UPDATE athena.jobs SET payload = '{}'")
    workers.start(concurrency=8)
    wait_until(lambda: short.value(outcomes, 1) == 1302)
    assert short.value(outcomes, 2) > 10
    assert short.column("SELECT DISTINCT state::text FROM athena.outcomes") == ["succeeded"]
    assert_lawful(short)


def test_a_worker_killed_while_it_starts_leaves_nothing(short, workers, spawn):
    """At whatever point: no process, no lease that is stuck."""
    for n in range(1, 16):
        worker = workers.start(until=None)
        time.sleep(n * 0.004)
        worker.kill()
        wait_until(lambda: worker.session_pids() == [])
    job = short.enqueue("noop")
    workers.start()
    short.wait_for_state(job, "succeeded")
    assert_lawful(short)


# --- Workers that are stopped

def test_a_stopped_worker_is_fenced_and_goes_on(short, workers, tmp_path):
    """SIGSTOP past the lease. Its executor, a command and that one's child are dead before the lease
    ends; another worker takes over; SIGCONT: what it reports is refused, and it works on."""
    log = tmp_path / "log"
    families = {"own": {"run": "command", "command": nested(tmp_path, log), "lease": f"{LEASE_S}s"}}
    first = workers.start("noop,own", families=families, concurrency=1, **MARGIN)
    first.wait_log("asleep", count=2)
    (first_id,) = short.column("SELECT id FROM athena.workers")
    sleeping = short.enqueue("noop", {"sleep_ms": 60000, "ignore_cancel": True})
    own = short.enqueue("own", max_attempts=1)
    pids = pids_in(log)
    short.wait_for_state(sleeping, "running")
    executors = first.children()
    other = workers.start("noop", concurrency=1, **MARGIN)

    stop(first.pid)
    stopped = time.time()
    beat_at = short.value("SELECT heartbeat_at FROM athena.workers WHERE id = %s", first_id)
    wait_dead(*executors, *pids)
    beat = beat_at.timestamp()
    dead = time.time()
    # The heartbeat was sent a little before it was written.
    assert FENCE_S - 2 < dead - beat < LEASE_S, dead - beat
    assert last_beat(log, "grandchild") < beat + LEASE_S
    assert short.value("SELECT count(*) FROM athena.leases") == 2, "nobody took them before"

    short.query("UPDATE athena.jobs SET payload = '{}' WHERE id = %s", sleeping)
    row = short.wait_for_state(sleeping, "succeeded")
    assert row["attempt"] == 2
    short.wait_for_state(own, "dead")
    rescued = failures(short, sleeping)[0]
    assert rescued["kind"] == "lost" and "silent" in rescued["error"]
    assert rescued["at"].timestamp() >= beat + LEASE_S
    assert short.value("SELECT worker_id FROM athena.outcomes WHERE job_id = %s", sleeping) != first_id

    resume(first.pid)
    assert time.time() - stopped > LEASE_S
    for job in (sleeping, own):
        assert settled(first, job)["answer"] == "lost"
    assert other.terminate() == 0
    assert short.wait_for_state(short.enqueue("noop"), "succeeded")["attempt"] == 1
    assert len(failures(short, sleeping)) == 1 and len(failures(short, own)) == 1
    assert short.column("SELECT id FROM athena.workers") == [first_id]
    assert_lawful(short)


def test_success_of_a_stopped_worker_comes_too_late(short, workers):
    """The executor was done before the fence; its result waited in a socket until the job had been
    run by somebody else."""
    first = workers.start(concurrency=1)
    job = short.enqueue("noop", {"sleep_ms": 2500})
    short.wait_for_state(job, "running")
    (executor,) = wait_until(first.children)
    stop(first.pid)
    other = workers.start(concurrency=1)
    assert short.wait_for_state(job, "succeeded")["attempt"] == 2
    assert not is_dead(executor), "it had nothing to be fenced for any more"
    resume(first.pid)
    assert settled(first, job)["answer"] == "lost"
    assert other.terminate() == 0
    assert short.job(job)["attempt"] == 2
    assert short.wait_for_state(short.enqueue("noop"), "succeeded")
    assert_lawful(short)


def test_a_stopped_worker_and_executor_together(short, workers, tmp_path):
    """As when a machine is frozen: on waking the executor dies before it does anything more."""
    log = tmp_path / "log"
    command = script(tmp_path, "beat", f"echo $$ >>{log}-pid\nwhile :; do date +%s.%N >>{log}; sleep 0.02; done\n")
    first = workers.start("own", families={"own": {"run": "command", "command": command, "lease": f"{LEASE_S}s"}},
                          **MARGIN)
    job = short.enqueue("own", max_attempts=1)
    pid = int(wait_line(f"{log}-pid", r"(\d+)")[1])
    (executor,) = first.children()
    stop(first.pid, executor, pid)
    time.sleep(FENCE_S + 0.5)
    resumed = time.time()
    resume(executor, pid)
    wait_dead(executor, pid)
    late = [float(line) for line in read_lines(log) if float(line) > resumed]
    assert len(late) <= 50, "a second's worth, for the moment in which a busy machine lets it run"
    resume(first.pid)
    short.wait_for_state(job, "dead")
    assert failures(short, job)[0]["error"].startswith("fenced: ")
    assert_lawful(short)


# --- All of it at once

JOBS = 1000
KILL_EVERY_S = 2


def read_spans(path):
    """{(job, ticket): [line numbers of its start and end]}, in the order of the file."""
    spans = {}
    for number, line in enumerate(read_lines(path)):
        what, job, ticket = line.split()
        spans.setdefault((int(job), int(ticket)), []).append((what, number))
    return spans


def test_a_thousand_commands_while_workers_are_killed(short, workers, tmp_path):
    """Two workers; every 2 s one of them is killed and replaced, in turns. Every job ends once, and
    no execution begins before the one before it has ended or died."""
    log = tmp_path / "log"
    command = script(tmp_path, "work", f"""
note() {{ echo "$1 $ATHENA_JOB_ID $ATHENA_JOB_TICKET" >>{log} && sync {log}; }}
note start
sleep 0.05
note end
""")
    families = {"own": {"run": "command", "command": command, "concurrency": 4, "lease": "6s", "max_attempts": 20}}
    pair = [workers.start("own", families=families) for _ in range(2)]
    run_program("psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", short.url, "-c",
                f"INSERT INTO athena.jobs (family) SELECT 'own' FROM generate_series(1, {JOBS})")
    killed = []
    next_kill = time.monotonic() + 1
    while short.value("SELECT count(*) FROM athena.outcomes") < JOBS:
        if time.monotonic() >= next_kill:
            next_kill += KILL_EVERY_S
            victim = pair.pop(0)
            victim.kill()
            killed.append(victim)
            pair.append(workers.start("own", families=families, until=None))
        time.sleep(0.05)
    assert len(killed) >= 3
    for worker in pair:
        assert worker.terminate() == 0
    for worker in workers.all:
        wait_until(lambda: worker.session_pids() == [], what="no processes are left")

    outcomes = short.query("SELECT * FROM athena.outcomes")
    assert len(outcomes) == JOBS and {row["state"] for row in outcomes} == {"succeeded"}
    spans = read_spans(log)
    by_job = {}
    for (job, ticket), notes in sorted(spans.items()):
        by_job.setdefault(job, []).append(notes)
        assert [what for what, _ in notes] in (["start"], ["start", "end"]), (job, ticket, notes)
    for row in outcomes:
        assert [what for what, _ in spans[row["job_id"], row["ticket"]]] == ["start", "end"], row
    for job, executions in by_job.items():
        for before, after in zip(executions, executions[1:]):
            assert before[-1][1] < after[0][1], f"job {job}: {before} overlaps {after}"
    lost = short.query("SELECT * FROM athena.failures")
    assert {row["kind"] for row in lost} == {"lost"}
    assert len(lost) <= len(killed) * 8
    print(f"{len(killed)} workers killed, {len(lost)} attempts lost")
    assert_lawful(short)


# --- Leases that are not where they should be

def test_what_was_taken_away_is_stopped_and_what_was_not_runs_on(short, workers):
    """The deadlines lane takes a lease from a worker that lives: within 12 s it hears of it, and kills
    the attempt. A lease that looks young, because Postgres' clock was set back, stays its own."""
    worker = workers.start(concurrency=1)
    taken = short.enqueue("noop", {"sleep_ms": 60000, "ignore_cancel": True}, max_attempts=1)
    short.wait_for_state(taken, "running")
    (loser,) = wait_until(worker.children)
    other = workers.start(concurrency=1)
    own = short.enqueue("noop", {"sleep_ms": 14500})
    short.wait_for_state(own, "running")
    short.query("UPDATE athena.leases SET claimed_at = now() + interval '1 h' WHERE job_id = %s", own)
    short.query("UPDATE athena.leases SET deadline_at = now() WHERE job_id = %s", taken)
    short.wait_for_state(taken, "dead")
    wait_dead(loser)
    worker.wait_log(rf"attempt_lost job={taken}\b")
    assert short.wait_for_state(own, "succeeded")["attempt"] == 1
    assert "attempt_lost" not in other.stderr()
    assert short.wait_for_state(short.enqueue("noop"), "succeeded")
    assert worker.is_running()
    assert_lawful(short)


def test_a_stranded_lease_of_a_busy_worker_is_handed_back(short, workers):
    """Nobody knows of it but Postgres; and whenever a heartbeat names it, a claim is under way."""
    short.query("""
        CREATE FUNCTION public.linger() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
        CREATE TRIGGER linger BEFORE INSERT ON athena.leases EXECUTE FUNCTION public.linger()""")
    workers.start(concurrency=1)
    (worker_id,) = short.column("SELECT id FROM athena.workers")
    conn = short.connect(autocommit=False)
    stranded = conn.execute("INSERT INTO athena.jobs (family) VALUES ('noop') RETURNING id").fetchone()["id"]
    # Claimed in its name before anybody sees it.
    conn.execute("DELETE FROM athena.ready WHERE job_id = %s", [stranded])
    conn.execute("INSERT INTO athena.leases (ticket, job_id, worker_id, claimed_at, priority, attempt, has_key, family)"
                 " VALUES (%s, %s, %s, now() - interval '11 s', 5, 1, false, 'noop')", [stranded, stranded, worker_id])
    conn.execute("INSERT INTO athena.tallies VALUES ('noop', 'ready', -1), ('noop', 'running', 1)")
    short.query("INSERT INTO athena.jobs (family, payload)"
                " SELECT 'noop', '{\"sleep_ms\": 300}' FROM generate_series(1, 40)")
    conn.commit()
    short.wait_for_state(stranded, "ready")
    assert short.value("SELECT attempt FROM athena.ready WHERE job_id = %s", stranded) == 0
    assert short.value("SELECT count(*) FROM athena.ready") > 10, "it was busy all the time"
    short.query("SELECT athena.pause('noop')")
    wait_until(lambda: short.value("SELECT count(*) FROM athena.leases") == 0)
    assert_lawful(short)
