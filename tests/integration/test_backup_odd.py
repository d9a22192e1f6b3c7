# SPDX-License-Identifier: PostgreSQL
"""backup: databases of an unusual kind, disks that are full, and how far it is."""
import os
import signal

import pytest

from athena_test import wait_until
from backups import KEY, Store, catalog, enqueue, quicken, uncompressed_pg_dump
from clones import assert_no_traces, dump, failures, load_bytes, tools
from disk import SmallDisk

# 63 bytes, the most that a name may have, of characters of one to four.
LONG = "größe/" + "日本" * 6 + "🐘" * 4 + "x'y"
assert len(LONG.encode()) == 63
NAME, TEXT = f'"{LONG}"', "'" + LONG.replace("'", "''") + "'"

SOURCES = {
    "nothing at all": "SELECT 1",
    "zero rows": "CREATE TABLE empty (id bigserial PRIMARY KEY, word text); CREATE TABLE none (); CREATE VIEW v AS TABLE empty;"
                 "CREATE MATERIALIZED VIEW m AS TABLE empty; CREATE MATERIALIZED VIEW n AS TABLE empty WITH NO DATA",
    "long names": f"CREATE SCHEMA {NAME}; CREATE TABLE {NAME}.{NAME} ({NAME} text PRIMARY KEY);"
                  f"INSERT INTO {NAME}.{NAME} VALUES ({TEXT}); CREATE SEQUENCE {NAME}.s START 7",
}


@pytest.fixture
def store(database, tmp_path):
    quicken(database)
    return Store(tmp_path / "store", KEY)


def check_way_back(database, cluster, store, source, target):
    job = enqueue(database, "backup", database=source.url)
    database.wait_for_state(job, "succeeded")
    store.assert_holds(database)
    restored = enqueue(database, "restore", backup=job, target=cluster.url(target))
    database.wait_for_state(restored, "succeeded")
    assert dump(cluster, target) == dump(cluster, source.name)
    cluster.drop_database(target)
    return catalog(database, job)


@pytest.mark.parametrize("kind", SOURCES)
def test_comes_back_exact(database, cluster, workers, store, kind):
    workers.start("backup", env=store.env)
    source = cluster.new_database(label="odd")
    source.query(SOURCES[kind])
    check_way_back(database, cluster, store, source, f"{source.name}_back")
    source.drop()


def test_a_database_with_a_long_name(database, cluster, workers, store):
    """Its characters are no part of a key, but a digest of them is."""
    workers.start("backup", env=store.env)
    source = cluster.create_database(LONG)
    source.query("CREATE TABLE t AS SELECT 1 AS one")
    row = check_way_back(database, cluster, store, source, LONG[1:])
    assert row["client"] == LONG and row["stem"].isascii() and row["stem"].count("/") == 4
    source.close()
    cluster.drop_database(LONG)


# --- A disk that is full

def test_a_full_disk_holds_nothing_and_is_tried_again(database, cluster, workers):
    quicken(database)
    database.query("UPDATE athena.families SET backoff_base = '1 h' WHERE name = 'backup'")
    source = load_bytes(cluster.new_database(label="large"), 30)
    disk = SmallDisk(16)
    try:
        store = Store(disk.folder / "store")
        disk.fill()
        os.truncate(disk.folder / "ballast", (disk.folder / "ballast").stat().st_size - 100_000)
        workers.start("backup", env=store.env)
        job = enqueue(database, "backup", database=source.url)
        wait_until(lambda: failures(database, job), what="the disk is full")
        assert failures(database, job)[0]["code"] == "disk_full"
        assert store.objects() == [] and store.unfinished() == []
        assert_no_traces(cluster)
        disk.relieve()
        database.query("SELECT athena.retry(%s)", job)
        database.wait_for_state(job, "succeeded")
        store.assert_holds(database)
    finally:
        disk.remove()
        source.drop()


# --- How far it is

def test_progress(database, cluster, workers, store, tmp_path):
    """It is known from the first dump on, and is never all before it is."""
    source = load_bytes(cluster.new_database(label="large"), 30)
    workers.start("backup", env={**store.env, "ATHENA_PG_DUMP_PATH": uncompressed_pg_dump(tmp_path)})
    job = enqueue(database, "backup", database=source.url)
    tables = int(source.value("SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relname ~ '^t[0-9]$'"))
    seen = []

    def progress():
        row = database.query("SELECT done, total, unit FROM athena.progress WHERE job_id = %s", job)
        seen.extend(row)
        return row[0]["done"] if row else 0

    def written():
        return sum(path.stat().st_size for path in store.directory.rglob(".*.dump.*") if path.exists())
    wait_until(lambda: written() > tables // 4, what="a quarter of the dump", every_s=0.001)
    held = list(tools(cluster))
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: progress() > tables // 5, what="the server says how far it is")
    assert progress() < tables * 1.01
    for pid in held:
        os.kill(pid, signal.SIGCONT)
    database.wait_for_state(job, "succeeded")
    assert {row["unit"] for row in seen} == {"bytes"}
    assert {row["total"] for row in seen} == {2 * (tables + 1)}
    source.drop()
