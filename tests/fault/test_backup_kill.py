# SPDX-License-Identifier: PostgreSQL
"""A worker is killed in the middle of a backup or a restore, at phases and at random: another one finishes it."""
import hashlib
import os
import random
import subprocess

import pytest

from athena_test import client, processes, wait_until
from backups import KEY, Store, catalog, enqueue, quicken
from clones import assert_no_traces, databases, dump, load_bytes, wait_for_event, wait_for_phase
from workers import wait_dead

EVERYTHING = os.environ.get("ATHENA_MATRIX") == "all"
RANDOM = random.Random(7)


def moments(phases):
    """Phases, and 20 random ones by how far it is; at `make test` one of each."""
    parts = [f"{part}%" for part in RANDOM.sample(range(1, 100), 20)]
    return [*phases, *parts] if EVERYTHING else [phases[-2], parts[0]]


def digest(cluster, name):
    return hashlib.sha256("\n".join(dump(cluster, name)).encode()).hexdigest()


@pytest.fixture(scope="module")
def source(cluster):
    source = load_bytes(cluster.new_database(label="source"), 30)
    source.digest = digest(cluster, source.name)
    yield source
    source.drop()


@pytest.fixture(scope="module")
def dump_bytes(source):
    """What a dump of it takes."""
    return len(subprocess.run([client("pg_dump"), "-Fc", "-d", source.url], check=True, capture_output=True).stdout)


@pytest.fixture
def store(database, tmp_path):
    quicken(database)
    return Store(tmp_path / "store", KEY)


@pytest.fixture
def target(cluster):
    name = f"restored_{os.getpid()}"
    yield name
    cluster.drop_database(name)


def below(worker):
    found, layer = set(), {worker.pid}
    everybody = processes()
    while layer:
        layer = {pid for pid, (parent, _) in everybody.items() if parent in layer}
        found |= layer
    return found


def kill(worker):
    children = below(worker)
    worker.kill()
    wait_dead(*children)


def written(store):
    return sum(path.stat().st_size for path in store.directory.rglob(".*.dump.*") if path.exists())


def fed(database, job):
    """How much of a dump has been restored, from 0 to 1."""
    row = database.query("SELECT done::float / total AS part FROM athena.progress WHERE job_id = %s", job)
    return row[0]["part"] if row else 0


def is_over(database, job):
    return database.job(job)["state"] not in ("ready", "running")


def check_end(database, cluster, source, job):
    assert database.wait_for_state(job, "succeeded")["attempt"] in (1, 2)
    assert_no_traces(cluster)
    assert digest(cluster, source.name) == source.digest
    assert not database.conservation()


@pytest.mark.parametrize("moment", moments(["snapshot", "dumping", "counting", "verifying", "completing"]))
def test_a_backup(database, cluster, workers, source, dump_bytes, store, moment):
    victim = workers.start("backup", env=store.env)
    job = enqueue(database, "backup", database=source.url)
    if moment.endswith("%"):
        wanted = dump_bytes * int(moment[:-1]) // 100
        wait_until(lambda: written(store) >= wanted or store.objects(), what=f"{moment} of the dump", every_s=0.001)
    else:
        wait_for_phase(database, job, moment)
    kill(victim)

    workers.start("backup", env=store.env)
    check_end(database, cluster, source, job)
    assert catalog(database, job)["state"] == "completed"
    store.assert_holds(database)
    drill = enqueue(database, "drill", backup=job, target=source.url)
    database.wait_for_state(drill, "succeeded")
    wait_for_event(database, drill, "drilled")


@pytest.mark.parametrize("moment", moments(["prepare_target", "restoring", "verify_target", "complete"]))
def test_a_restore(database, cluster, workers, source, store, target, moment):
    victim = workers.start("backup", env=store.env)
    backup = enqueue(database, "backup", database=source.url)
    database.wait_for_state(backup, "succeeded")
    job = enqueue(database, "restore", backup=backup, target=cluster.url(target))
    if moment.endswith("%"):
        wait_until(lambda: fed(database, job) >= int(moment[:-1]) / 100 or is_over(database, job),
                   what=f"{moment} of the restore", every_s=0.001)
    else:
        wait_for_phase(database, job, moment)
    kill(victim)
    if target in databases(cluster):  # whole, or not at all
        assert digest(cluster, target) == source.digest

    workers.start("backup", env=store.env)
    check_end(database, cluster, source, job)
    assert digest(cluster, target) == source.digest
    store.assert_holds(database)
