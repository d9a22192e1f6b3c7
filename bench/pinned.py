#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""What remains of the speed while something pins the MVCC horizon?

Four situations, each on a queue of its own, side by side in one server: nobody (the baseline of the
first), a transaction that has written and stays open; four readers that scan the hot tables every
0.1 s in autocommit (the baseline of the second), and the same readers inside one REPEATABLE READ
transaction each. All begin with the pin and go on with producers and workers together for a while,
which leaves dead tickets that nobody may remove. Then each is drained in its turn, under its pin,
several times; the readers of the others hold what they hold, and do not scan meanwhile.
"""
import random
import threading

import psycopg

from load import Producer, claim_waits_ms, drain, finished_per_s, queue_paused, sql_rows, wait_quiet
from stand import Stand, note, options

SCANS = ("SELECT count(*) FROM athena.ready", "SELECT count(*) FROM athena.leases",
         "SELECT count(*) FROM athena.tallies")


class Nobody:
    def __init__(self, queue):
        pass

    def scan(self, is_on):
        pass

    def end(self):
        pass


class Writer(Nobody):
    """A transaction with an id, and nothing else; what it wrote is no table of ours."""

    def __init__(self, queue):
        self._conn = queue.connect(autocommit=False)
        self._conn.execute("CREATE TEMPORARY TABLE pin (x integer)")
        self._conn.execute("SELECT pg_current_xact_id()")

    def end(self):
        self._conn.rollback()
        self._conn.close()


class Reader(threading.Thread):
    def __init__(self, queue, repeatable):
        super().__init__(daemon=True)
        self._conn = queue.connect(autocommit=not repeatable)
        if repeatable:
            self._conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self.is_on = threading.Event()
        self.is_on.set()
        self._ended = threading.Event()
        self.start()

    def run(self):
        while not self._ended.wait(0.1):
            if self.is_on.wait(0.1):
                for scan in SCANS:
                    self._conn.execute(scan)

    def end(self):
        self._ended.set()
        self.join()
        self._conn.close()


class Readers:
    def __init__(self, queue, repeatable=False):
        self._readers = [Reader(queue, repeatable) for _ in range(4)]

    def scan(self, is_on):
        for reader in self._readers:
            reader.is_on.set() if is_on else reader.is_on.clear()

    def end(self):
        for reader in self._readers:
            reader.end()


PINS = { # name: what pins, and whose speed it is compared with
    "nobody": (Nobody, None),
    "writer": (Writer, "nobody"),
    "readers_autocommit": (Readers, None),
    "readers_repeatable_read": (lambda queue: Readers(queue, repeatable=True), "readers_autocommit"),
}


class Scene:
    """One situation, from its pin to its last drain."""

    def __init__(self, stand, given, name):
        self.stand, self.given, self.name = stand, given, name
        self.queue = stand.queue()
        self.workers = stand.workers(self.queue, 1)
        wait_quiet(self.queue, self.workers)
        self.pin = PINS[name][0](self.queue)
        self.jobs = 0

    def begin_steady(self):
        given = self.given
        self.producer = Producer(self.stand, self.queue, sql_rows(), given.rate, given.seconds, 1, given.batch)

    def end_steady(self):
        self.jobs = self.producer.result()["jobs"]
        self.queue.wait_succeeded(self.jobs)
        self.pin.scan(False)
        figures = {"jobs": self.jobs, "dead_tuples": self.queue.dead_tuples(),
                   "wait_ms": claim_waits_ms(self.queue, skip_s=1), "per_second": finished_per_s(self.queue)}
        self.stand.emit(self.queue, f"steady pin={self.name}", rate=self.given.rate,
                        seconds=self.given.seconds, **figures)

    def drain(self, number):
        jobs = self.given.jobs
        queue_paused(self.queue, jobs)
        self.pin.scan(True)
        rate, figures = drain(self.queue, self.workers, jobs, before=self.jobs)
        self.pin.scan(False)
        self.jobs += jobs
        note(f"drain, pinned by {self.name}: {rate:.0f}/s")
        self.stand.emit(self.queue, f"drain pin={self.name}", number, jobs=jobs, jobs_per_s=round(rate),
                        dead_tuples=self.queue.dead_tuples(), **figures)

    def end(self):
        self.pin.end()
        self.queue.check(self.jobs)


def compare(stand, number):
    """A line per pin that has a baseline: what it left of that speed."""
    for name, (_, baseline) in PINS.items():
        if baseline:
            pinned, free = (stand.answer(f"drain pin={who}", number) for who in (name, baseline))
            share = pinned["jobs_per_s"] / free["jobs_per_s"]
            note(f"pinned by {name}: {share:.2f} of {baseline}")
            stand.emit(stand.empty, f"share pin={name}", number, baseline=baseline, share_of_baseline=round(share, 3))


def run(stand, given, numbers):
    stand.empty = stand.queue()
    scenes = [Scene(stand, given, name) for name in PINS]
    for scene in scenes:
        scene.begin_steady()
    for scene in scenes:
        scene.end_steady()
    for number in numbers:
        for scene in random.sample(scenes, len(scenes)):
            scene.drain(number)
        compare(stand, number)
    stand.stop_workers()
    for scene in scenes:
        scene.end()


def main():
    given = options(__doc__, rate=(500, 1000), batch=(10, 50), seconds=(10.0, 600.0),
                    jobs=(50_000, 300_000), rounds=(1, 5))
    with Stand("pinned", given.lines) as stand:
        numbers = [number for number in range(given.rounds) if not stand.answer("share pin=writer", number)]
        if numbers:
            run(stand, given, numbers)


if __name__ == "__main__":
    main()
