# SPDX-License-Identifier: PostgreSQL
"""athena schedule: what people type, and what they are told."""
import json
import re

import pytest

from athena_test import wait_until
from sessions import assert_lawful


def schedule(run, *words, **options):
    return run("athena", "schedule", *words, **options)


def listed(run):
    return json.loads(schedule(run, "list", "--json").stdout)


def test_add_and_list(run, database):
    done = schedule(run, "add", "nightly", "daily 02:30", "noop", '{"pad": "x"}', "--zone", "Europe/Berlin", "--jitter", "10m",
                    "--window", "22:00-05:00", "--catch-up", "once", "--priority", "7")
    assert re.match(r"SCHEDULE  STATE   CRON         ZONE           FAMILY  NEXT *\n"
                    r"nightly   active  daily 02:30  Europe/Berlin  noop    in \d.*\n$", done.stdout)
    ((row),) = listed(run)
    assert {key: row[key] for key in ("name", "state", "cron", "zone", "jitter_s", "window", "catch_up", "overlap", "family",
                                      "payload", "priority", "queued", "last_job")} == {
        "name": "nightly", "state": "active", "cron": "daily 02:30", "zone": "Europe/Berlin", "jitter_s": 600.0,
        "window": "22:00-05:00", "catch_up": "once", "overlap": "skip", "family": "noop", "payload": {"pad": "x"}, "priority": 7,
        "queued": 0, "last_job": None}


def test_none_and_paused(run, database):
    done = schedule(run, "list")
    assert done.stdout == "" and done.stderr == "no schedules; make one: athena schedule add SCHEDULE CRON FAMILY\n"
    assert listed(run) == []
    schedule(run, "add", "hourly", "@hourly", "noop")
    schedule(run, "pause", "hourly")
    ((row),) = listed(run)
    assert row["next_at"] is None and row["next_fire"]


def test_next(run, database):
    schedule(run, "add", "monthly", "0 9 L * *", "noop", "--zone", "Asia/Tokyo")
    rows = json.loads(schedule(run, "next", "monthly", "--count", "3", "--json").stdout)
    assert len(rows) == 3 and all(re.fullmatch(r"\w{3} \d{4}-\d\d-(28|29|30|31) 09:00", row["local_time"]) for row in rows)
    assert all(row["fire_at"].endswith("T00:00:00Z") and row["due_at"] == row["fire_at"] for row in rows)
    by_pattern = schedule(run, "next", "0 9 L * *", "--zone", "Asia/Tokyo", "--count", "3", "--json").stdout
    assert json.loads(by_pattern) == rows
    assert schedule(run, "next", "@hourly").stdout.count("\n") == 6


def test_pause_resume_remove(run, database):
    schedule(run, "add", "often", "* * * * *", "noop")
    assert schedule(run, "pause", "often").stdout == "schedule often: paused\n"
    assert schedule(run, "pause", "often").stdout == "schedule often: was paused already\n"
    assert [row["state"] for row in listed(run)] == ["paused"]
    assert json.loads(schedule(run, "resume", "often", "--json").stdout) == [{"schedule": "often", "answer": "resumed"}]
    assert schedule(run, "resume", "often").stdout == "schedule often: was not paused\n"
    assert schedule(run, "remove", "often").stdout == "schedule often: removed\n"
    assert listed(run) == []


def test_run_now(run, database):
    schedule(run, "add", "yearly", "@yearly", "noop")
    job = int(schedule(run, "run-now", "yearly").stdout)
    done = schedule(run, "run-now", "yearly", status=1)
    assert done.stderr.endswith(f'job {job} of schedule "yearly" is unfinished\n  next: athena job show {job}\n')
    assert [(row["last_job"], row["last_job_state"], row["last_reason"]) for row in listed(run)] == [(job, "ready", "by hand")]
    assert "by schedule yearly, by hand" in run("athena", "job", "show", str(job)).stdout
    assert_lawful(database)


@pytest.mark.parametrize("words, status, text", [
    (["add", "often", "@daily", "noop"], 1, 'schedule "often" is there already\n  next: athena schedule remove often\n'),
    (["add", "x", "* 24 * * *", "noop"], 2, "bad cron: hour must be 0 to 23, not 24\n"),
    (["add", "x", "@daily", "nop"], 2, 'unknown family "nop"'),
    (["add", "x", "@daily", "noop", '{"nap": 1}'], 2, "  next: athena family show noop\n"),
    (["add", "x", "@daily", "noop", "{"], 2, "payload: not JSON at line 1"),
    (["add", "x", "@daily", "noop", "--zone", "Mars/Base"], 2, 'unknown time zone "Mars/Base"'),
    (["add", "x", "@daily", "noop", "--window", "22:00"], 2, "option --window must be two times of day, such as 22:00-05:00, not '22:00'\n"),
    (["add", "x", "@daily", "noop", "--window", "22:00-25:00"], 2, "25:00"),
    (["add", "x", "@daily", "noop", "--overlap", "maybe"], 2, '"overlap" must be one of skip, allow, not "maybe"'),
    (["add", "x", "@daily"], 2, "FAMILY is missing"),
    (["next", "oftn"], 1, 'unknown schedule "oftn"; did you mean "often"?\n  next: athena schedule list\n'),
    (["next", "often", "--zone", "UTC"], 2, "option --zone is for a pattern: a schedule has its own\n"),
    (["next", "0 0 31 2 *"], 1, '"0 0 31 2 *" never fires\n'),
    (["next", "* * *"], 2, "bad cron: it needs 5 fields (minute, hour, day, month and weekday), and has 3"),
    (["pause", "oftn"], 1, 'unknown schedule "oftn"; did you mean "often"?\n'),
    (["run-now", "x"], 1, 'unknown schedule "x"\n  next: athena schedule list\n'),
    (["remove", "x"], 1, 'unknown schedule "x"\n'),
])
def test_what_is_refused(run, database, words, status, text):
    database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('often', '* * * * *', 'noop')")
    assert text in schedule(run, *words, status=status).stderr
    assert database.column("SELECT name FROM athena.schedules") == ["often"]


def test_a_worker_queues_and_runs_it(run, spawn, database):
    schedule(run, "add", "yearly", "@yearly", "noop", "--catch-up", "once")
    database.query("UPDATE athena.schedules SET next_fire = date_trunc('minute', now()), next_at = now()")
    program = spawn("athena-worker", "--family=noop")
    program.wait_log(r"schedules_fired .*count=1\b")
    wait_until(lambda: [row["last_job_state"] for row in listed(run)] == ["succeeded"])
    assert_lawful(database)


# The doctor

def findings(run, verdict):
    rows = json.loads(run("athena", "doctor", "--json", status=None).stdout)
    return [row for row in rows if (row["check"], row["verdict"]) == ("schedules", verdict)]


@pytest.mark.parametrize("harm, finding, remedy", [
    ("UPDATE athena.schedules SET next_at = now() - interval '1 h'", "schedule often is overdue for 01:00:", "maintenance status"),
    ("INSERT INTO athena.fires (schedule, fire_at, outcome, reason) VALUES ('often', now(), 'failed', 'no such thing')",
     "schedule often could not queue its last job: no such thing", "athena schedule run-now often"),
    ("INSERT INTO athena.fires (schedule, fire_at, outcome) VALUES ('often', now() + interval '1 year', 'skipped')",
     "schedule often has fired for times to come", "athena schedule pause often && athena schedule resume often"),
])
def test_what_the_doctor_finds(run, database, harm, finding, remedy):
    schedule(run, "add", "often", "* * * * *", "noop")
    assert [row["finding"] for row in findings(run, "good")] == ["1 schedule, none of them overdue"]
    database.query(harm)
    ((found),) = findings(run, "wrong")
    assert found["finding"].startswith(finding) and remedy in found["remedy"]
    schedule(run, "pause", "often")
    assert findings(run, "wrong") == []


def test_no_schedule_is_no_trouble(run, database):
    assert [row["finding"] for row in findings(run, "good")] == ["0 schedules, none of them overdue"]
