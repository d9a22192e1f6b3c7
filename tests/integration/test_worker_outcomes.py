# SPDX-License-Identifier: PostgreSQL
"""How attempts end: success, failures and their retries, timeouts, cancels, and what is told of it."""
import os
import re
import signal
import time

import pytest

from athena_test import PROMPT_S, wait_until
from sessions import assert_lawful, depth
from workers import begin, read_lines, script, settled, wait_dead, wait_line


def back_off(database, family="noop", base="50 ms", cap="1 h", jitter=0.2):
    database.query("UPDATE athena.families SET backoff_base = %s, backoff_cap = %s, backoff_jitter = %s"
                   " WHERE name = %s", base, cap, jitter, family)


def failures(database, job):
    return database.query("SELECT *, extract(epoch FROM retry_at - at)::float AS pause_s"
                          " FROM athena.failures WHERE job_id = %s ORDER BY at", job)


def wait_running(database, job):
    return database.wait_for_state(job, "running")


# --- Success and failure

def test_a_job_succeeds_at_its_first_attempt(database, workers):
    job = database.enqueue("noop")
    worker = workers.start()
    assert settled(worker, job)["answer"] == "settled"
    (outcome,) = database.query("SELECT * FROM athena.outcomes")
    (row,) = database.query("SELECT id FROM athena.workers")
    assert (outcome["job_id"], outcome["ticket"], outcome["state"], outcome["attempt"],
            outcome["worker_id"]) == (job, job, "succeeded", 1, row["id"])
    assert outcome["started_at"] <= outcome["finished_at"]
    assert failures(database, job) == []
    assert database.query("SELECT * FROM athena.events") == []
    assert_lawful(database)


def test_a_transient_failure_is_retried_until_it_succeeds(database, workers):
    back_off(database)
    workers.start()
    job = database.enqueue("noop", {"fail_times": 2, "message": "not yet"})
    assert database.wait_for_state(job, "succeeded")["attempt"] == 3
    assert [(row["attempt"], row["kind"], row["error"]) for row in failures(database, job)] == [
        (1, "transient", "not yet"), (2, "transient", "not yet")]
    assert_lawful(database)


def test_back_off_doubles_is_capped_and_jitters(database, workers):
    """n + 1 follows n by base * 2^n, give or take the jitter, and by the cap at most."""
    back_off(database, base="10 ms", cap="100 ms", jitter=0.2)
    workers.start()
    jobs = [database.enqueue("noop", {"fail_times": 5, "fail": "transient"}, max_attempts=6)
            for _ in range(20)]
    for job in jobs:
        database.wait_for_state(job, "succeeded")
    for attempt, pause_s in ((1, 0.020), (2, 0.040), (3, 0.080), (4, 0.1), (5, 0.1)):
        pauses = [failures(database, job)[attempt - 1]["pause_s"] for job in jobs]
        # retry_at counts from the settle's begin, `at` is as much later as the machine is busy.
        assert all(pause <= pause_s * 1.2 for pause in pauses), (attempt, pauses)
        assert max(pauses) - min(pauses) > pause_s * 0.05, "no jitter"
    starts = database.query("SELECT f.job_id, f.retry_at FROM athena.failures AS f JOIN athena.outcomes AS o"
                            " USING (job_id) WHERE f.attempt = 5 AND o.started_at < f.retry_at")
    assert starts == [], "ran before its time"
    assert_lawful(database)


def test_the_last_attempt_makes_a_job_dead(database, workers):
    back_off(database)
    workers.start()
    job = database.enqueue("noop", {"fail": "transient", "message": "never"}, max_attempts=3)
    row = database.wait_for_state(job, "dead")
    assert (row["attempt"], row["error"]) == (3, "never")
    assert [row["attempt"] for row in failures(database, job)] == [1, 2, 3]
    assert failures(database, job)[-1]["retry_at"] is None
    assert_lawful(database)


def test_a_permanent_failure_is_not_retried(database, workers):
    workers.start()
    job = database.enqueue("noop", {"fail": "permanent", "message": "no such thing"})
    assert database.wait_for_state(job, "dead")["attempt"] == 1
    (failure,) = failures(database, job)
    assert (failure["kind"], failure["error"], failure["retry_at"]) == ("permanent", "no such thing", None)
    assert_lawful(database)


def test_a_dead_job_can_be_retried(database, workers):
    workers.start()
    job = database.enqueue("noop", {"fail": "permanent", "fail_times": 0}, unique_key="k")
    database.wait_for_state(job, "succeeded")
    job = database.enqueue("noop", {"fail": "permanent"}, unique_key="k")
    database.wait_for_state(job, "dead")
    assert database.value("SELECT athena.retry(%s)", job) == job
    wait_until(lambda: len(failures(database, job)) == 2)
    row = database.wait_for_state(job, "dead")
    assert row["attempt"] == 1, "retry starts from attempt 0"
    assert_lawful(database)


@pytest.mark.parametrize("how, told", [
    ("exit", "exited with status 1"),
    ("abort", "signal 6"),
    ("kill", "signal 9"),
])
def test_a_crash_costs_one_attempt_and_not_the_worker(database, workers, how, told):
    back_off(database)
    worker = workers.start()
    job = database.enqueue("noop", {"crash": how, "fail_times": 1})
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    (failure,) = failures(database, job)
    assert failure["kind"] == "crashed" and told in failure["error"]
    assert worker.is_running()
    assert database.value("SELECT count(*) FROM athena.workers") == 1
    assert_lawful(database)


def test_a_body_that_is_gone_is_dead(database, workers):
    jobs = [database.enqueue("noop") for _ in range(3)]
    database.query("DELETE FROM athena.jobs WHERE id = %s", jobs[1])
    workers.start()
    assert database.wait_for_state(jobs[2], "succeeded")
    wait_until(lambda: database.column("SELECT state::text FROM athena.outcomes ORDER BY job_id")
               == ["succeeded", "dead", "succeeded"])
    (failure,) = failures(database, jobs[1])
    assert (failure["kind"], failure["code"], failure["error"]) == ("permanent", "body_missing", "body missing")
    assert database.query("SELECT * FROM athena.leases") == []


@pytest.mark.parametrize("payload", [
    '{"n": 99999999999999999999999}',
    '{"n": 1e400}',
    '{"n": ' + '[' * 3000 + ']' * 3000 + '}',
], ids=["beyond 64 bits", "beyond a double", "deep"])
def test_a_payload_that_cannot_be_read_fails_alone(database, workers, tmp_path, payload):
    """JSON that Postgres holds and a handler cannot; its neighbours in the batch run."""
    family = {"run": "command", "command": ["/bin/true"], "concurrency": 1}
    worker = workers.start("own", families={"own": family})
    database.query("SELECT athena.pause('own')")
    jobs = database.column("INSERT INTO athena.jobs (family, payload) VALUES ('own', '{}'), ('own', %s), ('own', '{}')"
                           " RETURNING id", payload)
    database.query("SELECT athena.resume('own')")
    ended = "SELECT state::text FROM athena.outcomes WHERE attempt = 1 ORDER BY job_id"
    wait_until(lambda: database.column(ended) == ["succeeded", "dead", "succeeded"])
    (failure,) = failures(database, jobs[1])
    assert failure["kind"] == "permanent" and failure["error"].startswith("payload: "), failure
    assert worker.is_running()
    assert_lawful(database)


# --- What is told of failures

def fails_with(tmp_path, text):
    """A family whose command prints the shell's `text` to stderr, and fails for good."""
    return {"own": {"run": "command", "command": script(tmp_path, "fails", text + "\nexit 65\n")}}


def test_error_text_of_any_bytes_is_stored(database, workers, tmp_path):
    """NUL and what is not UTF-8 become question marks; what is stays."""
    workers.start("own", families=fails_with(tmp_path, r"printf 'gr\303\274\303\237e \000 \377\376 end\n' >&2"))
    job = database.enqueue("own")
    database.wait_for_state(job, "dead")
    (failure,) = failures(database, job)
    assert failure["error"].endswith("exit status 65: grüße ? ?? end"), failure["error"]
    (event,) = database.query("SELECT * FROM athena.events WHERE job_id = %s AND kind = 'stderr'", job)
    assert event["message"] == "grüße ? ?? end"
    assert_lawful(database)


def test_long_output_is_cut_between_characters(database, workers, tmp_path):
    workers.start("own", families=fails_with(
        tmp_path, "i=0; while [ $i -lt 5000 ]; do printf 'aü' ; i=$((i+1)); done >&2; echo >&2"))
    job = database.enqueue("own")
    database.wait_for_state(job, "dead")
    (failure,) = failures(database, job)
    error = failure["error"].partition("exit status 65: ")[2]
    assert error and set(error) <= set("aü."), error
    assert len(failure["error"].encode()) <= 8192
    (event,) = database.query("SELECT * FROM athena.events WHERE job_id = %s AND kind = 'stderr'", job)
    assert set(event["message"].rstrip(".")) == set("aü")
    assert 8000 < len(event["message"].encode()) <= 8192
    assert_lawful(database)


def test_a_settle_that_postgres_refuses_blocks_nobody(database, workers):
    """The poison is settled by itself, without its words; the others are settled as they were."""
    jobs = [database.enqueue("noop", {"pad": "x"}, priority=n % 10) for n in range(40)]
    poison = jobs[7]
    database.query(f"""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.job_id = {poison} AND NEW.state = 'succeeded' THEN
                RAISE EXCEPTION 'not this one' USING ERRCODE = 'data_exception';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON athena.outcomes FOR EACH ROW EXECUTE FUNCTION public.refuse();
    """)
    worker = workers.start()
    worker.wait_log(rf"settle_refused job={poison}\b")
    wait_until(lambda: depth(database).get(("noop", "succeeded")) == 39)
    row = database.wait_for_state(poison, "dead")
    assert row["error"] == "unreportable result (22000)"
    (failure,) = failures(database, poison)
    assert (failure["kind"], failure["code"]) == ("permanent", "unreportable")
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert_lawful(database)


def test_a_settle_that_is_refused_for_good_is_given_up(database, workers):
    """Nothing of it can be stored: the job stays with its lease, and the worker works on."""
    poison = database.enqueue("noop")
    database.query(f"""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.job_id = {poison} THEN
                RAISE EXCEPTION 'not this one' USING ERRCODE = 'data_exception';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON athena.outcomes FOR EACH ROW EXECUTE FUNCTION public.refuse();
    """)
    worker = workers.start()
    worker.wait_log(rf"settle_failed job={poison}\b")
    jobs = [database.enqueue("noop") for _ in range(5)]
    for job in jobs:
        database.wait_for_state(job, "succeeded")
    assert len(worker.wait_log(rf"(settle_refused|settle_failed) job={poison}\b")[0]) > 0
    database.query("DROP TRIGGER refuse ON athena.outcomes")
    assert worker.terminate() == 0
    assert_lawful(database)


# --- Timeouts

def test_a_timeout_of_the_job_is_a_retryable_failure(database, workers):
    back_off(database, base="0 s")
    workers.start()
    job = database.enqueue("noop", {"sleep_ms": 60000}, timeout="300 ms", max_attempts=2)
    row = database.wait_for_state(job, "dead")
    assert row["error"] == "timed out after 0.3 s"
    first, second = failures(database, job)
    assert (first["kind"], first["code"], second["kind"]) == ("timeout", "timeout", "timeout")
    assert first["retry_at"] is not None
    assert_lawful(database)


def test_a_timeout_of_the_family_counts_where_the_job_has_none(database, workers):
    database.query("UPDATE athena.families SET timeout = '300 ms' WHERE name = 'noop'")
    workers.start()
    job = database.enqueue("noop", {"sleep_ms": 60000}, max_attempts=1)
    longer = database.enqueue("noop", {"sleep_ms": 500}, timeout="10 s")
    database.wait_for_state(job, "dead")
    assert failures(database, job)[0]["kind"] == "timeout"
    database.wait_for_state(longer, "succeeded")


def test_a_timeout_counts_from_the_attempts_start(database, workers):
    """One slot: the second job waits longer than its timeout, and is not hurt by that."""
    workers.start(concurrency=1)
    jobs = [database.enqueue("noop", {"sleep_ms": 700}, timeout="2500 ms") for _ in range(5)]
    for job in jobs:
        assert database.wait_for_state(job, "succeeded")["attempt"] == 1


def test_a_job_that_computes_holds_back_nobodys_result(database, workers):
    """In one sending: those before it are known to be done while it runs, its timeout is its own,
    and those behind it are not hurt by its end."""
    worker = workers.start(concurrency=1)
    for job in [database.enqueue("noop") for _ in range(30)]:
        database.wait_for_state(job, "succeeded")
    database.query("SELECT athena.pause('noop')")
    before = [database.enqueue("noop", timeout="1 s") for _ in range(5)]
    long = database.enqueue("noop", {"busy_ms": 600000})
    between = [database.enqueue("noop", timeout="1 s") for _ in range(5)]
    limited = database.enqueue("noop", {"busy_ms": 600000}, timeout="1 s", max_attempts=1)
    behind = [database.enqueue("noop", timeout="1 s") for _ in range(5)]
    database.query("SELECT athena.resume('noop')")
    for job in before:
        database.wait_for_state(job, "succeeded")
    assert database.job(long)["state"] == "running"
    assert database.value("SELECT athena.cancel(%s)", long) == "requested"
    for job in between + behind:
        assert database.wait_for_state(job, "succeeded")["attempt"] == 1
    assert database.wait_for_state(long, "cancelled")["attempt"] == 1
    assert database.wait_for_state(limited, "dead")["error"] == "timed out after 1 s"
    started = [int(job) for job in re.findall(r" attempt_started job=(\d+) ", worker.stderr())]
    assert {job: started.count(job) for job in started} == dict.fromkeys(started, 1)
    assert_lawful(database)


def test_a_timeout_wins_over_who_ignores_it(database, workers):
    workers.start()
    job = database.enqueue("noop", {"sleep_ms": 60000, "ignore_cancel": True}, timeout="200 ms", max_attempts=1)
    database.wait_for_state(job, "dead")
    assert failures(database, job)[0]["kind"] == "timeout"


# --- Cancel

def test_what_has_not_begun_is_cancelled_at_once(database, workers):
    ready, later = database.enqueue("noop"), database.enqueue("noop", run_at="tomorrow")
    for job in (ready, later):
        assert database.value("SELECT athena.cancel(%s)", job) == "cancelled"
    workers.start()
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert [database.job(job)["state"] for job in (ready, later)] == ["cancelled", "cancelled"]
    assert_lawful(database)


def test_cancel_asks_first(database, workers, tmp_path):
    """The command is told by SIGTERM and has the grace time to clean up."""
    log = tmp_path / "log"
    command = script(tmp_path, "tidy", f"""
trap 'echo told >>{log}; sleep 0.2; echo tidied >>{log}; exit 0' TERM
echo started $$ >>{log}
sleep 60 & wait
""")
    worker = workers.start("own", families={"own": {"run": "command", "command": command}}, cancel_grace="60s")
    job = database.enqueue("own")
    pid = int(wait_line(log, r"started (\d+)")[1])
    began = time.monotonic()
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    database.wait_for_state(job, "cancelled")
    assert time.monotonic() - began < PROMPT_S
    assert read_lines(log)[1:] == ["told", "tidied"]
    wait_dead(pid)
    assert failures(database, job) == []
    assert settled(worker, job)["result"] == "cancelled"
    assert_lawful(database)


def test_cancel_of_who_does_not_listen(database, workers):
    """Asked, then SIGTERM after the grace time; the slot goes on with a new executor."""
    worker = workers.start(concurrency=1)
    took_s = 60
    for _ in range(10):
        job = begin(database, worker, {"sleep_ms": 60000, "ignore_cancel": True})
        (executor,) = worker.children()
        began = time.monotonic()
        database.query("SELECT athena.cancel(%s)", job)
        database.wait_for_state(job, "cancelled")
        took_s = time.monotonic() - began
        wait_dead(executor)
        if took_s < 2.4:
            break
    assert 0.5 <= took_s < 2.4, "the grace time is half a second, SIGKILL 2 s later"
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert failures(database, job) == []
    assert_lawful(database)


def test_cancel_wins_by_sigkill(database, workers, tmp_path):
    """An executor that is stopped answers neither the question nor SIGTERM."""
    worker = workers.start(concurrency=1)
    job = database.enqueue("noop", {"sleep_ms": 60000})
    wait_running(database, job)
    (executor,) = wait_until(worker.children)
    os.kill(executor, signal.SIGSTOP)
    began = time.monotonic()
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert time.monotonic() - began >= 2.5, "half a second of grace, two more after SIGTERM"
    wait_dead(executor)
    assert_lawful(database)


def test_cancel_without_a_notification_comes_with_a_heartbeat(database, workers):
    workers.start()
    job = database.enqueue("noop", {"sleep_ms": 60000})
    wait_running(database, job)
    quiet = database.connect()
    quiet.execute("SET athena.notify = off")
    quiet.execute("SELECT athena.cancel(%s)", [job])
    database.wait_for_state(job, "cancelled")
    assert_lawful(database)


def test_a_late_cancel_loses_to_success(database, workers):
    """The handler ignores it and comes to its end before force is used."""
    worker = workers.start(cancel_grace="10s", concurrency=1)
    job = begin(database, worker, {"sleep_ms": 1000, "ignore_cancel": True})
    assert database.value("SELECT athena.cancel(%s)", job) == "requested"
    worker.wait_log(rf"cancel_requested job={job}\b")
    row = database.wait_for_state(job, "succeeded")
    assert row["attempt"] == 1
    assert database.query("SELECT * FROM athena.cancel_requests AS c JOIN athena.leases USING (ticket)") == []
    assert_lawful(database)


def test_cancel_of_a_failed_attempt_ends_the_job(database, workers):
    """Cancelled while it runs, fails by itself in the same moment: cancelled, not retried."""
    worker = workers.start(cancel_grace="10s", concurrency=1)
    job = begin(database, worker, {"sleep_ms": 700, "ignore_cancel": True, "fail": "transient"})
    database.query("SELECT athena.cancel(%s)", job)
    worker.wait_log(rf"cancel_requested job={job}\b")
    database.wait_for_state(job, "cancelled")
    assert_lawful(database)
