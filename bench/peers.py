#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How do other queues compare, on the same server in the same sitting?

--peers DIR holds a program `run`, called as `run NAME drain` and `run NAME e2e`, and a folder for each
NAME. Settings are environment variables (PGURL, JOBS, WORKERS, PROCS, BETWEEN_SQL, RATE, SECS), the
answer is one line of JSON, `ok` among it. We and they take turns; ratios are of medians. Everybody
comes through TCP on loopback. What a peer does for its figure (keeps outcomes or deletes jobs, leases
jobs or not) is for its own driver to say. We drain twice: a family of single jobs, and a chunked one.
"""
import itertools
import json
import os
import pathlib
import statistics
import subprocess

import drain
import enqueue
import idle
from stand import Stand, note, options

PROCESSES = (1, 2)
SHARES = ("p50", "p99")
OURS = {"athena": "noop", "athena, chunked": "chunked"} # family, by what the contestant is called
ENQUEUE, DRAIN, PICKUP = "bulk enqueue jobs/s", "drain jobs/s, {} process(es)", "pickup {} ms at 500/s"


def peer_names(directory, wanted):
    found = sorted(path.name for path in directory.iterdir() if list(path.glob("driver.*")))
    return [name for name in found if not wanted or name in wanted.split(",")]


def run_peer(stand, directory, name, mode, **settings):
    """Its line, or None when it does not run here or did not do its work."""
    stand.cluster.drop_database("peer")
    stand.cluster.create_database("peer").close()
    environment = {**os.environ, "PGURL": stand.cluster.tcp_url("peer"),
                   **{key: str(value) for key, value in settings.items()}}
    done = subprocess.run([directory / "run", name, mode], capture_output=True, text=True,
                          env=environment, timeout=1800)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    answer = json.loads(lines[-1]) if lines else {}
    if done.returncode != 0 or not answer.get("ok"):
        note(f"{name} {mode}: no figure: {(done.stderr or done.stdout).strip()[-300:]}")
        return None
    return answer


class Sitting:
    """Figures of one sitting, a line for each contestant and round."""

    def __init__(self, stand, number=0):
        self.stand = stand
        self.number = number # of the round

    def lacks(self, what, who):
        return self.stand.answer(f"{what} by {who}", self.number) is None

    def add(self, what, who, value, **details):
        note(f"{what}: {who}: {value:.4g}")
        self.stand.emit(self.stand.empty, f"{what} by {who}", self.number, value=value, **details)

    def summarise(self, whats, names, rounds):
        """A line per peer and figure: we over them, medians."""
        for what, us, who in itertools.product(whats, OURS, names):
            ours, theirs = self._median(what, us, rounds), self._median(what, who, rounds)
            if ours and theirs:
                note(f"{what}: {us} / {who} = {ours / theirs:.2f}")
                self.stand.emit(self.stand.empty, f"{what}: {us} / {who}",
                                ratio=round(ours / theirs, 3), athena=ours, peer=theirs)

    def _median(self, what, who, rounds):
        lines = [self.stand.answer(f"{what} by {who}", number) for number in range(rounds)]
        values = [line["value"] for line in lines if line]
        return statistics.median(values) if values else None


def measure_drains(sitting, given, processes, names):
    stand, what = sitting.stand, DRAIN.format(processes)
    for who, family in OURS.items():
        if sitting.lacks(what, who):
            queue, rate, figures = drain.run(stand, given.jobs, processes, family)
            sitting.add(what, who, rate, **figures)
            queue.drop()
    for name in names:
        if not sitting.lacks(what, name):
            continue
        answer = run_peer(stand, given.peers, name, "drain", JOBS=given.jobs, WORKERS=24,
                          PROCS=processes, BETWEEN_SQL="analyze")
        if answer:
            sitting.add(what, name, answer["drain_per_s"], answer=answer)
            if processes == 1:
                sitting.add(ENQUEUE, name, answer["enqueue_per_s"], answer=answer)


def measure_enqueue(sitting, given):
    if sitting.lacks(ENQUEUE, "athena"):
        queue, rate, figures = enqueue.bulk(sitting.stand, "copy_10000", given.jobs, 0)
        sitting.add(ENQUEUE, "athena", rate, **figures)
        queue.drop()


def measure_latency(sitting, given, names):
    for who in ("athena", *names):
        if not sitting.lacks(PICKUP.format("p99"), who):
            continue
        if who == "athena":
            queue, found, details = idle.pick_up(sitting.stand, given.seconds)
            queue.drop()
        else:
            answer = run_peer(sitting.stand, given.peers, who, "e2e", RATE=500, SECS=given.seconds, WORKERS=4)
            found = {share: answer[f"{share}_ms"] for share in SHARES} if answer else {}
            details = {"answer": answer}
        for share in SHARES if found else ():
            sitting.add(PICKUP.format(share), who, found[share], **details)


def main():
    given = options(__doc__, peers=("", ""), only=("", ""), jobs=(100_000, 300_000), seconds=(10, 30),
                    rounds=(1, 5))
    if not given.peers:
        raise SystemExit("peers.py: --peers DIR is missing")
    given.peers = pathlib.Path(given.peers).resolve()
    names = peer_names(given.peers, given.only)
    with Stand("peers", given.lines, tcp=True) as stand:
        stand.empty = stand.queue()
        for number in range(given.rounds):
            sitting = Sitting(stand, number)
            measure_enqueue(sitting, given)
            for processes in PROCESSES:
                measure_drains(sitting, given, processes, names)
            measure_latency(sitting, given, names)
        whats = [ENQUEUE, *map(DRAIN.format, PROCESSES), *map(PICKUP.format, SHARES)]
        Sitting(stand).summarise(whats, names, given.rounds)


if __name__ == "__main__":
    main()
