# SPDX-License-Identifier: PostgreSQL
"""A worker is killed in the middle of a backup, at phases and at bytes: another one finishes it."""
import os
import random

import pytest

from athena_test import processes, wait_until
from backups import KEY, Store, catalog, enqueue, quicken
from clones import assert_no_traces, load_bytes, wait_for_event, wait_for_phase
from workers import wait_dead

PHASES = ["snapshot", "dumping", "counting", "verifying", "completing"]
EVERYTHING = os.environ.get("ATHENA_MATRIX") == "all"
SEED = 7

# At `make test` two of them.
MOMENTS = [*PHASES, *(f"{part}%" for part in random.Random(SEED).sample(range(1, 100), 20))]
if not EVERYTHING:
    MOMENTS = ["verifying", MOMENTS[len(PHASES)]]


@pytest.fixture(scope="module")
def source(cluster):
    source = load_bytes(cluster.new_database(label="source"), 30)
    yield source
    source.drop()


@pytest.fixture(scope="module")
def dump_bytes(source):
    """About what a dump of it takes."""
    return source.value("SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relname ~ '^t[0-9]$'") // 16


def below(worker):
    found, layer = set(), {worker.pid}
    everybody = processes()
    while layer:
        layer = {pid for pid, (parent, _) in everybody.items() if parent in layer}
        found |= layer
    return found


def written(store):
    return sum(path.stat().st_size for path in store.directory.rglob(".*.dump.*") if path.exists())


@pytest.mark.parametrize("moment", MOMENTS)
def test_another_worker_finishes(database, cluster, workers, source, dump_bytes, tmp_path, moment):
    store = Store(tmp_path / "store", KEY)
    quicken(database)
    victim = workers.start("backup", env=store.env)
    job = enqueue(database, "backup", database=source.url)
    if moment in PHASES:
        wait_for_phase(database, job, moment)
    else:
        bytes_wanted = dump_bytes * int(moment[:-1]) // 100
        wait_until(lambda: written(store) >= bytes_wanted or store.objects(), what=f"{moment} of the dump", every_s=0.001)
    children = below(victim)
    victim.kill()
    wait_dead(*children)

    workers.start("backup", env=store.env)
    assert database.wait_for_state(job, "succeeded")["attempt"] in (1, 2)
    assert catalog(database, job)["state"] == "completed"
    store.assert_holds(database)
    assert_no_traces(cluster)
    assert not database.conservation()
    checked = enqueue(database, "verify", backup=job)
    database.wait_for_state(checked, "succeeded")
    wait_for_event(database, checked, "backup_verified")
