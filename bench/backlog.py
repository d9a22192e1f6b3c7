#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""What does a claim cost when much waits: beside ten thousand ready jobs, and beside millions?

Two queues in one server take turns: a small one, and one with the large backlog, scheduled jobs and
a paused family beside it. Each turn claims a batch and settles it, with the statements and session
settings of the worker, and the small queue gets as many new jobs as were claimed. What counts is the
CPU time of the server process during the claim; how long it took is given as well.
"""
import pathlib
import random
import re
import statistics
import time

from stand import ROOT, Stand, note, options, percentiles

SETTINGS = ("plan_cache_mode=force_generic_plan", "enable_seqscan=off", "enable_hashjoin=off",
            "enable_mergejoin=off", "jit=off", "search_path=pg_catalog,pg_temp")
LANES = "'{0,1,2,3,4,5,6,7,8,9}'"
BATCHES = (1, 100)
WARM_TURNS = 5 # what is prepared, cached and loaded by then does not count


def statement(name):
    text = (ROOT / f"sql/statements/{name}.sql").read_text()
    return text.replace("%", "%%")


class Claimer:
    """A worker's hot path on one connection, timed."""

    def __init__(self, queue):
        self.queue = queue
        self.after = 0
        self.times_ms, self.cpu_us = [], []
        self._conn = queue.connect(options=" ".join(f"-c {setting}" for setting in SETTINGS))
        self._id = queue.value("SELECT athena.register_worker('{noop}')")
        for name in ("claim", "settle_succeeded"):
            self._conn.execute(f"PREPARE {name} AS {statement(name)}")

    def _cpu_us(self):
        """Of the server process, by now: to the nanosecond, since it waits for us."""
        path = pathlib.Path(f"/proc/{self._conn.info.backend_pid}/schedstat")
        return int(path.read_text().split()[0]) / 1000

    def turn(self, batch):
        """Claims from the cursor and settles; the claim is timed, the commit is not."""
        floors = ",".join([str(self.after)] * 10)
        self._conn.execute("BEGIN")
        cpu_us, begun = self._cpu_us(), time.perf_counter()
        rows = self._conn.execute(f"EXECUTE claim('noop', '{self._id}', {batch}, {LANES},"
                                  f" '{{{floors}}}')").fetchall()
        self.times_ms.append((time.perf_counter() - begun) * 1000)
        self.cpu_us.append(self._cpu_us() - cpu_us)
        if len(rows) != batch:
            raise SystemExit(f"bench: a claim of {batch} got {len(rows)}: no figure")
        tickets = [row["ticket"] for row in rows]
        self.after = max(tickets)
        self._conn.execute(f"EXECUTE settle_succeeded('{self._id}', '{{{','.join(map(str, tickets))}}}')")
        self._conn.execute("COMMIT")

    def explain(self, batch):
        """Blocks that a claim touches, rolled back."""
        self._conn.execute("BEGIN")
        rows = self._conn.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) EXECUTE claim('noop', '{self._id}', {batch}, {LANES},"
            f" '{{{','.join([str(self.after)] * 10)}}}')").fetchall()
        self._conn.execute("ROLLBACK")
        text = "\n".join(row["QUERY PLAN"] for row in rows)
        hit, read = re.search(r"Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?", text).groups("0")
        return int(hit) + int(read)


def make_small(stand, given):
    queue = stand.queue()
    queue.fill(given.small)
    queue.query("VACUUM ANALYZE")
    return queue


def make_large(stand, given):
    queue = stand.queue()
    note(f"filling a queue with {given.large} ready, {given.beside} scheduled, {given.beside} paused jobs")
    queue.query("INSERT INTO athena.families (name) VALUES ('beside')")
    queue.query("SELECT athena.pause('beside')")
    queue.fill(given.beside, "beside")
    queue.query("INSERT INTO athena.jobs (family, run_at) SELECT 'noop', now() + interval '1 day'"
                " FROM generate_series(1, %s)", given.beside)
    seconds = queue.fill(given.large)
    note(f"{given.large} jobs took {seconds:.0f} s")
    queue.query("VACUUM ANALYZE")
    return queue


def measure(stand, given, batch, small, large):
    claimers = {"small": Claimer(small), "large": Claimer(large)}
    for number in range(given.turns + WARM_TURNS):
        for name in random.sample(sorted(claimers), 2):
            claimers[name].turn(batch)
        small.fill(batch)
        if number + 1 == WARM_TURNS:
            for claimer in claimers.values():
                claimer.times_ms.clear()
                claimer.cpu_us.clear()
    took = {name: percentiles(claimer.times_ms) for name, claimer in claimers.items()}
    cpu = {name: percentiles(claimer.cpu_us) for name, claimer in claimers.items()}
    blocks = {name: claimer.explain(batch) for name, claimer in claimers.items()}
    ratio = statistics.median(claimers["large"].cpu_us) / statistics.median(claimers["small"].cpu_us)
    note(f"claim of {batch}: {ratio:.3f} of the small queue's CPU time")
    stand.emit(large, f"batch={batch}", small_jobs=given.small, large_jobs=given.large,
               beside_jobs=given.beside, claim_cpu_us=cpu, claim_ms=took, blocks=blocks,
               large_over_small=round(ratio, 3), turns=given.turns)


def main():
    given = options(__doc__, small=(10_000, 10_000), large=(1_000_000, 10_000_000),
                    beside=(100_000, 1_000_000), turns=(200, 1000))
    with Stand("backlog", given.lines) as stand:
        if all(stand.answer(f"batch={batch}") for batch in BATCHES):
            return
        small, large = make_small(stand, given), make_large(stand, given)
        for batch in BATCHES:
            measure(stand, given, batch, small, large)
        for queue in (small, large):
            queue.check((given.turns + WARM_TURNS) * sum(BATCHES))


if __name__ == "__main__":
    main()
