# SPDX-License-Identifier: PostgreSQL
"""The crash matrix of maintenance: the leader is hurt in the middle of each lane's step.

What the step was about is there before the leader starts, so that the first step that passes the
point has something to do. A worker takes over, as leader too, and the accounts are settled.
"""

import pytest

from athena_test import wait_until
from crash import enqueue, rows
from sessions import Worker, small_leaves

# Point, what is due, harms; * is the sample.
ROWS = """
lane_run(promote).send       due          kill *error drop
lane_run(promote).sent       due          *kill drop away
lane_run(promote).answered   due          kill *drop
lane_run(rescue).send        unregistered kill error drop
lane_run(rescue).sent        unregistered *kill drop
lane_run(rescue).answered    unregistered kill drop
lane_run(deadlines).send     overdue      kill error drop
lane_run(deadlines).sent     overdue      *kill drop
lane_run(deadlines).answered overdue      kill drop
lane_run(waits).send         unanswered   kill error drop
lane_run(waits).sent         unanswered   *kill drop
lane_run(waits).answered     unanswered   kill *drop
lane_run(tallies).send       uncounted    kill error drop
lane_run(tallies).sent       uncounted    kill drop
lane_run(tallies).answered   uncounted    kill *drop
lane_run(leaves).send        outrun       kill error drop
lane_run(leaves).sent        outrun       kill *drop
lane_run(leaves).answered    outrun       kill drop
lane_run(prune).send         expired      kill error drop
lane_run(prune).sent         expired      *kill drop
lane_run(prune).answered     expired      kill drop
lane_run(registry).send      forgotten    kill error drop
lane_run(registry).sent      forgotten    kill *drop
lane_run(registry).answered  forgotten    kill drop
lane_run(schedule).send      scheduled    kill error drop
lane_run(schedule).sent      scheduled    *kill drop away
lane_run(schedule).answered  scheduled    kill *drop
rescue.send                  dead         kill error drop
rescue.sent                  dead         *kill drop away
rescue.answered              dead         kill *drop
"""


def due(case):
    case.database.query("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '10 ms' FROM generate_series(1, 20)")
    wait_until(lambda: case.database.value("SELECT max(run_at) < now() FROM athena.scheduled"))


def unregistered(case):
    """Leases of a worker whose row is gone."""
    enqueue(case.database, 5)
    worker = Worker(case.database)
    worker.claim(4)
    case.database.query("DELETE FROM athena.workers WHERE id = %s", worker.id)


def overdue(case):
    enqueue(case.database, 5)
    Worker(case.database).claim(4)
    case.database.query("UPDATE athena.leases SET deadline_at = now()")


def unanswered(case):
    """Jobs that were parked, whose time is over; the next one who asks is answered."""
    case.database.query("INSERT INTO athena.families (name, lease) VALUES ('ask', '6 s')")
    jobs = enqueue(case.database, 3, family="ask")
    asker = case.start_worker()
    for job in jobs:
        case.database.wait_for_state(job, "waiting")
    assert asker.terminate() == 0
    case.database.query("UPDATE athena.waiting SET expires_at = now()")
    case.ask_outside()


def uncounted(case):
    enqueue(case.database, 2)
    case.database.query("INSERT INTO athena.tallies SELECT 'noop', 'ready', (-1) ^ n FROM generate_series(1, 120) AS n")


def outrun(case):
    small_leaves(case.database, 20)
    enqueue(case.database, 30)


def expired(case):
    """Leaves of 20 ids; jobs that were cancelled long ago, and one that waits still."""
    small_leaves(case.database, 20)
    for job in enqueue(case.database, 25)[1:]:
        case.database.query("SELECT athena.cancel(%s)", job)
    case.database.query("UPDATE athena.outcomes SET finished_at = now() - interval '90 days'")


def forgotten(case):
    enqueue(case.database, 2)
    Worker(case.database).is_silent_for(7200)


def scheduled(case):
    """A schedule whose time has come, once."""
    case.database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('yearly', '@yearly', 'noop')")
    case.database.query("UPDATE athena.schedules SET next_fire = date_trunc('minute', now()), next_at = now()")


def dead(case):
    """A worker that is killed while it holds jobs; nobody is there to notice yet."""
    jobs = enqueue(case.database, 2, payload='{"sleep_ms": 60000}')
    victim = case.start_worker(concurrency=2)
    for job in jobs:
        case.database.wait_for_state(job, "running")
    case.database.query("UPDATE athena.jobs SET payload = '{}'")
    victim.kill()


DUE = {function.__name__: function for function in
       (due, unregistered, overdue, unanswered, uncounted, outrun, expired, forgotten, scheduled, dead)}


@pytest.mark.parametrize("point, load, harm", rows(ROWS))
def test_leader(case, point, load, harm):
    DUE[load](case)
    case.start_leader()
    case.hurt()
    case.finish()
    if load == "scheduled":
        assert case.database.column("SELECT outcome FROM athena.fires") == ["queued"]
        assert case.database.column("SELECT id FROM athena.jobs") == case.database.column("SELECT job_id FROM athena.fires")
    if load == "expired":
        while case.database.value("SELECT athena.lane_prune('1 day', '1 day')"):
            pass
        assert case.database.value("SELECT count(*) FROM athena.outcomes WHERE state = 'cancelled'") == 0
        assert case.database.conservation() == []
