#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How soon is a job of priority 0 done when the worker is under full load?

A backlog of ordinary jobs of the same family keeps one worker busy all the time; meanwhile single jobs
of priority 0 are committed, 20 a second. Times are from the transaction that enqueued such a job to
the one that settled it, by Postgres' clock: somewhat more than to its start. Two loads: no-op jobs,
and jobs of 20 ms each.
"""
from load import Producer, queue_paused
from stand import Stand, note, options, percentiles

RATE = 20
SQL = "INSERT INTO athena.jobs (family, payload, priority) VALUES ('noop', '{}', 0) RETURNING id"
LOADS = {"no-op": "{}", "20 ms": '{"sleep_ms": 20}'}


def run(stand, given, load, jobs):
    queue = stand.queue()
    queue_paused(queue, jobs, LOADS[load])
    workers = stand.workers(queue, 1)
    queue.query("SELECT athena.resume('noop')")
    found = Producer(stand, queue, SQL, RATE, given.seconds, 1).result()
    if queue.depth("noop", "ready") == 0:
        raise SystemExit(f"bench: {jobs} jobs did not last for {given.seconds} s: no figure")
    queue.wait_succeeded(jobs + found["jobs"])
    waits = percentiles(queue.column(
        "SELECT (extract(epoch FROM o.finished_at - j.created_at) * 1000)::float8 FROM athena.jobs AS j"
        "  JOIN athena.outcomes AS o ON o.job_id = j.id WHERE j.priority = 0"))
    stand.stop_workers()
    queue.check(jobs + found["jobs"])
    note(f"priority 0 beside {load} jobs: p50 {waits['p50']} ms, the longest {waits['max']} ms")
    stand.emit(queue, f"beside {load} jobs", jobs=found["jobs"], load_jobs=jobs, done_ms=waits)
    queue.drop()


def main():
    given = options(__doc__, seconds=(3.0, 20.0), no_op=(800_000, 6_000_000), slow=(1000, 8000))
    sizes = {"no-op": given.no_op, "20 ms": given.slow}
    with Stand("urgent", given.lines) as stand:
        for load, jobs in sizes.items():
            if not stand.answer(f"beside {load} jobs"):
                run(stand, given, load, jobs)


if __name__ == "__main__":
    main()
