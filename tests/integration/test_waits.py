# SPDX-License-Identifier: PostgreSQL
"""Waits of command jobs: the token in the environment, exit status 100, the answer, and everything in between."""
import json
import signal

import pytest

from athena_test import wait_until
from sessions import assert_lawful
from workers import read_lines, script, settled, wait_line

# Writes its token down and parks; with an answer it writes that down and is done.
ASK = """
if [ "${ATHENA_JOB_ANSWER+set}" ]; then printf '%s\\n' "$ATHENA_JOB_ANSWER" >>answers; exit 0; fi
printf '%s %s\\n' "$ATHENA_JOB_ATTEMPT" "$ATHENA_JOB_TOKEN" >>tokens
exit 100
"""


@pytest.fixture
def serve(workers, tmp_path):
    """serve(text, wait_timeout=...) starts a worker of the family `ask`, which runs that script."""
    def serve(text=ASK, name="ask.sh", **options):
        entry = {"run": "command", "command": script(tmp_path, name, f"cd {tmp_path}\n{text}"), "wait_timeout": "1h", **options}
        return workers.start("ask", families={"ask": entry}, poll="1h")
    return serve


@pytest.fixture
def token(tmp_path):
    """token(n): of the n-th attempt that asked, once it has."""
    def token(number=1):
        wait_until(lambda: len(read_lines(tmp_path / "tokens")) >= number)
        return read_lines(tmp_path / "tokens")[number - 1].split()[1]
    return token


def complete(database, token, answer):
    (row,) = database.query("SELECT * FROM athena.complete_wait(%s, %s)", token, json.dumps(answer))
    return row["answer"], row["state"]


def quick(database):
    database.query("UPDATE athena.families SET backoff_base = '10 ms', backoff_jitter = 0")


def test_a_command_parks_is_answered_and_goes_on(database, serve, token, tmp_path):
    worker = serve()
    job = database.enqueue("ask")
    status = database.wait_for_state(job, "waiting")
    assert (status["attempt"], status["worker"]) == (1, None)
    assert settled(worker, job)["result"] == "parked"
    answer = {"amount": 12.5, "text": "ünï \"x\" 'y'\n"}
    assert complete(database, token(), answer) == ("accepted", "completed")
    status = database.wait_for_state(job, "succeeded")
    assert status["attempt"] == 1
    assert [json.loads(line) for line in read_lines(tmp_path / "answers")] == [answer]
    assert database.query("SELECT * FROM athena.failures") == []
    assert token() not in worker.stderr()
    assert_lawful(database)


def test_it_holds_no_slot_while_it_waits(database, serve, token):
    serve(concurrency=1)
    jobs = [database.enqueue("ask") for _ in range(3)]
    for job in jobs:
        database.wait_for_state(job, "waiting")
    for number in (2, 3, 1):
        complete(database, token(number), number)
    for job in jobs:
        database.wait_for_state(job, "succeeded")
    assert_lawful(database)


def test_an_answer_that_comes_while_it_runs_is_not_lost(database, serve, token, tmp_path):
    serve(ASK.replace("exit 100", "while ! [ -e go ]; do sleep 0.05; done; exit 100"))
    job = database.enqueue("ask")
    assert complete(database, token(), "early") == ("accepted", "completed")
    assert database.job(job)["state"] == "running"
    (tmp_path / "go").touch()
    database.wait_for_state(job, "succeeded")
    assert read_lines(tmp_path / "answers") == ['"early"']
    assert_lawful(database)


def test_nobody_answers(database, serve, token):
    """The lane ends the wait, the attempt has failed, and the next one asks anew."""
    serve(wait_timeout="1s", max_attempts=2)
    quick(database)
    job = database.enqueue("ask")
    first = token()
    second = token(2)
    assert complete(database, first, 1) == ("refused", "timed_out")
    status = database.wait_for_state(job, "dead")
    assert (status["attempt"], "nobody answered within" in status["error"]) == (2, True)
    assert complete(database, second, 1) == ("refused", "timed_out")
    assert database.column("SELECT kind || ' ' || code FROM athena.failures") == ["timeout wait_timed_out"] * 2
    assert_lawful(database)


def test_it_may_ask_again(database, serve, token, tmp_path):
    """Two waits one after the other, still the first attempt; the last answer is the one that it sees."""
    serve('[ "$ATHENA_JOB_ANSWER" = 2 ] && exit 0\nunset ATHENA_JOB_ANSWER\n' + ASK)
    job = database.enqueue("ask", max_attempts=1)
    for number in (1, 2):
        assert complete(database, token(number), number) == ("accepted", "completed")
    database.wait_for_state(job, "succeeded")
    assert [line.split()[0] for line in read_lines(tmp_path / "tokens")] == ["1", "1"]
    assert complete(database, token(1), 3) == ("already", "completed")


def test_the_answer_is_there_after_a_failure(database, serve, token, tmp_path):
    serve('[ "$ATHENA_JOB_ATTEMPT" = 1 ] && [ "${ATHENA_JOB_ANSWER+set}" ] && exit 1\n' + ASK)
    quick(database)
    job = database.enqueue("ask")
    complete(database, token(), None)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    assert read_lines(tmp_path / "answers") == ["null"]


def test_a_large_answer_fits_the_environment(database, serve, token, tmp_path):
    serve()
    job = database.enqueue("ask")
    answer = "é" * 20000 + "x" * 20000  # 60,002 bytes as JSON
    assert complete(database, token(), answer) == ("accepted", "completed")
    database.wait_for_state(job, "succeeded")
    assert json.loads(read_lines(tmp_path / "answers")[0]) == answer


def test_status_100_is_nothing_special_where_nobody_may_wait(database, workers, tmp_path):
    command = script(tmp_path, "x.sh", "echo ${ATHENA_JOB_TOKEN-none} >&2; exit 100")
    workers.start("plain", families={"plain": {"run": "command", "command": command, "max_attempts": 1}})
    job = database.enqueue("plain")
    assert database.wait_for_state(job, "dead")["error"].endswith("exit status 100: none")


def test_a_waiting_job_is_cancelled(database, serve, token, run):
    serve()
    job = database.enqueue("ask")
    database.wait_for_state(job, "waiting")
    run("athena", "job", "cancel", job)
    assert complete(database, token(), 1) == ("refused", "cancelled")
    assert_lawful(database)


def test_show_tells_the_story(database, serve, token, run):
    serve()
    job = database.enqueue("ask")
    database.wait_for_state(job, "waiting")
    shown = run("athena", "job", "show", job).stdout
    for words in (f"job {job}, ask: waiting", "waits for an answer", f"athena job retry {job}", f"athena job cancel {job}"):
        assert words in shown, shown
    assert run("athena", "job", "list", "--state", "waiting").stdout.count("ask") == 1
    complete(database, token(), 1)
    database.wait_for_state(job, "succeeded")
    assert "answered" in run("athena", "job", "show", job).stdout


def test_a_drained_worker_leaves_its_waiting_jobs_waiting(database, serve, token):
    worker = serve()
    job = database.enqueue("ask")
    database.wait_for_state(job, "waiting")
    assert worker.terminate() == 0
    assert database.job(job)["state"] == "waiting"
    assert complete(database, token(), 1) == ("accepted", "completed")
    assert database.job(job)["state"] == "ready"
    serve(name="again.sh")
    database.wait_for_state(job, "succeeded")
    assert_lawful(database)


def test_a_killed_worker_makes_its_token_stale_and_the_job_asks_anew(database, serve, token, tmp_path):
    worker = serve(ASK.replace("exit 100", "while ! [ -e go ]; do sleep 0.05; done; exit 100"))
    job = database.enqueue("ask")
    old = token()
    worker.kill()
    (tmp_path / "go").touch()
    serve(name="again.sh")
    new = token(2)
    assert complete(database, old, "old") == ("refused", "stale")
    assert complete(database, new, "new") == ("accepted", "completed")
    database.wait_for_state(job, "succeeded")
    assert read_lines(tmp_path / "answers") == ['"new"']
    assert_lawful(database)


def test_no_token_before_it_is_committed(own_cluster, programs, tmp_path):
    """The server is away when the attempt wants its token: it waits, and gets one that works."""
    database = own_cluster.migrated_database()
    from workers import Workers
    workers = Workers(programs, database.url, tmp_path)
    entry = {"run": "command", "wait_timeout": "1h", "command": script(tmp_path, "ask.sh", f"cd {tmp_path}\n{ASK}")}
    worker = workers.start("ask", families={"ask": entry}, poll="100ms")
    job = database.enqueue("ask")
    database.wait_for_state(job, "waiting")
    line = wait_line(tmp_path / "tokens", r"1 (\S+)")
    own_cluster.restart("immediate")
    database.close()
    assert complete(database, line[1], 1) == ("accepted", "completed")
    database.wait_for_state(job, "succeeded", 30)
    assert_lawful(database)
    database.close()
    worker.signal(signal.SIGTERM)
    worker.wait()
