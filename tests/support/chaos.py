# SPDX-License-Identifier: PostgreSQL
"""What chaos tests stand on: a load whose producer keeps books of its own, and what became of it."""
import collections
import contextlib
import json
import pathlib
import threading
import time

import psycopg

from athena_test import FAULT_BUILD, connect, wait_until
from crash import LEASE_S
from ledger import Ledger, settle_accounts, wait_drained
from workers import Workers

# For how long throughput is watched. Nothing is decided by it.
WARM_UP_S = 3
CALM_S = 6
AFTER_S = 12
AIM = 0.95

INSERT = ("INSERT INTO athena.jobs (family, kind, max_attempts, payload, priority)"
          " SELECT 'noop', mark::text, 50, payload, mark %% 10"
          "   FROM unnest(%s::bigint[], %s::jsonb[]) AS t (mark, payload) RETURNING id, kind")


def payload(mark):
    """Most jobs take a moment; some run for seconds, fail once, or kill their executor."""
    if mark % 400 == 0:
        return {"sleep_ms": 3000}
    if mark % 101 == 0:
        return {"crash": "kill", "fail_times": 1}
    if mark % 10 == 0:
        return {"fail_times": 1}
    return {"sleep_ms": mark % 40}


class Producer:
    """Puts jobs in from a thread of its own, and writes down what became of each INSERT.

    A job's `kind` is its mark, which is never given twice. Every mark is in one of three books:
    `acknowledged` (with its job's id), `refused` (the server said no) or `unknown` (the connection
    ended before there was an answer; it is not sent again). With `backlog` as many jobs as that are
    always ready, with `every_s` one comes at a time.
    """

    BATCH = 100

    def __init__(self, url, backlog=600, every_s=None):
        self._url = url
        self._backlog = backlog
        self._every_s = every_s
        self._conn = None
        self._mark = 0
        self._ended = threading.Event()
        self.acknowledged, self.refused, self.unknown = {}, set(), set()
        self.trouble = collections.Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._ended.set()
        self._thread.join()

    def missing(self, found):
        """{(mark, job id)} that were acknowledged, and are not among the jobs that there are."""
        return set(self.acknowledged.items()) - set(found)

    def findings(self, found, conceded=frozenset()):
        """What is wrong with the jobs that there are, [(mark, job id)]; `conceded` may be missing."""
        counts = collections.Counter(mark for mark, _ in found)
        for mark, job in self.missing(found) - conceded:
            yield f"job {job} (mark {mark}) was committed, and is lost"
        for mark, count in counts.items():
            if count > 1:
                yield f"mark {mark} was put in once, and is {count} jobs"
            if mark not in self.acknowledged and mark not in self.unknown:
                yield f"mark {mark} was never put in, or was refused, and is a job"

    def _run(self):
        while not self._ended.is_set():
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = connect(self._url, connect_timeout=10)
                self._step()
            except (psycopg.OperationalError, psycopg.InternalError) as error:
                self.trouble[type(error).__name__] += 1
                self._ended.wait(0.05)
        if self._conn:
            self._conn.close()

    def _step(self):
        if self._every_s:
            self._insert(1)
            self._ended.wait(self._every_s)
            return
        (row,) = self._conn.execute("SELECT count(*) AS ready FROM athena.ready").fetchall()
        if row["ready"] < self._backlog:
            self._insert(self.BATCH)
        else:
            self._ended.wait(0.02)

    def _insert(self, count):
        marks = list(range(self._mark + 1, self._mark + count + 1))
        self._mark += count
        self.unknown.update(marks)
        try:
            rows = self._conn.execute(INSERT, [marks, [json.dumps(payload(mark)) for mark in marks]]).fetchall()
        except psycopg.Error:
            if not self._conn.closed:  # an answer, and an error undoes the whole statement
                self.unknown.difference_update(marks)
                self.refused.update(marks)
            raise
        self.unknown.difference_update(marks)
        self.acknowledged.update((int(row["kind"]), row["id"]) for row in rows)


def marks_and_ids(database, schema="athena"):
    return [(int(row["kind"]), row["id"]) for row in database.query(f"SELECT kind, id FROM {schema}.jobs")]


def rate(times, begin, end):
    return sum(begin <= at < end for at in times) / (end - begin)


class Chaos:
    """A load on a server, the workers that carry it, and the accounts of all.

    calm(), then `with harm():` around what is done, then settle(), which lets everything drain and
    demands that the ledger and the producer's books balance; `schema` as in Accounts. Figures of throughput come from when
    outcomes were written; they are told, and decide nothing.
    """

    def __init__(self, name, record, cluster, programs, directory, backlog=600, every_s=None, schema="athena"):
        self.name = name
        self._record = record
        self.cluster = cluster
        self.database = cluster.migrated_database("chaos")
        self._schema = schema
        self.ledger = Ledger(pathlib.Path(directory) / "ledger")
        self._workers = Workers(programs, self.database.url, directory)
        self.living = []
        self.producer = None
        self._load = {"backlog": backlog, "every_s": every_s}
        self.harmed_at = self.back_at = None
        self.notes = []
        self.database.query("UPDATE athena.families SET lease = make_interval(secs => %s), backoff_base = '50 ms'"
                            " WHERE name = 'noop'", LEASE_S)

    @property
    def all_workers(self):
        return self._workers.all

    def start_worker(self, *args, env=None, **options):
        """A worker whose executors write into the ledger."""
        worker = self._workers.start("noop", *args, program=str(FAULT_BUILD / "athena-worker"),
                                     env={"ATHENA_FAULT_LEDGER": str(self.ledger.directory), **(env or {})},
                                     **{"concurrency": 8, **options})
        self.living.append(worker)
        return worker

    def kill_worker(self, worker):
        self.living.remove(worker)
        worker.kill()

    def calm(self, url=None):
        """The load begins, and goes on for a while undisturbed."""
        self.producer = Producer(url or self.database.url, **self._load)
        self.wait_ended(200)
        time.sleep(WARM_UP_S + CALM_S)

    def ended(self):
        return self.database.value(f"SELECT count(*) FROM {self._schema}.outcomes")

    def wait_ended(self, more):
        """Until so many more jobs have ended."""
        target = self.ended() + more
        wait_until(lambda: self.ended() >= target, what=f"{target} jobs have ended")

    @contextlib.contextmanager
    def harm(self):
        """Around what is done; at its end the server takes connections, and the load goes on for a while."""
        self.harmed_at = time.time()
        yield
        self.back_at = time.time()
        self.database.close()
        self.wait_ended(200)
        time.sleep(max(0, self.back_at + AFTER_S - time.time()))

    def drain(self, deadline_s=120):
        """No more load; all ends, the dead are forgotten, workers end."""
        self.producer.stop()
        wait_drained(self.database, deadline_s)
        wait_until(lambda: self.database.value("SELECT count(*) FROM athena.workers WHERE pid <> ALL (%s)",
                                               [worker.pid for worker in self.living]) == 0,
                   what="the dead are forgotten")
        for worker in self.living:
            assert worker.terminate() == 0

    def jobs(self):
        return marks_and_ids(self.database, self._schema)

    def settle(self):
        """The accounts, which balance."""
        self.drain()
        accounts = settle_accounts(self.database, self.ledger, self.all_workers, schema=self._schema)
        findings = list(self.producer.findings(self.jobs()))
        assert findings == [], findings[:20]
        self.tell(accounts)
        return accounts

    def tell(self, accounts, lost=0):
        """Keeps this case's row for the table at the end of the run."""
        times = sorted(row["finished_at"].timestamp() for row in accounts.outcomes)
        before = rate(times, self.harmed_at - CALM_S, self.harmed_at)
        during = rate(times, self.harmed_at, self.back_at)
        after = rate(times, self.back_at + 5, self.back_at + AFTER_S - 1)
        row = {"case": self.name, "jobs": len(accounts.outcomes_of_jobs), "lost": lost,
               "unexplained": 0, "executions": len(accounts.executions), "failed": len(accounts.failures),
               "unknown": len(self.producer.unknown), "refused": len(self.producer.refused),
               "before": round(before), "during": round(during), "after": round(after),
               "again_s": again_s(times, self.back_at, AIM * before), "notes": self.notes}
        print(row)
        self._record(("chaos", row))


def again_s(times, since, wanted, window_s=2.0, step_s=0.1):
    """When, after `since`, a window began in which as much was done as wanted; None: never."""
    for step in range(int((AFTER_S - window_s) / step_s)):
        begin = since + step * step_s
        if rate(times, begin, begin + window_s) >= wanted:
            return round(step * step_s, 1)
    return None
