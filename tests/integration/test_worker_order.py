# SPDX-License-Identifier: PostgreSQL
"""Which job is next, and how many at once: priorities, fairness, pauses, limits, fetching ahead."""
import time

from athena_test import wait_until
from sessions import Worker, assert_lawful
from workers import fetch_behind, overlap, script


def insert(database, count, family="noop", payload="{}", priority=5):
    """Ids of `count` jobs of one statement."""
    return database.column("INSERT INTO athena.jobs (family, payload, priority) SELECT %s, %s, %s"
                           " FROM generate_series(1, %s) RETURNING id", family, payload, priority, count)


def wait_done(database, count):
    wait_until(lambda: database.value("SELECT count(*) FROM athena.outcomes") >= count,
               what=f"{count} jobs have ended")


def started(database):
    """Ids of jobs in the order in which they were claimed."""
    return database.column("SELECT job_id FROM athena.outcomes ORDER BY started_at, ticket")


LEARNT = 500


def learn_quickness(database):
    """The worker sees that these jobs take no time, and begins to fetch ahead."""
    insert(database, LEARNT)
    wait_done(database, LEARNT)


def running(database):
    return database.value("SELECT count(*) FROM athena.leases")


# --- Order

def test_by_priority_then_by_age(database, workers, tmp_path):
    log = tmp_path / "log"
    command = script(tmp_path, "note", f"echo $ATHENA_JOB_ID >>{log}\n")
    database.query("INSERT INTO athena.families (name) VALUES ('own')")
    jobs = {priority: insert(database, 3, "own", priority=priority) for priority in (9, 5, 0, 7)}
    workers.start("own", families={"own": {"run": "command", "command": command, "concurrency": 1}})
    wait_done(database, 12)
    # Every 8th claim begins with the oldest line, whatever its priority.
    order = [int(line) for line in log.read_text().split()]
    expected = jobs[0] + jobs[5] + jobs[7] + jobs[9]
    assert order[:7] == expected[:7]
    assert [job for job in order if job not in jobs[9]] == [job for job in expected if job not in jobs[9]]
    assert_lawful(database)


def test_priority_0_overtakes_what_was_fetched_ahead(database, workers):
    workers.start(concurrency=1)
    learn_quickness(database)
    insert(database, 20000, payload='{"sleep_ms": 1}')
    wait_done(database, LEARNT + 100)
    urgent = database.enqueue("noop", priority=0)
    database.wait_for_state(urgent, "succeeded")
    assert database.value("SELECT count(*) FROM athena.ready") > 0, "the crowd was still there"
    database.query("SELECT athena.pause('noop')")


def test_a_steady_stream_of_priority_0_starves_nobody(database, workers):
    """Jobs that are older than the stream's come in between, long before it ends."""
    workers.start(concurrency=1)
    database.query("SELECT athena.pause('noop')")
    last, middle = database.enqueue("noop", priority=9), database.enqueue("noop", priority=4)
    insert(database, 6000, payload='{"sleep_ms": 5}', priority=0)
    database.query("SELECT athena.resume('noop')")
    for job in (last, middle):
        database.wait_for_state(job, "succeeded")
    assert database.value("SELECT count(*) FROM athena.ready WHERE priority = 0") > 1000
    database.query("SELECT athena.pause('noop')")


def test_families_of_one_worker_have_their_own_slots(database, workers):
    """A crowd of one family delays nothing of the other."""
    one = {"run": "noop", "concurrency": 1}
    workers.start("first,second", families={"first": one, "second": one})
    insert(database, 3000, "first", '{"sleep_ms": 20}')
    jobs = insert(database, 20, "second", '{"sleep_ms": 20}')
    for job in jobs:
        database.wait_for_state(job, "succeeded")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.outcomes WHERE family = 'first'") > 5)
    assert database.value("SELECT count(*) FROM athena.ready WHERE family = 'first'") > 100
    database.query("SELECT athena.pause('first')")


# --- Fetching ahead

def test_slow_jobs_are_not_fetched_ahead(database, workers):
    workers.start(concurrency=2)
    insert(database, 20, payload='{"sleep_ms": 300}')
    most = 0
    while database.value("SELECT count(*) FROM athena.outcomes") < 8:
        most = max(most, running(database))
    assert most <= 2
    database.query("SELECT athena.pause('noop')")


def test_a_family_without_prefetch_is_claimed_when_a_slot_is_free(database, workers, tmp_path):
    command = script(tmp_path, "quick", "exit 0\n")
    workers.start("own", families={"own": {"run": "command", "command": command, "concurrency": 2}})
    insert(database, 60, "own")
    most = 0
    while database.value("SELECT count(*) FROM athena.outcomes") < 60:
        most = max(most, running(database))
    assert most <= 4, "two run, and two more may wait for their settle"
    assert_lawful(database)


def test_what_is_fetched_ahead_is_bounded_by_time(database, workers):
    """10 ms each: a fifth of a second of them for one slot, not the queue."""
    workers.start(concurrency=1)
    insert(database, 200, payload='{"sleep_ms": 10}')
    most = 0
    while database.value("SELECT count(*) FROM athena.outcomes") < 150:
        most = max(most, running(database))
    assert 1 < most <= 30, most
    assert_lawful(database)


def test_what_waits_behind_a_long_job_goes_back_after_10_s(database, workers):
    """Fetched ahead while jobs were quick; then one is not. Others get the rest, uncounted, and the
    worker does not fetch them again while its slot is busy."""
    workers.start(concurrency=1, drain="0s")
    _slow, crowd = fetch_behind(database, 100)
    held = running(database) - 1
    claimed = database.value("SELECT max(claimed_at) FROM athena.leases")
    wait_until(lambda: running(database) == 1, what="they are handed back")
    assert database.value("SELECT extract(epoch FROM clock_timestamp() - %s)::float", claimed) > 9
    last = database.value("SELECT last_value FROM athena.tickets")
    assert last >= held + len(crowd)
    assert database.column("SELECT DISTINCT attempt FROM athena.ready") == [0]
    time.sleep(0.7)
    assert running(database) == 1
    assert database.value("SELECT last_value FROM athena.tickets") == last, "they went back and forth"
    other = workers.start(concurrency=1)
    for job in crowd:
        database.wait_for_state(job, "succeeded")
    assert database.column("SELECT DISTINCT attempt FROM athena.outcomes") == [1]
    assert other.is_running()
    assert_lawful(database)


# --- Pause

def test_pause_hands_back_what_is_held_and_leaves_what_runs(database, workers):
    workers.start(concurrency=1, poll="1h")
    slow, crowd = fetch_behind(database)
    database.query("SELECT athena.pause('noop')")
    wait_until(lambda: running(database) == 1, what="the others are handed back")
    assert database.job(slow)["state"] == "running"
    database.query("SELECT athena.cancel(%s)", slow)
    database.wait_for_state(slow, "cancelled")
    time.sleep(0.5)
    assert running(database) == 0
    assert database.column("SELECT attempt FROM athena.ready") == [0] * len(crowd)
    database.query("SELECT athena.resume('noop')")
    for job in crowd:
        database.wait_for_state(job, "succeeded")
    assert_lawful(database)


def test_pause_without_a_notification_comes_with_a_heartbeat(database, workers):
    workers.start(concurrency=1)
    slow, _crowd = fetch_behind(database)
    quiet = database.connect()
    quiet.execute("SET athena.notify = off")
    quiet.execute("SELECT athena.pause('noop')")
    wait_until(lambda: running(database) == 1)
    assert_lawful(database)
    database.query("SELECT athena.cancel(%s)", slow)
    database.wait_for_state(slow, "cancelled")


def test_a_worker_that_starts_under_a_pause_waits(database, workers):
    database.query("SELECT athena.pause('noop')")
    job = database.enqueue("noop")
    worker = workers.start(poll="1h")
    worker.wait_log("asleep")
    assert database.job(job)["state"] == "ready"
    database.query("SELECT athena.resume('noop')")
    database.wait_for_state(job, "succeeded")


# --- Limits

def test_max_running_holds_over_three_workers(database, workers, tmp_path):
    log = tmp_path / "log"
    command = script(tmp_path, "span", f"b=$(date +%s.%N); sleep 0.05; echo $b $(date +%s.%N) >>{log}\n")
    database.query("INSERT INTO athena.families (name, max_running) VALUES ('own', 4)")
    insert(database, 80, "own")
    families = {"own": {"run": "command", "command": command, "concurrency": 3}}
    for _ in range(3):
        workers.start("own", families=families, until=None, poll="1h")
    most = 0
    while database.value("SELECT count(*) FROM athena.outcomes") < 80:
        most = max(most, running(database))
    assert most == 4
    spans = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    assert len(spans) == 80 and overlap(spans) <= 4
    assert_lawful(database)


def test_a_limited_family_takes_turns_without_the_poll(database, workers):
    """One place for two workers: whoever sleeps is woken when it is freed."""
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    for _ in range(2):
        workers.start(poll="1h", concurrency=1)
    insert(database, 60, payload='{"sleep_ms": 10}')
    wait_done(database, 60)
    assert_lawful(database)


def test_unique_keys_are_free_after_the_end(database, workers):
    workers.start()
    database.query("SELECT athena.pause('noop')")
    first = database.enqueue("noop", unique_key="k")
    assert database.enqueue("noop", unique_key="k") is None
    assert database.value("SELECT athena.enqueue('noop', unique_key => 'k')") == first
    database.query("SELECT athena.resume('noop')")
    database.wait_for_state(first, "succeeded")
    second = database.enqueue("noop", unique_key="k")
    assert second is not None and second != first
    database.wait_for_state(second, "succeeded")
    third = database.enqueue("noop", {"fail": "permanent"}, unique_key="k")
    database.wait_for_state(third, "dead")
    assert database.query("SELECT * FROM athena.uniques") == []
    assert_lawful(database)


# --- Deadlines, leases of short length

def test_an_attempt_far_over_its_timeout_is_taken_away(database, workers):
    """Its worker cannot end it any more: the lane does, the job is retried, the worker hears of it."""
    database.query("UPDATE athena.families SET backoff_base = '0 s' WHERE name = 'noop'")
    other = Worker(database)
    job = database.enqueue("noop", timeout="1 s")
    (row,) = other.claim()
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 ms'")
    workers.start()
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    (failure,) = database.query("SELECT * FROM athena.failures")
    assert (failure["kind"], failure["attempt"]) == ("overdue", 1)
    assert other.settle(row, "succeeded")["answer"] == "lost"
    assert_lawful(database)


def test_the_shortest_lease_works_with_default_settings(database, workers):
    """Heartbeat and fence follow the lease: nothing starves, nothing is fenced, nobody is rescued."""
    database.query("UPDATE athena.families SET lease = '6 s' WHERE name = 'noop'")
    workers.start(heartbeat="5s", fence_margin="5s")
    workers.start(heartbeat="5s", fence_margin="5s")
    jobs = [database.enqueue("noop", {"sleep_ms": 7500}) for _ in range(2)]
    for job in jobs:
        assert database.wait_for_state(job, "succeeded")["attempt"] == 1
    assert database.query("SELECT * FROM athena.failures") == []
    assert_lawful(database)


def test_what_is_fetched_ahead_is_bounded_by_size(database, workers):
    """500 kB each: 16 MB of them and a job per slot, though they are quick enough for hundreds."""
    workers.start(concurrency=1)
    insert(database, 200, payload='{"sleep_ms": 1, "pad": "%s"}' % ("x" * 500_000))
    most = 0
    while database.value("SELECT count(*) FROM athena.outcomes") < 200:
        most = max(most, running(database))
    assert 1 < most <= 2 * 34, "those that have ended may wait for their settle"
    assert_lawful(database)
