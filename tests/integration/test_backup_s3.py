# SPDX-License-Identifier: PostgreSQL
"""backup: into a bucket and back, with what a network does to it on the way."""
import hashlib
import time

import pytest

from athena_test import wait_until
from backups import KEY, catalog, enqueue, quicken
from clones import copy_by_hand, databases, dump, events, failures, load_shop
from s3_server import SECRET, FaultProxy, S3Server, error, lose_answer, silence

PREFIX = "of/tests"


@pytest.fixture(scope="module")
def s3():
    server = S3Server()
    yield server
    server.remove()


@pytest.fixture
def proxy(s3):
    proxy = FaultProxy(s3)
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def shop(cluster):
    database = load_shop(cluster.new_database(label="shop"))
    yield database
    database.drop()


@pytest.fixture
def target(cluster):
    """A name that no database has; dropped afterwards."""
    class Target:
        name = f"from_bucket_{time.monotonic_ns()}"
        url = cluster.url(name)
    yield Target()
    for name in databases(cluster):
        if name.startswith(Target.name):
            cluster.drop_database(name)


@pytest.fixture
def start(database, workers, s3, proxy):
    """A worker whose backups go into the bucket, through the proxy."""
    quicken(database)
    return lambda **more: workers.start("backup", env={**s3.settings(proxy, prefix=PREFIX), **more})


def key_of(database, backup, kind="dump"):
    return f"{PREFIX}/{catalog(database, backup)['stem']}.{kind}"


def test_a_bucket_and_back(database, cluster, s3, start, shop, target):
    worker = start(ATHENA_BACKUP_KEY=KEY)
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "succeeded")
    row = catalog(database, job)
    assert (row["store"], row["place"]) == ("s3", f"s3://backups/{PREFIX}") and row["verified_at"]
    content = s3.s3cmd("get", f"s3://backups/{key_of(database, job)}", "-")
    assert hashlib.sha256(content).hexdigest() == row["stored_sha256"]
    assert sorted(s3.run("list", PREFIX).keys()) == sorted(
        key_of(database, job, kind) for kind in ("dump", "globals.sql", "manifest.json"))

    restored = enqueue(database, "restore", backup=job, target=target.url)
    database.wait_for_state(restored, "succeeded")
    copy_by_hand(cluster, shop.name, "by_hand")
    assert dump(cluster, target.name) == dump(cluster, "by_hand")
    cluster.drop_database("by_hand")
    said = worker.stderr() + str(database.query("SELECT * FROM athena.events")) + str(row)
    assert SECRET not in said and s3.is_clean()
    for kind in ("dump", "globals.sql", "manifest.json"):
        s3.run("delete", key_of(database, job, kind))


def test_a_network_that_loses_and_a_server_that_is_busy(database, s3, proxy, start, shop):
    proxy.on("PUT", "partNumber=1", error(503, "SlowDown"))
    proxy.on("POST", ".dump?uploadId=", lose_answer)
    start()
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "succeeded")
    assert proxy.is_done() and not failures(database, job) and s3.is_clean()


def test_a_byte_that_flipped_in_the_bucket(database, s3, start, shop):
    start()
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "succeeded")
    content = bytearray(s3.run("get", key_of(database, job)).bytes)
    content[len(content) // 2] ^= 1
    s3.run("put", key_of(database, job), stdin=bytes(content))
    verify = enqueue(database, "verify", backup=job)
    database.wait_for_state(verify, "dead")
    assert not catalog(database, job)["verified_at"]


def test_what_a_killed_worker_left_is_aborted(database, s3, proxy, start, shop):
    proxy.on("PUT", "partNumber=1", silence)
    worker = start()
    job = enqueue(database, "backup", database=shop.url)
    wait_until(proxy.is_done, what="a part is under way")
    worker.kill()
    assert not s3.is_clean()
    start()
    database.wait_for_state(job, "succeeded")
    assert s3.is_clean() and catalog(database, job)["verified_at"]


def test_a_bucket_that_refuses(database, start, shop):
    start(ATHENA_BACKUP_S3_SECRET_ACCESS_KEY="another-secret")
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "dead")
    (failure,) = failures(database, job)
    assert failure["code"] == "s3_credentials" and "another-secret" not in str(failure)
    assert not events(database, job, "tool_output")


def test_two_places_are_one_too_many(database, start, shop, tmp_path):
    start(ATHENA_BACKUP_DIRECTORY=str(tmp_path / "store"))
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "dead")
    assert failures(database, job)[-1]["code"] == "no_store"
