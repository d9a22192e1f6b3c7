#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How do other queues compare, on the same server in the same sitting?

--peers DIR holds a program `run`, called as `run NAME drain` and `run NAME e2e`, and a folder for each
NAME. Settings are environment variables (PGURL, JOBS, WORKERS, PROCS, BETWEEN_SQL, RATE, SECS), the
answer is one line of JSON, `ok` among it. We and they take turns; ratios are of medians. Everybody
comes through TCP on loopback. What a peer does for its figure (keeps outcomes or deletes jobs, leases
jobs or not) is for its own driver to say.
"""
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
    """Figures of one sitting: {(what, who): [values]}"""

    def __init__(self, stand):
        self.stand = stand
        self.figures = {}

    def add(self, queue, what, who, value, **details):
        self.figures.setdefault((what, who), []).append(value)
        note(f"{what}: {who}: {value:.4g}")
        self.stand.emit(queue, variant=f"{what} by {who}", value=value, **details)

    def summarise(self, queue):
        """A line per peer and figure: we over them, medians."""
        medians = {key: statistics.median(values) for key, values in self.figures.items()}
        for (what, who), theirs in sorted(medians.items()):
            ours = medians.get((what, "athena"))
            if who != "athena" and ours is not None and theirs:
                note(f"{what}: athena / {who} = {ours / theirs:.2f}")
                self.stand.emit(queue, variant=f"{what}: athena / {who}", summary=True,
                                ratio=round(ours / theirs, 3), athena=ours, peer=theirs,
                                runs=len(self.figures[what, who]))


def measure_drains(sitting, given, processes, names):
    stand, what = sitting.stand, f"drain jobs/s, {processes} process(es)"
    queue, rate, figures = drain.run(stand, given.jobs, processes)
    sitting.add(queue, what, "athena", rate, **figures)
    queue.drop()
    for name in names:
        answer = run_peer(stand, given.peers, name, "drain", JOBS=given.jobs, WORKERS=24,
                          PROCS=processes, BETWEEN_SQL="analyze")
        if answer:
            sitting.add(stand.empty, what, name, answer["drain_per_s"], answer=answer)
            if processes == 1:
                sitting.add(stand.empty, "bulk enqueue jobs/s", name, answer["enqueue_per_s"], answer=answer)


def measure_enqueue(sitting, given):
    queue, rate, figures = enqueue.bulk(sitting.stand, "copy_10000", given.jobs, 0)
    sitting.add(queue, "bulk enqueue jobs/s", "athena", rate, **figures)
    queue.drop()


def measure_latency(sitting, given, names):
    stand = sitting.stand
    figures = {"athena": idle.trickle(stand, given.seconds)}
    for name in names:
        figures[name] = run_peer(stand, given.peers, name, "e2e", RATE=500, SECS=given.seconds,
                                 WORKERS=4)
    for who, answer in figures.items():
        for p in ("p50", "p99") if answer else ():
            sitting.add(stand.empty, f"pickup {p} ms at 500/s", who, answer[f"{p}_ms"], answer=answer)


def main():
    given = options(__doc__, peers=("", ""), only=("", ""), jobs=(100_000, 300_000), seconds=(10, 30),
                    rounds=(1, 5))
    if not given.peers:
        raise SystemExit("peers.py: --peers DIR is missing")
    given.peers = pathlib.Path(given.peers).resolve()
    names = peer_names(given.peers, given.only)
    with Stand("peers", tcp=True) as stand:
        stand.empty = stand.queue()
        sitting = Sitting(stand)
        for _ in range(given.rounds):
            measure_enqueue(sitting, given)
            for processes in PROCESSES:
                measure_drains(sitting, given, processes, names)
            measure_latency(sitting, given, names)
        sitting.summarise(stand.empty)


if __name__ == "__main__":
    main()
