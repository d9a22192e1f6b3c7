#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""For how long does kill -9 of a worker delay the jobs that it held?

Two workers drain a backlog; as soon as one of them holds as many jobs as it ever does, it is killed.
Its jobs run again on the other: at once when that one sees that the process is gone (same host),
and when the family's lease has passed where it cannot see that (as if from elsewhere: the registry is
told another host). The delay is from the kill to the claim of the second attempt. By then nothing
else waits, so that no job stands behind others in the line.
"""
from load import queue_paused
from stand import Stand, note, options, percentiles, wait_until

LEASE_S = 6
HELD = 300 # of 200 fetched and what its executors have in hand


def worker_row(queue, worker):
    return queue.value("SELECT id FROM athena.workers WHERE pid = %s", worker.pid)


def kill_when_full(queue, victim):
    """When, by Postgres' clock, the worker was killed."""
    row = worker_row(queue, victim)
    wait_until(lambda: queue.value("SELECT count(*) FROM athena.leases WHERE worker_id = %s", row) >= HELD,
               60, f"a worker holds {HELD} jobs", every_s=0)
    at = queue.value("SELECT clock_timestamp()")
    victim.kill()
    return at


def run(stand, given, where, number):
    queue = stand.queue()
    queue.query("UPDATE athena.families SET lease = %s * interval '1 s' WHERE name = 'noop'", LEASE_S)
    queue_paused(queue, given.jobs)
    workers = stand.workers(queue, 2)
    if where == "elsewhere":
        queue.query("UPDATE athena.workers SET host = 'elsewhere', boot_id = 'elsewhere' WHERE pid = %s",
                    workers[0].pid)
    queue.query("SELECT athena.resume('noop')")
    killed_at = kill_when_full(queue, workers[0])
    queue.wait_succeeded(given.jobs)
    delays = queue.column("SELECT extract(epoch FROM started_at - %s)::float8 FROM athena.outcomes"
                          " WHERE attempt > 1", killed_at)
    stand.stop_workers()
    queue.check(given.jobs, retried=len(delays))
    found = percentiles(delays)
    note(f"killed, {where}: {len(delays)} jobs waited, the longest {found['max']} s")
    stand.emit(queue, where, number, jobs=given.jobs, lease_s=LEASE_S, delayed=len(delays),
               delay_s=found)
    queue.drop()


def main():
    given = options(__doc__, jobs=(50_000, 100_000), rounds=(1, 10))
    with Stand("crash", given.lines) as stand:
        for number in range(given.rounds):
            for where in ("same host", "elsewhere"):
                if not stand.answer(where, number):
                    run(stand, given, where, number)


if __name__ == "__main__":
    main()
