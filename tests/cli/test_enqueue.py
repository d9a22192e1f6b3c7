# SPDX-License-Identifier: PostgreSQL
"""athena enqueue: the row that it inserts, and what it refuses before or after asking."""
import datetime
import json
import os
import re
import signal

import pytest

from athena_test import BUILD, wait_until


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


@pytest.fixture
def producer_url(database, cluster):
    with cluster.connect() as conn:
        conn.execute("CREATE ROLE cli_producer LOGIN IN ROLE athena_producer")
    yield cluster.url(database.name, user="cli_producer")
    with cluster.connect() as conn:
        conn.execute("DROP ROLE cli_producer")


def test_producers_need_no_other_right(run, producer_url):
    url = producer_url
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


# --from-file

@pytest.fixture
def lines(tmp_path):
    """Writes a file of these lines and returns its name, as one would type it in that folder."""
    def write(*texts, name="jobs.ndjson"):
        (tmp_path / name).write_bytes(b"".join(
            text if isinstance(text, bytes) else f"{text}\n".encode() for text in texts))
        return name
    return write


def from_file(run, name, *words, family="noop", **options):
    return run("athena", "enqueue", family, "--from-file", name, *words, **options)


def test_a_file_is_a_job_for_each_line(run, database, lines):
    done = from_file(run, lines('{"message": "a\\\\b\\t\\"c\\" \u00e4"}', '\t{"sleep_ms": 1}\r', "{}"))
    assert (done.stdout, done.stderr) == ("3 jobs queued, ids from 1 to 3\n", "")
    assert database.column("SELECT payload FROM athena.jobs ORDER BY id") == [
        {"message": 'a\\b\t"c" \u00e4'}, {"sleep_ms": 1}, {}]
    assert database.query("SELECT DISTINCT family, kind, priority, max_attempts, timeout, unique_key, concurrency_key,"
                          " run_at - created_at AS delay FROM athena.jobs") == [
        {"family": "noop", "kind": None, "priority": 5, "max_attempts": None, "timeout": None, "unique_key": None,
         "concurrency_key": None, "delay": datetime.timedelta(0)}]
    assert database.value("SELECT count(*) FROM athena.ready WHERE ticket = job_id") == 3
    assert database.conservation() == []


def test_options_hold_for_all_lines(run, database, lines):
    from_file(run, lines("{}", "{}"), "--kind", "a\tb\\", "--priority", "0", "--max-attempts=7", "--timeout=90s",
              "--concurrency-key", "c 1", "--run-at", "+1h")
    (row,) = database.query("SELECT kind, priority, max_attempts, timeout, concurrency_key, run_at - created_at AS delay,"
                            " count(*) AS jobs FROM athena.jobs GROUP BY 1, 2, 3, 4, 5, 6")
    assert row == {"kind": "a\tb\\", "priority": 0, "max_attempts": 7, "timeout": datetime.timedelta(seconds=90),
                   "concurrency_key": "c 1", "delay": datetime.timedelta(hours=1), "jobs": 2}
    assert database.value("SELECT count(*) FROM athena.scheduled") == 2


def test_a_file_on_standard_input(run, database, lines):
    done = from_file(run, "-", stdin='{}\n{"message": "the last line has no newline"}')
    assert done.stdout == "2 jobs queued, ids from 1 to 2\n"
    done = from_file(run, "-", stdin="{}\n\n \n", status=0)
    assert done.stdout == "1 job queued, ids from 3 to 3\n"
    done = from_file(run, "-", stdin="{}\n[]\n", status=2)
    assert done.stderr == ("athena enqueue: nothing is queued: standard input:2: not an object;"
                           ' each line is a JSON object, such as {"key": 1}\n')


def test_a_file_in_json(run, database, lines):
    done = from_file(run, lines(*["{}"] * 5), "--json")
    assert json.loads(done.stdout) == {"jobs": 5, "first_job_id": 1, "last_job_id": 5}


def test_ids_of_others_are_not_taken_for_those_of_the_file(spawn, database, tmp_path):
    """Somebody queues before, during and after, and some of theirs are seen too late to be ours."""
    reader, writer = os.pipe()
    early = database.connect(autocommit=False)
    early.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    loader = spawn("athena", "enqueue", "noop", "--from-file", "-", stdin=reader)
    os.close(reader)
    os.write(writer, b"{}\n" * 10_000) # fewer than a COPY takes
    wait_until(lambda: database.value("SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()"),
               what="a COPY is under way")
    early.commit()
    database.enqueue("noop")
    os.write(writer, b"{}\n")
    os.close(writer)
    assert loader.wait() == 0
    database.enqueue("noop")
    count, first, last = map(int, re.findall(r"\d+", loader.stdout()))
    ids = database.column("SELECT j.id FROM athena.jobs AS j WHERE j.created_at ="
                          " (SELECT created_at FROM athena.jobs GROUP BY 1 HAVING count(*) > 1) ORDER BY 1")
    assert (count, first, last) == (10_001, ids[0], ids[-1]) == (len(ids), ids[0], ids[-1])
    assert first > 1 and database.conservation() == []


EACH_LINE = 'each line is a JSON object, such as {"key": 1}'
LONG = b'{"pad": "' + b"x" * (8 << 20) + b'"}\n'


@pytest.mark.parametrize("texts, text", [
    (["{}", '{"message": 1x}'], "2: not JSON at column 14: '}' expected near 'x'"),
    (["{}", "{}", '{"a": 1} {}'], "3: not JSON at column 10: end of file expected near '{'"),
    (["{}", b"{\xff}\n"], "2: not JSON at column 1: unable to decode byte 0xff"),
    (['{"a": 1, "a": 2}'], "1: not JSON at column 12: duplicate object key near '\"a\"'"),
    (["{}", b'{"a": "\0"}\n'], "2: not JSON at column 7: control character 0x0 near '\"'"),
    (["{}", "[1]"], f"2: not an object; {EACH_LINE}"),
    (["{}", "null"], f"2: not an object; {EACH_LINE}"),
    (["{}", "", "{}"], f"2: an empty line; {EACH_LINE}"),
    (["", " ", "{}"], f"1: an empty line; {EACH_LINE}"),
    (["{}", LONG, "{}"], "2: a line has at most 8 MiB"),
    (["{}", LONG.rstrip()], "2: a line has at most 8 MiB"),
    (["{}", '{"sleep": 1}'], r'2: payload: unknown key "sleep"'),
])
def test_a_bad_line_is_named_and_nothing_is_queued(run, database, lines, texts, text):
    done = from_file(run, lines(*texts), status=2)
    assert done.stdout == ""
    first = done.stderr.splitlines()[0]
    assert first.startswith(f"athena enqueue: nothing is queued: jobs.ndjson:{text}"), first
    if "payload: " in text:
        assert done.stderr.endswith("\n  next: athena family show noop\n")
    assert count(database) == 0


@pytest.mark.parametrize("words, text", [
    (["noop", "--from-file", "missing"], "nothing is queued: opening missing: No such file or directory"),
    (["noop", "--from-file", "."], "nothing is queued: reading .: Is a directory"),
    (["noop", "--from-file", "empty"], f"nothing is queued: empty: it is empty; {EACH_LINE}"),
    (["noop", "--from-file", "blank"], f"nothing is queued: blank: it is empty; {EACH_LINE}"),
    (["noop", "{}", "--from-file", "good"], "a payload and --from-file: the lines of the file are the payloads"),
    (["noop", "--from-file", "good", "--wait"], "--unique-key and --wait are for one job, --from-file is for many"),
    (["noop", "--from-file", "good", "--unique-key=k"], "--unique-key and --wait are for one job, --from-file is for many"),
    (["noop", "--from-file", "good", "--run-at=x"], "nothing is queued: option --run-at: 'x' is no time, such as 14:30, "
     "2026-01-31T14:30, 2026-01-31T12:30:00Z or +5m"),
    (["noop", "--from-file", "good", "--timeout=31d"],
     "nothing is queued: good:1: timeout is positive and at most 30 days"),
    (["noop", "--from-file", "good", "--run-at=+3660d"],
     "nothing is queued: good:1: run_at is finite and less than 10 years ahead"),
])
def test_bad_words_about_a_file(run, database, lines, words, text):
    for name, texts in (("good", ["{}"]), ("empty", []), ("blank", ["", " "])):
        lines(*texts, name=name)
    done = run("athena", "enqueue", *words, status=2)
    assert (done.stdout, done.stderr) == ("", f"athena enqueue: {text}\n")
    assert count(database) == 0


def test_an_unknown_family_of_a_file(run, database, lines):
    done = from_file(run, lines("{}", "{}"), family="nop", status=2)
    families = ", ".join(database.column("SELECT name FROM athena.families ORDER BY 1"))
    assert done.stderr == (f'athena enqueue: nothing is queued: unknown family "nop" (Known families: {families}.)\n'
                           "  next: athena family add nop\n")


def test_a_line_that_only_the_database_refuses(run, database, lines):
    """By the table, while rows come; by the trigger, when a COPY ends; in the first of them and in a later one."""
    database.query("INSERT INTO athena.families (name, payload_keys) VALUES ('own', '{\"n\": {\"type\": \"integer\"}}')")
    good, large = '{"n": 1}', json.dumps({"pad": "x" * (1 << 20)})
    for before in (1, 30_000):
        done = from_file(run, lines(*[good] * before, large, good), family="own", status=2)
        assert done.stderr == (f"athena enqueue: nothing is queued: jobs.ndjson:{before + 1}:"
                               " a payload has at most 1 MiB\n")
        done = from_file(run, lines(*[good] * before, '{"m": 1}', good), family="own", status=2)
        assert done.stderr == (f'athena enqueue: nothing is queued: jobs.ndjson:{before + 1}: bad payload for family'
                               ' "own": unknown key "m" (known: n)\n  next: athena family show own\n')
    assert count(database) == 0
    done = from_file(run, lines('{"m": 1}'), family="own", status=2) # the only row has no number
    assert done.stderr.startswith('athena enqueue: nothing is queued: bad payload for family "own": unknown key "m"')


def test_a_connection_lost_while_a_file_is_queued(spawn, database):
    reader, writer = os.pipe()
    loader = spawn("athena", "enqueue", "noop", "--from-file", "-", stdin=reader)
    os.close(reader)
    os.write(writer, b"{}\n" * 10_000) # fewer than a COPY takes
    wait_until(lambda: database.value("SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()"),
               what="a COPY is under way")
    database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy WHERE datname = current_database()")
    os.close(writer)
    assert loader.wait() == 1
    assert re.match(r"athena enqueue: nothing is queued: the connection was lost at line 10000: ", loader.stderr())
    assert count(database) == 0 and loader.stdout() == ""


def test_producers_may_queue_files(run, producer_url, lines):
    assert from_file(run, lines("{}", "{}"), url=producer_url).stdout == "2 jobs queued, ids from 1 to 2\n"


def test_a_bar_is_for_terminals(run, database, lines):
    name = lines(*["{}"] * 50_000)
    assert from_file(run, name).stderr == ""
    done = run("script", "-qec", f"stty cols 80; {BUILD}/athena enqueue noop --from-file {name}", "/dev/null",
               env={"TERM": "xterm", "NO_COLOR": "1"})
    assert re.search(r"\n\033\[K  noop .*[█▏▎▍▌▋▊▉░]{24} +\d+ %  .* of 150 kB", done.stdout), done.stdout
    assert done.stdout.endswith("\n\033[K50000 jobs queued, ids from 50001 to 100000\n")
    done = run("script", "-qec", f"cat {name} | {BUILD}/athena enqueue noop --from-file -", "/dev/null",
               env={"TERM": "xterm", "NO_COLOR": "1"})
    assert re.search(r"\n\033\[K  noop  +\d+ (bytes|kB)", done.stdout), done.stdout


def test_more_lines_than_a_copy_takes(run, database, lines):
    done = from_file(run, lines(*(f'{{"sleep_ms": {n}}}' for n in range(45_000))))
    assert done.stdout == "45000 jobs queued, ids from 1 to 45000\n"
    assert database.value("SELECT count(*) FROM athena.jobs WHERE (payload ->> 'sleep_ms')::bigint = id - 1") == 45_000
    assert database.value("SELECT sum(delta)::bigint FROM athena.tallies") == 45_000
