# SPDX-License-Identifier: PostgreSQL
"""The crash matrix of backups: killed, failed or disconnected between all that is durable."""
import os

import pytest

from athena_test import Database
from backups import Store, catalog, enqueue, quicken
from clones import assert_no_traces, databases
from crash import rows

# Point, what is done, harms; * is the sample. A sweep of objects has no connection to lose.
ROWS = """
backup_begin.send          backup   kill error drop
backup_begin.answered      backup   *kill error drop
backup.snapshot            backup   kill error drop
backup.begun               backup   *kill error drop
backup.written             backup   *kill error drop
backup.stored              backup   *kill error drop
backup.verified            backup   kill error drop
backup.manifested          backup   *kill error drop
backup_complete.send       backup   kill error drop
backup_complete.answered   backup   *kill error *drop
backup_verified.send       verify   kill error drop
backup_verified.answered   verify   *kill error drop
backup_drilled.send        drill    kill error drop
backup_drilled.answered    drill    *kill error drop
backup_expiring.send       expire   kill error drop
backup_expiring.answered   expire   *kill error drop
backup_sweep.send          expire   *kill error
backup_sweep.answered      expire   *kill error
backup_expired.send        expire   kill error drop
backup_expired.answered    expire   *kill error drop
backup_restore.filled      restore  *kill error drop
backup_restore.compared    restore  kill error drop
backup_restore.swap        restore  *kill error drop
backup_restore.swapped     restore  *kill error drop
backup_pin.send            pin      kill error
backup_pin.answered        pin      *kill error
"""


@pytest.fixture
def store(case, tmp_path):
    store = Store(tmp_path / "store")
    case.builtin.append("backup")
    case.settings.update(store.env)
    quicken(case.database)
    return store


def prepare(case, source, count):
    """So many backups that nobody disturbs, one after the other."""
    worker = case.start_worker()
    made = []
    for _ in range(count):
        made.append(enqueue(case.database, "backup", database=source.url))
        case.database.wait_for_state(made[-1], "succeeded")
    assert worker.terminate() == 0
    return made


def hurt(case, kind, /, **payload):
    enqueue(case.database, kind, **payload)
    case.start_worker(is_armed=True)
    case.hurt()
    case.finish()
    assert set(case.database.column("SELECT state::text FROM athena.outcomes")) == {"succeeded"}


def check_backup(case, cluster, source, store):
    hurt(case, "backup", database=source.url)
    (row,) = case.database.query("SELECT state, verified_at FROM athena.backups")
    assert row["state"] == "completed" and row["verified_at"]


def check_verify(case, cluster, source, store):
    (job,) = prepare(case, source, 1)
    case.database.query("UPDATE athena.backups SET verified_at = NULL")
    hurt(case, "verify", backup=job)
    assert catalog(case.database, job)["verified_at"]


def check_drill(case, cluster, source, store):
    (job,) = prepare(case, source, 1)
    hurt(case, "drill", database=source.url)
    assert catalog(case.database, job)["drilled_at"]


def check_expire(case, cluster, source, store):
    first, second = prepare(case, source, 2)
    hurt(case, "expire", database=source.url, keep_last=1)
    assert catalog(case.database, first)["state"] == "expired"
    assert catalog(case.database, second)["state"] == "completed"


def check_restore(case, cluster, source, store):
    """Over a database that is there: of its old contents there is one copy afterwards, and no more."""
    (job,) = prepare(case, source, 1)
    target = f"again_{os.getpid()}_{case.database.name}"
    cluster.connect().execute(f"CREATE DATABASE {target}")
    hurt(case, "restore", backup=job, target=cluster.url(target), replace=target)
    assert len([name for name in databases(cluster) if name.startswith(f"{target}_before_")]) == 1
    copy = Database(cluster, target)
    assert copy.value("SELECT count(*) FROM t") == 500
    copy.close()


def check_pin(case, cluster, source, store):
    (job,) = prepare(case, source, 1)
    case.run("backup", "pin", str(job), is_armed=True, status=-9 if case.harm == "kill" else 1)
    case.check_passed()
    case.run("backup", "pin", str(job))
    assert catalog(case.database, job)["pinned"]
    case.finish()


@pytest.mark.parametrize("point, load, harm", rows(ROWS))
def test_backup(tidy, case, cluster, source, store, point, load, harm):
    before = {name for name in databases(cluster) if not name.startswith("again_")}
    globals()[f"check_{load}"](case, cluster, source, store)
    store.assert_holds(case.database)
    assert {name for name in databases(cluster) if not name.startswith("again_")} == before
    assert_no_traces(cluster)
