# SPDX-License-Identifier: PostgreSQL
"""Sessions that do what they like, all at once: then everything is drained and has to add up."""
import collections
import os
import random
import threading

import psycopg
import pytest

from athena_test import wait_until
from sessions import Worker, assert_lawful, queue_options, run_statement, small_leaves, somebody

SESSIONS = 6
STEPS = int(os.environ.get("ATHENA_STEPS", "120"))
LEADER = somebody()
FAMILIES = ("noop", "other", "tiny")  # one with limits, one that is mostly chunked


class Session(threading.Thread):
    """One client, with a random number generator and a worker of its own."""

    def __init__(self, database, number, seed, counts, tokens):
        super().__init__(daemon=True)
        self.random = random.Random(f"{seed} {number}")
        self.conn = database.connect(options=queue_options())
        self.counts = counts
        self.tokens = tokens  # of all sessions
        self.database = database
        self.worker = Worker(database, *FAMILIES, conn=self.conn)
        self.held = []
        self.error = None

    def run(self):
        try:
            for _ in range(STEPS):
                self.step()
        except BaseException as error:
            self.error = error

    def step(self):
        action = self.random.choice(ACTIONS)
        for _ in range(50):  # whatever meets a deadlock or a conflict is done again
            try:
                action(self)
                self.counts[action.__name__] += 1
                return
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
                self.counts[error.sqlstate] += 1
            except psycopg.errors.CheckViolation as error:  # leaves are so small here that half of one has
                assert "partition constraint" in str(error)  # gone by: see athena.make_next_pair
                self.counts["overtaken"] += 1
            except EXPECTED as error:
                self.counts[type(error).__name__] += 1
                return
        raise AssertionError(f"{action.__name__} never got through")

    def ask(self, sql, *args):
        return self.conn.execute(sql, args or None).fetchall()

    def family(self):
        return self.random.choice(["noop", "noop", "other", "tiny", "tiny"])

    def some_job(self):
        rows = self.ask("SELECT id FROM athena.jobs ORDER BY id DESC LIMIT 60")
        return self.random.choice(rows)["id"] if rows else 0

    def insert(self):
        count = self.random.choice([1, 1, 2, 7])
        self.ask("INSERT INTO athena.jobs (family, priority, run_at, max_attempts, concurrency_key, unique_key)"
                 " SELECT %s, %s, now() + %s * interval '1 ms', %s, nullif(n, 2)::text, CASE WHEN %s THEN (%s + n)::text END"
                 " FROM generate_series(1, %s) AS n RETURNING id",
                 self.family(), self.random.randint(0, 9), self.random.choice([0, 0, 0, 5, 200]), self.random.randint(1, 3),
                 self.random.random() < 0.4, self.random.randint(0, 9), count)

    def insert_for_chunks(self):
        self.ask("INSERT INTO athena.jobs (family, priority, max_attempts)"
                 " SELECT CASE WHEN n %% 9 = 0 THEN 'noop' ELSE 'tiny' END, %s, %s FROM generate_series(1, %s) AS n RETURNING id",
                 self.random.randint(4, 5), self.random.randint(1, 3), self.random.randint(2, 30))

    def insert_rolled_back(self):
        with self.conn.transaction(force_rollback=True):
            self.insert()

    def claim(self):
        family, most = self.family(), self.random.randint(1, 5)
        if self.random.random() < 0.5:
            rows = self.ask("SELECT * FROM athena.claim(%s, %s, %s)", self.worker.id, family, most)
        else:
            lanes = self.random.sample(range(10), 10)
            rows = self.worker.claim(most, family, lanes)
        assert all(row["payload"] is not None for row in rows)
        self.held += rows

    def claim_chunks(self):
        rows = self.worker.claim_chunked(self.random.randint(1, 20), "tiny", self.random.choice([1, 3, 1000]),
                                         self.random.sample(range(10), 10))
        self.counts["chunks"] += sum(row["jobs"] > 1 for row in rows)
        self.held += rows

    def settle_chunk(self):
        for row in [row for row in self.held if row.get("jobs", 1) > 1][:1]:
            self.held.remove(row)
            jobs = [int(line.split()[0]) for line in (row["lines"] or "").split("\n") if line]
            told = self.worker.settle_chunk(row, **{f"j{job}": {
                "result": self.random.choice(["succeeded", "succeeded", "failed", "cancelled", "returned"]),
                "error_kind": self.random.choice(["transient", "permanent"])} for job in jobs if self.random.random() < 0.9})
            self.counts.update(f"chunk {answer['answer']}" for answer in told.values())

    def chunk_or_not(self):
        self.ask("UPDATE athena.families SET chunked = %s WHERE name = 'tiny' RETURNING 1", self.random.random() < 0.8)

    def split(self):
        self.database_owner("SELECT athena.split_ready(2)")

    def settle_some_succeeded(self):
        rows = [self.held.pop() for _ in range(min(len(self.held), self.random.randint(1, 4)))]
        chunks = [row for row in rows if row.get("jobs", 1) > 1]
        if chunks:
            self.counts["lost"] += len(self.worker.settle_chunks(*chunks)["missing"] or [])
        rows = [row for row in rows if not row.get("jobs", 1) > 1]
        if rows:
            answer = self.worker.settle_succeeded(*rows)
            self.counts["lost"] += len(answer["missing"] or [])

    def settle(self):
        if self.held:
            row = self.held.pop(self.random.randrange(len(self.held)))
            answer = self.worker.settle(
                row, self.random.choice(["succeeded", "failed", "failed", "cancelled", "returned", "snoozed"]),
                error_kind=self.random.choice(["transient", "permanent"]), retry_in=self.random.choice(["0 s", "5 ms", None]))
            self.counts[answer["answer"]] += 1

    def park(self):
        """Hands a token out, and parks, for ever or so short that it is late already."""
        if lone := [row for row in self.held if row.get("jobs", 1) == 1]:
            self.held.remove(row := self.random.choice(lone))
            ((token,),) = (row.values() for row in self.ask("SELECT athena.open_wait(%s, %s, %s)",
                                                            self.worker.id, row["job_id"], row["ticket"]))
            if token:
                self.tokens.append(token)
                self.counts[self.worker.settle(row, "parked", retry_in=self.random.choice(["1 h", "1 ms"]))["answer"]] += 1

    def end_wait(self):
        if self.tokens:
            sql = self.random.choice(["complete_wait(%s)", "complete_wait(%s)", "fail_wait(%s, 'no')", "fail_wait(%s, 'no', true)"])
            (told,) = self.ask(f"SELECT answer, state FROM athena.{sql}", self.random.choice(self.tokens[-4:]))
            self.counts[told["answer"]] += 1

    def cancel(self):
        self.ask("SELECT athena.cancel(%s)", self.some_job())

    def cancel_many(self):
        jobs = [self.some_job() for _ in range(3)]
        with self.conn.transaction():
            for job in jobs:
                self.ask("SELECT athena.cancel(%s)", job)

    def retry(self):
        self.ask("SELECT athena.retry(%s)", self.some_job())

    def lane(self):
        lane = self.random.choice(["promote", "promote", "deadlines", "rescue", "waits", "waits", "tallies", "leaves", "registry"])
        self.ask("SELECT athena.run_lane(%s, %s)", lane, LEADER)

    def promote_beside_the_leader(self):
        self.database_owner("SELECT athena.lane_promote(3)")

    def prune(self):
        self.ask("SELECT athena.run_lane('prune', %s, '{\"finished\": \"50 ms\", \"dead\": \"100 ms\"}')", LEADER)

    def rescue_somebody(self):
        self.ask("SELECT athena.rescue(%s, w.id, w.heartbeat_at, '1 h', true, %s)"
                 " FROM athena.workers AS w ORDER BY random() LIMIT 1", LEADER, self.random.randint(1, 3))

    def beat(self):
        told = self.worker.beat()
        if told[0]["what"] == "fenced":
            self.held.clear()
            self.worker = Worker(self.database, *FAMILIES, conn=self.conn)

    def leave(self):
        self.ask("SELECT athena.unregister_worker(%s)", self.worker.id)
        self.held.clear()
        self.worker = Worker(self.database, *FAMILIES, conn=self.conn)

    def pause_and_resume(self):
        family = self.family()
        self.ask("SELECT athena.pause(%s)", family)
        self.ask("SELECT athena.resume(%s)", family)

    def limit(self):
        self.ask("UPDATE athena.families SET max_running = %s, max_running_per_key = %s, rate_count = %s, rate_period = %s"
                 " WHERE name = 'other' RETURNING 1",
                 self.random.choice([None, 1, 3, 100]), self.random.choice([None, 1, 3]),
                 *self.random.choice([(None, None), (None, None), (100, "1 s")]))

    def sleep_and_wake(self):
        run_statement(self.conn, "sleep_sign", self.worker.id, "noop")
        run_statement(self.conn, "sleep_unsign", self.worker.id, "noop")

    def database_owner(self, sql):
        self.database.cluster.connect(self.database.name).execute(sql).connection.close()


ACTIONS = [Session.insert_for_chunks] * 2 + [Session.claim_chunks] * 4 + [Session.settle_chunk] * 3 + [
    Session.chunk_or_not, Session.split] + [Session.insert] * 6 + [Session.claim] * 6 + [Session.settle_some_succeeded] * 3 + [Session.settle] * 5 + [
    Session.park, Session.end_wait] * 4 + [
    Session.cancel, Session.cancel, Session.cancel_many, Session.retry, Session.retry, Session.lane, Session.lane,
    Session.lane, Session.promote_beside_the_leader, Session.prune, Session.rescue_somebody, Session.beat,
    Session.leave, Session.pause_and_resume, Session.limit, Session.sleep_and_wake, Session.insert_rolled_back]

# Refusals that are right: unknown or pruned jobs, states that cannot be retried, keys that are held,
# a worker that was rescued away, a lane whose lock another holds for longer than 20 ms.
EXPECTED = (psycopg.errors.NoDataFound, psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.UniqueViolation,
            psycopg.errors.LockNotAvailable)


def drain(database):
    """Ends every job, as a last worker would."""
    database.query("UPDATE athena.families SET max_running = NULL, max_running_per_key = NULL,"
                   " rate_count = NULL, rate_period = NULL, chunked = false, paused_at = NULL")
    worker = Worker(database, *FAMILIES)
    database.query("SELECT athena.unregister_worker(id) FROM athena.workers WHERE id <> %s", worker.id)

    def is_drained():
        database.query("UPDATE athena.waiting SET expires_at = now()")
        database.query("SELECT athena.lane_waits(100000)")
        database.query("SELECT athena.lane_promote(100000), athena.split_ready(1000)")
        for family in FAMILIES:
            while rows := worker.claim(500, family):
                assert worker.settle_succeeded(*rows)["settled"] == len(rows)
        return database.value("SELECT (SELECT count(*) FROM athena.scheduled) + (SELECT count(*) FROM athena.ready)"
                              " + (SELECT count(*) FROM athena.waiting) = 0")

    wait_until(is_drained)


everything = collections.Counter()  # of all seeds: what is rare may be missing from one


def play(database, seed):
    """One game: everybody does what the seed says, then all is drained, and has to add up."""
    database.query("INSERT INTO athena.families (name, chunked) VALUES ('other', false), ('tiny', true)")
    database.query("UPDATE athena.families SET backoff_base = '1 ms'")
    small_leaves(database, 100)
    counts = collections.Counter()
    tokens = []
    sessions = [Session(database, number, seed, counts, tokens) for number in range(SESSIONS)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join(200)
        assert not session.is_alive(), "hangs"
    for session in sessions:
        if session.error:
            raise session.error
    # A worker that was declared dead goes on claiming until its next heartbeat tells it; such leases
    # are what this lane is for.
    database.query("SELECT athena.lane_rescue(100000)")
    assert_lawful(database)
    assert database.query("SELECT t.* FROM athena.waiting AS t LEFT JOIN athena.waits AS w USING (job_id, ticket)"
                          " WHERE w.state IS DISTINCT FROM 'open'") == [], "nobody can end these"
    drain(database)
    assert_lawful(database)
    assert database.value("SELECT count(*) FROM athena.uniques") == 0
    assert database.value("SELECT count(*) FROM athena.leases") == 0
    assert database.value("SELECT count(*) FROM athena.jobs") == database.value("SELECT count(*) FROM athena.finished") > 0
    print(f"seed {seed}: {dict(counts)}")
    everything.update(counts)


@pytest.mark.parametrize("seed", os.environ.get("ATHENA_SEEDS", "1 2 3").split())
def test_random_sessions_lose_nothing(database, seed):
    play(database, seed)


NEEDED = ("claim", "chunks", "chunk settled", "settle", "settled", "cancel", "retry", "prune", "rescue_somebody",
          "park", "accepted", "refused")
MORE_SEEDS = 10


def test_they_did_all_there_is_to_do(cluster):
    """Where the games above have not, or were not played, a few more have."""
    for seed in range(MORE_SEEDS):
        if all(everything[needed] > 0 for needed in NEEDED):
            return
        database = cluster.migrated_database()
        play(database, f"more {seed}")
        database.drop()
    assert [needed for needed in NEEDED if everything[needed] == 0] == []
