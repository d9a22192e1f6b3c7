#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""What remains of the speed while something pins the MVCC horizon?

Four situations, each on a queue of its own: nobody (the baseline of the first), a transaction that
has written and stays open; four readers that scan the hot tables every 0.1 s in autocommit (the
baseline of the second), and the same readers inside one REPEATABLE READ transaction each. Each
begins with the pin, goes on with producers and workers together for a while, which leaves dead
tickets that nobody may remove, and ends with a drain under the same pin.
"""
import contextlib
import threading

import psycopg

from load import Producer, claim_waits_ms, drain, finished_per_s, queue_paused, sql_rows, wait_quiet
from stand import Meter, Stand, note, options

SCANS = ("SELECT count(*) FROM athena.ready", "SELECT count(*) FROM athena.leases",
         "SELECT count(*) FROM athena.tallies")


@contextlib.contextmanager
def nobody(queue):
    yield


@contextlib.contextmanager
def writer(queue):
    """A transaction with an id, and nothing else; what it wrote is no table of ours."""
    with queue.connect(autocommit=False) as conn:
        conn.execute("CREATE TEMPORARY TABLE pin (x integer)")
        conn.execute("SELECT pg_current_xact_id()")
        yield
        conn.rollback()


class Reader(threading.Thread):
    def __init__(self, queue, repeatable):
        super().__init__(daemon=True)
        self._conn = queue.connect(autocommit=not repeatable)
        if repeatable:
            self._conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._ended = threading.Event()
        self.scans = 0

    def run(self):
        while not self._ended.wait(0.1):
            for scan in SCANS:
                self._conn.execute(scan)
            self.scans += 1

    def end(self):
        self._ended.set()
        self.join()
        self._conn.close()


@contextlib.contextmanager
def readers(queue, repeatable):
    started = [Reader(queue, repeatable) for _ in range(4)]
    for reader in started:
        reader.start()
    yield
    for reader in started:
        reader.end()


PINS = {
    "nobody": (nobody, "nobody"),
    "writer": (writer, "nobody"),
    "readers_autocommit": (lambda queue: readers(queue, False), "readers_autocommit"),
    "readers_repeatable_read": (lambda queue: readers(queue, True), "readers_autocommit"),
}


def run(stand, given, pin, number):
    """Emits a line for the steady part and one for the drain."""
    queue = stand.queue()
    workers = stand.workers(queue, 1)
    wait_quiet(queue, workers)
    with PINS[pin][0](queue):
        producer = Producer(stand, queue, sql_rows(), given.rate, given.seconds, 4, given.batch)
        meter = Meter(queue, workers, [producer])
        found = producer.result()
        queue.wait_succeeded(found["jobs"])
        steady = {**meter.stop(found["jobs"]), "jobs": found["jobs"], "dead_tuples": queue.dead_tuples(),
                  "wait_ms": claim_waits_ms(queue, skip_s=1), "per_second": finished_per_s(queue)}
        queue_paused(queue, given.jobs)
        rate, figures = drain(queue, workers, given.jobs, before=found["jobs"])
        figures["dead_tuples"] = queue.dead_tuples()
    stand.stop_workers()
    queue.check(found["jobs"] + given.jobs)
    stand.emit(queue, f"steady pin={pin}", number, rate=given.rate, seconds=given.seconds, **steady)
    baseline = PINS[pin][1]
    if baseline != pin:
        unpinned = stand.answer(f"drain pin={baseline}", number)["jobs_per_s"]
        figures["share_of_baseline"] = round(rate / unpinned, 3)
    line = stand.emit(queue, f"drain pin={pin}", number, jobs=given.jobs, jobs_per_s=round(rate),
                      baseline=baseline, **figures)
    note(f"pinned by {pin}: drain {rate:.0f}/s, {line.get('share_of_baseline', 1):.2f} of {baseline}")
    queue.drop()


def main():
    given = options(__doc__, rate=(2000, 5000), batch=(10, 50), seconds=(10.0, 600.0),
                    jobs=(50_000, 300_000), rounds=(1, 3))
    with Stand("pinned", given.lines) as stand:
        for number in range(given.rounds):
            for pin in PINS:
                if not stand.answer(f"drain pin={pin}", number):
                    run(stand, given, pin, number)


if __name__ == "__main__":
    main()
