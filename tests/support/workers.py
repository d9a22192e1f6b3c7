# SPDX-License-Identifier: PostgreSQL
"""athena-worker under test: its settings, what its jobs run, who must be dead by when."""
import json
import os
import pathlib
import re
import signal
import time

from athena_test import DEADLINE_S, processes, wait_until
from canary import sections

# What waits in production is short here. The lease of a family is 6 s at least, so a fence falls
# 5 s after the last heartbeat.
QUICK = {"heartbeat": "300ms", "fence_margin": "1s", "reconnect_min": "20ms", "reconnect_max": "200ms",
         "cancel_grace": "500ms"}


class Workers:
    """Starts workers. Each has its own folder with a config.yaml."""

    def __init__(self, programs, url, directory):
        self._programs = programs
        self._url = url
        self._directory = pathlib.Path(directory)
        self.all = []

    def start(self, family="noop", *args, families=None, until="registered", url=None, env=None,
              program="athena-worker", secrets=sections(), **settings):
        """A worker for `family`; `families` is that section of config.yaml, settings are worker's, and
        `secrets` sections with canaries.

        Waits for the line `until` of its log, unless that is None.
        """
        path = self._directory / f"config-{len(self.all) + 1}.yaml"
        path.write_text(json.dumps({"worker": {**QUICK, **settings}, "log": {"level": "debug"},
                                    "families": families or {}, **secrets}))
        worker = self._programs.spawn(program, f"--family={family}", "--config", path, *args,
                                      url=url or self._url, env=env)
        self.all.append(worker)
        if until:
            worker.wait_log(rf" {until}\b")
        return worker


def script(directory, name, text):
    """An executable shell script, as argv."""
    path = pathlib.Path(directory) / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return [str(path)]


def read_lines(path):
    return pathlib.Path(path).read_text().splitlines() if pathlib.Path(path).exists() else []


def wait_line(path, pattern, deadline_s=DEADLINE_S):
    """Waits until a line of the file matches from its beginning; returns the match."""
    def found():
        matches = [re.match(pattern, line) for line in read_lines(path)]
        return next(filter(None, matches), None)
    return wait_until(found, deadline_s, f"{pattern!r} in {path}")


def settled(worker, job, deadline_s=DEADLINE_S, count=1):
    """Waits for the worker's line about the job's end; its fields as a dict."""
    line = worker.wait_log(rf"job_settled job={job} .*", deadline_s, count)[0]
    return dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line))


def _switches(pid):
    return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def begin(database, worker, payload, **columns):
    """Enqueues a noop that sleeps, and waits until its handler does: to be running is only to be
    claimed. The worker has one slot, whose executor has done a job before, waits for the next one
    then, and after that can only wait inside the handler."""
    database.wait_for_state(database.enqueue("noop"), "succeeded")
    (executor,) = wait_until(worker.children)
    seen = [0]

    def is_quiet():
        seen.append(_switches(executor))
        return seen[-1] == seen[-2]
    wait_until(is_quiet, every_s=0.1)
    job = database.enqueue("noop", payload, **columns)
    wait_until(lambda: _switches(executor) > seen[-1])
    database.wait_for_state(job, "running")
    return job


def fetch_behind(database, count=50, sleep_ms=60000):
    """A long job in the only slot of a worker, and quick ones that it has fetched behind it: (long, quick).
    It does so within a quarter of a second of the long one, after quick ones; so more than one try may
    be needed."""
    leases = "SELECT count(*) FROM athena.leases"
    insert = "INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, %s) RETURNING id"
    for _ in range(20):
        database.column(insert, 500)
        wait_until(lambda: database.query("SELECT 1 FROM athena.ready UNION ALL SELECT 1 FROM athena.leases") == [])
        long = database.enqueue("noop", {"sleep_ms": sleep_ms}, priority=0)
        database.wait_for_state(long, "running")
        quick = database.column(insert, count)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            if database.value(leases) > 5:
                return long, quick
        database.query("SELECT athena.cancel(%s)", long)
    raise AssertionError("nothing is ever fetched ahead")


def is_dead(*pids):
    return not set(pids) & set(processes())


def wait_dead(*pids, deadline_s=DEADLINE_S):
    """Waits until none of them lives; returns when that was, by time.monotonic()."""
    wait_until(lambda: is_dead(*pids), deadline_s, f"{pids} are dead", every_s=0.005)
    return time.monotonic()


def stop(*pids):
    """SIGSTOP, and waits until it has come: the state is T."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        wait_until(lambda: pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZ",
                   what=f"{pid} has stopped")


def resume(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def overlap(spans):
    """How many of these [begin, end) lie over each other at most."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most
