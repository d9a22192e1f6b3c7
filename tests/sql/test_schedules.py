# SPDX-License-Identifier: PostgreSQL
"""Schedules: one job per fire time whoever leads, what was missed, overlap, windows, jitter, pauses, and what is refused."""
import hashlib
import threading
from datetime import timedelta

import psycopg
import pytest

from sessions import Worker, assert_lawful, run_statement, somebody

TABLES = ["jobs", "ready", "scheduled", "leases", "outcomes", "tallies", "workers", "events", "failures", "schedules"]


@pytest.fixture(scope="module")
def shared(cluster):
    database = cluster.migrated_database("schedules")
    database.query("CREATE TABLE public.keys AS SELECT name, payload_keys AS keys FROM athena.families")
    database.query("UPDATE athena.settings SET value = '120' WHERE name = 'schedule_late_s'")  # however slow the machine is
    yield database
    database.drop()


@pytest.fixture
def database(shared):
    yield shared
    shared.query("; ".join(f"DELETE FROM athena.{table}" for table in TABLES))
    shared.query("ALTER SEQUENCE athena.tickets RESTART; UPDATE athena.lanes SET last_by = NULL, last_at = NULL, did = 0;"
                 " UPDATE athena.families SET producers = NULL, payload_keys = k.keys FROM public.keys AS k WHERE k.name = families.name")
    shared.close()


def add(database, name="s", cron="@yearly", **columns):
    """Due next on 1 January, so that no test has to be done within a minute."""
    columns = {"name": name, "cron": cron, "family": "noop", **columns}
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    database.query(f"INSERT INTO athena.schedules ({names}) VALUES ({places})", *columns.values())


def set_back(database, *ages, name="s"):
    """As if nobody had looked since its next fire was the first whole minute after so long ago."""
    (age,) = ages
    return database.value("UPDATE athena.schedules SET next_fire = date_trunc('minute', now()) - %s::interval,"
                          " next_at = date_trunc('minute', now()) - %s::interval WHERE name = %s RETURNING next_fire", age, age, name)


def fire(database, conn=None, keep="10000 days"):
    """How many schedules were due."""
    return (conn or database.connect()).execute("SELECT athena.lane_schedule(100, %s) AS n", [keep]).fetchone()["n"]


def fires(database, name="s"):
    return database.query("SELECT fire_at, outcome, job_id, reason FROM athena.fires WHERE schedule = %s ORDER BY fire_at", name)


def next_of(database, at):
    return database.value("SELECT athena.next_fire(cron, zone, %s) FROM athena.schedules", at)


def row(database, name="s"):
    (found,) = database.query("SELECT * FROM athena.schedules WHERE name = %s", name)
    return found


# One job per fire time

def test_a_schedule_queues_its_job_and_moves_on(database):
    add(database, payload='{"pad": "x"}', priority=2, kind="report", timeout="1 h", max_attempts=3)
    at = set_back(database, "0 s")
    assert fire(database) == 1
    assert fire(database) == 0
    ((job),) = database.query("SELECT id, payload, priority, kind, timeout, max_attempts FROM athena.jobs")
    assert job == {"id": 1, "payload": {"pad": "x"}, "priority": 2, "kind": "report", "timeout": timedelta(hours=1), "max_attempts": 3}
    assert fires(database) == [{"fire_at": at, "outcome": "queued", "job_id": 1, "reason": None}]
    after = row(database)
    following = next_of(database, at)
    assert (after["next_fire"], after["next_at"], after["last_job"], after["queued"]) == (following, following, 1, 1)
    assert database.column("SELECT message FROM athena.events") == [f"by schedule s, for {at:%Y-%m-%d %H:%M} UTC"]
    assert_lawful(database)


def test_a_second_leader_passes_by_what_the_first_has(database):
    add(database)
    add(database, "t")
    set_back(database, "0 s"), set_back(database, "0 s", name="t")
    first, second = database.connect(), database.connect()
    with first.transaction():
        assert first.execute("SELECT athena.lane_schedule(1, '30 days') AS n").fetchone()["n"] == 1
        assert fire(database, second) == 1
        assert fire(database, second) == 0
    assert fire(database, second) == 0
    assert database.column("SELECT count(*) FROM athena.jobs") == [2]
    assert_lawful(database)


def test_a_leader_that_gives_up_leaves_all_of_it_to_the_next(database):
    add(database)
    set_back(database, "0 s")
    first = database.connect()
    first.execute("BEGIN")
    assert fire(database, first) == 1
    first.execute("ROLLBACK")
    assert (fires(database), database.column("SELECT id FROM athena.jobs")) == ([], [])
    assert fire(database) == 1
    assert [found["outcome"] for found in fires(database)] == ["queued"]


def test_the_key_of_fires_is_the_last_word(database):
    """Whatever a row says, such as after a clock was set back: a time that was fired for is not fired for again."""
    add(database, overlap="allow")
    at = set_back(database, "0 s")
    for _ in range(3):
        assert fire(database) == 1
        assert row(database)["next_fire"] == next_of(database, at)
        database.query("UPDATE athena.schedules SET next_fire = %s, next_at = %s", at, at)
    assert len(fires(database)) == 1
    assert database.value("SELECT count(*) FROM athena.jobs") == 1
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.query("INSERT INTO athena.fires (schedule, fire_at, outcome) VALUES ('s', %s, 'queued')", at)


def test_three_leaders_and_a_thousand_fires(database):
    database.query("INSERT INTO athena.schedules (name, cron, zone, family)"
                   " SELECT 's' || n, '@yearly', 'Europe/Berlin', 'noop' FROM generate_series(1, 1000) AS n")
    database.query("UPDATE athena.schedules SET next_fire = now(), next_at = now()")
    done, errors = [], []

    def lead(conn):
        try:
            while (n := conn.execute("SELECT athena.lane_schedule(20, '30 days') AS n").fetchone()["n"]) or sum(done) < 1000:
                done.append(n)
        except Exception as error:
            errors.append(error)

    leaders = [threading.Thread(target=lead, args=(database.connect(),), daemon=True) for _ in range(3)]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join(60)
    assert errors == []
    assert sum(done) == database.value("SELECT count(*) FROM athena.jobs") == 1000
    assert database.value("SELECT count(DISTINCT job_id) FROM athena.fires WHERE outcome = 'queued'") == 1000
    assert_lawful(database)


def test_the_lane_runs_it(database):
    add(database)
    set_back(database, "0 s")
    assert database.value("SELECT athena.run_lane('schedule', %s)", somebody()) == 1
    assert database.value("SELECT did FROM athena.lanes WHERE lane = 'schedule'") == 1


def test_steps_are_bounded_and_the_longest_due_go_first(database):
    for name in "abc":
        add(database, name)
    for name, age in (("a", "1 min"), ("b", "3 min"), ("c", "2 min")):
        set_back(database, age, name=name)
    conn = database.connect()
    for names in (["b"], ["b", "c"], ["a", "b", "c"]):
        assert conn.execute("SELECT athena.lane_schedule(1, '30 days') AS n").fetchone()["n"] == 1
        assert database.column("SELECT DISTINCT schedule FROM athena.fires ORDER BY 1") == names


# What was missed

@pytest.mark.parametrize("catch_up, cron, age, outcomes", [
    ("skip", "@yearly", "0 s", ["queued"]),
    ("skip", "* * * * *", "7 days", ["skipped", "queued"]),  # the latest is of this minute
    ("skip", "@yearly", "5 min", ["skipped"]),
    ("once", "@yearly", "5 min", ["queued"]),
    ("once", "@yearly", "3000 days", ["skipped", "queued"]),
    ("skip", "@yearly", "3000 days", ["skipped", "skipped"]),
    ("once", "* * * * *", "400 days", ["skipped", "queued"]),
])
def test_what_nobody_looked_at_in_time(database, catch_up, cron, age, outcomes):
    """One job at most, for the latest of them, however many there were."""
    add(database, cron=cron, catch_up=catch_up)
    first = set_back(database, age)
    assert fire(database) == 1
    found = fires(database)
    assert [each["outcome"] for each in found] == outcomes
    assert found[0]["fire_at"] == first
    assert all((each["reason"] or "").startswith("missed: ") == (each["outcome"] == "skipped") for each in found)
    latest = database.value("SELECT max(fire_at) FROM athena.fires")
    assert database.value("SELECT athena.next_fire(%s, 'UTC', %s) > now()", cron, latest)
    assert database.value("SELECT next_fire = athena.next_fire(%s, 'UTC', %s) FROM athena.schedules", cron, latest)
    assert fire(database) == 0
    after = row(database)
    assert (after["queued"], after["skipped"]) == (outcomes.count("queued"), outcomes.count("skipped"))


@pytest.mark.parametrize("cron, zone, until", [("*/7 3,9-11 * * 1-5", "America/New_York", "2017-12-10"), ("0 12 1 */3 *", "UTC", "2021-03-01"),
                                               ("@hourly", "Asia/Tehran", "2018-03-25"), ("30 2 29 2 *", "Europe/Berlin", "2040-03-01")])
def test_the_latest_that_is_due_is_found_among_many(database, cron, zone, until):
    """By halving; compared with going one by one."""
    add(database, cron=cron, zone=zone)
    assert database.value("""
		WITH RECURSIVE all_fires AS (
			SELECT athena.next_fire(s.cron, s.zone, '2017-11-05 07:00Z') AS at FROM athena.schedules AS s
			UNION ALL
			SELECT athena.next_fire(s.cron, s.zone, f.at) FROM all_fires AS f, athena.schedules AS s WHERE f.at < %s::timestamptz)
		SELECT bool_and(athena.schedule_latest(s, athena.cron_parse(s.cron), first.at, upto.at)
				= (SELECT max(f.at) FROM all_fires AS f WHERE f.at <= upto.at))
		  FROM athena.schedules AS s, (SELECT min(f.at) AS at FROM all_fires AS f) AS first,
		       (SELECT f.at + n * interval '1 s' AS at FROM all_fires AS f, generate_series(-1, 1) AS n
			 ORDER BY md5(f.at::text || n) LIMIT 40) AS upto
		 WHERE upto.at >= first.at""", until)


# Overlap

@pytest.mark.parametrize("overlap", ["skip", "allow"])
@pytest.mark.parametrize("state", ["ready", "running", "scheduled", "succeeded", "dead", "forgotten"])
def test_overlap(database, overlap, state):
    add(database, overlap=overlap)
    set_back(database, "0 s")
    fire(database)
    worker = Worker(database)
    if state == "forgotten":
        database.query("UPDATE athena.schedules SET last_job = 999")
    elif state != "ready":
        (lease,) = worker.claim()
        if state == "succeeded":
            worker.settle_succeeded(lease)
        elif state != "running":
            worker.settle(lease, "failed", error_kind="permanent" if state == "dead" else "transient")
    at = row(database)["next_fire"]
    database.query("UPDATE athena.schedules SET next_at = now(), next_fire = now()")
    assert fire(database) == 1
    is_free = overlap == "allow" or state in ("succeeded", "dead", "forgotten")
    last = fires(database)[-1]
    assert (last["outcome"], last["reason"]) == (("queued", None) if is_free else ("skipped", "job 1 was unfinished"))
    assert row(database)["last_job"] == (last["job_id"] or 1)
    assert row(database)["next_fire"] == at
    assert_lawful(database)


# Windows and jitter

def test_outside_of_its_window_it_does_not_fire(database):
    add(database, cron="*/20 * * * *", zone="Europe/Berlin", opens="23:10", closes="00:40")
    found = run_statement(database.connect(), "schedule_next", "s", 8)
    assert [each["local_time"].split()[2] for each in found] in [
        [*order[n:], *order, *order][:8] for order in [["23:20", "23:40", "00:00", "00:20"]] for n in range(4)]


def test_too_late_for_its_window(database):
    """Whoever comes up after the window has closed queues nothing before the next."""
    opens, closes = database.query("SELECT (t + interval '2 h')::time AS o, (t + interval '3 h')::time AS c"
                                   " FROM date_trunc('minute', now() AT TIME ZONE 'UTC') AS t")[0].values()
    add(database, cron=f"{opens.minute} {opens.hour} * * *", catch_up="once", opens=opens, closes=closes)
    set_back(database, "0 s")
    assert fire(database) == 1
    (found,) = fires(database)
    assert found["outcome"] == "skipped" and found["reason"].startswith("late: it was past the window from ")


def test_jitter_is_the_same_for_the_same_time_and_below_its_bound(database):
    for name in ("s", "other"):
        add(database, name, cron="* * 1 1 *", jitter="30 min")
    delays = {}
    for name in ("s", "other"):
        found = run_statement(database.connect(), "schedule_next", name, 50)
        assert found == run_statement(database.connect(), "schedule_next", name, 50)
        delays[name] = [each["due_at"] - each["fire_at"] for each in found]
        for each, delay in zip(found, delays[name]):
            digest = hashlib.md5(f"{name}@{int(each['fire_at'].timestamp())}".encode()).hexdigest()
            assert delay == timedelta(seconds=int(1800 * int(digest[:8], 16) / 2**32))
    assert len(set(delays["s"])) > 25 and delays["s"] != delays["other"]
    assert timedelta(0) <= min(delays["s"]) < max(delays["s"]) < timedelta(minutes=30)
    assert row(database)["next_at"] - row(database)["next_fire"] in delays["s"]


def test_the_job_is_queued_when_its_jitter_is_over(database):
    add(database, jitter="1 h")
    database.query("UPDATE athena.schedules SET next_fire = date_trunc('minute', now()), next_at = now() + interval '1 min'")
    assert fire(database) == 0
    database.query("UPDATE athena.schedules SET next_at = now()")
    assert fire(database) == 1


# Pauses, changes, by hand

def test_a_pause_is_not_caught_up(database):
    add(database, catch_up="once")
    set_back(database, "1 h")
    database.query("UPDATE athena.schedules SET paused_at = now()")
    assert fire(database) == 0
    database.query("UPDATE athena.schedules SET paused_at = now(), next_at = now() - interval '1 h'")
    assert fire(database) == 0
    assert database.value("SELECT state FROM athena.schedule_status") == "paused"
    database.query("UPDATE athena.schedules SET paused_at = NULL")
    assert database.value("SELECT next_fire > now() FROM athena.schedules")
    assert fires(database) == []


def test_a_schedule_that_nothing_could_be_queued_by_can_be_paused(database):
    add(database)
    database.query("UPDATE athena.families SET payload_keys = '{\"a\": {\"type\": \"string\", \"required\": true}}' WHERE name = 'noop'")
    database.query("UPDATE athena.schedules SET paused_at = now()")
    assert database.value("SELECT paused_at IS NOT NULL FROM athena.schedules")


def test_a_changed_pattern_holds_from_now_on(database):
    add(database, cron="@yearly")
    database.query("UPDATE athena.schedules SET cron = '15 4 * * *', zone = 'Asia/Tokyo'")
    assert database.value("SELECT next_fire = athena.next_fire('15 4 * * *', 'Asia/Tokyo') FROM athena.schedules")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="bad cron: minute must be 0 to 59, not 99"):
        database.query("UPDATE athena.schedules SET cron = '99 * * * *'")


def test_by_hand(database):
    add(database, cron="@yearly")
    at = row(database)["next_fire"]
    job = database.value("SELECT athena.run_schedule('s')")
    with pytest.raises(psycopg.errors.ObjectInUse, match=f'job {job} of schedule "s" is unfinished'):
        database.value("SELECT athena.run_schedule('s')")
    worker = Worker(database)
    worker.settle_succeeded(*worker.claim())
    again = database.value("SELECT athena.run_schedule('s')")
    assert [(found["outcome"], found["job_id"], found["reason"]) for found in fires(database)] == [
        ("queued", job, "by hand"), ("queued", again, "by hand")]
    assert (row(database)["next_fire"], row(database)["last_job"]) == (at, again)
    with pytest.raises(psycopg.errors.NoDataFound, match='unknown schedule "t"'):
        database.value("SELECT athena.run_schedule('t')")
    assert_lawful(database)


# What fails

def test_a_job_that_is_refused_fails_its_fire_and_no_other(database):
    add(database, "bad", family="command", payload='{"name": "x"}')
    add(database)
    database.query("UPDATE athena.families SET payload_keys = '{}' WHERE name = 'command'")
    set_back(database, "0 s"), set_back(database, "0 s", name="bad")
    assert fire(database) == 2
    ((found),) = fires(database, "bad")
    assert (found["outcome"], found["job_id"]) == ("failed", None)
    assert found["reason"].startswith('bad payload for family "command": unknown key "name"')
    assert fires(database)[0]["outcome"] == "queued"
    assert (row(database, "bad")["failed"], database.value("SELECT count(*) FROM athena.jobs")) == (1, 1)
    assert_lawful(database)


def test_a_time_zone_that_is_gone_fails_its_schedule_and_no_other(database):
    """As after a move to a server with fewer of them; and then it has it again."""
    add(database, "lost", zone="Europe/Berlin")
    add(database)
    with database.connect() as conn:
        conn.execute("SET session_replication_role = replica")  # nobody can write such a name
        conn.execute("UPDATE athena.schedules SET zone = 'Europe/Atlantis' WHERE name = 'lost'")
    was = set_back(database, "0 s", name="lost")
    set_back(database, "0 s")
    assert fire(database) == 1
    assert fires(database)[0]["outcome"] == "queued"
    for _ in range(2):
        ((found),) = fires(database, "lost")
        assert (found["fire_at"], found["outcome"], found["job_id"]) == (was, "failed", None)
        assert "Europe/Atlantis" in found["reason"]
        assert (row(database, "lost")["failed"], row(database, "lost")["next_fire"]) == (1, was)
        assert database.query("UPDATE athena.schedules SET next_at = now() WHERE name = 'lost' AND next_at > now() RETURNING name")
        fire(database)
    database.query("UPDATE athena.schedules SET paused_at = now()")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="Europe/Atlantis"):
        database.query("UPDATE athena.schedules SET paused_at = NULL")
    database.query("UPDATE athena.schedules SET zone = 'Europe/Berlin', paused_at = NULL WHERE name = 'lost'")
    assert row(database, "lost")["next_fire"] > was
    assert_lawful(database)


def test_a_moment_that_is_bad_fails_no_fire(database):
    """Somebody has locked what it needs: the step fails, and the next does it."""
    add(database)
    set_back(database, "0 s")
    holder, leader = database.connect(autocommit=False), database.connect(options="-c lock_timeout=20ms")
    holder.execute("LOCK TABLE athena.jobs IN EXCLUSIVE MODE")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        fire(database, leader)
    holder.rollback()
    assert fires(database) == []
    assert fire(database, leader) == 1
    assert fires(database)[0]["outcome"] == "queued"


def test_history_goes_with_time_and_with_its_schedule(database):
    add(database)
    database.query("INSERT INTO athena.fires (schedule, fire_at, outcome) SELECT 's', now() - n * interval '1 day', 'skipped'"
                   " FROM generate_series(1, 40) AS n")
    set_back(database, "0 s")
    assert fire(database, keep="30 days") == 1
    assert database.value("SELECT count(*) FROM athena.fires") == 30
    database.query("DELETE FROM athena.schedules")
    assert database.value("SELECT count(*) FROM athena.fires") == 0
    assert database.value("SELECT count(*) FROM athena.jobs") == 1


# What is refused

@pytest.mark.parametrize("columns, message", [
    ({"cron": "* * * *"}, "bad cron: it needs 5 fields (minute, hour, day, month and weekday), and has 4"),
    ({"cron": "0 0 0 * * *"}, "bad cron: it needs 5 fields (minute, hour, day, month and weekday), and has 6"),
    ({"cron": " "}, "bad cron: it needs 5 fields (minute, hour, day, month and weekday), and has 0"),
    ({"cron": "60 * * * *"}, "bad cron: minute must be 0 to 59, not 60"),
    ({"cron": "* 9-24 * * *"}, "bad cron: hour must be 0 to 23, not 24"),
    ({"cron": "* * 0 * *"}, "bad cron: day must be 1 to 31, not 0"),
    ({"cron": "* * * 13 *"}, "bad cron: month must be 1 to 12, not 13"),
    ({"cron": "* * * * 8"}, "bad cron: weekday must be 0 to 7, not 8"),
    ({"cron": "5/10 * * * *"}, 'bad cron: minute "5/10" has a step without a range: write 5-59/10'),
    ({"cron": "*/0 * * * *"}, "bad cron: minute has a step of 0: it must be 1 to 60"),
    ({"cron": "* 5-3 * * *"}, 'bad cron: hour "5-3" ends before it begins'),
    ({"cron": "* * * foo *"}, 'bad cron: month "foo" is no value, range or step'),
    ({"cron": "* * * * monday"}, 'bad cron: weekday "monday" is no value, range or step'),
    ({"cron": "1,,2 * * * *"}, "bad cron: minute has an empty value"),
    ({"cron": "@reboot"}, 'bad cron: unknown name "@reboot" (known: @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually)'),
    ({"cron": "daily"}, 'bad cron: daily needs a time of day at its end, such as "daily 02:30"'),
    ({"cron": "weekly 02:30"}, 'bad cron: weekly takes days and a time, such as "weekly mon,thu 02:30"'),
    ({"cron": "daily 24:00"}, 'bad cron: daily needs a time of day at its end, such as "daily 02:30"'),
    ({"cron": "0 0 30 2 *"}, 'bad cron: "0 0 30 2 *" never fires'),
    ({"cron": "0 12 * * *", "opens": "01:00", "closes": "05:00"}, 'bad cron: "0 12 * * *" never fires from 01:00:00 to 05:00:00'),
    ({"zone": "Europe/Berln"}, 'unknown time zone "Europe/Berln"'),
    ({"zone": "EST5"}, 'unknown time zone "EST5"'),
    ({"family": "nop"}, 'unknown family "nop"'),
    ({"payload": '{"nap_ms": 1}'}, 'bad payload for family "noop": unknown key "nap_ms"'),
    ({"payload": "[]"}, "a payload is a JSON object"),
    ({"name": "Night"}, "a schedule name is a-z, then up to 62 of a-z 0-9 _ -"),
    ({"jitter": "25 h"}, "jitter is 0 to 1 day"),
    ({"overlap": "queue"}, "overlap is skip or allow"),
    ({"catch_up": "all"}, "catch_up is skip or once"),
    ({"cron": "* * * * *", "opens": "01:00"}, "a window opens and closes, at different times"),
    ({"cron": "* * * * *", "opens": "01:00", "closes": "01:00"}, "a window opens and closes, at different times"),
])
def test_what_is_wrong_is_said_at_once(database, columns, message):
    with pytest.raises(psycopg.Error) as error:
        add(database, **columns)
    assert error.value.sqlstate[:2] in ("22", "23")
    assert message in error.value.diag.message_primary
    assert database.value("SELECT count(*) FROM athena.schedules") == 0


@pytest.mark.parametrize("form, cron", [
    ("daily 02:30", "30 2 * * *"), ("Daily 2:30", "30 2 * * *"), ("weekly mon,thu 23:05", "5 23 * * mon,thu"),
    ("weekly sat-sun 00:00", "0 0 * * sat-sun"), ("monthly 1,15 06:00", "0 6 1,15 * *"), ("monthly last 06:00", "0 6 L * *")])
def test_how_often_and_when(database, form, cron):
    assert database.value("SELECT athena.cron_parse(%s) = athena.cron_parse(%s)", form, cron)


# Rights

def test_whose_jobs_they_are(database):
    """Who may not enqueue into a family may not schedule for it, nor may he whose right was taken later."""
    database.query("CREATE ROLE an_admin LOGIN IN ROLE athena_worker; CREATE ROLE trusted; GRANT trusted TO an_admin")
    try:
        database.query("UPDATE athena.families SET producers = '{trusted}' WHERE name = 'noop'")
        admin = database.connect(user="an_admin")
        admin.execute("INSERT INTO athena.schedules (name, cron, family) VALUES ('s', '@yearly', 'noop')")
        assert row(database)["producer"] == "an_admin"
        set_back(database, "0 s")
        assert database.value("SELECT athena.run_lane('schedule', %s)", somebody()) == 1
        assert fires(database)[0]["outcome"] == "queued"
        database.query("REVOKE trusted FROM an_admin; UPDATE athena.schedules SET last_job = NULL")
        database.query("UPDATE athena.schedules SET next_fire = now(), next_at = now()")
        assert fire(database) == 1
        assert fires(database)[-1]["reason"] == 'role "an_admin" may not enqueue into family "noop"'
        for sql in ("INSERT INTO athena.schedules (name, cron, family) VALUES ('t', '@yearly', 'noop')",
                    "UPDATE athena.schedules SET next_at = now()", "UPDATE athena.schedules SET producer = 'postgres'",
                    "INSERT INTO athena.fires VALUES ('s', now())", "SELECT athena.fire_schedule(s, '1 day') FROM athena.schedules AS s"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                admin.execute(sql)
    finally:
        database.close()
        database.query("DROP OWNED BY an_admin; DROP ROLE an_admin, trusted")


def test_readers_see_no_secrets(database):
    add(database, payload='{"pad": "postgresql://ada:lovelace@db/shop"}')
    database.query("CREATE ROLE a_reader LOGIN IN ROLE athena_reader")
    try:
        reader = database.connect(user="a_reader")
        assert reader.execute("SELECT payload FROM athena.schedule_status").fetchone()["payload"] == {"pad": "postgresql://ada:***@db/shop"}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT payload FROM athena.schedules")
    finally:
        database.close()
        database.query("DROP ROLE a_reader")
