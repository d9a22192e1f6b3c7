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
    stand.emit(queue, "lone", jobs=found["jobs"], pickup_ms=waits,
               commit_ms={"p50": found["enqueue_p50_ms"], "p99": found["enqueue_p99_ms"]})
    queue.drop()


def pick_up(stand, seconds, rate=500):
    """Single-row commits at a rate, on a queue of their own; percentiles in ms, and more of the run."""
    queue = stand.queue()
    workers = stand.workers(queue, 1, log="debug")
    wait_quiet(queue, workers)
    producer = Producer(stand, queue, sql_one(), rate, seconds, 8, ids=True)
    found = producer.result()
    queue.wait_succeeded(found["jobs"])
    waits = pickup_ms(producer, workers, skip_s=1)
    stand.stop_workers()
    queue.check(found["jobs"])
    note(f"at {rate} commits/s: p50 {waits['p50']} ms, p99 {waits['p99']} ms")
    return queue, waits, {"jobs": found["jobs"], "offered_per_s": found["jobs_per_s"],
                          "late_max_ms": found["late_max_ms"],
                          "commit_ms": {"p50": found["enqueue_p50_ms"], "p99": found["enqueue_p99_ms"]}}


def trickle(stand, seconds, number):
    queue, waits, details = pick_up(stand, seconds)
    stand.emit(queue, "rate=500", number, pickup_ms=waits, **details)
    queue.drop()


RESTING = {"fresh": 0, "after work": 2000} # jobs that it did before


def resting(stand, given, variant):
    """A worker that never had a job, and one that has worked, with its executors waiting."""
    jobs = RESTING[variant]
    queue = stand.queue()
    (worker,) = stand.workers(queue, 1)
    queue.fill(jobs)
    queue.wait_succeeded(jobs)
    wait_quiet(queue, [worker], quiet_s=1)
    pids, server = worker.session_pids(), stand.cluster.process.pid
    begun, worker_s, server_s = time.monotonic(), cpu_s(worker.pid), cpu_s(server)
    time.sleep(given.rest)
    seconds = time.monotonic() - begun
    worker_s, server_s = cpu_s(worker.pid) - worker_s, cpu_s(server) - server_s
    stand.emit(queue, f"resting, {variant}", processes=len(pids), memory_mb=memory_mb(pids),
               worker_memory_mb=memory_mb([worker.pid]),
               worker_cpu_ms_per_s=round(worker_s / seconds * 1000, 3),
               server_cpu_ms_per_s=round(server_s / seconds * 1000, 3))
    note(f"resting, {variant}: {memory_mb(pids)} MB, {worker_s / seconds * 1e6:.0f} us of CPU per s")
    stand.stop_workers()
    queue.check(jobs)
    queue.drop()


def main():
    given = options(__doc__, lone=(50, 500), seconds=(10.0, 60.0), rounds=(2, 5), rest=(5.0, 60.0))
    with Stand("idle", given.lines) as stand:
        if not stand.answer("lone"):
            lone(stand, given)
        for number in range(given.rounds):
            if not stand.answer("rate=500", number):
                trickle(stand, given.seconds, number)
        for variant in RESTING:
            if not stand.answer(f"resting, {variant}"):
                resting(stand, given, variant)


if __name__ == "__main__":
    main()
