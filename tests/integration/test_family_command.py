# SPDX-License-Identifier: PostgreSQL
"""command: only what the worker's configuration names, payload on stdin, output as events."""
import json
import time

import psycopg
import pytest

from athena_test import PROMPT_S, processes, wait_until


@pytest.fixture
def serve(database, spawn, tmp_path):
    """serve({name: {"command": [...], ...}}) starts a worker of these families and `command`."""
    def serve(families, env=None):
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"families": {
            name: {"run": "command", **options} for name, options in families.items()}}))
        program = spawn("athena-worker", "--config", config, f"--family={','.join(['command', *families])}",
                        env={"ATHENA_WORKER_CANCEL_GRACE": "1s", **(env or {})})
        program.wait_log("registered")
        for name in families:
            wait_until(lambda: database.query("SELECT name FROM athena.families WHERE name = %s", name))
        database.query("UPDATE athena.families SET backoff_base = '10 ms', backoff_jitter = 0")
        return program
    return serve


def script(text, *args, **options):
    return {"command": ["/bin/sh", "-c", text, "script", *args], **options}


def events(database, job, *kinds):
    return database.query("SELECT kind, level, message FROM athena.events "
                          "WHERE job_id = %s AND kind = ANY (%s) ORDER BY seq", job, list(kinds))


def output(database, job, kind="stdout"):
    return [row["message"] for row in events(database, job, kind)]


def failure(database, job):
    (row,) = database.query("SELECT kind, code, error FROM athena.failures WHERE job_id = %s", job)
    return row


def test_the_whole_payload_is_on_stdin(database, serve):
    serve({"echo": script("cat")})
    payload = {"width": 100, "name": "ünïcode \" 'quoted'", "deep": {"list": [1, None, True]}}
    job = database.enqueue("echo", payload)
    database.wait_for_state(job, "succeeded")
    (line,) = output(database, job)
    assert json.loads(line) == payload
    assert not database.conservation()


def test_a_large_payload_passes_through_the_pipe(database, serve):
    serve({"count": script("wc -c")})
    job = database.enqueue("count", {"text": "x" * 900_000})
    database.wait_for_state(job, "succeeded")
    assert output(database, job) == [str(len('{"text":""}') + 900_000)]


def test_a_command_need_not_read_its_stdin(database, serve):
    worker = serve({"deaf": script("exec <&-; sleep 0.2; echo done")})
    job = database.enqueue("deaf", {"text": "x" * 900_000})
    database.wait_for_state(job, "succeeded")
    assert output(database, job) == ["done"]
    assert worker.is_running()


def test_it_sees_the_job_and_nothing_of_the_worker(database, serve):
    serve({"env": {"command": ["/usr/bin/env"], "env": {"QUALITY": "80", "PGHOST": "chosen"}}},
          env={"PGPASSWORD": "hunter22", "PGUSER": "postgres", "ORDINARY": "stays",
               "ATHENA_LOG_LEVEL": "info"})
    job = database.enqueue("env", {}, kind="nightly")
    database.wait_for_state(job, "succeeded")
    seen = dict(line.split("=", 1) for line in output(database, job))
    assert {name: value for name, value in seen.items() if name.startswith(("PG", "ATHENA_"))} == {
        "PGHOST": "chosen", "ATHENA_JOB_ID": str(job), "ATHENA_JOB_TICKET": str(job),
        "ATHENA_JOB_ATTEMPT": "1", "ATHENA_JOB_FAMILY": "env", "ATHENA_JOB_KIND": "nightly"}
    assert (seen["QUALITY"], seen["ORDINARY"]) == ("80", "stays")


def test_command_runs_entries_by_name_with_arguments(database, serve):
    serve({"show": {"command": ["/usr/bin/printf", "<%s>\\n"]}})
    job = database.enqueue("command", {"name": "show", "args": ["a b", "", "$(id)", "; ls"]})
    database.wait_for_state(job, "succeeded")
    assert output(database, job) == ["<a b>", "<>", "<$(id)>", "<; ls>"]


def test_arguments_are_nothing_special_to_families_of_ones_own(database, serve):
    serve({"show": {"command": ["/bin/echo", "just this"]}})
    job = database.enqueue("show", {"args": ["more"]})
    database.wait_for_state(job, "succeeded")
    assert output(database, job) == ["just this"]


def test_nothing_but_what_is_named_is_run(database, serve):
    serve({"one": script("true"), "two": script("true")})
    job = database.enqueue("command", {"name": "/bin/true"})
    database.wait_for_state(job, "dead")
    row = failure(database, job)
    assert (row["kind"], row["code"]) == ("permanent", "unknown_command")
    assert row["error"].endswith('names no command "/bin/true"; it has: one, two')


@pytest.mark.parametrize("payload", ["{}", '{"name": 1}', '{"name": "x", "args": "y"}', '{"name": "x", "argv": []}'])
def test_a_bad_payload_is_refused_when_it_is_queued(database, payload):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="command"):
        database.query("INSERT INTO athena.jobs (family, payload) VALUES ('command', %s)", payload)


def test_arguments_that_are_no_strings_are_refused_when_it_is_run(database, serve):
    serve({"show": {"command": ["/bin/echo"]}})
    job = database.enqueue("command", {"name": "show", "args": [1]})
    database.wait_for_state(job, "dead")
    assert "args" in failure(database, job)["error"]


# --- How it ends

PERMANENT = [64, 65, 66, 67, 68, 70, 72, 73, 76, 77, 78, 126, 127]


def test_exit_statuses(database, serve):
    serve({"end": script('echo "what is wrong" >&2; exit $(cat | tr -cd 0-9)')})
    jobs = {status: database.enqueue("end", {"status": status}, max_attempts=1)
            for status in [1, 2, 69, 71, 74, 75, 79, 125, 128, 255, *PERMANENT]}
    for status, job in jobs.items():
        database.wait_for_state(job, "dead")
        assert failure(database, job) == {
            "kind": "permanent" if status in PERMANENT else "transient", "code": f"exit_{status}",
            "error": f"/bin/sh: exit status {status}: what is wrong"}


def test_permanent_exits_replace_the_usual_ones(database, serve):
    serve({"end": script("exit $(cat | tr -cd 0-9)", permanent_exits=[3, 75])})
    jobs = {status: database.enqueue("end", {"status": status}, max_attempts=2) for status in (3, 75, 64)}
    for job in jobs.values():
        database.wait_for_state(job, "dead")
    attempts = {status: database.job(job)["attempt"] for status, job in jobs.items()}
    assert attempts == {3: 1, 75: 1, 64: 2}


def test_a_signal_is_worth_a_retry(database, serve):
    serve({"hurt": script('[ $ATHENA_JOB_ATTEMPT = 2 ] || kill -SEGV $$')})
    job = database.enqueue("hurt")
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    row = failure(database, job)
    assert (row["kind"], row["code"]) == ("transient", "signal_11")


def test_a_program_that_is_not_there(database, serve):
    serve({"gone": {"command": ["/nowhere/at/all"]}})
    job = database.enqueue("gone")
    database.wait_for_state(job, "dead")
    row = failure(database, job)
    assert (row["kind"], row["code"]) == ("permanent", "exec_failed")
    assert "/nowhere/at/all" in row["error"] and "No such file" in row["error"]


# --- What it prints

def test_lines_become_events_in_their_order(database, serve):
    serve({"talk": script("echo one; echo; printf 'no newline'")})
    job = database.enqueue("talk")
    database.wait_for_state(job, "succeeded")
    assert events(database, job, "stdout", "stderr") == [
        {"kind": "stdout", "level": "info", "message": text} for text in ("one", "", "no newline")]


def test_lines_are_there_while_it_runs(database, serve):
    serve({"slow": script("echo begun; exec sleep 60")})
    job = database.enqueue("slow")
    wait_until(lambda: output(database, job) == ["begun"])
    assert database.job(job)["state"] == "running"
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")


def test_long_lines_and_bytes_that_are_no_text(database, serve):
    serve({"odd": script(r"""head -c 20000 /dev/zero | tr '\0' x; echo; printf 'a\377\000b\n'""")})
    job = database.enqueue("odd")
    database.wait_for_state(job, "succeeded")
    cut, odd = output(database, job)
    assert cut == "x" * (8192 - 3) + "..."
    assert odd == "a??b"


def test_endless_output_is_cut_once_and_stops_nobody(database, serve):
    serve({"loud": script("seq 1 200000; echo the end >&2; exit 1")})
    job = database.enqueue("loud", {}, max_attempts=1)
    database.wait_for_state(job, "dead")
    lines = output(database, job)
    assert 5000 < len(lines) < 11000 and lines[:3] == ["1", "2", "3"]
    (cut,) = events(database, job, "output_cut")
    assert cut["level"] == "warn" and "1024 KiB" in cut["message"]
    assert failure(database, job)["error"].endswith("exit status 1: the end")


def test_secrets_in_what_it_prints_are_masked(database, serve):
    serve({"leak": script("echo postgresql://me:hunter22@db/shop; echo password=hunter22 >&2; exit 64")})
    job = database.enqueue("leak")
    database.wait_for_state(job, "dead")
    told = json.dumps(events(database, job, "stdout", "stderr")) + failure(database, job)["error"]
    assert "hunter22" not in told and "***" in told


# --- How it is stopped

def is_gone(pid):
    return pid not in processes()


def pids(database, job, count):
    wait_until(lambda: len(output(database, job)) == count)
    return [int(text) for text in output(database, job)]


def test_cancel_tells_the_command_and_what_it_started(database, serve):
    serve({"slow": script("sleep 1000 & echo $!; echo $$; wait")}, env={"ATHENA_WORKER_CANCEL_GRACE": "60s"})
    job = database.enqueue("slow")
    started = pids(database, job, 2)
    begin = time.monotonic()
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert time.monotonic() - begin < PROMPT_S  # before the grace time was over
    assert all(is_gone(pid) for pid in started)
    assert not database.conservation()


def test_who_does_not_listen_is_killed(database, serve):
    serve({"stubborn": script("trap '' TERM; sleep 1000 & echo $!; echo $$; while :; do wait; done")})
    job = database.enqueue("stubborn")
    started = pids(database, job, 2)
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    wait_until(lambda: all(is_gone(pid) for pid in started))


def test_told_to_stop_it_has_not_succeeded(database, serve):
    serve({"polite": script("trap 'echo tidied up; exit 0' TERM; echo $$; while :; do sleep 0.05; done")})
    job = database.enqueue("polite")
    pids(database, job, 1)
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert output(database, job)[1:] == ["tidied up"]


def test_a_command_with_a_timeout(database, serve):
    serve({"slow": script("echo $$; exec sleep 1000", timeout="1s")})
    job = database.enqueue("slow", {}, max_attempts=1)
    (pid,) = pids(database, job, 1)
    database.wait_for_state(job, "dead")
    assert failure(database, job)["kind"] == "timeout"
    assert is_gone(pid)


def test_nothing_survives_the_worker(database, serve):
    worker = serve({"slow": script("sleep 1000 & echo $!; echo $$; wait")})
    job = database.enqueue("slow")
    started = pids(database, job, 2)
    worker.kill()
    wait_until(lambda: all(is_gone(pid) for pid in started))


def test_what_it_leaves_behind_holds_up_nobody(database, serve):
    """A process in the background that keeps stdout open."""
    serve({"careless": script("sleep 1000 & echo $!")})
    job = database.enqueue("careless")
    begin = time.monotonic()
    database.wait_for_state(job, "succeeded")
    assert time.monotonic() - begin < PROMPT_S
    (pid,) = pids(database, job, 1)
    (left,) = events(database, job, "left_behind")
    assert left["level"] == "warn"
    wait_until(lambda: is_gone(pid))


def test_what_it_leaves_behind_is_stopped_without_a_word(database, serve):
    serve({"careless": script("sleep 1000 >&- 2>&- & echo $!")})
    job = database.enqueue("careless")
    database.wait_for_state(job, "succeeded")
    (pid,) = pids(database, job, 1)
    wait_until(lambda: is_gone(pid))
    assert events(database, job, "left_behind") == []


def test_one_executor_does_many(database, serve):
    worker = serve({"echo": script("echo $PPID", concurrency=1)})
    jobs = [database.enqueue("echo") for _ in range(20)]
    for job in jobs:
        database.wait_for_state(job, "succeeded")
    assert len({line for job in jobs for line in output(database, job)}) == 1
    executors = worker.children()
    assert int(output(database, jobs[0])[0]) in executors
    assert not database.conservation()
