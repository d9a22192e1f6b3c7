# SPDX-License-Identifier: PostgreSQL
"""backup: a database goes into a store and comes back exact; what is damaged there is found."""
import json
import os
import time

import pytest

from athena_test import Database, wait_until
from backups import KEY, OTHER_KEY, Store, catalog, enqueue, quicken
from clones import (assert_no_traces, copy_by_hand, databases, dump, events, failures, load_bytes,
                    messages, processes, wait_for_phase)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def sealed(tmp_path):
    return Store(tmp_path / "sealed", KEY)


@pytest.fixture
def backup(database, workers, store):
    """backup(kind, ...) enqueues and waits for the end; the job's id."""
    quicken(database)

    def backup(kind="backup", state="succeeded", /, at=store, **payload):
        if not workers.all:
            workers.start("backup", env=at.env)
        job = enqueue(database, kind, **payload)
        row = database.wait_for_state(job, state)
        assert row["state"] == state
        return job
    return backup


def code(database, job):
    return failures(database, job)[-1]["code"]


# --- There and back

def test_comes_back_exact(database, cluster, backup, store, shop, target):
    job = backup(database=shop.url, label="first")
    row = catalog(database, job)
    assert (row["state"], row["client"], row["label"]) == ("completed", shop.name, "first")
    assert row["verified_at"] and row["bytes"] == row["stored_bytes"] and not row["key_id"]
    store.assert_holds(database)
    assert row["manifest"] == json.loads(store.path(database, job, "manifest.json").read_text())
    assert len(row["manifest"]["census"]["tables"]) == 18
    assert row["manifest"]["census"]["large_objects"]["count"] == 4
    assert [event["phase"] for event in events(database, job, "phase_started")] == [
        "snapshot", "dumping", "counting", "verifying", "completing"]

    restored = backup("restore", backup=job, target=target.url)
    copy_by_hand(cluster, shop.name, "by_hand")
    assert dump(cluster, target.name) == dump(cluster, "by_hand")
    cluster.drop_database("by_hand")
    (result,) = events(database, restored, "verification_result")
    assert result["details"]["passed"] is True and result["details"]["tables"] == 18
    assert_no_traces(cluster)
    assert not database.conservation()


def test_encrypted(database, cluster, backup, sealed, shop, target):
    job = backup(database=shop.url, at=sealed)
    row = catalog(database, job)
    sealed.assert_holds(database)
    assert row["key_id"] and row["stored_bytes"] > row["bytes"]
    content = sealed.path(database, job).read_bytes()
    assert content.startswith(b"ATHSEAL1") and b"PGDMP" not in content
    assert b"CREATE ROLE" not in sealed.path(database, job, "globals.sql").read_bytes()
    backup("verify", backup=job)
    backup("restore", database=shop.url, target=target.url)
    assert target.name in databases(cluster)


def test_another_key_opens_nothing_and_changes_nothing(database, backup, sealed, workers, shop):
    job = backup(database=shop.url, at=sealed)
    workers.all[0].terminate()
    workers.start("backup", env={**sealed.env, "ATHENA_BACKUP_KEY": OTHER_KEY})
    assert code(database, backup("verify", "dead", backup=job)) == "no_key"
    assert catalog(database, job)["verified_at"]


def test_a_key_that_cannot_be_read_stores_nothing(database, backup, store, workers, shop, tmp_path):
    workers.start("backup", env={**store.env, "ATHENA_BACKUP_KEY_FILE": str(tmp_path / "missing")})
    backup("backup", "dead", database=shop.url)
    assert not store.directory.exists()


def test_the_newest_verified_one_is_taken(database, backup, shop):
    first, second = backup(database=shop.url), backup(database=shop.url)
    assert messages(database, backup("verify", database=shop.url), "backup_verified")[0].startswith(f"backup {second} ")
    database.query("UPDATE athena.backups SET verified_at = NULL WHERE job_id = %s", second)
    assert messages(database, backup("verify", database=shop.url), "backup_verified")[0].startswith(f"backup {first} ")


def test_objects_are_of_their_owner_only(database, backup, store, shop):
    job = backup(database=shop.url)
    for kind in ("dump", "globals.sql", "manifest.json"):
        assert store.path(database, job, kind).stat().st_mode & 0o7777 == 0o600
    assert store.directory.stat().st_mode & 0o7777 == 0o700


# --- Damage

def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size * 6 // 10)


def replace_by_right_size(path):
    path.write_bytes(os.urandom(path.stat().st_size))


DAMAGES = {"flipped": flip, "cut": cut, "wrong body": replace_by_right_size, "gone": os.unlink}


@pytest.mark.parametrize("is_sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_recorded(database, cluster, backup, store, sealed, shop, target, damage, is_sealed):
    place = sealed if is_sealed else store
    job = backup(database=shop.url, at=place)
    DAMAGES[damage](place.path(database, job))
    checked = backup("verify", "dead", backup=job)
    row = catalog(database, job)
    assert code(database, checked) in ("damaged", "no_object")
    assert row["verified_at"] is None and row["verify_error"]
    assert code(database, backup("restore", "dead", backup=job, target=target.url)) in ("damaged", "no_object")
    assert target.name not in databases(cluster)
    assert_no_traces(cluster)


@pytest.mark.parametrize("kind", ["globals.sql", "manifest.json"])
def test_damage_beside_the_dump(database, backup, store, shop, kind):
    job = backup(database=shop.url)
    flip(store.path(database, job, kind))
    assert code(database, backup("verify", "dead", backup=job)) == "damaged"


# --- Where to

def test_what_exists_is_not_touched(database, cluster, backup, shop, target):
    job = backup(database=shop.url)
    cluster.connect().execute(f"CREATE DATABASE {target.name}")
    assert code(database, backup("restore", "dead", backup=job, target=target.url)) == "target_exists"
    assert code(database, backup("restore", "dead", backup=job, target=target.url,
                                 replace=target.name[:-1])) == "replace_differs"
    assert Database(cluster, target.name).value("SELECT count(*) FROM pg_class WHERE relname = 'orders'") == 0


def test_replacing_keeps_what_was_there(database, cluster, backup, shop, target):
    job = backup(database=shop.url)
    cluster.connect().execute(f"CREATE DATABASE {target.name}")
    old = Database(cluster, target.name)
    old.query("CREATE TABLE precious AS SELECT 1 AS one")
    old.close()
    backup("restore", backup=job, target=target.url, replace=target.name)
    (kept,) = [name for name in databases(cluster) if name.startswith(f"{target.name}_before_")]
    for name, tables in ((kept, 1), (target.name, 0)):
        there = Database(cluster, name)
        assert there.value("SELECT count(*) FROM pg_class WHERE relname = 'precious'") == tables
        there.close()


def test_who_may_not_read_a_table_is_not_tried_again(database, cluster, backup):
    role = f"reader_{time.monotonic_ns()}"
    source = cluster.new_database(label="closed")
    source.query(f"CREATE ROLE {role} LOGIN; CREATE TABLE closed ()")
    job = backup("backup", "dead", database=cluster.url(source.name, role))
    (failed,) = failures(database, job)
    assert (failed["kind"], failed["code"]) == ("permanent", "permission") and "table closed" in failed["error"]
    source.drop()
    cluster.connect().execute(f"DROP ROLE {role}")


def test_a_role_that_is_missing_is_said_before_anything_is_made(database, cluster, backup, target):
    role = f"owner_{time.monotonic_ns()}"
    source = cluster.new_database(label="owned")
    source.query(f"CREATE ROLE {role}; CREATE TABLE t (); ALTER TABLE t OWNER TO {role}")
    job = backup(database=source.url)
    source.drop()
    cluster.connect().execute(f"DROP ROLE {role}")
    restored = backup("restore", "dead", backup=job, target=target.url)
    assert code(database, restored) == "target_lacks" and role in failures(database, restored)[-1]["error"]
    assert not events(database, restored, "staging_created")


def test_drill(database, cluster, backup, shop):
    job = backup(database=shop.url)
    before = databases(cluster)
    backup("drill", database=shop.url)
    assert catalog(database, job)["drilled_at"]
    assert databases(cluster) == before
    assert_no_traces(cluster)


def test_a_drill_that_fails_says_so_in_the_catalog(database, cluster, backup, shop):
    job = backup(database=shop.url)
    manifest = catalog(database, job)["manifest"]
    next(table for table in manifest["census"]["tables"] if table["kind"] == "rows of table")["rows"] = "7"
    database.query("UPDATE athena.backups SET manifest = %s WHERE job_id = %s", json.dumps(manifest), job)
    assert code(database, backup("drill", "dead", database=shop.url)) == "verification_failed"
    assert "7" in catalog(database, job)["drill_error"]
    assert_no_traces(cluster)


# --- Retention

def age(database, backup, days):
    database.query("UPDATE athena.backups SET started_at = now() - make_interval(days => %s) WHERE job_id = %s",
                   days, backup)


def test_expire(database, backup, store, shop):
    jobs = [backup(database=shop.url, verify="none") for _ in range(4)]
    for n, job in enumerate(jobs):
        age(database, job, 10 - n)
    database.query("UPDATE athena.backups SET pinned = true WHERE job_id = %s", jobs[0])
    dry = backup("expire", database=shop.url, keep_last=1, dry_run=True)
    assert [event["details"]["backup"] for event in events(database, dry, "expires")] == [jobs[2], jobs[1]]
    assert len(store.objects()) == 12
    backup("expire", database=shop.url, keep_last=1)
    assert database.column("SELECT state FROM athena.backups ORDER BY job_id") == [
        "completed", "expired", "expired", "completed"]
    store.assert_holds(database)


def test_a_backup_with_a_policy_expires_the_others(database, backup, store, shop):
    jobs = [backup(database=shop.url, verify="none", keep_last=2) for _ in range(3)]
    assert [catalog(database, job)["state"] for job in jobs] == ["expired", "completed", "completed"]
    store.assert_holds(database)


def test_expiry_that_died_is_finished(database, backup, store, shop):
    first, _ = backup(database=shop.url, verify="none"), backup(database=shop.url, verify="none")
    database.query("UPDATE athena.backups SET state = 'expiring' WHERE job_id = %s", first)
    store.path(database, first).unlink()
    backup("expire", database=shop.url, keep_last=5)
    assert catalog(database, first)["state"] == "expired"
    store.assert_holds(database)


# --- What goes wrong

def test_says_what_it_needs(database, backup, shop, target):
    assert code(database, backup("backup", "dead")) == "bad_payload"
    assert code(database, backup("restore", "dead", backup=999999, target=target.url)) == "no_backup"
    assert code(database, backup("tidy", "dead")) == "bad_kind"


def test_without_a_store(database, backup, workers, shop):
    workers.start("backup")
    assert code(database, backup("backup", "dead", database=shop.url)) == "no_store"


def test_a_store_that_is_elsewhere(database, backup, workers, shop, tmp_path):
    job = backup(database=shop.url)
    workers.all[0].terminate()
    workers.start("backup", env=Store(tmp_path / "other").env)
    assert code(database, backup("verify", "dead", backup=job)) == "other_store"
    assert catalog(database, job)["verified_at"]


def test_cancelled_leaves_nothing(database, cluster, workers, store):
    source = load_bytes(cluster.new_database(label="large"), 40)
    quicken(database)
    workers.start("backup", env=store.env)
    job = enqueue(database, "backup", database=source.url)
    wait_for_phase(database, job, "dumping")
    database.query("SELECT athena.cancel(%s)", job)
    database.wait_for_state(job, "cancelled")
    assert store.objects() == [] and store.unfinished() == []
    assert_no_traces(cluster)
    source.drop()


def test_killed_at_once_and_finished_by_another(database, cluster, workers, store):
    source = load_bytes(cluster.new_database(label="large"), 40)
    quicken(database)
    victim = workers.start("backup", env=store.env)
    job = enqueue(database, "backup", database=source.url)
    wait_until(store.unfinished, what="an object is being written")
    victim.kill()
    workers.start("backup", env=store.env)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 2
    store.assert_holds(database)
    assert_no_traces(cluster)
    source.drop()


def test_secrets_are_nowhere(database, cluster, workers, store, shop):
    role, secret = f"reader_{time.monotonic_ns()}", "canary-4f9c1d7e-geheim"
    with cluster.connect() as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{secret}'")
    quicken(database)
    worker = workers.start("backup", env={**store.env, "ATHENA_BACKUP_KEY": KEY})
    url = f"{cluster.url(shop.name, role)}&password={secret}"
    job = enqueue(database, "backup", database=url)
    seen = set()

    def ended():
        for pid in processes():
            for name in ("cmdline", "environ"):
                try:
                    text = open(f"/proc/{pid}/{name}", "rb").read()
                except OSError:
                    continue
                if b"athena:backup:" in text and cluster.host.encode() in text:
                    seen.add(text)
        return database.job(job)["state"] == "succeeded"
    wait_until(ended, what="the backup is done", every_s=0.01)
    assert seen and not any(word.encode() in text for text in seen for word in (secret, KEY))
    told = json.dumps([events(database, job), database.query("SELECT * FROM athena.backups")], default=str)
    for text in (told, worker.stderr(), store.path(database, job, "manifest.json").read_text()):
        assert secret not in text and KEY not in text
    with cluster.connect() as conn:
        conn.execute(f"DROP ROLE {role}")


# --- The command line

def test_commands(database, cluster, run, workers, store, shop, target):
    quicken(database)
    workers.start("backup", env=store.env)
    job = run("athena", "backup", "create", shop.url, "--label", "by hand", "--follow").stdout.split()[0]
    (row,) = json.loads(run("athena", "backup", "list", "--json").stdout)
    assert (row["job_id"], row["status"], row["label"]) == (int(job), "completed", "by hand")
    assert shop.name in run("athena", "backup", "list").stdout
    shown = json.loads(run("athena", "backup", "show", job, "--json").stdout)
    assert shown["manifest"]["census"]["level"] == "full"
    assert "stored" in run("athena", "backup", "show", job).stdout
    run("athena", "backup", "verify", job, "--follow")
    run("athena", "backup", "restore", job, target.url, "--follow")
    run("athena", "backup", "drill", shop.url, "--follow")
    run("athena", "backup", "pin", job)
    run("athena", "backup", "expire", shop.url, "--keep-last", "1", "--dry-run", "--follow")
    run("athena", "backup", "unpin", job)
    assert target.name in databases(cluster)
    assert run("athena", "backup", "show", "999999", status=1).stderr.startswith("athena backup show: there is no backup 999999\n")
    views = database.query("SELECT job_type, client_name, status FROM athena.backup_jobs ORDER BY id")
    assert views[0] == {"job_type": "backup", "client_name": shop.name, "status": "completed"}
    assert database.value("SELECT count(*) FROM athena.backup_logs WHERE kind = 'backup_completed'") == 1
