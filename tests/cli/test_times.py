# SPDX-License-Identifier: PostgreSQL
"""Times, in every command that prints any: local for people, UTC with --utc, UTC in JSON always."""
import re

import pytest

# Nine hours ahead, all year.
TOKYO = {"TZ": "Asia/Tokyo"}

CLOCK = re.compile(r"\b(\d\d):\d\d:\d\d(\.\d{3})?\b")
DAY = re.compile(r"\d{4}-\d\d-\d\d ?")


@pytest.fixture
def past(database, workers):
    """A job that failed twice and is dead, with events; another that is due at a day to come; a paused family."""
    database.query("UPDATE athena.families SET backoff_base = '1 ms'")
    workers.start("noop")
    job = database.enqueue("noop", {"fail": "permanent"})
    database.wait_for_state(job, "dead")
    database.query("INSERT INTO athena.events (job_id, kind, message) VALUES (%s, 'note', 'something')", job)
    later = database.enqueue("noop", run_at="2031-05-06T07:08:09Z")
    database.query("SELECT athena.pause('noop')")
    database.enqueue("noop")
    return {"job": job, "later": later}


def clocks(text):
    return [match[0] for match in CLOCK.finditer(text)]


def shifted(clock, hours):
    return f"{(int(clock[:2]) + hours) % 24:02}{clock[2:]}"


# Those that print points in time, and those that print lengths only.
POINTS = ["job show {job}", "job show {later}", "job events {job}", "migrate --status"]
LENGTHS = ["job list", "job explain {later}", "job explain {job}", "worker list", "maintenance status", "family list",
           "family show noop", "doctor"]


@pytest.mark.parametrize("command", POINTS)
def test_points_in_time_are_local_or_utc(run, past, command):
    words = command.format(**past).split()
    local = run("athena", *words, env=TOKYO).stdout
    utc = run("athena", *words, "--utc", env=TOKYO).stdout
    assert clocks(utc), utc
    assert clocks(local) == [shifted(clock, 9) for clock in clocks(utc)]
    assert clocks(run("athena", *words, env={"TZ": "UTC"}).stdout) == clocks(utc)


@pytest.mark.parametrize("command", LENGTHS)
def test_lengths_know_no_zone(run, past, command):
    words = command.format(**past).split()
    for zone in (TOKYO, {"TZ": "UTC"}):
        text = run("athena", *words, env=zone, status=None).stdout
        assert text and not DAY.search(text), text


@pytest.mark.parametrize("command", [command for command in POINTS + LENGTHS if "doctor" not in command])
def test_json_is_utc(run, past, command):
    words = command.format(**past).split()
    text = run("athena", *words, "--json", env=TOKYO).stdout
    assert not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?[^.\dZ]", text), text
    if "later" in command:
        assert "2031-05-06T07:08:09Z" in text


def test_times_that_are_given_are_read_so_too(run, past, database):
    for options, hour in (((), 3), (("--utc",), 12)):
        job = run("athena", "enqueue", "noop", "--run-at", "2031-05-06T12:00", *options, env=TOKYO).stdout.strip()
        assert database.value("SELECT extract(hour FROM run_at AT TIME ZONE 'UTC')::int FROM athena.jobs WHERE id = %s", int(job)) == hour
