# SPDX-License-Identifier: PostgreSQL
"""athena enqueue: the row that it inserts, and what it refuses before or after asking."""
import datetime
import json
import re
import signal

import pytest

from athena_test import wait_until


def body(database, job_id):
    (row,) = database.query("SELECT * FROM athena.jobs WHERE id = %s", int(job_id))
    return row


def count(database):
    return database.value("SELECT count(*) FROM athena.jobs")


def test_defaults(run, database):
    done = run("athena", "enqueue", "noop")
    assert (done.stdout, done.stderr) == ("1\n", "")
    row = body(database, 1)
    assert (row["family"], row["payload"], row["kind"], row["priority"], row["max_attempts"],
            row["timeout"], row["unique_key"], row["concurrency_key"]) == ("noop", {}, None, 5, None, None, None, None)
    assert row["run_at"] == row["created_at"]
    assert database.job(1)["state"] == "ready"


def test_everything(run, database):
    run("athena", "enqueue", "noop", '{"sleep_ms": 5}', "--kind", "test", "--priority", "0",
        "--max-attempts=7", "--timeout=90s", "--unique-key", "k 1", "--concurrency-key", "c 1", "--run-at", "+1h")
    row = body(database, 1)
    assert (row["payload"], row["kind"], row["priority"], row["max_attempts"], row["timeout"],
            row["unique_key"], row["concurrency_key"]) == (
        {"sleep_ms": 5}, "test", 0, 7, datetime.timedelta(seconds=90), "k 1", "c 1")
    assert row["run_at"] - row["created_at"] == datetime.timedelta(hours=1)
    assert database.job(1)["state"] == "scheduled"


def test_times_are_local_unless_they_say_otherwise(run, database):
    year = datetime.datetime.now().year + 1
    for text, utc in ((f"{year}-07-01T12:00", "10:00"), (f"{year}-01-01 12:00", "11:00"),
                      (f"{year}-07-01T12:00Z", "12:00"), (f"{year}-07-01T12:00-03:30", "15:30")):
        job = run("athena", "enqueue", "noop", "--run-at", text,
                  env={"TZ": "Europe/Berlin"}).stdout
        run_at = body(database, job)["run_at"].astimezone(datetime.timezone.utc)
        assert run_at.strftime("%Y %H:%M") == f"{year} {utc}"


def test_payload_from_stdin_and_file(run, database, tmp_path):
    (tmp_path / "job.json").write_text('{"message": "from a file"}\n')
    run("athena", "enqueue", "noop", "-", stdin='\n{"message": "from stdin"}')
    run("athena", "enqueue", "noop", "@job.json")
    assert database.column("SELECT payload ->> 'message' FROM athena.jobs ORDER BY id") == [
        "from stdin", "from a file"]


def test_numbers_keep_their_digits(run, database):
    database.query("INSERT INTO athena.families (name) VALUES ('own')")
    number = "123456789012345678901234567890.123456789"
    run("athena", "enqueue", "own", f'{{"n": {number}}}')
    assert database.value("SELECT payload ->> 'n' FROM athena.jobs") == number


def test_json(run, database):
    done = run("athena", "enqueue", "noop", "--json", "--unique-key", "k")
    assert json.loads(done.stdout) == {"job_id": 1, "queued": True}
    done = run("athena", "enqueue", "noop", "--json", "--unique-key", "k")
    assert json.loads(done.stdout) == {"job_id": 1, "queued": False}


def test_a_held_key_queues_nothing(run, database):
    run("athena", "enqueue", "noop", "--unique-key", "nightly")
    done = run("athena", "enqueue", "noop", "--unique-key", "nightly")
    assert done.stdout == "1\n"
    assert done.stderr == 'nothing queued: unfinished job 1 has the unique key "nightly"\n'
    assert count(database) == 1
    run("athena", "job", "cancel", "1")
    assert run("athena", "enqueue", "noop", "--unique-key", "nightly").stdout != "1\n"


NOT_JSON = "payload: not JSON at line "


@pytest.mark.parametrize("words, text", [
    (["noop", '{"a": 1,}'], NOT_JSON + "1, column 9: string or '}' expected near '}'"),
    (["noop", '{"a": 1,\n "b" 2}'], NOT_JSON + "2, column 6: ':' expected near '2'"),
    (["noop", '{"a": 1, "a": 2}'], NOT_JSON + "1, column 12: duplicate object key near '\"a\"'"),
    (["noop", '{"message": "\\u0000"}'],
     NOT_JSON + "1, column 20: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'"),
    (["noop", ""], NOT_JSON + "1, column 0: '[' or '{' expected near end of file"),
    (["noop", "[1]"], 'payload: a payload is a JSON object, such as {"key": 1}'),
    (["noop", "@missing.json"], "payload: opening missing.json: No such file or directory"),
    (["noop", "@bad.json"], "bad.json: not JSON at line 1, column 1: '[' or '{' expected near 'x'"),
    (["noop", "@."], "reading .: Is a directory"),
    (["noop", "--run-at", "2026-02-30"], "option --run-at: '2026-02-30' is no time, such as 14:30, "
     "2026-01-31T14:30, 2026-01-31T12:30:00Z or +5m"),
    (["noop", "--run-at", "+5x"],
     "option --run-at: '+5x' is no distance from now, such as +90s, +5m, +2h or +1d"),
])
def test_bad_input_is_named_before_anything_is_sent(run, tmp_path, words, text):
    (tmp_path / "bad.json").write_text("x")
    done = run("athena", "enqueue", *words, status=2)
    assert (done.stdout, done.stderr) == ("", f"athena enqueue: {text}\n")


def test_the_family_checks_its_payload(run):
    done = run("athena", "enqueue", "noop", '{"sleep": 1}', status=2)
    assert re.fullmatch(r'athena enqueue: payload: unknown key "sleep".*\n'
                        r"  next: athena family show noop\n", done.stderr)
    done = run("athena", "enqueue", "clone", '{"source": "postgresql:///x"}', status=2)
    assert re.fullmatch(r'athena enqueue: payload: .*"target".*\n'
                        r"  next: athena family show clone\n", done.stderr)


@pytest.mark.parametrize("words, text", [
    (["nop"], 'unknown family "nop" (Known families: {families}.)\n  next: athena family add nop'),
    (["noop", "--timeout", "31d"], "timeout is positive and at most 30 days"),
    (["noop", "--unique-key", "k" * 513], "a unique_key has 1 to 512 bytes"),
    (["noop", "--unique-key", ""], "a unique_key has 1 to 512 bytes"),
    (["noop", "--concurrency-key", "k" * 513], "a concurrency_key has 1 to 512 bytes"),
    (["noop", "--kind", "k" * 201], "a kind has at most 200 characters"),
    (["noop", "--run-at", "+3660d"], "run_at is finite and less than 10 years ahead"),
    (["noop", json.dumps({"pad": "x"}), "--kind", "a\x7fb"], None),
])
def test_the_database_has_the_last_word(run, database, words, text):
    if text is None:
        run("athena", "enqueue", *words)
        return
    done = run("athena", "enqueue", *words, status=2)
    families = ", ".join(database.column("SELECT name FROM athena.families ORDER BY 1"))
    assert (done.stdout, done.stderr) == ("", f"athena enqueue: {text.format(families=families)}\n")
    assert count(database) == 0


def test_a_payload_too_large(run, database, tmp_path):
    (tmp_path / "large.json").write_text(json.dumps({"pad": "\u00e4\u00f6" * 600_000}))
    done = run("athena", "enqueue", "noop", "@large.json", status=2)
    assert done.stderr == "athena enqueue: a payload has at most 1 MiB\n"


def test_producers_need_no_other_right(run, database, cluster):
    with cluster.connect() as conn:
        if not conn.execute("SELECT FROM pg_roles WHERE rolname = 'cli_producer'").fetchone():
            conn.execute("CREATE ROLE cli_producer LOGIN IN ROLE athena_producer")
    url = cluster.url(database.name, user="cli_producer")
    assert run("athena", "enqueue", "noop", "--unique-key", "k", url=url).stdout == "1\n"
    assert run("athena", "enqueue", "noop", "--unique-key", "k", url=url).stdout == "1\n"
    done = run("athena", "job", "list", url=url, status=1)
    assert done.stderr == "athena job list: permission denied for view job_status\n"


@pytest.fixture
def worker(spawn, database):
    program = spawn("athena-worker", "--family=noop")
    program.wait_log("registered")
    return program


@pytest.mark.parametrize("payload, status, end", [
    ("{}", 0, r"job 1 succeeded after \S+ m?s\n"),
    ('{"fail": "permanent", "message": "bad luck"}', 1,
     r"attempt 1 failed \(permanent\): bad luck\n.* job 1 is dead after \S+ m?s\n"
     r"  next: athena job show 1\n"),
])
def test_wait_ends_as_the_job_does(run, worker, payload, status, end):
    done = run("athena", "enqueue", "noop", payload, "--wait", status=status)
    assert done.stdout == "1\n"
    assert re.search(end + r"\Z", done.stderr), done.stderr


def test_wait_for_a_cancelled_job(run, spawn, database, worker):
    waiter = spawn("athena", "enqueue", "noop", '{"sleep_ms": 60000}', "--wait")
    waiter.wait_log("attempt 1 runs on")
    run("athena", "job", "cancel", "1")
    assert waiter.wait() == 3
    assert re.search(r"job 1 cancelled after \S+ (m?s|min)\n  next: athena job show 1\n\Z",
                     waiter.stderr())


def test_wait_says_why_nothing_happens(run, spawn, database):
    waiter = spawn("athena", "enqueue", "noop", "--wait")
    waiter.wait_log(r"no worker serves it: athena-worker --family=noop$")
    run("athena", "job", "cancel", "1")
    assert waiter.wait() == 3
    run("athena", "family", "pause", "noop")
    waiter = spawn("athena", "enqueue", "noop", "--wait")
    waiter.wait_log(r"family noop is paused: athena family resume noop$")


def test_a_lost_connection_is_no_lost_job(run, spawn, own_cluster):
    database = own_cluster.migrated_database()
    waiter = spawn("athena", "enqueue", "noop", '{"sleep_ms": 100}', "--wait", url=database.url)
    wait_until(lambda: waiter.stdout() == "1\n", what="it is queued")
    own_cluster.restart("immediate")
    waiter.wait_log("connection lost, trying again")
    worker = spawn("athena-worker", "--family=noop", "--once", url=database.url)
    assert worker.wait() == 0
    assert waiter.wait() == 0


def test_an_interrupt_ends_the_waiting_not_the_job(spawn, database):
    waiter = spawn("athena", "enqueue", "noop", "--wait")
    waiter.wait_log("no worker serves it")
    waiter.signal(signal.SIGINT)
    assert waiter.wait() == -signal.SIGINT
    assert waiter.stderr().endswith("job 1 goes on; athena job events 1 --follow\n")
    assert database.job(1)["state"] == "ready"
