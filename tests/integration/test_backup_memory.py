# SPDX-License-Identifier: PostgreSQL
"""backup: memory stays the same however much goes through it. 1 GB of dump with `make test-backup`."""
import os

import pytest

from backups import KEY, Store, catalog, enqueue, peak_kb, uncompressed_pg_dump
from clones import databases, load_bytes

EVERYTHING = os.environ.get("ATHENA_MATRIX") == "all"
MEGABYTES = 1024 if EVERYTHING else 80
OURS_KB = 64 << 10
PART_KB = 5 << 10
DEADLINE_S = 900

pytestmark = pytest.mark.deadline(2 * DEADLINE_S)


@pytest.fixture(scope="module")
def source(cluster):
    source = load_bytes(cluster.new_database(label="large"), MEGABYTES)
    yield source
    source.drop()


@pytest.fixture
def uncompressed(tmp_path):
    """Tools that make a dump as large as the database, as one of pictures would be."""
    return {"ATHENA_PG_DUMP_PATH": uncompressed_pg_dump(tmp_path)}


@pytest.fixture(params=["directory", "bucket"] if EVERYTHING else ["directory"])
def place(request, tmp_path):
    """Settings of a place for backups, and what it may hold in memory by itself, in kB."""
    if request.param == "directory":
        return Store(tmp_path / "store", KEY).env, 0
    settings = request.getfixturevalue("s3").settings(part_size=PART_KB << 10)
    # Three parts are in memory, of the size that they have grown to (s3_upload.h).
    return {**settings, "ATHENA_BACKUP_KEY": KEY}, 3 * PART_KB


def test_there_and_back(database, cluster, workers, source, uncompressed, place):
    settings, parts_kb = place
    worker = workers.start("backup", env={**settings, **uncompressed})
    job = enqueue(database, "backup", database=source.url)
    database.wait_for_state(job, "succeeded", DEADLINE_S)
    assert catalog(database, job)["bytes"] > MEGABYTES * 1_000_000 * 0.95
    backed_up_kb = peak_kb(worker)
    target = f"{source.name}_back"
    restored = enqueue(database, "restore", backup=job, target=cluster.url(target))
    database.wait_for_state(restored, "succeeded", DEADLINE_S)
    assert target in databases(cluster)
    cluster.drop_database(target)
    print(f"{MEGABYTES} MB: {backed_up_kb} kB while backing up, {peak_kb(worker)} kB afterwards")
    assert peak_kb(worker) < OURS_KB + parts_kb
