# SPDX-License-Identifier: PostgreSQL
"""Every two moves of one job against each other, in both orders, with commit and with rollback.

Two sessions, and no sleeps: the first executes its statement and stays in its transaction; the
second is started, until it has ended or waits for the first; then the first commits or rolls back.
What each answers, whether the second waits, and where the job is in the end, stands row by row in
interleavings.tsv. Whatever the answers, the law of conservation holds and depth is exact.
"""
import collections
import json

import psycopg
import pytest

from athena_test import ROOT, wait_until
from sessions import Background, Worker, assert_lawful, queue_options, somebody, statement

TABLE = ROOT / "tests/sql/interleavings.tsv"
RETENTION = "'7 days', '30 days'"


def sent(name, *args):
    """A statement of sql/statements, as psycopg takes it."""
    return lambda scene: (statement(name), {f"p{n}": getattr(scene, arg) if isinstance(arg, str) else arg(scene)
                                            for n, arg in enumerate(args, 1)})


def called(sql):
    """A call as an operator or a lane makes it; %(job)s and the like are the scene's."""
    return lambda scene: (sql, vars(scene))


CLAIM = ("family", "other", lambda _: 5, lambda _: list(range(10)), lambda _: [0] * 10)

# As the database was before there were jobs; and anybody may lead the lanes.
EMPTY = "; ".join([*(f"DELETE FROM athena.{name}" for name in (
    "jobs", "outcomes", "chunks", "ready", "scheduled", "leases", "waiting", "waits", "uniques", "failures", "tallies", "totals",
    "cancel_requests",
    "schedules", "workers")), "UPDATE athena.lanes SET last_by = NULL, last_at = now(), position = 0",
    "UPDATE athena.families SET paused_at = NULL, chunked = false WHERE paused_at IS NOT NULL OR chunked"])

# By name, what one session sends. Lanes are called without their lead, which only saves work.
MOVES = {
    "insert": called("INSERT INTO athena.jobs (family, unique_key) VALUES ('noop', 'key') RETURNING 'inserted'"),
    "claim": sent("claim", *CLAIM),
    "claim chunks": sent("claim_chunked", *CLAIM, lambda _: 5),
    "succeed whole": sent("settle_chunks", "holder", lambda scene: [scene.ticket]),
    "succeed in part": sent("settle_chunk", "holder", "ticket", lambda scene: json.dumps(
        {scene.job - 1: {"result": "succeeded"}, scene.job: {"result": "failed"}})),
    "hand back chunk": called("SELECT answer || ' ' || coalesce(state::text, '') FROM athena.settle(%(holder)s, %(job)s - 1, %(ticket)s, 'returned')"),
    "succeed": sent("settle_succeeded", "holder", lambda scene: [scene.ticket]),
    "fail": called("SELECT answer || ' ' || coalesce(state::text, '') FROM athena.settle(%(holder)s, %(job)s, %(ticket)s, 'failed')"),
    "hand back": called("SELECT answer || ' ' || coalesce(state::text, '') FROM athena.settle(%(holder)s, %(job)s, %(ticket)s, 'returned')"),
    "leave": called("SELECT athena.unregister_worker(%(holder)s)"),
    "heartbeat": called("SELECT string_agg(what, ' ') FROM athena.heartbeat(%(holder)s)"),
    "rescue silent": called("SELECT athena.rescue(%(leader)s, %(holder)s, %(seen)s, '1 h', false)"),
    "rescue dead": called("SELECT athena.rescue(%(neighbour)s, %(holder)s, %(seen)s, '1 h', true)"),
    "deadlines": called("SELECT athena.lane_deadlines(10)"),
    "promote": called("SELECT athena.lane_promote(10)"),
    "cancel": sent("job_cancel", "job"),
    "retry": sent("job_retry", "job"),
    "prune rows": called(f"SELECT athena.prune_rows('outcomes_0', {RETENTION})"),
    "prune pair": called(f"SELECT athena.prune_pair(0, 50000000, {RETENTION})"),
    "open wait": called("SELECT (athena.open_wait(%(holder)s, %(job)s, %(ticket)s) IS NOT NULL)::text"),
    "park": called("SELECT answer || ' ' || coalesce(state::text, '')"
                   " FROM athena.settle(%(holder)s, %(job)s, %(ticket)s, 'parked', retry_in => '1 h')"),
    "complete": called("SELECT answer || ' ' || state FROM athena.complete_wait(%(token)s)"),
    "refuse": called("SELECT answer || ' ' || state FROM athena.fail_wait(%(token)s, 'no')"),
    "time out": called("SELECT athena.lane_waits(10)"),
    "split": called("SELECT athena.split_ready(10)"),
    "pause": sent("family_pause", "family"),
    "resume": sent("family_resume", "family"),
    "fire": called("SELECT athena.lane_schedule(10, '7 days')"),
}

# Where the job is in the beginning, and which moves may then meet.
STARTS = {
    "absent": ["insert", "claim", "prune pair", "pause", "fire"],
    "ready": ["claim", "cancel", "retry", "insert", "pause", "prune pair"],
    "paused": ["claim", "resume", "pause", "cancel"],
    "scheduled": ["promote", "cancel", "retry", "insert", "prune pair"],
    "leased": ["succeed", "fail", "hand back", "leave", "heartbeat", "rescue silent", "rescue dead", "deadlines",
               "cancel", "insert", "prune pair"],
    "asking": ["open wait", "park", "complete", "refuse", "succeed", "fail", "cancel", "rescue dead", "deadlines", "heartbeat"],
    "refused": ["open wait", "park", "complete", "refuse", "succeed", "fail", "hand back", "cancel", "rescue dead"],
    "waiting": ["complete", "refuse", "time out", "cancel", "retry", "park", "insert", "rescue dead", "prune pair"],
    "dead": ["retry", "cancel", "insert", "prune rows", "prune pair"],
    "shared": ["claim chunks", "claim", "cancel", "split", "prune pair"],
    "shared lease": ["succeed whole", "succeed in part", "hand back chunk", "leave", "heartbeat", "rescue dead", "deadlines", "cancel"],
}

Row = collections.namedtuple("Row", "start first second answers course committed place_committed "
                                    "rolled_back place_rolled_back")


def table():
    lines = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return [Row(*line) for line in lines]


class Scene:
    """One job, its holder, and two sessions; the same for all cases, but for what reset() makes anew."""

    def __init__(self, database):
        self.database = database
        self.sessions = [database.connect(options=queue_options()) for _ in range(2)]
        self.family = "noop"
        self.leader, self.neighbour = somebody(), somebody()
        for leaf in ("jobs_0", "outcomes_0"):  # no vacuum that the pruning of the pair could meet
            database.query(f"ALTER TABLE athena.{leaf} SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)")

    def reset(self, start):
        self.database.query(EMPTY)
        worker = Worker(self.database, conn=self.sessions[0])
        self.holder, self.other = worker.id, Worker(self.database, conn=self.sessions[0]).id
        self.old = self.finish(worker, self.database.enqueue("noop"))
        self.job = self.ticket = self.token = self.seen = None
        if start.startswith("shared"):
            self.job = self.enqueue_shared()
        elif start != "absent":
            self.job = self.database.enqueue("noop", unique_key="key")
        getattr(self, start.replace(" ", "_"), lambda _: None)(worker)
        self.seen = self.database.value("UPDATE athena.workers SET heartbeat_at = now() - interval '1 h'"
                                        " WHERE id = %s RETURNING heartbeat_at", self.holder)

    def finish(self, worker, job):
        """Ends it long ago, so that it may be pruned."""
        (row,) = worker.claim()
        worker.settle(row, "failed", error_kind="permanent")
        self.database.query("UPDATE athena.outcomes SET finished_at = now() - interval '1 year'")
        return job

    def enqueue_shared(self):
        """The second of three that share a ticket, of a family that is chunked no more."""
        self.database.query("SELECT setval('athena.tickets', (last_value / 1000 + 1) * 1000) FROM athena.tickets")
        self.database.query("UPDATE athena.families SET chunked = true WHERE name = 'noop'")
        _, job, _ = sorted(self.database.column("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 3) RETURNING id"))
        self.database.query("UPDATE athena.families SET chunked = false WHERE name = 'noop'")
        return job

    def shared_lease(self, worker):
        self.lease(worker.claim_chunked())

    def absent(self, _):
        """But its schedule is due."""
        self.database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('yearly', '@yearly', 'noop')")
        self.database.query("UPDATE athena.schedules SET next_fire = now(), next_at = now()")

    def paused(self, _):
        self.database.query("SELECT athena.pause('noop')")

    def scheduled(self, worker):
        (row,) = worker.claim()
        worker.settle(row, "snoozed")

    def leased(self, worker):
        self.lease(worker.claim())

    def lease(self, rows):
        (row,) = rows
        self.ticket = row["ticket"]
        self.database.query("UPDATE athena.leases SET claimed_at = now() - interval '1 h',"
                            " deadline_at = now() - interval '1 h'")

    def asking(self, worker):
        """Whoever is to answer has the token already."""
        self.leased(worker)
        self.token = self.database.value("SELECT athena.open_wait(%s, %s, %s)", self.holder, self.job, self.ticket)

    def refused(self, worker):
        """For good, while an attempt ran that then went back unrun; the next one has asked, too."""
        self.asking(worker)
        self.database.query("SELECT athena.fail_wait(%s, 'no', true)", self.token)
        worker.settle({"job_id": self.job, "ticket": self.ticket}, "returned")
        self.asking(worker)

    def waiting(self, worker):
        """For longer than it wanted to."""
        self.asking(worker)
        worker.settle({"job_id": self.job, "ticket": self.ticket}, "parked", retry_in="1 h")
        self.database.query("UPDATE athena.waiting SET expires_at = now()")

    def dead(self, worker):
        self.finish(worker, self.job)

    def places(self):
        """Of the job, with how its wait ended, and then of whatever was inserted beside it; the old one
        tells whether it was pruned."""
        found = self.database.query(
            "SELECT p.job_id, p.place FROM ("
            " SELECT job_id, 'ready' AS place FROM athena.ready UNION ALL SELECT job_id, 'scheduled' FROM athena.scheduled"
            " UNION ALL SELECT job_id, 'leased' FROM athena.leases UNION ALL SELECT job_id, state::text FROM athena.outcomes"
            " UNION ALL SELECT job_id, 'waiting' FROM athena.waiting UNION ALL SELECT job_id, 'wait ' || state FROM athena.waits"
            " UNION ALL SELECT m.id, CASE p::text WHEN 'running' THEN 'leased' ELSE p::text END"
            "  FROM athena.chunks AS c, athena.chunk_place(c) AS p, athena.ids_of(c.jobs) AS m (id) WHERE m.id <> lower(c.jobs)"
            " UNION ALL SELECT job_id, 'to be cancelled' FROM athena.cancel_requests) AS p"
            " WHERE p.job_id <> %s ORDER BY p.job_id, p.place", self.old)
        return ", ".join(row["place"] for row in found) or "nowhere"

    def send(self, number, move):
        return Background(self.database, self.sessions[number], *MOVES[move](self))


def told(background):
    """What a session heard: rows in a few words, or its error."""
    try:
        rows = background.result()
    except psycopg.Error as error:
        return f"{error.sqlstate}: {error.diag.message_primary.split(':')[0]}"
    if not rows:
        return "nothing"
    if {"answer", "state"} <= rows[0].keys():
        return ", ".join(f"{row['answer']} {row['state']}" for row in rows)
    if "ticket" in rows[0]:
        return f"{len(rows)} claimed"
    if "settled" in rows[0]:
        return f"{rows[0]['settled']} settled"
    (value,) = rows[0].values()
    return str(value)


def is_settled(scene, second, background):
    """The second has ended, or waits for the first. What gives up after 20 ms never waits for long."""
    if second == "prune pair":
        return background.is_done()
    pids = [session.info.backend_pid for session in scene.sessions]
    return background.is_done() or scene.database.value("SELECT %s = ANY (pg_blocking_pids(%s))", *pids)


def act(scene, first, second, ending):
    """(what the first answers, whether the second waits, what it answers, the places in the end)"""
    one, two = scene.sessions
    one.execute("BEGIN")
    answer = told(scene.send(0, first))
    background = scene.send(1, second)
    wait_until(lambda: is_settled(scene, second, background), what=f"{second} has ended or waits for {first}", every_s=0.001)
    course = "at once" if background.is_done() else "waits"
    one.execute(ending)
    return answer, course, told(background), scene.places()


@pytest.fixture(scope="module")
def scene(cluster):
    database = cluster.migrated_database(label="interleavings")
    yield Scene(database)
    database.drop()


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row.start}-{row.first}-{row.second}".replace(" ", "_"))
def test_two_moves_of_one_job(scene, row):
    found = []
    for ending in ("COMMIT", "ROLLBACK"):
        scene.reset(row.start)
        found.append([str(word).replace(str(scene.job), "ID") for word in act(scene, row.first, row.second, ending)])
        assert_lawful(scene.database)
    (answer, course, committed, place), (again, course_again, rolled_back, place_again) = found
    assert (answer, course) == (again, course_again)
    assert row == Row(row.start, row.first, row.second, answer, course, committed, place, rolled_back, place_again)


def test_no_pair_is_missing():
    wanted = [(start, first, second) for start, moves in STARTS.items() for first in moves for second in moves]
    assert [row[:3] for row in table()] == wanted
