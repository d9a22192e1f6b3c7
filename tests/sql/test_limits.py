# SPDX-License-Identifier: PostgreSQL
"""Limits of a family: so many at once, so many at once per concurrency key, so many per period."""
from sessions import Worker, assert_lawful, somebody


def key_of(database, job):
    """(place, key) of a job by its ticket."""
    (row,) = database.query(
        "SELECT 'ready' AS place, concurrency_key FROM athena.ready WHERE job_id = %(job)s"
        " UNION ALL SELECT 'scheduled', concurrency_key FROM athena.scheduled WHERE job_id = %(job)s"
        " UNION ALL SELECT 'leases', concurrency_key FROM athena.leases WHERE job_id = %(job)s".replace(
            "%(job)s", str(job)))
    return row["place"], row["concurrency_key"]


def test_every_move_carries_the_key(database):
    later = database.enqueue("noop", concurrency_key="later", run_at="tomorrow", priority=9)
    job = database.value("SELECT athena.enqueue('noop', concurrency_key => 'k')")
    worker = Worker(database)
    assert key_of(database, later) == ("scheduled", "later")
    assert key_of(database, job) == ("ready", "k")
    (row,) = worker.claim()
    assert key_of(database, job) == ("leases", "k")
    worker.settle(row, "returned")
    assert key_of(database, job) == ("ready", "k")
    (row,) = worker.conn.execute("SELECT * FROM athena.claim(%s, 'noop')", [worker.id]).fetchall()
    assert key_of(database, job) == ("leases", "k")
    worker.settle(row, "failed", error="once")
    assert key_of(database, job) == ("scheduled", "k")
    database.query("UPDATE athena.scheduled SET run_at = now()")
    assert database.value("SELECT athena.run_lane('promote', %s)", somebody()) == 2
    assert (key_of(database, job), key_of(database, later)) == (("ready", "k"), ("ready", "later"))
    lost = Worker(database)
    assert len(lost.claim()) == 1
    seen = database.value("SELECT heartbeat_at FROM athena.workers WHERE id = %s", lost.id)
    database.query("SELECT athena.rescue(%s, %s, %s, '1 h', true)", worker.id, lost.id, seen)
    assert key_of(database, job) == ("ready", "k")
    database.query("SELECT athena.cancel(%s)", job)
    database.query("SELECT athena.retry(%s)", job)
    assert key_of(database, job) == ("ready", "k")
    assert database.job(job)["concurrency_key"] == "k"
    assert_lawful(database)


def test_a_key_that_is_not_there_costs_a_ticket_no_byte(database):
    """As long as the null bitmap of a row fits the padding of its header, which is for eight columns."""
    assert database.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'athena.ready'::regclass"
                          " AND attnum > 0 AND NOT attisdropped") == 8
