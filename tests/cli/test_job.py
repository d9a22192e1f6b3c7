# SPDX-License-Identifier: PostgreSQL
"""athena job: lists by page, the story of a job, cancelling, retrying, events as they happen."""
import json
import re
import signal

import pytest

from athena_test import BUILD, wait_until
from sessions import Worker, assert_lawful, place


@pytest.fixture
def worker(spawn, database):
    program = spawn("athena-worker", "--family=noop")
    program.wait_log("registered")
    return program


def ids(done):
    return [row["job_id"] for row in json.loads(done.stdout)]


def add_event(database, job_id, kind, message="", level="info", phase=None, after_s=0.0, attempt=1):
    return database.value(
        "INSERT INTO athena.events (job_id, at, attempt, phase, level, kind, message) "
        "SELECT id, created_at + %s * interval '1 s', %s, %s, %s, %s, %s FROM athena.jobs "
        "WHERE id = %s RETURNING seq", after_s, attempt, phase, level, kind, message, job_id)


# list

def test_list_of_nothing(run, database):
    assert run("athena", "job", "list").stdout == ""
    assert json.loads(run("athena", "job", "list", "--json").stdout) == []


def test_list_for_people(run, database):
    database.enqueue("noop")
    database.enqueue("clone", {"source": "a", "target": "b"}, kind="nightly", max_attempts=3)
    database.query("UPDATE athena.families SET paused_at = now()")
    text = run("athena", "job", "list").stdout
    assert re.fullmatch(r"""JOB  FAMILY  STATE  ATTEMPT  QUEUED +DETAIL
  2  clone   ready  0/3      [0-9.]+ m?s ago +nightly
  1  noop    ready  0/5      [0-9.]+ m?s ago
""", text)


def test_list_for_programs(run, database):
    database.enqueue("noop", {"message": "hello"}, kind="k", unique_key="u", concurrency_key="c", priority=3)
    (row,) = json.loads(run("athena", "job", "list", "--json").stdout)
    created = row.pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", created)
    assert row.pop("run_at") == created
    assert row == {"job_id": 1, "family": "noop", "kind": "k", "state": "ready", "priority": 3,
                   "attempt": 0, "max_attempts": 5, "started_at": None, "finished_at": None,
                   "took_s": None, "worker": None, "unique_key": "u", "concurrency_key": "c", "progress": None,
                   "error": None, "payload": {"message": "hello"}}


def test_pages_go_by_key(run, database):
    jobs = [database.enqueue("noop") for _ in range(5)]
    page = run("athena", "job", "list", "--json", "--limit", "2")
    assert ids(page) == jobs[:2:-1]
    database.enqueue("noop")  # a later job shifts nothing
    page = run("athena", "job", "list", "--json", "--limit", "2", "--after", ids(page)[-1])
    assert ids(page) == jobs[2:0:-1]
    page = run("athena", "job", "list", "--json", "--limit", "2", "--after", ids(page)[-1])
    assert ids(page) == jobs[:1]
    assert ids(run("athena", "job", "list", "--json", "--after", jobs[0])) == []


def test_filters(run, database):
    noop, clone = database.enqueue("noop"), database.enqueue("clone", {"source": "a", "target": "b"})
    later = database.enqueue("noop", run_at="2030-01-01")
    gone = database.enqueue("noop")
    run("athena", "job", "cancel", gone)
    for words, wanted in ((["--family", "noop"], [gone, later, noop]), (["--family=clone"], [clone]),
                          (["--state", "scheduled"], [later]), (["--state", "cancelled"], [gone]),
                          (["--state", "ready", "--family", "noop"], [noop]),
                          (["--family", "nobody"], [])):
        assert ids(run("athena", "job", "list", "--json", *words)) == wanted


def test_bad_filters(run, database):
    done = run("athena", "job", "list", "--state", "ded", status=2)
    assert "one of ready, scheduled, running, waiting, succeeded, dead, cancelled" in done.stderr
    for limit in ("0", "x", "100001"):
        run("athena", "job", "list", "--limit", limit, status=2)


# show

def story(done):
    """What happened, without times: [(length of a phase or '', indentation and text)]."""
    lines = [re.fullmatch(r"  \d\d:\d\d:\d\d\.\d{3}  (.{12})  (.*)", line)
             for line in done.stdout.splitlines()]
    return [(line[1].strip(), line[2]) for line in lines if line]


def test_show_a_job_that_waits(run, database):
    database.enqueue("noop", {"message": "x"})
    done = run("athena", "job", "show", 1)
    text = re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", done.stdout)
    text = re.sub(r"\d{4}-\d\d-\d\d", "DATE", re.sub(r"\d+(\.\d+)? m?s ago", "AGO", text))
    assert text == """\
job 1, noop: ready

  payload   {"message": "x"}
  queued    AGO
  attempt   0 of 5
  priority  5

  DATE
  TIME                queued

Next
  athena-worker --family=noop           no worker serves its family
  athena job events 1 --follow          see it run
  athena job cancel 1                   never run it
"""
    run("athena", "family", "pause", "noop")
    assert "  athena family resume noop             its family is paused\n" in run(
        "athena", "job", "show", 1).stdout


def test_show_tells_phases_and_what_was_said_in_them(run, database):
    database.enqueue("noop")
    add_event(database, 1, "phase_started", phase="first", after_s=1)
    add_event(database, 1, "note", "all is well", phase="first", after_s=1.5)
    add_event(database, 1, "tool_output", "noise", phase="first", after_s=1.6)
    add_event(database, 1, "detail", "more noise", level="debug", phase="first", after_s=1.7)
    add_event(database, 1, "phase_started", phase="second", after_s=3.5)
    add_event(database, 1, "odd", "\033[31mred\n", level="warn", phase="second", after_s=4)
    done = run("athena", "job", "show", 1)
    assert story(done) == [("", "queued"), ("2.5 s", "  first"), ("", "    all is well"),
                           ("", "  second"), ("", "    ?[31mred ")]
    assert "  and 2 more lines in: athena job events 1\n" in done.stdout


def test_show_a_job_that_died(run, database, worker):
    database.enqueue("noop", {"fail": "transient", "message": "no luck"}, max_attempts=2)
    database.wait_for_state(1, "dead")
    done = run("athena", "job", "show", 1)
    host = r"\S+:\d+"
    wanted = ["queued", rf"attempt 1 failed on {host} \(transient\): no luck",
              r"to be tried again after \S+ m?s", rf"attempt 2, claimed by {host}",
              rf"attempt 2 failed on {host} \(transient\): no luck",
              "dead, as that was the last attempt"]
    told = [text for _, text in story(done)]
    assert len(told) == len(wanted), told
    assert all(re.fullmatch(pattern, text) for pattern, text in zip(wanted, told)), told
    assert done.stdout.endswith("\nNext\n  athena job retry 1                    "
                                "run it again, with all its attempts\n")


def test_show_for_programs(run, database, worker):
    database.enqueue("noop", {"fail": "permanent", "message": "no"})
    database.wait_for_state(1, "dead")
    seq = add_event(database, 1, "note", "hello", phase="p")
    shown = json.loads(run("athena", "job", "show", 1, "--json").stdout)
    assert (shown["job_id"], shown["state"], shown["attempt"], shown["error"]) == (1, "dead", 1, "no")
    (failure,) = shown["failures"]
    assert (failure["kind"], failure["error"], failure["attempt"], failure["retry_at"]) == (
        "permanent", "no", 1, None)
    (event,) = [event for event in shown["events"] if event["kind"] == "note"]
    assert (event["seq"], event["phase"], event["message"]) == (seq, "p", "hello")


def test_show_masks_secrets(run, database):
    database.enqueue("clone", {"source": "postgresql://me:geheim@h/x", "target": "y"})
    for words in (["show", 1], ["show", 1, "--json"], ["list", "--json"]):
        text = run("athena", "job", *words).stdout
        assert "geheim" not in text and "postgresql://me:***@h/x" in text


@pytest.mark.parametrize("verb", ["show", "events --follow"])
def test_an_unknown_job(run, database, verb):
    words = verb.split()
    done = run("athena", "job", words[0], 77, *words[1:], status=1)
    assert (done.stdout, done.stderr) == ("", f"""\
athena job {words[0]}: there is no job 77; finished ones are removed after a while
  next: athena job list
""")


# cancel and retry

def test_cancel(run, database):
    database.enqueue("noop")
    assert run("athena", "job", "cancel", 1).stdout == "job 1: cancelled\n"
    assert run("athena", "job", "cancel", 1).stdout == "job 1: cancelled\n"
    assert database.job(1)["state"] == "cancelled"
    assert database.conservation() == []


def test_cancel_what_runs(run, database, worker):
    database.enqueue("noop", {"sleep_ms": 60000})
    database.wait_for_state(1, "running")
    done = run("athena", "job", "cancel", 1)
    assert done.stdout == "job 1: it is running; its worker was asked to stop it\n"
    database.wait_for_state(1, "cancelled")


def test_what_has_ended_cannot_be_cancelled(run, database, worker):
    database.enqueue("noop")
    database.enqueue("noop", {"fail": "permanent"})
    database.wait_for_state(1, "succeeded")
    database.wait_for_state(2, "dead")
    later = database.enqueue("noop", run_at="2030-01-01")
    done = run("athena", "job", "cancel", 1, 2, later, 77, status=1)
    assert done.stdout == ("job 1: not cancelled, it succeeded before\n"
                           "job 2: not cancelled, it died before\n"
                           f"job {later}: cancelled\n")
    assert done.stderr == ("job 77: no job 77; hint: It may have been pruned: retention removes "
                           "finished jobs.\n")
    done = run("athena", "job", "cancel", 1, later, "--json", status=1)
    assert json.loads(done.stdout) == [{"job_id": 1, "answer": "succeeded"},
                                       {"job_id": later, "answer": "cancelled"}]
    done = run("athena", "job", "cancel", 77, status=1)
    assert done.stderr == ("athena job cancel: no job 77\n"
                           "  next: It may have been pruned: retention removes finished jobs.\n")


def test_retry(run, database):
    database.enqueue("noop")
    run("athena", "job", "cancel", 1)
    assert run("athena", "job", "retry", 1).stdout == "job 1: ready again\n"
    done = run("athena", "job", "retry", 1, status=1)
    assert (done.stdout, done.stderr) == ("", """\
athena job retry: job 1 is ready: only dead, cancelled, scheduled and waiting jobs can be retried
  next: athena job show 1
""")
    assert database.conservation() == []


def test_retry_when_its_key_is_taken(run, database):
    for _ in range(2):
        run("athena", "enqueue", "noop", "--unique-key", "k")
        run("athena", "job", "cancel", 1)
    holder = run("athena", "enqueue", "noop", "--unique-key", "k").stdout.strip()
    done = run("athena", "job", "retry", 1, status=1)
    assert done.stderr == (f"athena job retry: job 1 cannot be retried: its unique key is held by job "
                           f"{holder}\n  next: athena job show {holder}\n")


# events

def test_events(run, database):
    database.enqueue("noop")
    assert run("athena", "job", "events", 1).stderr == (
        "no events; most jobs write none. The story: athena job show 1\n")
    first = add_event(database, 1, "phase_started", phase="dump_source")
    second = add_event(database, 1, "note", "half way", phase="dump_source", after_s=1)
    add_event(database, 1, "odd", phase="a_very_long_phase", level="warn", after_s=2, attempt=12)
    lines = run("athena", "job", "events", 1).stdout.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}", "TIME", line) for line in lines] == [
        "TIME   1  dump_source", "TIME   1  dump_source      half way",
        "TIME  12  a_very_long_phase  odd"]
    rows = json.loads(run("athena", "job", "events", 1, "--json", "--limit", "2").stdout)
    assert [row["seq"] for row in rows] == [first, second]
    rows = json.loads(run("athena", "job", "events", 1, "--json", "--after", second).stdout)
    assert [row["kind"] for row in rows] == ["odd"]


def test_follow_prints_events_as_they_happen(spawn, database):
    database.enqueue("noop")
    follower = spawn("athena", "job", "events", 1, "--follow")
    for number in range(3):
        add_event(database, 1, "note", f"message {number}")
        wait_until(lambda: f"message {number}\n" in follower.stdout(), what=f"message {number}")
    assert follower.is_running()
    database.query("SELECT athena.cancel(1)")
    assert follower.wait() == 3
    assert follower.stdout().count("message") == 3


def test_follow_for_programs(spawn, database):
    database.enqueue("noop")
    follower = spawn("athena", "job", "events", 1, "--follow", "--json")
    add_event(database, 1, "note", "hello")
    wait_until(lambda: "hello" in follower.stdout(), what="the event")
    database.query("SELECT athena.cancel(1)")
    assert follower.wait() == 3
    event, end = [json.loads(line) for line in follower.stdout().splitlines()]
    assert (event["kind"], event["message"]) == ("note", "hello")
    assert (end["job_id"], end["state"]) == (1, "cancelled")


def set_progress(database, done, total):
    """As the worker that holds job 1 would."""
    database.query("INSERT INTO athena.progress (ticket, job_id, phase, done, total, unit) "
                   "SELECT ticket, job_id, 'copy', %s, %s, 'bytes' FROM athena.leases "
                   "ON CONFLICT (ticket) DO UPDATE SET done = excluded.done", done, total)


def test_progress_without_a_terminal_is_a_line_now_and_then(spawn, database, worker):
    database.enqueue("noop", {"sleep_ms": 60000})
    database.wait_for_state(1, "running")
    add_event(database, 1, "phase_started", phase="copy")
    follower = spawn("athena", "job", "events", 1, "--follow")
    for done, text in ((0, "  copy               0 %  0 bytes of 2.0 MB"),
                       (500_000, "  copy              25 %  500 kB of 2.0 MB"),
                       (2_000_000, "  copy             100 %  2.0 MB of 2.0 MB")):
        set_progress(database, done, 2_000_000)
        follower.wait_log("^" + re.escape(text))
    assert "\033" not in follower.stderr() and "\r" not in follower.stderr()
    database.query("SELECT athena.cancel(1)")
    assert follower.wait() == 3


def test_progress_on_a_terminal_is_one_line(spawn, database, worker):
    database.enqueue("noop", {"sleep_ms": 60000})
    database.wait_for_state(1, "running")
    set_progress(database, 500, 2000)
    terminal = spawn("script", "-qefc", "stty cols 80; athena job events 1 --follow", "/dev/null",
                     env={"TERM": "xterm", "NO_COLOR": "1", "PATH": f"{BUILD}:/usr/bin:/bin"})
    bar = "█" * 6 + "░" * 18

    def screen():
        return terminal.stdout_path.read_bytes().decode(errors="replace")
    wait_until(lambda: f"\r\033[K  running          {bar}  25 %  500 bytes of 2.0 kB" in screen(),
               what="the bar")
    database.query("SELECT athena.cancel(1)")
    assert terminal.wait() == 3
    assert re.search(r"\r\033\[K\d\d:\d\d:\d\d\.\d{3}      job 1 cancelled after ", screen())


def test_interrupted_following_leaves_the_job_alone(spawn, database):
    database.enqueue("noop")
    follower = spawn("athena", "job", "events", 1, "--follow")
    follower.wait_log("no worker serves it")
    follower.signal(signal.SIGTERM)
    assert follower.wait() == -signal.SIGTERM
    assert database.job(1)["state"] == "ready"


# many at once

def test_bulk_retry_of_one_family_says_the_count_first(run, database):
    dead = [database.enqueue("noop") for _ in range(7)] + [database.enqueue("clone", {"source": "a", "target": "b"})]
    other = Worker(database, "noop", "clone")
    for row in other.claim(7) + other.claim(1, family="clone"):
        other.settle(row, "failed", error_kind="permanent")
    assert run("athena", "job", "retry", "--state", "dead", "--family", "noop", "--dry-run").stdout == "7 jobs dead, family noop\n"
    done = run("athena", "job", "retry", "--state", "dead", "--family", "noop", "--since", "1h")
    assert done.stdout == "7 jobs dead, family noop, of the last 1 h\n7 jobs: ready again\n"
    assert [place(database, job) for job in dead] == [["ready"]] * 7 + [["dead"]]
    assert_lawful(database)


def test_bulk_goes_on_past_what_is_refused_and_over_many_batches(run, database):
    database.query("INSERT INTO athena.jobs (family, unique_key) SELECT 'noop', n::text FROM generate_series(1, 1203) AS n")
    worker = Worker(database)
    for row in worker.claim(3):
        worker.settle(row, "failed", error_kind="permanent")
    assert json.loads(run("athena", "job", "cancel", "--state", "ready", "--json").stdout) == {"jobs": 1200, "done": 1200, "refused": 0}
    database.enqueue("noop", unique_key="7")
    done = run("athena", "job", "retry", "--state", "cancelled", "--json", status=1)
    assert json.loads(done.stdout) == {"jobs": 1200, "done": 1199, "refused": 1}
    assert done.stderr.startswith("job 7: job 7 cannot be retried: its unique key is held by job 1204")
    assert_lawful(database)


def test_bulk_since_looks_at_the_end_of_a_job(run, database):
    worker = Worker(database)
    old, new = database.enqueue("noop"), database.enqueue("noop")
    for row in worker.claim(2):
        worker.settle(row, "failed", error_kind="permanent")
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '2 h' WHERE job_id = %s", old)
    assert run("athena", "job", "retry", "--state=dead", "--since=1h").stdout.endswith("1 job: ready again\n")
    assert (place(database, old), place(database, new)) == (["dead"], ["ready"])


@pytest.mark.parametrize("words, error", [
    (["retry"], "which jobs? Name them, or say --state and --family"),
    (["cancel", "--family", "noop"], "which jobs? Name them, or say --state and --family"),
    (["retry", "7", "--state", "dead"], "name jobs, or say --state: not both"),
    (["retry", "--state", "running"], "must be one of dead, cancelled, scheduled"),
    (["cancel", "--state", "dead"], "must be one of ready, scheduled, running, waiting")])
def test_bulk_wants_to_be_told_clearly(run, words, error):
    done = run("athena", "job", *words, status=2)
    assert error in done.stderr and done.stdout == ""
