# SPDX-License-Identifier: PostgreSQL
"""Processes are killed, or stopped and continued."""
import time

from athena_test import wait_until
from crash import LEASE_S
from workers import resume, stop


def test_one_of_two_workers_killed_again_and_again(chaos):
    """Every 2 s, with 8 executors at work; the other worker lives."""
    chaos.calm()
    killed = 0
    with chaos.harm():
        for _ in range(10):
            chaos.kill_worker(chaos.living[1])
            killed += 1
            chaos.start_worker(until=None)
            time.sleep(2)
    chaos.notes.append(f"{killed} workers killed")
    chaos.settle()


def test_a_worker_stopped_past_its_lease(chaos):
    """Its executors run on until the fence; others take its jobs; what it reports then is too late."""
    chaos.calm()
    stopped = chaos.living[1]
    with chaos.harm():
        stop(stopped.pid)
        wait_until(lambda: chaos.database.value("SELECT count(*) FROM athena.failures WHERE kind = 'lost'"),
                   what="its jobs are taken away")
        time.sleep(LEASE_S)
        resume(stopped.pid)
    lost = chaos.database.value("SELECT count(*) FROM athena.failures WHERE kind = 'lost'")
    chaos.notes.append(f"{lost} leases taken away")
    chaos.settle()


def leader(chaos, lane="promote"):
    return chaos.database.value("SELECT w.pid FROM athena.lanes AS l JOIN athena.workers AS w ON w.id = l.last_by"
                                " WHERE l.lane = %s", lane)


def test_the_leader_stopped(begin, own_cluster, programs):
    """Three processes that do nothing but maintenance. Whoever leads is stopped for 8 s, three times:
    without a leader nothing that failed is tried again."""
    chaos = begin(own_cluster)
    for _ in range(2):
        chaos.start_worker("--no-maintenance")
    keepers = {}
    for _ in range(3):
        keeper = programs.spawn("athena", "maintenance", "run", url=chaos.database.url)
        keeper.wait_log("maintenance_ready|registered")
        keepers[keeper.pid] = keeper
    chaos.living += keepers.values()
    chaos.calm()
    with chaos.harm():
        for _ in range(3):
            stopped = leader(chaos)
            stop(stopped)
            wait_until(lambda: leader(chaos) != stopped, what="somebody else leads")
            time.sleep(8)
            resume(stopped)
    chaos.notes.append("3 leaders, each for 8 s")
    chaos.settle()
    chaos.database.close()
