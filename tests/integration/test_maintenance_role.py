# SPDX-License-Identifier: PostgreSQL
"""`athena maintenance run` is not a worker: it claims no job, runs no handler, calls no URL, and does
all of maintenance, with the rights of athena_maintenance alone and beside others of its kind."""
import json
import os
import pathlib
import signal
import uuid

import psycopg
import pytest

from athena_test import ROOT, processes, wait_until
from pages import Pages
from sessions import Worker, assert_lawful
from workers import resume, script, stop

LANES = ["promote", "rescue", "deadlines", "waits", "tallies", "leaves", "prune", "registry", "schedule"]
ROLE = "keeper_of_jobs"


@pytest.fixture(scope="module")
def role(cluster):
    database = cluster.migrated_database("keeper")
    database.query(f"CREATE ROLE {ROLE} LOGIN IN ROLE athena_maintenance")
    yield ROLE
    database.drop()
    with cluster.connect() as conn:
        conn.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def keep(database, programs, role, tmp_path):
    """Starts a process for maintenance alone and waits until it leads these lanes."""
    def keep(*args, lanes=LANES, families=None, env=None):
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"families": families or {}, "worker": {"heartbeat": "300ms"}}))
        program = programs.spawn("athena", "--config", config, "maintenance", "run", *args, env=env,
                                 url=database.cluster.url(database.name, role))
        program.wait_log("registered")
        for lane in lanes:
            program.wait_log(rf"lane_led .*lane={lane}\b", 30)
        return program
    return keep


def promote_one(database):
    """Queues a job that is due in a moment, and waits until it is ready."""
    job = database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '200 ms') RETURNING id")
    database.wait_for_state(job, "ready", 20)
    return job


def leader(database, lane="promote"):
    """The pid of who did its last step."""
    return database.value("SELECT w.pid FROM athena.lanes AS l JOIN athena.workers AS w ON w.id = l.last_by WHERE l.lane = %s", lane)


# What it does not do

def test_it_claims_no_job_and_runs_no_handler(database, keep, tmp_path):
    """Neither a built-in one nor the command of its own configuration, however long it runs."""
    database.query("CREATE TABLE public.claims (ticket bigint)")
    database.query("GRANT INSERT ON public.claims TO PUBLIC")
    database.query("""CREATE FUNCTION public.note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.claims VALUES (NEW.ticket); RETURN NEW; END $$""")
    database.query("CREATE TRIGGER note_claim AFTER INSERT ON athena.leases FOR EACH ROW EXECUTE FUNCTION public.note_claim()")
    database.query("INSERT INTO athena.families (name) VALUES ('touch')")
    command = script(tmp_path, "touch.sh", f"touch {tmp_path}/ran")
    jobs = [database.enqueue("noop"), database.enqueue("touch"), database.enqueue("command", {"name": "touch"})]
    program = keep(families={"touch": {"run": "command", "command": command}})
    for _ in range(3):
        jobs.append(promote_one(database))
        assert program.children() == []
    assert database.column("SELECT state FROM athena.job_status ORDER BY job_id") == ["ready"] * 6
    assert database.value("SELECT sum(attempt) FROM athena.ready") == 0
    assert database.query("SELECT * FROM public.claims") == []
    assert not (tmp_path / "ran").exists()
    assert_lawful(database)


def sockets(pid):
    """Inodes of the sockets that a process has open."""
    links = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def internet(pid):
    """Inodes of internet sockets in its network namespace."""
    rows = [line.split() for kind in ("tcp", "tcp6", "udp", "udp6")
            for line in pathlib.Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]]
    return {row[9] for row in rows}


def test_it_calls_no_url_and_starts_no_program(database, keep):
    """It talks to Postgres, here by a Unix socket, and to nobody else."""
    program = keep()
    assert sockets(program.pid)
    for _ in range(3):
        promote_one(database)
        assert sockets(program.pid) & internet(program.pid) == set()
        assert program.session_pids() == [program.pid]


@pytest.mark.parametrize("sql", [
    "SELECT * FROM athena.claim(gen_random_uuid(), 'noop')",
    "SELECT * FROM athena.settle(gen_random_uuid(), 1, 1, 'succeeded')",
    "SELECT athena.open_wait(gen_random_uuid(), 1, 1)",
    "SELECT athena.complete_wait('x')",
    "SELECT athena.cancel(1)",
    "SELECT athena.retry(1)",
    "SELECT athena.pause('noop')",
    "INSERT INTO athena.jobs (family) VALUES ('noop')",
    "SELECT payload FROM athena.jobs",
    "SELECT payload FROM athena.job_status",
    "SELECT error FROM athena.failures",
    "SELECT message FROM athena.events",
    "DELETE FROM athena.ready",
    "DELETE FROM athena.scheduled",
    "SELECT * FROM athena.ready FOR UPDATE",
    "INSERT INTO athena.leases (ticket) VALUES (1)",
    "DELETE FROM athena.leases",
    "DELETE FROM athena.workers",
    "UPDATE athena.families SET paused_at = now()",
    "UPDATE athena.lanes SET last_by = NULL",
    "SELECT athena.lane_prune('0', '0')",
    "SELECT athena.adopt()",
])
def test_its_role_may_not(database, role, sql):
    database.enqueue("noop")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.connect(user=role).execute(sql)


def test_it_needs_nothing_of_the_application(database, keep):
    """Families whose programs are not on this host, payload keys of their own: none of its business."""
    database.query("INSERT INTO athena.families (name, payload_keys) VALUES ('mail', '{\"to\": {\"type\": \"string\", \"required\": true}}')")
    job = database.value("INSERT INTO athena.jobs (family, payload, run_at)"
                         " VALUES ('mail', '{\"to\": \"Ada\"}', now() + interval '200 ms') RETURNING id")
    keep(families={"mail": {"run": "command", "command": ["/not/on/this/host"]}})
    database.wait_for_state(job, "ready", 20)


# What it does

def test_every_lane_does_its_work(database, keep):
    """One thing for each lane to do, done beforehand by nobody."""
    worker = Worker(database)
    late, parked = database.enqueue("noop", timeout="1 s"), database.enqueue("noop")
    rows = {row["job_id"]: row for row in worker.claim(2)}
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s' WHERE job_id = %s", late)
    worker.conn.execute("SELECT athena.open_wait(%s, %s, %s)", [worker.id, parked, rows[parked]["ticket"]])
    worker.settle(rows[parked], "parked", retry_in="1 ms")
    orphaned = database.enqueue("noop")
    gone = Worker(database)
    gone.claim()
    database.query("DELETE FROM athena.workers WHERE id = %s", gone.id)
    forgotten = Worker(database)
    forgotten.is_silent_for(7200)
    expired = database.enqueue("noop")
    database.query("SELECT athena.cancel(%s)", expired)
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '2 min'")
    leaf = database.value("SELECT max(relname) FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'")
    database.query(f"DROP TABLE athena.{leaf}")
    database.query("INSERT INTO athena.tallies SELECT 'noop', 'succeeded', n FROM (VALUES (1), (-1)) AS v (n), generate_series(1, 100)")
    delayed = database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '200 ms') RETURNING id")
    database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('often', '* * * * *', 'noop')")
    database.query("UPDATE athena.schedules SET next_at = now()")
    keep(env={"ATHENA_RETENTION_FINISHED": "1m"})
    done = {
        "promote": lambda: database.job(delayed)["state"] == "ready",
        "rescue": lambda: database.job(orphaned)["state"] == "ready",
        "deadlines": lambda: database.column("SELECT kind FROM athena.failures WHERE job_id = %s", late) == ["overdue"],
        "waits": lambda: database.column("SELECT code FROM athena.failures WHERE job_id = %s", parked) == ["wait_timed_out"],
        "tallies": lambda: database.value("SELECT count(*) < 100 FROM athena.tallies"),
        "leaves": lambda: database.value("SELECT to_regclass(%s) IS NOT NULL", f"athena.{leaf}"),
        "prune": lambda: not database.query("SELECT FROM athena.jobs WHERE id = %s", expired),
        "registry": lambda: not database.query("SELECT FROM athena.workers WHERE id = %s", forgotten.id),
        "schedule": lambda: database.column("SELECT outcome FROM athena.fires LIMIT 1") == ["queued"],
    }
    assert list(done) == LANES == database.column("SELECT lane FROM athena.lanes ORDER BY number")
    for lane, condition in done.items():
        wait_until(condition, 30, f"{lane} has done its work")
    assert_lawful(database)


def test_it_rescues_the_silent(database, keep):
    database.query("UPDATE athena.families SET lease = '6 s' WHERE name = 'noop'")
    job = database.enqueue("noop")
    silent = Worker(database)
    silent.claim()
    keep(lanes=["rescue"])
    database.wait_for_state(job, "ready", 30)
    (failure,) = database.query("SELECT kind, code FROM athena.failures WHERE job_id = %s", job)
    assert failure == {"kind": "lost", "code": "silent"}
    assert_lawful(database)


def test_it_is_registered_and_beats(database, keep, run):
    program = keep()
    (row,) = database.query("SELECT id, kind, pid, families, heartbeat_at FROM athena.workers")
    assert (row["kind"], row["pid"], row["families"]) == ("maintenance", program.pid, [])
    wait_until(lambda: database.value("SELECT heartbeat_at FROM athena.workers") > row["heartbeat_at"], 20)
    listed = json.loads(run("athena", "worker", "list", "--json").stdout)
    assert [(worker["kind"], worker["state"], worker["running"]) for worker in listed] == [("maintenance", "alive", 0)]
    assert database.value("SELECT count(*) FROM athena.workers") == 1


def test_status_and_metrics_with_its_own_rights(database, keep, run, role):
    program = keep("--http=127.0.0.1:0")
    promote_one(database)
    url = database.cluster.url(database.name, role)
    lanes = {row["lane"]: row for row in json.loads(run("athena", "maintenance", "status", "--json", url=url).stdout)}
    assert list(lanes) == LANES
    for lane in lanes.values():
        assert (lane["state"], lane["leader"].endswith(f":{program.pid}")) == ("fine", True), lane
    assert lanes["promote"]["total"] >= 1
    pages = Pages.of(program)
    wait_until(lambda: pages.get("/readyz").status == 200, 20)
    text = wait_until(lambda: (page := pages.get("/metrics").text) and "athena_up 1\n" in page and page, 20)
    for lane in LANES:
        assert f'athena_maintenance_leader{{lane="{lane}"}} 1\n' in text
        assert f'athena_maintenance_lane_seconds{{lane="{lane}"}}' in text
    for metric in ("athena_queue_depth", "athena_queue_oldest_age_seconds", "athena_jobs_enqueued_total", "athena_workers"):
        assert f"\n{metric}{{" in text, metric
    assert "\nathena_jobs_claimed_total{" not in text  # it has claimed none, and says nothing about it


def test_without_anybody_status_says_so(database, run):
    lanes = json.loads(run("athena", "maintenance", "status", "--json").stdout)
    assert {lane["state"] for lane in lanes} == {"never ran"}
    database.query("UPDATE athena.lanes SET last_at = now() - interval '1 hour'")
    lanes = json.loads(run("athena", "maintenance", "status", "--json").stdout)
    assert {lane["lane"]: lane["state"] for lane in lanes} == {
        **{lane: "overdue" for lane in LANES}}


# Several of them, and how they end

def who_leads(database, *programs):
    """The one of these that leads promotion; a lane's row may still name one that is gone."""
    return next((program for program in programs if leader(database) == program.pid), None)


@pytest.mark.parametrize("how", ["killed", "stopped", "ended"])
def test_another_takes_over(database, keep, how):
    """Lanes have one leader each; who goes, however, is followed by another, and nothing is lost."""
    programs = [keep(lanes=[]) for _ in range(3)]
    promote_one(database)
    first = wait_until(lambda: who_leads(database, *programs), 20)
    others = [program for program in programs if program is not first]
    if how == "killed":
        first.kill()
    elif how == "stopped":
        stop(first.pid)
    else:
        assert first.terminate() == 0
    wait_until(lambda: who_leads(database, *others), 30)
    promote_one(database)
    if how == "stopped":
        resume(first.pid)
        first.wait_log(r"lane_left .*lane=promote\b", 30)  # it finds out, and follows
        promote_one(database)
        assert who_leads(database, *others)
    assert database.value("SELECT count(DISTINCT last_by) FROM athena.lanes WHERE lane = 'promote'") == 1
    assert_lawful(database)


def test_a_leader_that_stands_still_inside_a_step_is_passed_by(database, keep):
    """Its transaction holds the lane's lock and its row, and nobody ends it: overdue, the lane goes on."""
    holder = database.connect()
    holder.execute("BEGIN")
    assert holder.execute("SELECT athena.run_lane('promote', %s)", [uuid.uuid4()]).fetchone()["run_lane"] == 0
    keep(lanes=set(LANES) - {"promote"})
    job = database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '200 ms') RETURNING id")
    database.wait_for_state(job, "ready", 60)
    holder.execute("ROLLBACK")
    assert_lawful(database)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_goodbye(database, keep, number):
    program = keep()
    program.signal(number)
    assert program.wait() == 0
    assert database.query("SELECT * FROM athena.workers") == []
    assert program.pid not in processes()


def test_it_ends_while_postgres_is_away(own_cluster, programs):
    database = own_cluster.migrated_database()
    program = programs.spawn("athena", "maintenance", "run", url=database.url)
    program.wait_log(r"lane_led .*lane=promote\b", 30)
    database.close()
    own_cluster.stop()
    program.wait_log("connection_(lost|failed)", 20)
    assert program.terminate() == 0


def test_the_documents_tell_it_from_a_worker():
    text = (ROOT / "docs/maintenance.md").read_text()
    assert "| `athena maintenance run` | no: it has no family, no executor, calls no URL | yes |" in text
    assert "| `athena-worker`, `athena-daemon` | yes | yes |" in text
