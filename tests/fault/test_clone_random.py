# SPDX-License-Identifier: PostgreSQL
"""A cloning worker is killed anywhere, in each mode, and clones of very many tables. For `make test-clone`."""
import os
import random
import threading

import pytest

from athena_test import Cluster, Database
from clones import assert_no_traces, databases, events, failures, load_bytes

MODES = ["pipe", "staged", "parallel"]
KILLS = 20
LONGEST_S = 2.5  # about what a clone of the source takes

DIGEST = "SELECT count(*) AS n, sum(hashtext(t::text)) AS h FROM t0 AS t"


@pytest.fixture(scope="module")
def source(cluster):
    source = load_bytes(cluster.new_database(label="source"), 40, tables=1)
    source.query("CREATE TABLE words AS SELECT n AS id FROM generate_series(1, 5000) AS n;"
                 "CREATE SEQUENCE s; SELECT setval('s', 77); SELECT lo_from_bytea(0, 'blob')")
    yield source
    source.drop()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", range(KILLS))
def test_killed_anywhere(database, cluster, workers, source, tmp_path, mode, number):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    target = f"copy_{mode}_{number}"
    before, rows = databases(cluster), source.query(DIGEST)
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    victim = workers.start("clone", env={"TMPDIR": str(scratch)})
    job = database.enqueue("clone", {"source": source.url, "target": cluster.url(target), "mode": mode, "jobs": 2})
    # Where it is by then does not matter: what holds afterwards is the same everywhere.
    threading.Event().wait(random.Random(f"{mode} {number}").uniform(0, LONGEST_S))
    victim.kill()
    workers.start("clone", env={"TMPDIR": str(scratch)})
    database.wait_for_state(job, "succeeded", 120)
    copy = Database(cluster, target)
    try:
        assert copy.query(DIGEST) == source.query(DIGEST) == rows
        assert copy.value("SELECT last_value FROM s") == 77
        copy.close()
        assert_no_traces(cluster)
        assert databases(cluster) == before | {target}
        assert os.listdir(scratch) == []
        assert not database.conservation()
    finally:
        cluster.drop_database(target)


@pytest.fixture(scope="module")
def roomy():
    server = Cluster(max_locks_per_transaction=300)
    yield server.start()
    server.remove()


def test_ten_thousand_tables(database, cluster, workers, roomy):
    source = roomy.new_database(label="many")
    for first in range(0, 10000, 1000):
        source.query("".join(f"CREATE TABLE t{number} AS SELECT {number} AS id;"
                             for number in range(first, first + 1000)))
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'clone'")
    workers.start("clone")
    for mode in ("parallel", "pipe"):
        job = database.enqueue("clone", {"source": source.url, "target": roomy.url("copy"), "mode": mode})
        database.wait_for_state(job, "succeeded", 600)
        (result,) = events(database, job, "verification_result")
        assert (result["details"]["tables"], result["details"]["rows"]) == (10000, 10000)
        assert len(events(database, job, "table_done")) == (500 if mode == "parallel" else 0)
        roomy.drop_database("copy")
    assert_no_traces(roomy)


def test_more_tables_than_locks_are_a_finding(database, cluster, workers):
    narrow = Cluster(max_locks_per_transaction=10, max_connections=20, max_wal_senders=0)
    narrow.start()
    try:
        source = narrow.new_database(label="many")
        for first in range(0, 300, 50):
            source.query("".join(f"CREATE TABLE t{number} ();" for number in range(first, first + 50)))
        workers.start("clone")
        job = database.enqueue("clone", {"source": source.url, "target": cluster.url("copy")})
        database.wait_for_state(job, "dead")
        assert [(row["kind"], row["code"]) for row in failures(database, job)] == [("permanent", "too_few_locks")]
    finally:
        narrow.remove()
