# SPDX-License-Identifier: PostgreSQL
"""Chunked families as a worker runs them: many jobs by one lease, and each of them accounted for."""
import json
import signal
import time

import pytest

from athena_test import PROMPT_S, kill_pid, wait_until
from pages import Pages
from sessions import assert_lawful, counted_depth, depth
from workers import script, settled

SLEEP = {"sleep_ms": 60000}


@pytest.fixture
def chunky(database):
    """noop, whose jobs share tickets; retried at once."""
    database.query("UPDATE athena.families SET chunked = true, backoff_base = '10 ms', lease = '6 s' WHERE name = 'noop'")
    yield database
    assert_lawful(database)
    assert depth(database) == counted_depth(database)


def together(database, *payloads, family="noop"):
    """Ids of the jobs of one ticket, in their order."""
    jobs = sorted(database.column(
        "INSERT INTO athena.jobs (family, payload) SELECT %s, p FROM jsonb_array_elements(%s) WITH ORDINALITY AS x (p, n) ORDER BY n RETURNING id",
        family, json.dumps(payloads)))
    assert database.value("SELECT count(*) FROM athena.chunks WHERE size = %s AND jobs @> %s::bigint", len(jobs), jobs[0]) == 1
    return jobs


def wait_finished(database, jobs):
    wait_until(lambda: database.value("SELECT count(*) FROM athena.finished WHERE job_id = ANY (%s)", jobs) == len(jobs),
               what=f"{jobs} have ended")


def ends(database, jobs):
    """(state, attempt) of each."""
    wait_finished(database, jobs)
    return [(row["state"], row["attempt"]) for row in database.query(
        "SELECT state::text, attempt FROM athena.finished WHERE job_id = ANY (%s) ORDER BY job_id", jobs)]


def states(database, jobs):
    return [database.job(job)["state"] for job in jobs]


def failures(database):
    return [(row["job_id"], row["attempt"], row["kind"]) for row in database.query(
        "SELECT job_id, attempt, kind FROM athena.failures ORDER BY job_id, attempt")]


def wait_begun(worker, job):
    """Until its handler runs."""
    worker.wait_log(f"attempt_started job={job} ")


# --- Whole

def test_jobs_that_succeed_share_an_outcome(chunky, workers):
    jobs = chunky.column("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 5000) RETURNING id")
    worker = workers.start("noop", "--once")
    assert worker.wait() == 0
    assert set(ends(chunky, jobs)) == {("succeeded", 1)}
    assert chunky.value("SELECT count(*) FROM athena.outcomes") <= 12
    assert chunky.value("SELECT count(DISTINCT job_id) FROM athena.finished") == 5000
    assert failures(chunky) == []


def test_jobs_that_come_one_by_one_are_put_together(chunky, workers):
    chunky.query("SELECT athena.pause('noop')")
    jobs = [chunky.enqueue("noop") for _ in range(200)]
    workers.start(concurrency=1)
    chunky.query("SELECT athena.resume('noop')")
    assert set(ends(chunky, jobs)) == {("succeeded", 1)}
    assert chunky.value("SELECT count(*) FROM athena.outcomes") < 100


def test_each_job_has_its_own_kind_and_payload(chunky, workers, tmp_path):
    chunky.query("INSERT INTO athena.families (name, chunked) VALUES ('own', true)")
    own = script(tmp_path, "own", f'cat >>{tmp_path}/seen; echo " $ATHENA_JOB_ID $ATHENA_JOB_KIND" >>{tmp_path}/seen\n')
    jobs = sorted(chunky.column("""INSERT INTO athena.jobs (family, kind, payload) VALUES
        ('own', E'a "quoted"\\nkind', '{"a": "x\\ny"}'), ('own', NULL, '{}'), ('own', 'plain', '{"b": "ü"}') RETURNING id"""))
    workers.start("own", families={"own": {"run": "command", "command": own}})
    assert ends(chunky, jobs) == [("succeeded", 1)] * 3
    seen = (tmp_path / "seen").read_text()
    assert [str(job) in seen for job in jobs] == [True] * 3


def test_chunks_of_many_bytes(chunky, workers):
    """More than a frame to an executor holds, put together by the claim."""
    jobs = chunky.column("INSERT INTO athena.jobs (family, payload) SELECT 'noop', jsonb_build_object('pad', repeat('x', 200000))"
                         " FROM generate_series(1, 100) RETURNING id")
    assert workers.start("noop", "--once").wait() == 0
    assert set(ends(chunky, jobs)) == {("succeeded", 1)}


def test_a_family_becomes_chunked_and_ordinary_again_while_it_is_served(database, workers):
    """Workers are told, and whatever is in the line gets done."""
    workers.start()
    jobs = []
    for chunked in (True, False, True):
        jobs += database.column("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 700) RETURNING id")
        database.query("UPDATE athena.families SET chunked = %s WHERE name = 'noop'", chunked)
        jobs += database.column("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 700) RETURNING id")
    assert set(ends(database, jobs)) == {("succeeded", 1)}
    assert_lawful(database)


# --- In part

def test_one_that_fails_is_tried_again_alone(chunky, workers):
    workers.start(concurrency=1)
    jobs = together(chunky, {}, {"fail_times": 1}, {}, {"fail": "permanent"}, {})
    assert ends(chunky, jobs) == [("succeeded", 1), ("succeeded", 2), ("succeeded", 1), ("dead", 1), ("succeeded", 1)]
    assert failures(chunky) == [(jobs[1], 1, "transient"), (jobs[3], 1, "permanent")]
    assert chunky.value("SELECT count(*) FROM athena.chunks") == 0


def test_a_crash_is_that_of_the_job_that_ran(chunky, workers):
    """Those before it have succeeded, those behind it go back, and cost nothing."""
    workers.start(concurrency=1)
    jobs = together(chunky, {}, {}, {"crash": "kill", "fail_times": 1}, {}, {"fail_times": 1}, {})
    assert ends(chunky, jobs) == [("succeeded", 1)] * 2 + [("succeeded", 2), ("succeeded", 1), ("succeeded", 2), ("succeeded", 1)]
    assert failures(chunky) == [(jobs[2], 1, "crashed"), (jobs[4], 1, "transient")]


def test_kill_9_of_an_executor(chunky, workers):
    worker = workers.start(concurrency=1)
    jobs = together(chunky, {}, {"fail": "permanent"}, {"sleep_ms": 4000}, {})
    wait_begun(worker, jobs[2])
    (executor,) = worker.children()
    kill_pid(executor)
    assert ends(chunky, jobs) == [("succeeded", 1), ("dead", 1), ("succeeded", 2), ("succeeded", 1)]
    assert failures(chunky) == [(jobs[1], 1, "permanent"), (jobs[2], 1, "crashed")]


def test_kill_9_of_a_worker_runs_all_of_them_again(chunky, workers):
    """What a chunked family gives up: results are lost with their worker until all are there."""
    jobs = together(chunky, {}, {"sleep_ms": 3000}, {})
    worker = workers.start(concurrency=1)
    wait_begun(worker, jobs[1])
    worker.kill()
    helper = workers.start(concurrency=1)
    assert ends(chunky, jobs) == [("succeeded", 2)] * 3
    assert failures(chunky) == [(job, 1, "lost") for job in jobs]
    assert helper.is_running()


def test_a_body_that_is_gone(chunky, workers):
    jobs = together(chunky, {}, {}, {}, {})
    chunky.query("DELETE FROM athena.jobs WHERE id = %s", jobs[1])
    worker = workers.start("noop", "--once")
    assert worker.wait() == 0
    assert ends(chunky, jobs) == [("succeeded", 1), ("dead", 1), ("succeeded", 1), ("succeeded", 1)]
    chunky.query("DELETE FROM athena.outcomes WHERE job_id = %s", jobs[1])
    chunky.query("INSERT INTO athena.tallies VALUES ('noop', 'dead', -1)")


def test_no_body_is_left(chunky, workers):
    jobs = together(chunky, {}, {}, {})
    chunky.query("DELETE FROM athena.jobs")
    assert workers.start("noop", "--once").wait() == 0
    assert ends(chunky, jobs) == [("dead", 1)] * 3
    chunky.query("DELETE FROM athena.outcomes")
    chunky.query("INSERT INTO athena.tallies VALUES ('noop', 'dead', -3)")


# --- Timeouts

def test_a_timeout_is_that_of_one_job(chunky, workers):
    chunky.query("UPDATE athena.families SET timeout = '3 s', max_attempts = 1 WHERE name = 'noop'")
    workers.start(concurrency=1)
    jobs = together(chunky, {}, SLEEP, {}, {**SLEEP, "ignore_cancel": True}, {})
    assert ends(chunky, jobs) == [("succeeded", 1), ("dead", 1), ("succeeded", 1), ("dead", 1), ("succeeded", 1)]
    assert failures(chunky) == [(jobs[1], 1, "timeout"), (jobs[3], 1, "timeout")]


def test_each_job_has_the_whole_timeout(chunky, workers):
    chunky.query("UPDATE athena.families SET timeout = '5 s', max_attempts = 1 WHERE name = 'noop'")
    workers.start(concurrency=1)
    jobs = together(chunky, *[{"sleep_ms": 2000}] * 3)
    assert ends(chunky, jobs) == [("succeeded", 1)] * 3


# --- Cancel

@pytest.mark.parametrize("payload", [SLEEP, {**SLEEP, "ignore_cancel": True}, {"busy_ms": 60000}])
def test_a_running_one_is_cancelled(chunky, workers, payload):
    """Asked first, then by force: then those behind it go back, and are run by another executor."""
    worker = workers.start(concurrency=1)
    jobs = together(chunky, {}, payload, {}, {})
    wait_begun(worker, jobs[1])
    assert chunky.value("SELECT athena.cancel(%s)", jobs[1]) == "requested"
    worker.wait_log(f"cancel_requested job={jobs[1]} ")
    assert ends(chunky, jobs) == [("succeeded", 1), ("cancelled", 1), ("succeeded", 1), ("succeeded", 1)]


def test_one_whose_turn_has_not_come_is_cancelled(chunky, workers):
    worker = workers.start(concurrency=1)
    jobs = together(chunky, {"sleep_ms": 3000}, SLEEP, {})
    wait_begun(worker, jobs[0])
    assert chunky.value("SELECT athena.cancel(%s)", jobs[1]) == "requested"
    worker.wait_log(f"cancel_requested job={jobs[1]} ")
    assert ends(chunky, jobs) == [("succeeded", 1), ("cancelled", 1), ("succeeded", 1)]
    assert failures(chunky) == []


def test_success_beats_a_late_cancel(chunky, workers):
    worker = workers.start(concurrency=1)
    jobs = together(chunky, {}, {"sleep_ms": 3000}, {})
    wait_begun(worker, jobs[1])
    assert chunky.value("SELECT athena.cancel(%s)", jobs[0]) == "requested"
    worker.wait_log(f"cancel_requested job={jobs[0]} ")
    assert ends(chunky, jobs) == [("succeeded", 1)] * 3


def test_one_of_a_chunk_that_has_not_begun_is_cancelled(chunky, workers):
    """It waits in the worker for the only slot, and so goes back to where it can be cancelled."""
    worker = workers.start(concurrency=1)
    first = together(chunky, {"sleep_ms": 4000}, {})
    wait_begun(worker, first[0])
    jobs = together(chunky, {}, SLEEP, {})
    chunky.value("SELECT athena.cancel(%s)", jobs[1])
    assert ends(chunky, jobs) == [("succeeded", 1), ("cancelled", chunky.job(jobs[1])["attempt"]), ("succeeded", 1)]
    assert ends(chunky, first) == [("succeeded", 1)] * 2
    assert worker.is_running()


def test_a_cancelled_one_can_be_retried(chunky, workers):
    workers.start(concurrency=1)
    jobs = together(chunky, {}, {"fail": "permanent"}, {})
    assert ends(chunky, jobs)[1] == ("dead", 1)
    chunky.query("UPDATE athena.jobs SET payload = '{}' WHERE id = %s", jobs[1])
    assert chunky.value("SELECT athena.retry(%s)", jobs[1]) == jobs[1]
    wait_until(lambda: ends(chunky, jobs) == [("succeeded", 1)] * 3)


# --- The end of a worker

def test_sigterm_lets_all_of_them_finish(chunky, workers):
    worker = workers.start(concurrency=1)
    jobs = together(chunky, *[{"sleep_ms": 700}] * 3)
    wait_begun(worker, jobs[0])
    assert worker.terminate() == 0
    assert ends(chunky, jobs) == [("succeeded", 1)] * 3


def test_what_runs_longer_than_the_drain_goes_back_uncounted(chunky, workers):
    """What has ended is settled; the one that was stopped and those behind it are handed back."""
    worker = workers.start(concurrency=1, drain="500ms")
    jobs = together(chunky, {}, {"fail": "permanent"}, SLEEP, {}, {})
    wait_begun(worker, jobs[2])
    began = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - began < PROMPT_S
    assert states(chunky, jobs) == ["succeeded", "dead", "ready", "ready", "ready"]
    assert chunky.column("SELECT attempt FROM athena.ready") == [0, 0, 0]
    assert failures(chunky) == [(jobs[1], 1, "permanent")]
    assert chunky.query("SELECT * FROM athena.leases") == []


@pytest.mark.parametrize("payload", [SLEEP, {**SLEEP, "ignore_cancel": True}])
def test_a_second_signal_stops_at_once(chunky, workers, payload):
    worker = workers.start(concurrency=1, drain="60s")
    jobs = together(chunky, {}, payload, {})
    wait_begun(worker, jobs[1])
    worker.signal(signal.SIGTERM)
    worker.wait_log(" draining ")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert states(chunky, jobs)[1:] == ["ready", "ready"]
    assert failures(chunky) == []
    assert chunky.query("SELECT * FROM athena.leases") == []


def test_a_worker_that_is_not_registered_any_more_has_lost_them_all(chunky, workers):
    worker = workers.start(concurrency=1)
    jobs = together(chunky, {}, {"sleep_ms": 5000}, {})
    wait_begun(worker, jobs[1])
    chunky.query("DELETE FROM athena.workers")
    worker.wait_log(" fenced ")
    assert ends(chunky, jobs) == [("succeeded", 2)] * 3


# --- What is told

def test_events_and_progress_are_those_of_the_job_that_runs(chunky, workers, tmp_path):
    chunky.query("INSERT INTO athena.families (name, chunked) VALUES ('own', true)")
    jobs = together(chunky, {}, {}, {}, family="own")
    own = script(tmp_path, "own", 'echo "this is $ATHENA_JOB_ID"\n')
    workers.start("own", families={"own": {"run": "command", "command": own}})
    wait_finished(chunky, jobs)
    said = chunky.query("SELECT job_id, message FROM athena.events WHERE message LIKE 'this is %%' ORDER BY job_id")
    assert [(row["job_id"], row["message"]) for row in said] == [(job, f"this is {job}") for job in jobs]


def test_commands_show_jobs_and_not_tickets(chunky, workers, run):
    workers.start(concurrency=1)
    jobs = together(chunky, {}, {"fail": "permanent", "message": "its own"}, {})
    wait_finished(chunky, jobs)
    shown = json.loads(run("athena", "job", "list", "--json").stdout)
    shown = shown["jobs"] if isinstance(shown, dict) else shown
    assert {row["job_id"]: row["state"] for row in shown} == dict(zip(jobs, ["succeeded", "dead", "succeeded"]))
    assert "its own" in run("athena", "job", "show", str(jobs[1])).stdout
    assert "succeeded" in run("athena", "job", "show", str(jobs[2])).stdout


def test_metrics_count_jobs(chunky, workers):
    pages = Pages.of(workers.start("noop", "--http=:0", concurrency=1))
    jobs = together(chunky, {}, {"fail": "permanent"}, {})
    jobs += together(chunky, *[{}] * 7)
    wait_finished(chunky, jobs)

    def counted():
        metrics = pages.metrics()
        return metrics.get("athena_queue_depth", "noop", "succeeded") == 9 and metrics
    metrics = wait_until(counted)
    assert metrics["athena_queue_depth", "noop", "dead"] == 1
    assert metrics["athena_jobs_enqueued_total", "noop"] == metrics["athena_jobs_claimed_total", "noop"] == 10
    assert metrics["athena_jobs_finished_total", "noop", "succeeded"] == 9
    assert metrics["athena_jobs_finished_total", "noop", "dead"] == metrics["athena_attempts_failed_total", "noop"] == 1
    assert metrics["athena_job_run_seconds_count", "noop"] == metrics["athena_job_wait_seconds_count", "noop"] == 10


def test_settled_jobs_are_logged_and_counted(chunky, workers):
    worker = workers.start(concurrency=1)
    whole = together(chunky, {}, {}, {})
    assert settled(worker, whole[0])["jobs"] == "3"
    jobs = together(chunky, {}, {"fail": "permanent"})
    assert settled(worker, jobs[1])["result"] == "failed"
    assert settled(worker, jobs[0])["result"] == "succeeded"
