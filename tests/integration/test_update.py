# SPDX-License-Identifier: PostgreSQL
"""An update while everything goes on: workers of the release before, whose schema changes under them.

Their programs are built from the last commit with fewer migrations (support/older-schema), once, in a
folder of the build folder.
"""
import collections
import os
import re
import subprocess
import threading

import pytest

from athena_test import BUILD, ROOT, wait_until
from ledger import wait_drained
from sessions import assert_lawful
from workers import read_lines, script

LOCK = 1635018852  # of migrations
NAMES = sorted(path.stem for path in (ROOT / "sql/migrations").glob("*.sql"))


def build_older():
    """The folder of the older tree, with its athena-worker in it."""
    commit = subprocess.run(["sh", ROOT / "tests/support/older-schema"], check=True, text=True,
                            capture_output=True).stdout.strip()
    folder = BUILD / "older" / commit
    if not folder.exists():
        fresh = folder.with_suffix(".new")
        fresh.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", fresh], input=archive.stdout, check=True)
        fresh.rename(folder)
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", "-C", folder, f"-j{os.cpu_count()}", "PACKAGES=skip", "build/athena-worker",
                           "CFLAGS=-O0 -U_FORTIFY_SOURCE"], env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Load(threading.Thread):
    """Jobs that come all the time, until stop(), each in a transaction of its own."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.conn = database.connect()
        self.ended = threading.Event()
        self.jobs = []
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            row = self.conn.execute("INSERT INTO athena.jobs (family) VALUES ('own') RETURNING id").fetchone()
            self.jobs.append(row["id"])

    def stop(self):
        self.ended.set()
        self.join()
        return self.jobs


def version(text):
    return tuple(map(int, text.split(".")))


@pytest.mark.deadline(900)
def test_workers_of_the_last_schema_go_on_and_drain_while_it_changes(run, spawn, empty_database, workers, tmp_path):
    database, older = empty_database, build_older()
    count = len(list((older / "sql/migrations").glob("*.sql")))
    run("psql", "-Xq", "-d", database.url, "-f", "-",
        stdin=run("athena", "migrate", "--sql").stdout.partition(f"-- Migration {NAMES[count]}")[0])
    executed = tmp_path / "executed"
    own = {"own": {"run": "command", "command": script(tmp_path, "own", f"echo $ATHENA_JOB_ID >>{executed}\nsleep 0.05\n")}}
    stays, leaves = (workers.start("own", program=str(older / "build/athena-worker"), families=own, url=database.url)
                     for _ in range(2))
    load = Load(database)

    def finished(more):
        goal = len(read_lines(executed)) + more
        wait_until(lambda: len(read_lines(executed)) >= goal, what=f"{more} jobs more")

    finished(50)
    with database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s, 0)", [LOCK])
        migrate = spawn("athena", "migrate", url=database.url)
        migrate.wait_log("waiting for a lock that somebody else holds")
        finished(20)
        leaves.signal(15)
        holder.execute("SELECT pg_advisory_unlock(%s, 0)", [LOCK])
    assert leaves.wait() == 0
    assert migrate.wait() == 0
    assert re.findall(r"^applied +(\S+)", migrate.stdout(), re.M) == NAMES[count:]

    oldest = max(version(row) for row in database.column("SELECT oldest_program FROM athena.migrations"))
    if oldest <= version(run(str(older / "build/athena-worker"), "--version").stdout.split()[1]):
        finished(50)
    present = workers.start("own", families=own, url=database.url)
    assert stays.terminate() == 0
    finished(20)
    jobs = load.stop()
    wait_drained(database)
    assert present.terminate() == 0
    assert collections.Counter(map(int, read_lines(executed))) == collections.Counter(jobs)
    assert database.query("SELECT state, attempt, count(*)::int AS jobs FROM athena.outcomes GROUP BY 1, 2") == [
        {"state": "succeeded", "attempt": 1, "jobs": len(jobs)}]
    assert database.query("SELECT * FROM athena.failures") == []
    assert_lawful(database)
