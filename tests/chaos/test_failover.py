# SPDX-License-Identifier: PostgreSQL
"""The primary dies for ever, and a streaming replica is promoted."""
import time

import pytest

from athena_test import Cluster, Database, wait_until
from chaos import marks_and_ids
from crash import LEASE_S
from ledger import Accounts, a_ticket_runs_once, attempts_are_numbered, left_behind, success_is_in_the_ledger
from proxy import Proxy
from workers import resume, stop


@pytest.fixture
def standby(request, own_cluster, programs):
    standby = Cluster(copy_of=own_cluster)
    request.node.athena_clusters.append(standby)
    standby.start()
    wait_until(lambda: replication(own_cluster, "state") == "streaming")
    yield standby
    programs.end()
    standby.remove()


def replication(primary, column):
    with primary.connect() as conn:
        rows = conn.execute(f"SELECT {column} AS value FROM pg_stat_replication").fetchall()
    return rows[0]["value"] if rows else None


def promote(standby):
    with standby.connect() as conn:
        assert conn.execute("SELECT pg_promote(true, 60) AS done").fetchone()["done"]


def test_failover_to_a_synchronous_standby(begin, own_cluster, standby):
    """By a connection string that names both. Nothing may be missing."""
    own_cluster.configure(synchronous_standby_names="*")
    own_cluster.reload()
    wait_until(lambda: replication(own_cluster, "sync_state") == "sync")
    chaos = begin(own_cluster)
    url = (f"postgresql:///{chaos.database.name}?host={own_cluster.host},{standby.host}&port={own_cluster.port}"
           f"&user={own_cluster.user}&target_session_attrs=read-write")
    for _ in range(2):
        chaos.start_worker(url=url)
    chaos.calm(url)
    with chaos.harm():
        chaos.database.close()
        own_cluster.kill()
        time.sleep(1)
        promote(standby)
        chaos.database = Database(standby, chaos.database.name)
    nobody_is_registered_twice(chaos.database)
    chaos.settle()
    chaos.database.close()


def nobody_is_registered_twice(database):
    """Both registered anew, gave up what they had held before, and who they were is forgotten."""
    wait_until(lambda: database.query("SELECT count(*), count(DISTINCT pid) AS pids FROM athena.workers")
               == [{"count": 2, "pids": 2}])


class Books:
    """What a server knows."""

    def __init__(self, database):
        def numbers(table):
            return {(row["job_id"], row["ticket"]) for row in
                    database.query(f"SELECT job_id, ticket FROM athena.{table}")}
        self.jobs = set(marks_and_ids(database))
        self.ended, self.failed, self.leased = numbers("outcomes"), numbers("failures"), numbers("leases")


def test_failover_to_an_asynchronous_standby(begin, own_cluster, standby):
    """The last two seconds never reach it. What is missing then is what it did not know when it was
    promoted, job by job; what it did not know to have ended runs again; and nothing else."""
    proxy = Proxy(own_cluster)
    chaos = begin(own_cluster)
    old = chaos.database
    for _ in range(2):
        chaos.start_worker(url=proxy.url(old))
    chaos.calm(proxy.url(old))
    with chaos.harm():
        with standby.connect() as conn:
            receiver = conn.execute("SELECT pid FROM pg_stat_wal_receiver").fetchone()["pid"]
        stop(receiver)
        time.sleep(2)
        old.close()
        own_cluster.kill()
        resume(receiver)
        time.sleep(LEASE_S)  # so that nothing that began before runs on
        promote(standby)
        chaos.database = Database(standby, old.name)
        known, switched_at = Books(chaos.database), time.time()
        proxy.cluster = standby
    nobody_is_registered_twice(chaos.database)
    chaos.drain()
    wait_until(lambda: not left_behind(chaos.database, chaos.all_workers), what="nothing is left")
    own_cluster.start()
    knew = Books(old)
    runs = chaos.ledger.executions()
    before = [run for run in runs if run.began_at < switched_at]
    after = [run for run in runs if run.began_at >= switched_at]

    # By the old primary's books everything was right until it died.
    accounts = Accounts(old, chaos.ledger, chaos.all_workers)
    accounts.executions = before
    findings = [finding for rule in (success_is_in_the_ledger, a_ticket_runs_once, attempts_are_numbered)
                for finding in rule(accounts)]
    recorded = knew.ended | knew.failed | knew.leased | accounts.handed_back
    findings += [f"{run} is in no book" for run in before if (run.job, run.ticket) not in recorded]
    assert findings + accounts.offenders == []

    # By the new one's, too: of what ran before it counts what it knows of, leases included, whose
    # results may be told to it.
    accounts = Accounts(chaos.database, chaos.ledger, chaos.all_workers)
    was_known = known.ended | known.failed | known.leased
    accounts.executions = [run for run in before if (run.job, run.ticket) in was_known] + after
    assert accounts.findings() == []

    # And the difference between them is what is missing.
    missing = chaos.producer.missing(chaos.jobs())
    assert missing == (knew.jobs - known.jobs) & set(chaos.producer.acknowledged.items())
    assert list(chaos.producer.findings(chaos.jobs(), conceded=missing)) == []
    assert missing, "it lagged behind"
    kept = {job for _, job in known.jobs}
    again = {job for job, _ in knew.ended - known.ended if job in kept}
    assert again <= {run.job for run in after}
    chaos.notes.append(f"lost: what never reached it; {len(again)} that had ended ran again")
    chaos.tell(accounts, lost=len(missing))
    proxy.close()
    old.close()
    chaos.database.close()
