# SPDX-License-Identifier: PostgreSQL
"""Maintenance by running processes: promotion, rescue, leadership, hygiene that hangs."""
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import uuid

import psycopg
import pytest

from athena_test import PROMPT_S, ROOT, processes, wait_until

LANES = {"promote", "rescue", "deadlines", "waits", "tallies", "leaves", "prune", "registry", "schedule"}
LOCK_CLASS = 1635018855  # of the lanes' advisory locks


@pytest.fixture
def maintain(spawn):
    """Starts `athena maintenance run` and waits until it leads every lane."""
    def maintain(lanes=LANES, **options):
        program = spawn("athena", "maintenance", "run", **options)
        for lane in sorted(lanes):
            program.wait_log(rf"lane_led .*lane={lane}\b")
        return program
    return maintain


def this_boot():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


def started(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def register(database, pid=0, pid_started=0, boot_id="elsewhere", host="elsewhere"):
    return database.value("SELECT athena.register_worker(ARRAY['noop'], 'test', %s, '', %s, %s, %s, %s)",
                          host, uuid.uuid4(), boot_id, pid, pid_started)


def claim(database, worker, most=1):
    return database.query("SELECT * FROM athena.claim(%s, 'noop', %s)", worker, most)


def set_lease(database, lease):
    database.query("UPDATE athena.families SET lease = %s WHERE name = 'noop'", lease)


class Beater:
    """A worker on another host that does nothing but beat, on a connection of its own."""

    def __init__(self, database, every_s=0.5):
        self.worker = register(database)
        self._conn = database.connect()
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(psycopg.OperationalError):
            while not self._ended.wait(self._every_s):
                self._conn.execute("SELECT * FROM athena.heartbeat(%s)", (self.worker,))

    def end(self):
        self._ended.set()
        self._thread.join()


@pytest.fixture
def beater(database):
    beater = Beater(database)
    yield beater
    beater.end()


def test_registers_leads_and_leaves(database, maintain):
    program = maintain()
    (row,) = database.query("SELECT * FROM athena.workers")
    assert (row["kind"], row["families"]) == ("maintenance", [])
    assert (row["boot_id"], row["pid"], row["pid_started"]) == (
        this_boot(), program.pid, started(program.pid))
    lanes = database.query("SELECT lane, last_by FROM athena.lanes")
    assert {lane["lane"] for lane in lanes} == LANES
    assert {lane["last_by"] for lane in lanes} == {row["id"]}
    assert program.terminate() == 0
    assert database.query("SELECT * FROM athena.workers") == []


def test_promotes_in_the_order_of_time(database, maintain):
    maintain()
    jobs = database.column("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + n * interval '1 ms'"
                           " FROM unnest(ARRAY[900, 600, 800, 700]) AS n RETURNING id")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.ready") == 4)
    ready = database.column("SELECT job_id FROM athena.ready ORDER BY ticket")
    assert ready == [jobs[1], jobs[3], jobs[2], jobs[0]]
    assert not database.conservation()


def test_promotion_is_not_late(database, maintain):
    """Due now + 300 ms, ready within the lane's interval and a little."""
    maintain()
    late = []
    for _ in range(10):
        job = database.value("INSERT INTO athena.jobs (family, run_at) "
                             "VALUES ('noop', now() + interval '300 ms') RETURNING id")
        wait_until(lambda: database.value("SELECT count(*) FROM athena.ready WHERE job_id = %s", job),
                   every_s=0.005)
        late.append(database.value("SELECT extract(epoch FROM clock_timestamp() - run_at)::float "
                                   "FROM athena.jobs WHERE id = %s", job))
    assert min(late) < 1 and max(late) < PROMPT_S, late


def test_a_backlog_is_promoted_without_waiting_for_the_timer(database, maintain):
    maintain()
    took = []
    while len(took) < 5 and min(took, default=60) >= 20 * 0.25:  # 21 steps, an interval each, always take longer
        (due,) = set(database.column("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '500 ms'"
                                     " FROM generate_series(1, 20500) RETURNING run_at"))
        wait_until(lambda: not database.value("SELECT count(*) FROM athena.scheduled"))
        took.append(database.value("SELECT extract(epoch FROM clock_timestamp() - %s)::float", due))
    assert min(took) < 20 * 0.25, took
    assert not database.conservation()


def test_never_claims(database, maintain):
    ready = database.enqueue("noop")
    delayed = database.value("INSERT INTO athena.jobs (family, run_at) "
                             "VALUES ('noop', now() + interval '200 ms') RETURNING id")
    program = maintain()
    wait_until(lambda: database.job(delayed)["state"] == "ready")
    wait_for_steps(database, "rescue", 3)
    assert database.job(ready)["state"] == "ready"
    assert database.value("SELECT count(*) FROM athena.leases") == 0
    assert program.children() == []
    assert not database.conservation()


def wait_for_steps(database, lane, count):
    """Waits until the lane has run so many times more; idle lanes write it down once a second."""
    before = database.value("SELECT runs FROM athena.lanes WHERE lane = %s", lane)
    wait_until(lambda: database.value("SELECT runs FROM athena.lanes WHERE lane = %s", lane)
               >= before + count, what=f"{count} steps of {lane}")


# --- Rescue

@pytest.fixture
def child():
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def failure(database, job):
    (row,) = database.query("SELECT kind, error, attempt FROM athena.failures WHERE job_id = %s", job)
    return row


def test_jobs_of_a_dead_neighbour_are_rescued_at_once(database, maintain, child):
    job = database.enqueue("noop")
    dead = register(database, child.pid, started(child.pid), this_boot(), "here")
    claim(database, dead)
    program = maintain()
    wait_for_steps(database, "rescue", 2)
    assert database.job(job)["state"] == "running"  # while it lives
    child.kill()
    child.wait()
    database.wait_for_state(job, "ready")
    assert failure(database, job) == {
        "kind": "lost", "error": f"its worker died (here, pid {child.pid})", "attempt": 1}
    assert program.wait_log(rf"jobs_rescued worker={dead} count=1 reason=dead")
    assert database.query("SELECT 1 FROM athena.workers WHERE id = %s", dead) == []
    assert not database.conservation()


def test_a_dead_neighbour_is_rescued_by_who_does_not_lead(database, maintain, child):
    dead = register(database, child.pid, started(child.pid), this_boot())
    job = database.enqueue("noop")
    claim(database, dead)
    leader = str(uuid.uuid4())  # elsewhere: it cannot know
    database.query("UPDATE athena.lanes SET last_by = %s, last_at = now() + interval '1 min' "
                   "WHERE lane = 'rescue'", leader)
    maintain(LANES - {"rescue"})
    child.kill()
    child.wait()
    database.wait_for_state(job, "ready")


def test_another_process_of_the_same_number_is_not_the_worker(database, maintain, child):
    impostor = register(database, child.pid, started(child.pid) - 1, this_boot())
    job = database.enqueue("noop")
    claim(database, impostor)
    maintain()
    database.wait_for_state(job, "ready")
    assert child.poll() is None


@pytest.mark.parametrize("doubt", [{"boot_id": "other"}, {"pid_started": 0}, {"pid": 0}])
def test_in_doubt_a_worker_lives(database, maintain, child, doubt):
    identity = {"pid": child.pid, "pid_started": started(child.pid), "boot_id": this_boot()}
    child.kill()
    child.wait()
    jobs = [database.enqueue("noop"), database.enqueue("noop")]
    unsure = register(database, **{**identity, **doubt})
    claim(database, unsure)
    dead = register(database, **identity)
    claim(database, dead)
    maintain()
    database.wait_for_state(jobs[1], "ready")
    wait_for_steps(database, "rescue", 2)
    assert database.job(jobs[0])["state"] == "running"


def test_the_silent_are_rescued_after_their_lease(database, maintain, beater):
    set_lease(database, "6 s")
    alive, lost = database.enqueue("noop"), database.enqueue("noop")
    assert claim(database, beater.worker)[0]["job_id"] == alive
    silent = register(database)
    assert claim(database, silent)[0]["job_id"] == lost
    begin = time.monotonic()
    program = maintain()
    database.wait_for_state(lost, "ready")
    assert time.monotonic() - begin >= 6
    assert program.wait_log(rf"jobs_rescued worker={silent} count=1 reason=silent")
    assert failure(database, lost)["kind"] == "lost"
    assert database.job(alive)["state"] == "running"
    assert database.value("SELECT count(*) FROM athena.workers WHERE id = %s", silent) == 1
    assert not database.conservation()


def test_more_jobs_than_a_step_takes_are_rescued_without_pause(database, maintain, child):
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 20200)")
    dead = register(database, child.pid, started(child.pid), this_boot())
    assert [len(claim(database, dead, most)) for most in (10000, 10000, 200)] == [10000, 10000, 200]
    maintain()
    child.kill()
    child.wait()
    wait_until(lambda: database.value("SELECT count(*) FROM athena.leases") == 0)
    assert not database.conservation()
    at = [row["at"] for row in database.query("SELECT at FROM athena.failures ORDER BY at")]
    pauses = [(at[row] - at[row - 1]).total_seconds() for row in range(1000, 20200, 1000)]
    assert min(pauses) < 1  # a step sent by the lane's timer comes a second later at least


def stop_server(cluster):
    """SIGSTOP to all of its processes, as when the machine stands still."""
    pids = [pid for pid, (parent, _) in processes().items() if parent == cluster.process.pid]
    for pid in [cluster.process.pid, *pids]:
        os.kill(pid, signal.SIGSTOP)
    return [*pids, cluster.process.pid]


@pytest.mark.parametrize("how", ["stands still", "restarts"])
def test_nobody_is_rescued_because_the_server_was_away(own_cluster, programs, how):
    """Away for longer than the lease; the worker beats only a while after the server is back."""
    database = own_cluster.migrated_database()
    set_lease(database, "6 s")
    job = database.enqueue("noop")
    worker = register(database)
    claim(database, worker)
    program = programs.spawn("athena", "maintenance", "run", url=database.url)
    program.wait_log("lane_led .*lane=rescue")
    wait_for_steps(database, "rescue", 2)
    database.query("SELECT athena.heartbeat(%s)", worker)
    wait_for_steps(database, "rescue", 2)
    away = time.monotonic() + 7
    if how == "stands still":
        pids = stop_server(own_cluster)
        wait_until(lambda: time.monotonic() > away)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    else:
        own_cluster.stop()
        wait_until(lambda: time.monotonic() > away)
        own_cluster.start()
        database.close()
    wait_for_steps(database, "rescue", 3)
    assert database.value("SELECT now() - heartbeat_at > '9 s' FROM athena.workers WHERE id = %s", worker)
    assert database.job(job)["state"] == "running"
    database.query("SELECT athena.heartbeat(%s)", worker)
    wait_for_steps(database, "rescue", 3)
    assert database.job(job)["state"] == "running"
    database.wait_for_state(job, "ready")  # silent for good now
    assert not database.conservation()
    database.close()


# --- Leading

def test_another_process_takes_over(database, maintain, spawn):
    first = maintain()
    second = spawn("athena", "maintenance", "run")
    second.wait_log("registered")
    first.kill()
    for lane in ("promote", "rescue", "deadlines"):
        second.wait_log(rf"lane_led .*lane={lane}\b")
    job = database.value("INSERT INTO athena.jobs (family, run_at) "
                         "VALUES ('noop', now() + interval '100 ms') RETURNING id")
    database.wait_for_state(job, "ready")


def test_two_leaders_of_every_lane_change_no_outcome(database, maintain, child):
    """Somebody else holds the locks for so long that everybody goes on without them."""
    locks = database.connect()
    locks.execute("SELECT pg_advisory_lock(%s, number) FROM athena.lanes", (LOCK_CLASS,))
    database.query("UPDATE athena.lanes SET last_at = now() - interval '1 hour'")
    overdue = Beater(database)
    dead = register(database, child.pid, started(child.pid), this_boot())
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 3000)")
    claim(database, dead, 1500)
    claim(database, overdue.worker, 1500)
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s' WHERE worker_id = %s",
                   overdue.worker)
    database.query("INSERT INTO athena.jobs (family, run_at) "
                   "SELECT 'noop', now() + interval '2 s' FROM generate_series(1, 10000)")
    child.kill()
    child.wait()
    everybody = [maintain(lanes=()), maintain(lanes=())]
    again = database.connect()

    def all_moved():
        again.execute("UPDATE athena.lanes SET last_by = NULL, last_at = '-infinity' WHERE visible")
        return database.value("SELECT (SELECT count(*) FROM athena.leases) = 0 AND "
                              "(SELECT count(*) FROM athena.ready) >= 10000")
    wait_until(all_moved)
    for program in everybody:
        program.wait_log(r"lane_led .*lane=promote\b")
    overdue.end()
    assert database.value("SELECT count(*) FROM athena.failures") == 3000
    assert database.value("SELECT count(DISTINCT job_id) FROM athena.failures") == 3000
    assert database.query("SELECT kind, count(*) FROM athena.failures GROUP BY kind ORDER BY kind") == [
        {"kind": "lost", "count": 1500}, {"kind": "overdue", "count": 1500}]
    assert not database.conservation()


def test_goes_on_after_the_server_was_restarted(own_cluster, programs):
    database = own_cluster.migrated_database()
    own_cluster.stop()
    database.close()
    program = programs.spawn("athena", "maintenance", "run", url=database.url)
    program.wait_log("connection_failed")
    own_cluster.start()
    program.wait_log(r"lane_led .*lane=promote\b")
    own_cluster.restart("immediate")
    database.close()
    program.wait_log(r"lane_led .*lane=promote\b", count=2)
    job = database.value("INSERT INTO athena.jobs (family, run_at) "
                         "VALUES ('noop', now() + interval '100 ms') RETURNING id")
    database.wait_for_state(job, "ready")
    database.close()
    assert program.terminate() == 0


def test_the_role_of_workers_is_enough(database, maintain):
    database.query("CREATE ROLE just_a_worker LOGIN IN ROLE athena_worker")
    try:
        program = maintain(url=database.cluster.url(database.name, "just_a_worker"))
        job = database.value("INSERT INTO athena.jobs (family, run_at) "
                             "VALUES ('noop', now() + interval '100 ms') RETURNING id")
        database.wait_for_state(job, "ready")
        assert "failed" not in program.stderr()
        assert program.terminate() == 0
    finally:
        database.query("DROP ROLE just_a_worker")


def test_works_without_prepared_statements(database, maintain):
    """As behind a transaction pooler: nothing is left in a session."""
    maintain(env={"ATHENA_DATABASE_PREPARE": "never"})
    job = database.value("INSERT INTO athena.jobs (family, run_at) "
                         "VALUES ('noop', now() + interval '100 ms') RETURNING id")
    database.wait_for_state(job, "ready")
    assert database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                          "AND application_name = 'athena maintenance'") == 3


def test_a_copied_database_is_left_alone(database, run):
    database.query("UPDATE athena.meta SET system_identifier = 1")
    done = run("athena", "maintenance", "run", status=1)
    assert "athena adopt" in done.stderr
    assert database.value("SELECT sum(runs) FROM athena.lanes") == 0


def test_a_worker_may_leave_it_to_others(database, spawn):
    job = database.enqueue("noop")
    spawn("athena-worker", "--family=noop", "--no-maintenance")
    database.wait_for_state(job, "succeeded")
    assert database.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                          "AND application_name = 'athena maintenance'") == 0
    assert database.value("SELECT sum(runs) FROM athena.lanes") == 0


def test_a_worker_does_it_beside_its_work(database, spawn):
    job = database.value("INSERT INTO athena.jobs (family, run_at) "
                         "VALUES ('noop', now() + interval '1 s') RETURNING id")
    program = spawn("athena-worker", "--family=noop")
    for lane in sorted(LANES):
        program.wait_log(rf"lane_led .*lane={lane}\b")
    database.wait_for_state(job, "succeeded")
    (worker,) = database.column("SELECT DISTINCT last_by FROM athena.lanes")
    assert database.query("SELECT id, kind FROM athena.workers") == [{"id": worker, "kind": "worker"}]


# --- Hygiene

def promotes_in_time(database):
    job = database.value("INSERT INTO athena.jobs (family, run_at) "
                         "VALUES ('noop', now() + interval '100 ms') RETURNING id")
    wait_until(lambda: database.query("SELECT 1 FROM athena.ready WHERE job_id = %s", job))


@pytest.mark.parametrize("lane, arguments, limits", [
    ("lane_tallies", "", ("20ms", "10min", "on", "on", "auto")),
    ("lane_promote", "most integer", ("1s", "10s", "on", "on", "auto"))])
def test_every_step_has_its_limits(database, maintain, lane, arguments, limits):
    """And the planner that its joins need, not that of the hot statements."""
    names = ("lock_timeout", "statement_timeout", "enable_hashjoin", "enable_seqscan", "plan_cache_mode")
    database.query(f"CREATE TABLE athena.seen AS SELECT {', '.join(f'NULL::text AS {name}' for name in names)}")
    database.query("ALTER TABLE athena.seen OWNER TO athena_owner")
    database.query(f"""CREATE OR REPLACE FUNCTION athena.{lane}({arguments}) RETURNS bigint LANGUAGE sql AS $$
        UPDATE athena.seen SET ({', '.join(names)}) = ROW ({', '.join(f"current_setting('{n}')" for n in names)})
        RETURNING 0 $$""")
    maintain()
    (seen,) = database.query("SELECT * FROM athena.seen")
    assert tuple(seen[name] for name in names) == limits


def test_hygiene_that_hangs_delays_no_promotion(database, maintain):
    database.query("""CREATE OR REPLACE FUNCTION athena.lane_tallies() RETURNS bigint LANGUAGE sql
                      BEGIN ATOMIC SELECT 0 FROM pg_sleep(600); END""")
    program = maintain({"promote", "rescue", "deadlines"})
    wait_until(lambda: database.value("SELECT count(*) FROM pg_stat_activity "
                                      "WHERE wait_event = 'PgSleep' AND datname = current_database()"))
    for _ in range(5):
        promotes_in_time(database)
    assert database.value("SELECT last_at FROM athena.lanes WHERE lane = 'tallies'") is None
    assert program.terminate() == 0  # nor does it delay the end


def test_hygiene_does_not_wait_behind_a_lock(database, maintain):
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE athena.progress IN ACCESS EXCLUSIVE MODE")
    program = maintain(LANES - {"registry"}, env={"ATHENA_LOG_LEVEL": "debug"})
    program.wait_log(r"lane_waits .*lane=registry\b.*lock timeout")
    promotes_in_time(database)
    assert database.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0
    holder.rollback()
    program.wait_log(r"lane_led .*lane=registry\b")
    assert "lane_failed" not in program.stderr(), "it was not its turn, that is all"


def test_a_step_that_fails_is_told_once(database, maintain):
    database.query("ALTER TABLE athena.waits RENAME TO elsewhere")
    program = maintain(LANES - {"waits", "prune"})
    program.wait_log(r"lane_failed .*lane=waits\b.*athena.waits")
    for _ in range(5):
        promotes_in_time(database)
    database.query("ALTER TABLE athena.elsewhere RENAME TO waits")
    program.wait_log(r"lane_recovered .*lane=waits\b")
    assert len(re.findall(r"lane_failed .*lane=waits\b", program.stderr())) == 1  # as long as it is the same


def test_forgets_who_is_gone(database, maintain):
    gone, holding, sleeping, fresh = [register(database) for _ in range(4)]
    database.enqueue("noop")
    claim(database, holding)
    database.query("UPDATE athena.workers SET heartbeat_at = now() - interval '2 hours' "
                   "WHERE id = ANY (%s)", [gone, holding])
    database.query("UPDATE athena.workers SET heartbeat_at = now() - interval '2 min' WHERE id = %s", sleeping)
    database.query("INSERT INTO athena.sleepers (family, worker_id) VALUES ('noop', %s), ('noop', %s)",
                   sleeping, fresh)
    database.query("INSERT INTO athena.cancel_requests (ticket, job_id, requested_at) "
                   "VALUES (-1, -1, now() - interval '2 min')")
    maintain()
    assert set(database.column("SELECT id FROM athena.workers WHERE kind = 'test'")) == {
        holding, sleeping, fresh}
    assert database.column("SELECT worker_id FROM athena.sleepers") == [fresh]
    assert database.query("SELECT 1 FROM athena.cancel_requests") == []


def test_prunes_batch_after_batch(database, maintain):
    database.query("UPDATE athena.settings SET value = '20' WHERE name = 'prune_batch_rows'")
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 110)")
    for job in database.column("SELECT id FROM athena.jobs"):
        database.query("SELECT athena.cancel(%s)", job)
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '2 min' "
                   "WHERE job_id > (SELECT min(job_id) + 9 FROM athena.outcomes)")
    program = maintain(env={"ATHENA_RETENTION_FINISHED": "1m"})
    program.wait_log("jobs_pruned .*count=20", count=5)
    assert database.value("SELECT count(*) FROM athena.outcomes") == 10
    assert database.value("SELECT count(*) FROM athena.jobs") == 10
    assert not database.conservation()


def test_makes_leaves_ahead(database, maintain):
    leaf = database.value("SELECT max(relname) FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'")
    database.query(f"DROP TABLE athena.{leaf}")
    program = maintain()
    program.wait_log("leaves_made .*count=1")
    assert database.value("SELECT to_regclass(%s) IS NOT NULL", f"athena.{leaf}")


def test_the_documented_lanes_are_those_of_the_schema(database):
    def line(lane, help, seconds):
        every = f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        return f"| `{lane}` | {every} | {help} |"
    rows = database.query("SELECT lane, help, extract(epoch FROM every) AS seconds "
                          "FROM athena.lanes ORDER BY number")
    table = "\n".join(line(**row) for row in rows)
    assert table in (ROOT / "docs/maintenance.md").read_text()
