# SPDX-License-Identifier: PostgreSQL
"""backup: into a bucket and back, with what a network does to it on the way."""
import hashlib
import os

import pytest

from athena_test import wait_until
from backups import KEY, catalog, enqueue, quicken
from clones import copy_by_hand, dump, events, failures
from s3_server import SECRET, answer, error, faketime_library, lose_answer, silence

PREFIX = "of/tests"


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


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]


DAMAGES = {"flipped": flip, "cut": lambda content: content[:len(content) * 6 // 10],
           "wrong body": lambda content: os.urandom(len(content))}


def test_damage_in_the_bucket(database, s3, start, shop):
    start()
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "succeeded")
    content = s3.run("get", key_of(database, job)).bytes
    for name, damage in DAMAGES.items():
        s3.run("put", key_of(database, job), stdin=damage(content))
        verify = enqueue(database, "verify", backup=job)
        database.wait_for_state(verify, "dead")
        assert failures(database, verify)[-1]["code"] == "damaged", name
        assert not catalog(database, job)["verified_at"], name
    s3.run("put", key_of(database, job), stdin=content)
    verify = enqueue(database, "verify", backup=job)
    database.wait_for_state(verify, "succeeded")
    assert catalog(database, job)["verified_at"]


def test_a_completion_that_says_200_and_fails(database, s3, proxy, start, shop):
    """The one attempt is tried again; what the answers were about is no longer there."""
    proxy.on("POST", ".dump?uploadId=", answer(
        200, "<?xml version='1.0'?><Error><Code>InternalError</Code><Message>a test</Message></Error>"), times=20)
    start(ATHENA_BACKUP_S3_TRIES="2")
    database.query("UPDATE athena.families SET backoff_base = '1 h' WHERE name = 'backup'")
    job = enqueue(database, "backup", database=shop.url)
    wait_until(lambda: failures(database, job), what="a failure")
    assert failures(database, job)[0]["kind"] == "transient"
    assert s3.is_clean() and s3.run("list", f"{PREFIX}/{catalog(database, job)['stem']}").keys() == []


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


REFUSALS = {
    "another secret": ("s3_credentials", {"ATHENA_BACKUP_S3_SECRET_ACCESS_KEY": "another-secret"}, None),
    "another bucket": ("no_bucket", {"ATHENA_BACKUP_S3_BUCKET": "elsewhere"}, None),
    "an expired token": ("s3_expired", {}, error(400, "ExpiredToken")),
    "no right": ("denied", {}, error(403, "AccessDenied")),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_a_bucket_that_refuses(database, proxy, start, shop, why):
    code, settings, act = REFUSALS[why]
    for method in ("GET", "PUT", "POST", "DELETE") if act else ():
        proxy.on(method, "/", act, times=100)
    start(**settings)
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "dead")
    (failure,) = failures(database, job)
    assert failure["code"] == code and "another-secret" not in str(failure)
    assert not events(database, job, "tool_output")


def test_a_clock_that_is_wrong(database, start, shop):
    """May be mended: it is tried again, and the reason says by how much."""
    start(LD_PRELOAD=faketime_library(), FAKETIME="+1200")
    job = enqueue(database, "backup", database=shop.url)
    wait_until(lambda: failures(database, job), what="a failure")
    failure = failures(database, job)[0]
    assert (failure["kind"], failure["code"]) == ("transient", "s3_clock") and "ahead of" in failure["error"]


def test_two_places_are_one_too_many(database, start, shop, tmp_path):
    start(ATHENA_BACKUP_DIRECTORY=str(tmp_path / "store"))
    job = enqueue(database, "backup", database=shop.url)
    database.wait_for_state(job, "dead")
    assert failures(database, job)[-1]["code"] == "no_store"
