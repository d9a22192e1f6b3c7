# SPDX-License-Identifier: PostgreSQL
"""athena family, worker and maintenance: settings that hold, and who is there."""
import json
import re

import pytest

from athena_test import wait_until
from sessions import Worker


def family(run, name):
    return json.loads(run("athena", "family", "show", name, "--json").stdout)


def test_list(run, database):
    rows = json.loads(run("athena", "family", "list", "--json").stdout)
    assert [row["name"] for row in rows] == database.column("SELECT name FROM athena.families ORDER BY 1")
    clone = next(row for row in rows if row["name"] == "clone")
    assert (clone["builtin"], clone["lease_s"], clone["max_attempts"], clone["paused"]) == (
        True, 120.0, 5, False)
    text = run("athena", "family", "list").stdout
    assert re.search(r"^clone +0 +0 +0 +0 +0 +2 min +5  copies a whole database", text, re.M)


def test_depth_and_workers_are_counted(run, spawn, database):
    database.enqueue("noop")
    database.enqueue("noop", run_at="2030-01-01")
    shown = family(run, "noop")
    assert (shown["ready"], shown["scheduled"], shown["running"], shown["workers"]) == (1, 1, 0, 0)
    spawn("athena-worker", "--family=noop").wait_log("registered")
    wait_until(lambda: family(run, "noop")["ready"] == 0, what="claimed")
    assert family(run, "noop")["workers"] == 1


def test_add_and_set(run, database):
    done = run("athena", "family", "add", "thumbs", "--timeout", "60s", "--max-running", "8")
    assert done.stdout == """\
FAMILY  READY  SCHEDULED  RUNNING  DEAD  WORKERS  LEASE  TIMEOUT  ATTEMPTS  LIMIT
thumbs      0          0        0     0        0   20 s    1 min         5      8
"""
    before = family(run, "thumbs")
    run("athena", "family", "set", "thumbs", "--lease=30s", "--summary", "small pictures",
        "--backoff-base", "2s", "--backoff-cap=5m", "--backoff-jitter", "0", "--max-attempts", "3")
    assert family(run, "thumbs") == {
        **before, "lease_s": 30.0, "summary": "small pictures", "backoff_base_s": 2.0,
        "backoff_cap_s": 300.0, "backoff_jitter": 0.0, "max_attempts": 3}
    run("athena", "family", "set", "thumbs", "--timeout", "0", "--max-running", "0")
    after = family(run, "thumbs")
    assert (after["timeout_s"], after["max_running"], after["lease_s"]) == (None, None, 30.0)


@pytest.mark.parametrize("words, status, text", [
    ("add noop", 1, 'family "noop" is there already\n  next: athena family set noop ...'),
    ("add Bad", 2, "a family name is a-z, then up to 62 of a-z 0-9 _ -"),
    ("add x --lease 1s", 2, "a lease lasts from 6 s to 1 day"),
    ("set noop", 2, "nothing to change\n  next: athena family set --help"),
    ("set nop --lease 1m", 1, 'unknown family "nop"; did you mean "noop"?\n'
                              "  next: athena family list"),
    ("set noop --backoff-jitter 2", 2, "option --backoff-jitter must be a number from 0 to 1, not '2'"),
    ("set noop --rate 100", 2, "option --rate must be a number of starts and a time, such as 100/1m, or 0, not '100'"),
    ("set noop --rate 1/0.5s", 2, "option --rate must be a number of starts and a time, such as 100/1m, or 0, not '1/0.5s'"),
    ("set noop --rate 0/1m", 2, "option --rate must be a number of starts and a time, such as 100/1m, or 0, not '0/1m'"),
    ("set noop --rate 1/40d", 2, "rate_period is 1 s to 31 days"),
    ("set noop --chunked yes --max-running 3", 2, "a chunked family has no limits"),
    ("set noop --chunked maybe", 2, 'option --chunked: "chunked" must be one of yes, no, not "maybe"\n'
                                    "  next: athena family set --help"),
    ("set noop --rate-burst 3", 2, "rate_count comes with rate_period, and rate_burst with both"),
    ("pause nobody", 1, 'unknown family "nobody"\n  next: athena family list'),
    ("resume clown", 1, 'unknown family "clown"; did you mean "clone"?\n  next: athena family list'),
    ("show nop", 1, 'unknown family "nop"; did you mean "noop"?\n  next: athena family list'),
])
def test_mistakes(run, database, words, status, text):
    done = run("athena", "family", *words.split(), status=status)
    verb = words.split()[0]
    assert (done.stdout, done.stderr) == ("", f"athena family {verb}: {text}\n")


def test_chunked(run, database):
    run("athena", "family", "add", "clicks", "--chunked", "yes")
    assert family(run, "clicks")["chunked"] is True
    assert re.search(r"^  chunked +jobs share tickets$", run("athena", "family", "show", "clicks").stdout, re.M)
    run("athena", "family", "set", "clicks", "--summary", "of a mouse")
    assert family(run, "clicks")["chunked"] is True
    run("athena", "family", "set", "clicks", "--chunked", "no")
    assert family(run, "clicks")["chunked"] is False
    assert "chunked" not in run("athena", "family", "show", "clicks").stdout


def test_limits(run, database):
    run("athena", "family", "add", "mail", "--max-running-per-key", "2", "--rate", "100/1m")
    done = run("athena", "family", "set", "mail", "--rate-burst=10", "--max-running", "8")
    assert re.search(r"  LIMIT  PER KEY  RATE    PER  BURST\n.*  8        2   100  1 min     10\n", done.stdout)
    shown = family(run, "mail")
    assert (shown["max_running"], shown["max_running_per_key"], shown["rate_count"], shown["rate_period_s"],
            shown["rate_burst"]) == (8, 2, 100, 60.0, 10)
    assert shown["limits"] == [
        {"limit_name": "max_running", "allowed": 8, "used": 0, "is_holding": False, "next_in_s": None},
        {"limit_name": "max_running_per_key", "allowed": 2, "used": 0, "is_holding": False, "next_in_s": None},
        {"limit_name": "rate", "allowed": 100, "used": 0, "is_holding": False, "next_in_s": 0.0}]
    run("athena", "family", "set", "mail", "--rate", "50/2h")  # what is not named stays
    assert (family(run, "mail")["rate_period_s"], family(run, "mail")["rate_burst"]) == (7200.0, 10)
    run("athena", "family", "set", "mail", "--rate=0", "--max-running=0", "--max-running-per-key=0")
    assert family(run, "mail")["limits"] == []
    assert "\n  limit     none\n" in run("athena", "family", "show", "mail").stdout


def test_show_says_what_is_held_back(run, database):
    run("athena", "family", "set", "noop", "--max-running-per-key", "1", "--rate", "2/1h", "--max-running", "2")
    first, second, *_ = [database.enqueue("noop", concurrency_key=key) for key in ("a", "a", "b", "c")]
    worker = Worker(database)
    assert len(worker.claim(1)) == 1
    text = run("athena", "family", "show", "noop").stdout
    assert "\n  limit     2 at once, 1 running\n" in text
    assert "\n  per key   1 at once, full keys: 1, and ready jobs wait\n" in text
    assert "\n  rate      2 per 1 h, 2 at once, 1 taken\n" in text
    assert "athena family show noop               max_running_per_key: 1 of its key run\n" in run(
        "athena", "job", "show", second).stdout
    assert len(worker.claim(5)) == 1
    text = run("athena", "family", "show", "noop").stdout
    assert "\n  limit     2 at once, 2 running, and ready jobs wait\n" in text
    assert "\n  rate      2 per 1 h, 2 at once, 2 taken, and ready jobs wait\n" in text
    assert json.loads(run("athena", "job", "show", second, "--json").stdout)["held_back"] == "max_running: 2 run"
    assert json.loads(run("athena", "job", "show", first, "--json").stdout)["held_back"] is None


def test_show_explains_the_payload(run, database):
    text = run("athena", "family", "show", "noop").stdout
    assert text.startswith("family noop: does nothing, or sleeps, fails and crashes as told")
    assert "\n  back-off  1 s, doubled with each attempt up to 1 h, give or take 20 %\n" in text
    assert re.search(r"^KEY +VALUE +WHAT IT IS$", text, re.M)
    assert re.search(r"^fail +transient \| permanent +\w+", text, re.M)
    assert re.search(r"^sleep_ms +integer, 0 to 86400000 +\w+", text, re.M)
    assert re.search(r"^source +\w+ +yes ", run("athena", "family", "show", "clone").stdout, re.M)
    run("athena", "family", "add", "own")
    assert run("athena", "family", "show", "own").stdout.endswith(
        "\nIts payload may be any JSON object.\n")


def test_pause_and_resume(run, spawn, database):
    done = run("athena", "family", "pause", "noop", "command")
    assert done.stdout == "family noop: paused\nfamily command: paused\n"
    assert run("athena", "family", "pause", "noop").stdout == "family noop: was paused already\n"
    job = database.enqueue("noop")
    worker = spawn("athena-worker", "--family=noop")
    worker.wait_log("registered")
    assert re.search(r"^noop +paused +1 ", run("athena", "family", "list").stdout, re.M)
    assert database.job(job)["state"] == "ready"
    done = run("athena", "family", "resume", "noop", "--json")
    assert json.loads(done.stdout) == [{"family": "noop", "answer": "resumed"}]
    database.wait_for_state(job, "succeeded")
    assert run("athena", "family", "resume", "noop").stdout == "family noop: was not paused\n"


def test_worker_list(run, spawn, database):
    done = run("athena", "worker", "list")
    assert (done.stdout, done.stderr) == (
        "", "no worker is registered; start one: athena-worker --family=noop\n")
    program = spawn("athena-worker", "--family=noop")
    program.wait_log("registered")
    (row,) = json.loads(run("athena", "worker", "list", "--json").stdout)
    assert (row["pid"], row["kind"], row["state"], row["families"], row["running"]) == (
        program.pid, "worker", "alive", ["noop"], 0)
    text = run("athena", "worker", "list").stdout
    assert re.search(rf"^\S+ +{program.pid}  worker +\S+ +alive +0  .* ago  .* ago  noop$", text, re.M)
    assert program.terminate() == 0
    assert json.loads(run("athena", "worker", "list", "--json").stdout) == []


def test_a_silent_worker_is_called_silent(run, database):
    database.query("SELECT athena.register_worker(ARRAY['noop'], host => 'elsewhere')")
    database.query("UPDATE athena.workers SET heartbeat_at = now() - interval '16 s'")
    (row,) = json.loads(run("athena", "worker", "list", "--json").stdout)
    assert (row["host"], row["state"]) == ("elsewhere", "silent")
    assert family(run, "noop")["workers"] == 0


def test_maintenance_status(run, spawn, database):
    lanes = database.column("SELECT lane FROM athena.lanes ORDER BY number")
    rows = json.loads(run("athena", "maintenance", "status", "--json").stdout)
    assert [(row["lane"], row["state"]) for row in rows] == [(lane, "never ran") for lane in lanes]
    program = spawn("athena", "maintenance", "run")
    for lane in lanes:
        program.wait_log(rf"lane_led .*lane={lane}\b")

    def all_fine():
        rows = json.loads(run("athena", "maintenance", "status", "--json").stdout)
        return {row["state"] for row in rows} == {"fine"}
    wait_until(all_fine)
    text = run("athena", "maintenance", "status").stdout
    assert re.search(rf"^promote +fine +.* ago +\S+:{program.pid} ", text, re.M)
    program.kill()
    database.query("UPDATE athena.lanes SET last_at = now() - interval '1 h' WHERE lane = 'promote'")
    assert re.search(r"^promote +overdue ", run("athena", "maintenance", "status").stdout, re.M)
