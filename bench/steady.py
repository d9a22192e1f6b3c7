#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Do workers keep up with producers, and what does a job cost then?

Producers commit at a given rate, a batch of jobs each time, while one worker serves; afterwards the
queue has to be empty. Waits are from the transaction that enqueued to the one that claimed, by
Postgres' clock; idle.py measures to the start of the handler.
"""
import time

from load import Producer, claim_waits_ms, finished_per_s, sql_rows, wait_quiet
from stand import Meter, Stand, memory_mb, note, options


def run(stand, given, rate):
    queue = stand.queue()
    workers = stand.workers(queue, given.workers)
    wait_quiet(queue, workers)
    producer = Producer(stand, queue, sql_rows(given.payload), rate, given.seconds, 4, given.batch)
    meter = Meter(queue, workers, [producer])
    found = producer.result()
    begun = time.monotonic()
    queue.wait_succeeded(found["jobs"])
    behind_s = time.monotonic() - begun
    figures = meter.stop(found["jobs"])
    dead = queue.dead_tuples()
    memory = memory_mb([pid for worker in workers for pid in worker.session_pids()])
    stand.stop_workers()
    queue.check(found["jobs"])
    stand.emit(queue, f"rate={rate}", batch=given.batch, seconds=given.seconds,
               payload_bytes=given.payload, jobs=found["jobs"], offered_per_s=found["jobs_per_s"],
               behind_s=round(behind_s, 3), wait_ms=claim_waits_ms(queue, skip_s=1),
               dead_tuples=dead, memory_mb=memory, per_second=finished_per_s(queue), **figures)
    note(f"steady, {rate}/s offered: behind by {behind_s:.2f} s at the end")
    queue.drop()


def main():
    given = options(__doc__, rate=(0, 20_000), seconds=(10.0, 1800.0), batch=(10, 100), workers=(1, 2),
                    payload=(100, 100))
    with Stand("steady", given.lines) as stand:
        for rate in [given.rate] if given.rate else [500, 2000, 5000, 10000]:
            if not stand.answer(f"rate={rate}"):
                run(stand, given, rate)


if __name__ == "__main__":
    main()
