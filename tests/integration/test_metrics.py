# SPDX-License-Identifier: PostgreSQL
"""What /metrics says: is it true, is it understood, and what does it cost."""
import contextlib
import re
import subprocess

import pytest

from athena_test import ROOT, wait_until
from pages import Pages, Prometheus, documented
from sessions import Worker, assert_lawful, counted_depth

STATES = ("ready", "scheduled", "running", "waiting", "succeeded", "dead", "cancelled")

# What others rely on: a name that changes breaks somebody's alerts.
NAMES = {
    "athena_queue_depth": ("family", "state"), "athena_queue_oldest_age_seconds": ("family",),
    "athena_jobs_enqueued_total": ("family",), "athena_jobs_claimed_total": ("family",),
    "athena_jobs_finished_total": ("family", "outcome"), "athena_attempts_failed_total": ("family",),
    "athena_jobs_rescued_total": ("family", "reason"), "athena_job_wait_seconds": ("family",),
    "athena_job_run_seconds": ("family",), "athena_workers": ("kind",),
    "athena_maintenance_leader": ("lane",), "athena_maintenance_lane_seconds": ("lane",),
    "athena_listener_connected": (), "athena_oldest_xmin_age_seconds": (),
    "athena_build_info": ("version", "schema", "commit"), "athena_uptime_seconds": ()}


@pytest.fixture
def scrape(workers):
    """Starts a worker with --http; its pages once Postgres answers."""
    def scrape(family="noop", *args, **options):
        pages = Pages.of(workers.start(family, "--http=:0", *args, **options))
        wait_until(lambda: pages.metrics().get("athena_up") == 1)
        return pages
    return scrape


def fresh(pages, condition, what=None):
    """Waits until a scrape meets the condition, and returns it. One page may be a little old, or lack
    what Postgres did not tell in time."""
    def look():
        metrics = pages.metrics()
        with contextlib.suppress(KeyError):
            return condition(metrics) and metrics
    return wait_until(look, what=what)


# --- Names and form

def make_backup(database):
    """A row of the catalog: without backups they have no age."""
    database.query("INSERT INTO athena.backups (job_id, ticket, attempt, state, client, store, place, stem, manifest, verified_at, drilled_at)"
                   " VALUES (1, 1, 1, 'completed', 'shop', 'local', '/b', 's', '{}', now(), now())")


def labels_of(metrics, name):
    """The names of the labels of a metric's samples, `le` left out."""
    line = re.search(rf"^{name}(?:_count)?(?:\{{(.*)\}})? \S+$", metrics.text, re.M)
    return tuple(re.findall(r'(\w+)="', line[1] or ""))


def test_names_and_labels_are_those_of_the_manual(database, scrape):
    database.query("UPDATE athena.families SET max_running = 3, max_running_per_key = 1, rate_count = 1, rate_period = '1 s'"
                   " WHERE name = 'command'")  # what has no limit has no series of one
    make_backup(database)
    database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('yearly', '@yearly', 'noop')")
    metrics = fresh(scrape(), lambda m: m.of("athena_maintenance_lane_age_seconds"))
    told = {name: (kind, labels_of(metrics, name)) for name, kind in metrics.types.items()}
    assert told == documented()
    assert {name: told[name][1] for name in NAMES} == NAMES


def test_whole_database_series_say_so(database, scrape):
    manual = (ROOT / "docs/metrics.md").read_text()
    of_process, of_database = manual.split("**Of the whole database**")
    helps = scrape().metrics().helps
    for name, text in helps.items():
        is_whole = f"| `{name}` |" in of_database
        assert is_whole or f"| `{name}` |" in of_process
        assert text.endswith(" Of the whole database: use max, not sum.") == is_whole, name


@pytest.mark.parametrize("program, args", [
    ("athena-worker", ("--family=noop,clone",)), ("athena-daemon", ()), ("athena", ("maintenance", "run"))],
    ids=["worker", "daemon", "maintenance"])
def test_promtool_finds_nothing_to_say(database, spawn, program, args):
    database.query("INSERT INTO athena.workers (kind, host) VALUES ('odd \"kind\"\\ of' || chr(10) || 'worker', 'h')")
    pages = Pages.of(spawn(program, *args, "--http=:0"))
    odd = ("athena_workers", r"odd \"kind\"\\ of\nworker")
    metrics = fresh(pages, lambda m: m["athena_up"] == 1 and m[odd] == 1)
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics.text, text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_build_info(database, scrape):
    newest = max(int(path.name[:4]) for path in (ROOT / "sql/migrations").glob("*.sql"))
    (version, schema, commit), = fresh(scrape(), lambda m: m["athena_up"] == 1).of("athena_build_info")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version) and schema == str(newest) and commit


# --- Depth

def enqueue_many(database, jobs, payload="{}", **columns):
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    database.query(f"INSERT INTO athena.jobs (family, payload{names}) SELECT 'noop', '{payload}'{values} "
                   f"FROM generate_series(1, {jobs})")


def assert_depth_is_exact(database, pages, families=("backup", "noop", "command", "clone")):
    """At rest the page says what can be counted, as soon as it is not an older one. Returns that page."""
    counted = counted_depth(database)
    depth = {(family, state): counted.get((family, state), 0) for family in families for state in STATES}
    pruned = {row["family"]: row["sum"] for row in database.query(
        "SELECT family, sum(delta)::bigint FROM athena.totals WHERE what = 'pruned' GROUP BY 1")}
    enqueued = {family: sum(depth[family, state] for state in STATES) + pruned.get(family, 0) for family in families}
    metrics = fresh(pages, lambda m: m.of("athena_queue_depth") == depth, f"depth is {depth}")
    assert metrics["athena_up"] == 1
    assert metrics.of("athena_jobs_enqueued_total") == enqueued
    return metrics


def test_depth_is_exact_after_every_kind_of_load(database, workers):
    """Success, failure, retry, crash, delay, cancel, pause, duplicates, a callback waited for."""
    first, second = (Pages.of(workers.start("noop", "--http=:0", executor_attempts=50)) for _ in range(2))
    enqueue_many(database, 2000)
    enqueue_many(database, 200, '{"fail": "transient", "fail_times": 1}')
    enqueue_many(database, 50, '{"fail": "permanent"}')
    enqueue_many(database, 30, '{"crash": "kill"}', max_attempts="1")
    enqueue_many(database, 40, run_at="now() + interval '300 ms'")
    enqueue_many(database, 70, run_at="now() + interval '1 h'")
    enqueue_many(database, 20, priority="9", unique_key="'key'")
    running = [database.enqueue("noop", {"sleep_ms": 600000}) for _ in range(2)]
    for job in running:
        database.wait_for_state(job, "running")
    database.query("SELECT athena.pause('clone')")
    database.query("SELECT athena.cancel(id) FROM athena.jobs WHERE run_at > now() + interval '1 min' LIMIT 10")
    database.query("SELECT athena.cancel(%s)", running[0])
    for family in ("command", "clone"):
        database.query("INSERT INTO athena.jobs (family, payload) SELECT %s, '{\"name\": \"x\", \"source\": \"a\", \"target\": \"b\"}'"
                       "::jsonb - CASE WHEN %s = 'clone' THEN '{name}' ELSE '{source,target}' END::text[] "
                       "FROM generate_series(1, 5)", family, family)
    wait_until(lambda: database.value(
        "SELECT sum(jobs) FROM athena.depth WHERE family = 'noop' AND state IN ('ready', 'running')") == 1, 90,
        "all but one have ended")
    wait_until(lambda: database.value(
        "SELECT count(*) FROM athena.scheduled WHERE run_at < now() + interval '10 min'") == 0)
    wait_until(lambda: database.value(
        "SELECT sum(jobs) FROM athena.depth WHERE family = 'noop' AND state IN ('ready', 'running')") == 1)
    for pages in (first, second):
        metrics = assert_depth_is_exact(database, pages)
        assert metrics["athena_queue_depth", "noop", "running"] == 1
        assert metrics["athena_queue_depth", "noop", "scheduled"] == 60
        assert metrics["athena_queue_depth", "noop", "dead"] == 80
        assert metrics["athena_queue_depth", "noop", "cancelled"] == 11
        assert metrics["athena_queue_depth", "clone", "ready"] == 5
    assert_lawful(database)
    # And what the two have counted is what happened.
    sums = {name: sum(pages.metrics().of(name).get("noop", 0) for pages in (first, second))
            for name in ("athena_jobs_claimed_total", "athena_attempts_failed_total")}
    finished = {outcome: sum(pages.metrics()["athena_jobs_finished_total", "noop", outcome] for pages in (first, second))
                for outcome in ("succeeded", "dead", "cancelled")}
    assert finished == {"succeeded": 2000 + 200 + 40 + 1, "dead": 80, "cancelled": 1}
    assert sums["athena_attempts_failed_total"] == 200 + 50 + 30
    assert sums["athena_jobs_claimed_total"] >= 2241 + 80 + 200 + 2


def test_depth_and_enqueued_after_pruning_and_retry(database, scrape):
    pages = scrape()
    enqueue_many(database, 100)
    enqueue_many(database, 10, '{"fail": "permanent"}')
    fresh(pages, lambda m: m["athena_queue_depth", "noop", "succeeded"] == 100
          and m["athena_queue_depth", "noop", "dead"] == 10)
    job = database.value("SELECT min(job_id) FROM athena.outcomes WHERE state = 'dead'")
    database.query("SELECT athena.retry(%s)", job)
    database.wait_for_state(job, "dead")
    assert_depth_is_exact(database, pages)
    database.query("UPDATE athena.outcomes SET finished_at = now() - interval '8 days' WHERE state = 'succeeded'")
    somebody = Worker(database).id
    database.query("UPDATE athena.lanes SET last_by = %s, last_at = now() WHERE lane = 'prune'", somebody)
    wait_until(lambda: database.value("SELECT athena.run_lane('prune', %s)", somebody) == 0)
    assert database.value("SELECT count(*) FROM athena.jobs") == 10
    metrics = assert_depth_is_exact(database, pages)
    assert metrics["athena_jobs_enqueued_total", "noop"] == 110
    assert metrics["athena_queue_depth", "noop", "succeeded"] == 0
    assert_lawful(database)


def test_totals_are_folded_without_a_loss(database):
    for _ in range(12):
        database.query("INSERT INTO athena.totals SELECT 'noop', 'pruned', 1 FROM generate_series(1, 100)")
    database.query("INSERT INTO athena.totals VALUES ('noop', 'silent', 5)")
    assert database.value("SELECT athena.lane_tallies()") == 1201
    assert database.query("SELECT * FROM athena.totals ORDER BY what") == [
        {"family": "noop", "what": "pruned", "delta": 1200}, {"family": "noop", "what": "silent", "delta": 5}]


def test_families_that_come_later_are_told(database, scrape):
    pages = scrape()
    database.query("INSERT INTO athena.families (name) VALUES ('late')")
    database.enqueue("late")
    metrics = fresh(pages, lambda m: m.get("athena_queue_depth", "late", "ready") == 1)
    assert metrics["athena_jobs_enqueued_total", "late"] == 1
    assert metrics.get("athena_jobs_claimed_total", "late") is None, "nobody here serves it"


# --- Waits, runs and ages

def test_histograms_of_waits_and_runs(database, scrape):
    """A delay is no wait; a second attempt has none; what was put back by hand neither."""
    database.query("SELECT athena.pause('noop')")
    jobs = [database.enqueue("noop", {"sleep_ms": 30}) for _ in range(5)]
    failing = database.enqueue("noop", {"fail": "permanent"})
    for job in (*jobs, failing):
        set_back(database, job, "300 s")
    delayed = database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '2 s') RETURNING id")
    database.query("UPDATE athena.jobs SET created_at = created_at - interval '1 h' WHERE id = %s", delayed)
    pages = scrape()
    database.query("SELECT athena.resume('noop')")
    for job in (*jobs, delayed):
        database.wait_for_state(job, "succeeded")
    database.wait_for_state(failing, "dead")
    database.query("SELECT athena.retry(%s)", failing)
    metrics = fresh(pages, lambda m: m["athena_job_run_seconds_count", "noop"] == 8)
    assert metrics["athena_job_wait_seconds_count", "noop"] == 7
    waits = {float(le): n for (family, le), n in metrics.of("athena_job_wait_seconds_bucket").items()}
    assert waits[200] == 1, "only the delayed one did not wait long"
    assert waits[float("inf")] == 7
    assert 6 * 300 < metrics["athena_job_wait_seconds_sum", "noop"] < 6 * 300 + 7 * 60
    runs = {float(le): n for (family, le), n in metrics.of("athena_job_run_seconds_bucket").items()}
    assert list(runs.values()) == sorted(runs.values())
    assert runs[0.02] <= 3 and runs[float("inf")] == 8
    assert 5 * 0.03 <= metrics["athena_job_run_seconds_sum", "noop"] < 60


def age(pages, family="noop"):
    """-1: the page does not tell."""
    age_s = pages.metrics().get("athena_queue_oldest_age_seconds", family)
    return -1 if age_s is None else age_s


def set_back(database, job, interval):
    database.query("UPDATE athena.jobs SET created_at = created_at - %s::interval, run_at = run_at - %s::interval "
                   "WHERE id = %s", interval, interval, job)


def test_oldest_age_is_that_of_the_first_in_line(database, scrape):
    pages = scrape("clone")
    wait_until(lambda: age(pages) == 0)
    first, second, urgent = (database.enqueue("noop", priority=p) for p in (5, 5, 0))
    set_back(database, first, "100 s")
    set_back(database, second, "200 s")  # drew its number later: its transaction was a long one
    wait_until(lambda: 100 <= age(pages) < 130)
    set_back(database, urgent, "1000 s")  # another lane
    wait_until(lambda: 1000 <= age(pages) < 1030)
    worker = Worker(database)
    claimed = worker.claim()
    assert claimed[0]["job_id"] == urgent
    wait_until(lambda: 100 <= age(pages) < 130)
    worker.claim(2)
    wait_until(lambda: age(pages) == 0)


def test_oldest_age_of_delayed_jobs_begins_when_they_fall_due(database, scrape):
    pages = scrape("clone")
    job = database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '1 h') RETURNING id")
    database.query("UPDATE athena.jobs SET created_at = now() - interval '2 h' WHERE id = %s", job)
    fresh(pages, lambda m: m["athena_queue_depth", "noop", "scheduled"] == 1)
    wait_until(lambda: age(pages) == 0)
    database.query("UPDATE athena.jobs SET run_at = now() WHERE id = %s", job)
    database.query("UPDATE athena.scheduled SET run_at = now() WHERE job_id = %s", job)
    wait_until(lambda: 0 < age(pages) < 600)


def test_oldest_age_of_failed_jobs_begins_with_their_next_attempt(database, scrape):
    pages = scrape("clone")
    job = database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    set_back(database, job, "1 h")
    worker.settle(row, "failed", error="oops", retry_in="100 ms")
    database.wait_for_state(job, "ready")
    wait_until(lambda: 0 < age(pages) < 600)


def test_oldest_age_of_jobs_put_back_is_since_the_last_one_before(database, scrape):
    pages = scrape("clone")
    job = database.enqueue("noop")
    worker = Worker(database)
    (row,) = worker.claim()
    worker.settle(row, "failed", error="oops", error_kind="permanent")
    set_back(database, job, "1 h")
    between = database.enqueue("command", {"name": "x"})
    set_back(database, between, "50 s")
    database.query("SELECT athena.retry(%s)", job)
    wait_until(lambda: 50 <= age(pages) < 600)


def test_oldest_age_begins_at_the_worker_s_floors(database, own_cluster, workers):
    """With the horizon pinned, dead tickets stand in front; the floor leads past them."""
    own_cluster.configure(log_statement="all")
    own_cluster.reload()
    queue = own_cluster.migrated_database()
    pages = Pages.of(workers.start("noop", "--http=:0", url=queue.url))
    for _ in range(40):
        enqueue_many(queue, 50)
        wait_until(lambda: queue.value("SELECT count(*) FROM athena.outcomes") % 50 == 0)

    def starts():
        pages.metrics()
        found = re.findall(r"parameters: \$1 = '\{noop\}', \$2 = '\{\"\{(\d+(?:,\d+)*)\}\"\}'", own_cluster.log_text())
        return found and max(int(floors.split(",")[5]) for floors in found) > 0
    wait_until(starts, what="a search begins at a floor")


# --- Processes, lanes, rescues, horizon

def test_processes_and_leaders(database, workers, spawn):
    one, two = (workers.start("noop", "--http=:0") for _ in range(2))
    lanes = spawn("athena", "maintenance", "run", "--http=:0")
    all_pages = [Pages.of(program) for program in (one, two, lanes)]
    fresh(all_pages[2], lambda m: m.of("athena_workers") == {"worker": 2, "maintenance": 1})

    def leaders():
        metrics = [pages.metrics() for pages in all_pages]
        return [sum(m["athena_maintenance_leader", lane] for m in metrics)
                for lane in metrics[0].of("athena_maintenance_leader")]
    lane_count = database.value("SELECT count(*) FROM athena.lanes")
    wait_until(lambda: leaders() == [1] * lane_count)
    metrics = fresh(all_pages[0], lambda m: len(m.of("athena_maintenance_lane_seconds")) == lane_count
                    and m["athena_listener_connected"] == 1)
    assert all(0 <= took < 60 for took in metrics.of("athena_maintenance_lane_seconds").values())
    assert all(0 <= ago < 120 for ago in metrics.of("athena_maintenance_lane_age_seconds").values())
    assert all_pages[2].metrics().get("athena_listener_connected") is None
    assert two.terminate() == 0
    fresh(all_pages[0], lambda m: m["athena_workers", "worker"] == 1)


def test_without_maintenance_nobody_leads(database, scrape):
    metrics = scrape("noop", "--no-maintenance").metrics()
    assert set(metrics.of("athena_maintenance_leader").values()) == {0}
    assert metrics.of("athena_maintenance_lane_age_seconds") == {}, "no lane ever ran"


def test_rescues_by_reason(database, workers, scrape):
    pages = scrape("clone")
    worker = workers.start("noop", "--no-maintenance")
    jobs = [database.enqueue("noop", {"sleep_ms": 60000}) for _ in range(3)]
    for job in jobs:
        database.wait_for_state(job, "running")
    worker.kill()
    metrics = fresh(pages, lambda m: m["athena_jobs_rescued_total", "noop", "dead"] == 3
                    and m["athena_queue_depth", "noop", "ready"] == 3)
    assert sum(metrics.of("athena_jobs_rescued_total").values()) == 3
    assert set(database.column("SELECT code FROM athena.failures WHERE kind = 'lost'")) == {"dead"}
    gone = Worker(database)
    gone.claim(1)
    database.query("DELETE FROM athena.workers WHERE id = %s", gone.id)
    fresh(pages, lambda m: m["athena_jobs_rescued_total", "noop", "unregistered"] == 1)
    late = Worker(database)
    late.claim(2)
    database.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s' WHERE worker_id = %s", late.id)
    fresh(pages, lambda m: m["athena_jobs_rescued_total", "noop", "overdue"] == 2)
    assert_lawful(database)


def test_slots(database, scrape):
    pages = scrape("noop", concurrency=3)
    assert pages.metrics()["athena_slots", "noop"] == 3
    jobs = [database.enqueue("noop", {"sleep_ms": 60000}) for _ in range(2)]
    fresh(pages, lambda m: m["athena_slots_busy", "noop"] == 2)
    for job in jobs:
        database.query("SELECT athena.cancel(%s)", job)
    fresh(pages, lambda m: m["athena_slots_busy", "noop"] == 0)


def test_the_horizon(database, scrape):
    pages = scrape()
    fresh(pages, lambda m: m["athena_oldest_xmin_age_seconds"] < 1)
    with database.connect(autocommit=False) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT 1 FROM athena.families")
        for _ in range(5):
            database.enqueue("noop")
        fresh(pages, lambda m: m["athena_oldest_xmin_age_seconds"] > 1.5
              and m["athena_oldest_xmin_age_transactions"] >= 5)
        conn.rollback()
    fresh(pages, lambda m: m["athena_oldest_xmin_age_seconds"] < 1)
    with database.connect(autocommit=False) as conn:  # prepared and forgotten
        conn.execute("SELECT pg_current_xact_id()")
        conn.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        fresh(pages, lambda m: m["athena_oldest_xmin_age_seconds"] > 1.5)
    finally:
        database.query("ROLLBACK PREPARED 'forgotten'")


def test_a_role_with_few_rights(database, scrape, cluster):
    """All but the horizon, which would be a part of the truth only."""
    database.query("DROP ROLE IF EXISTS metrics_test")
    database.query("CREATE ROLE metrics_test LOGIN IN ROLE athena_worker")
    pages = scrape(url=cluster.url(database.name, "metrics_test"))
    metrics = fresh(pages, lambda m: m["athena_up"] == 1)
    assert metrics.get("athena_oldest_xmin_age_seconds") is None
    assert metrics.get("athena_oldest_xmin_age_transactions") is None
    assert metrics["athena_workers", "worker"] == 1
    database.query("GRANT pg_read_all_stats TO metrics_test")
    try:
        fresh(pages, lambda m: m.get("athena_oldest_xmin_age_seconds") is not None)
    finally:
        database.query("REVOKE pg_read_all_stats FROM metrics_test")


def test_behind_a_transaction_pooler(database, scrape, tmp_path):
    pages = scrape(env={"ATHENA_DATABASE_PREPARE": "never"})
    database.enqueue("noop")
    fresh(pages, lambda m: m["athena_queue_depth", "noop", "succeeded"] == 1)


def test_limits_of_families(database, scrape):
    pages = scrape("clone")
    fresh(pages, lambda m: m.of("athena_family_held_back") == {} and m.of("athena_family_max_running") == {})
    database.query("UPDATE athena.families SET max_running = 3, max_running_per_key = 1, rate_count = 90, rate_period = '1 min'"
                   " WHERE name = 'noop'")
    database.query("INSERT INTO athena.jobs (family, concurrency_key) SELECT 'noop', 'k' FROM generate_series(1, 2)")
    held = fresh(pages, lambda m: m.of("athena_family_held_back")).of("athena_family_held_back")
    assert held == {("noop", "max_running"): 0, ("noop", "max_running_per_key"): 0, ("noop", "rate"): 0}
    Worker(database).claim()
    metrics = fresh(pages, lambda m: m["athena_family_held_back", "noop", "max_running_per_key"] == 1)
    assert metrics["athena_family_held_back", "noop", "rate"] == 0
    assert metrics.of("athena_family_max_running") == {"noop": 3}
    assert metrics.of("athena_family_max_running_per_key") == {"noop": 1}
    assert metrics.of("athena_family_rate_per_second") == {"noop": 1.5}


# --- What it costs

BIG_TABLES = "jobs|ready|scheduled|leases|waiting|outcomes|events|failures|uniques"


def test_nothing_is_counted(own_cluster, workers, spawn):
    """Neither in a statement that is sent, nor in a plan behind one."""
    own_cluster.configure(log_statement="all", session_preload_libraries="auto_explain", **{
        "auto_explain.log_min_duration": "0", "auto_explain.log_nested_statements": "on"})
    own_cluster.reload()
    database = own_cluster.migrated_database()
    pages = [Pages.of(workers.start("noop", "--http=:0", url=database.url)),
             Pages.of(spawn("athena", "maintenance", "run", "--http=:0", url=database.url))]
    enqueue_many(database, 1000)
    enqueue_many(database, 100, run_at="now() + interval '1 h'")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.outcomes") == 1000)
    for _ in range(3):
        for page in pages:
            assert page.metrics()["athena_up"] == 1
            assert page.is_ready()
    entries = re.findall(r"^\d{4}-\d\d-\d\d .*\n(?:\t.*\n)*", own_cluster.log_text(), re.M)
    of_http = [entry for entry in entries if " athena http LOG: " in entry]
    sent = "".join(entry for entry in of_http if " LOG:  execute " in entry)
    plans = "".join(entry for entry in of_http if " plan:" in entry)
    assert "metrics_depth" in sent and "metrics_oldest" in sent and "migrations_list" in sent
    assert not re.search(r"\bcount\s*\(", sent, re.I)
    assert "Index Only Scan using ready_line" in plans or "Index Scan using ready_line" in plans
    assert not re.search(rf"Seq Scan on (athena\.)?({BIG_TABLES})(_\w+)?\b", plans), plans
    # The lanes, too: what they send is a function's name.
    of_lanes = "".join(entry for entry in entries if " athena maintenance LOG:  execute " in entry)
    assert "lane_run" in of_lanes and not re.search(r"\bcount\s*\(", of_lanes, re.I)


def test_a_scrape_takes_milliseconds_with_a_big_backlog(database, scrape):
    pages = scrape("clone")
    for _ in range(4):
        enqueue_many(database, 100_000)
    enqueue_many(database, 100_000, run_at="now() + interval '1 day'")
    fresh(pages, lambda m: m["athena_queue_depth", "noop", "ready"] == 400_000
          and m["athena_queue_depth", "noop", "scheduled"] == 100_000)
    took = [pages.get("/metrics").took_s for _ in range(21)]
    assert min(took) < 0.25, took
    set_back(database, database.value("SELECT min(job_id) FROM athena.ready"), "1 h")
    wait_until(lambda: 3600 < age(pages) < 3700)


def test_a_pinned_horizon_makes_it_neither_wrong_nor_slow(database, scrape):
    """Dead tickets in front of the line, and a program that has proved no floor."""
    pages = scrape("clone")
    with database.connect(autocommit=False) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT 1 FROM athena.families")
        database.query("UPDATE athena.families SET lease = '1 h' WHERE name = 'noop'")  # this worker has no heartbeat
        enqueue_many(database, 200_000)
        left = database.enqueue("noop")
        worker = Worker(database)
        for _ in range(20):
            worker.settle_succeeded(*worker.claim(10_000))
        set_back(database, left, "5000 s")
        fresh(pages, lambda m: m["athena_up"] == 1 and m["athena_queue_depth", "noop", "ready"] == 1)
        wait_until(lambda: 5000 <= age(pages) < 6000)
        took = [pages.get("/metrics").took_s for _ in range(11)]
        assert min(took) < 1, took
        conn.rollback()


# --- A real Prometheus

def test_a_real_prometheus_scrapes_it(database, workers, spawn, tmp_path):
    pages = [Pages.of(workers.start("noop", "--http=:0")) for _ in range(2)]
    pages.append(Pages.of(spawn("athena", "maintenance", "run", "--http=:0")))
    for page in pages:
        wait_until(page.is_ready)
    prometheus = Prometheus(spawn, tmp_path, pages)
    wait_until(lambda: [target["health"] for target in prometheus.targets()] == ["up"] * 3, what="all targets are up")
    assert {target["lastError"] for target in prometheus.targets()} == {""}
    # Limits have series only where they are.
    database.query("UPDATE athena.families SET max_running = 3, max_running_per_key = 1, rate_count = 10, rate_period = '1 s'"
                   " WHERE name = 'clone'")
    make_backup(database)
    database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('yearly', '@yearly', 'noop')")
    enqueue_many(database, 500)
    enqueue_many(database, 20, '{"fail": "permanent"}')
    enqueue_many(database, 30, run_at="now() + interval '1 h'")

    def told():
        return prometheus.query("max by (state) (athena_queue_depth{family=\"noop\"})")
    wait_until(lambda: told().get(("succeeded",)) == 500 and told().get(("dead",)) == 20)
    assert told()["scheduled",] == 30
    for expression, expected in (
            ("sum by (outcome) (athena_jobs_finished_total{family='noop'})",
             {("succeeded",): 500, ("dead",): 20, ("cancelled",): 0}),
            ("sum(athena_jobs_claimed_total)", {(): 520}),
            ("max(athena_jobs_enqueued_total)", {(): 550}),
            ("sum(athena_maintenance_leader{lane='promote'})", {(): 1}),
            ("sum(athena_up)", {(): 3}),
            ("max by (kind) (athena_workers)", {("worker",): 2, ("maintenance",): 1})):
        wait_until(lambda: prometheus.query(expression) == expected, what=f"{expression} is {expected}")
    (p99,) = prometheus.query("histogram_quantile(0.99, sum by (le) (athena_job_wait_seconds_bucket))").values()
    assert 0 < p99 <= 20
    for name, (kind, _) in documented().items():
        (found,) = wait_until(lambda: prometheus.api("metadata", metric=name).get(name), what=f"{name} was scraped")
        assert found["type"] == kind
    assert prometheus.program.terminate() == 0
