#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How long does a lone job wait, alone and at 500 commits/s, and what does an idle worker cost?

From just before the producer sends its statement to the start of the handler, which the executor
writes into the worker's debug log.
"""
import time

from load import Producer, pickup_ms, sql_one, wait_quiet
from stand import Stand, cpu_s, memory_mb, note, options


def lone(stand, given):
    """One job every 0.2 s: every one of them finds the worker asleep."""
    queue = stand.queue()
    workers = stand.workers(queue, 1, log="debug")
    wait_quiet(queue, workers)
    producer = Producer(stand, queue, sql_one(), 5, given.lone / 5, 1, ids=True)
    found = producer.result()
    queue.wait_succeeded(found["jobs"])
    waits = pickup_ms(producer, workers, skip_s=0.3)
    stand.stop_workers()
    queue.check(found["jobs"])
    note(f"a lone job: p50 {waits['p50']} ms, p99 {waits['p99']} ms")
    stand.emit(queue, variant="lone", jobs=found["jobs"], pickup_ms=waits,
               commit_ms={"p50": found["enqueue_p50_ms"], "p99": found["enqueue_p99_ms"]})
    queue.drop()


def trickle(stand, seconds, rate=500):
    """Single-row commits at a rate; figures of the run."""
    queue = stand.queue()
    workers = stand.workers(queue, 1, log="debug")
    wait_quiet(queue, workers)
    producer = Producer(stand, queue, sql_one(), rate, seconds, 8, ids=True)
    found = producer.result()
    queue.wait_succeeded(found["jobs"])
    waits = pickup_ms(producer, workers, skip_s=1)
    stand.stop_workers()
    queue.check(found["jobs"])
    stand.emit(queue, variant=f"rate={rate}", jobs=found["jobs"], pickup_ms=waits,
               offered_per_s=found["jobs_per_s"], late_max_ms=found["late_max_ms"],
               commit_ms={"p50": found["enqueue_p50_ms"], "p99": found["enqueue_p99_ms"]})
    note(f"at {rate} commits/s: p50 {waits['p50']} ms, p99 {waits['p99']} ms")
    queue.drop()
    return {f"{name}_ms": value for name, value in waits.items()}


def resting(stand, given):
    """A worker that has worked, with its executors waiting, and one that never had a job."""
    queue = stand.queue()
    for variant, jobs in (("fresh", 0), ("after work", 2000)):
        (worker,) = stand.workers(queue, 1)
        queue.fill(jobs)
        before = queue.depth("noop", "succeeded")
        queue.wait_succeeded(before + jobs - (before if jobs else 0))
        wait_quiet(queue, [worker], quiet_s=1)
        pids = worker.session_pids()
        cpu, begun = cpu_s(worker.pid), time.monotonic()
        server = cpu_s(stand.cluster.process.pid)
        time.sleep(given.rest)
        seconds = time.monotonic() - begun
        stand.emit(queue, variant=f"resting, {variant}", processes=len(pids), memory_mb=memory_mb(pids),
                   worker_memory_mb=memory_mb([worker.pid]),
                   worker_cpu_ms_per_s=round((cpu_s(worker.pid) - cpu) / seconds * 1000, 3),
                   server_cpu_ms_per_s=round((cpu_s(stand.cluster.process.pid) - server) / seconds * 1000, 3))
        stand.stop_workers()
    queue.check(2000)
    queue.drop()


def main():
    given = options(__doc__, lone=(50, 500), seconds=(10.0, 60.0), rounds=(2, 5), rest=(5.0, 60.0))
    with Stand("idle") as stand:
        lone(stand, given)
        for _ in range(given.rounds):
            trickle(stand, given.seconds)
        resting(stand, given)


if __name__ == "__main__":
    main()
