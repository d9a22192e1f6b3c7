# SPDX-License-Identifier: PostgreSQL
"""athena backup schedule: backups and drills by themselves, and what of them is kept."""
import json

from backups import Store, catalog, quicken


def run_now(run, database, name):
    job = int(run("athena", "schedule", "run-now", name).stdout)
    database.wait_for_state(job, "succeeded")
    return job


def test_a_schedule_makes_backups_keeps_some_and_tries_them(database, workers, run, shop, tmp_path):
    quicken(database)
    store = Store(tmp_path / "store")
    workers.start("backup", env=store.env)
    run("athena", "backup", "schedule", shop.url, "daily 02:30", "--name", "nightly", "--zone", "Europe/Berlin",
        "--keep-last", "2", "--label", "by night")
    run("athena", "backup", "schedule", shop.url, "weekly sun 05:00", "--name", "trial", "--kind", "drill")
    made = [run_now(run, database, "nightly") for _ in range(3)]
    assert [catalog(database, job)["state"] for job in made] == ["expired", "completed", "completed"]
    assert {catalog(database, job)["label"] for job in made} == {"by night"}
    store.assert_holds(database)
    run_now(run, database, "trial")
    assert catalog(database, made[-1])["drilled_at"]
    rows = database.query("SELECT id, label, job_type, frequency, time_zone, enabled, retention FROM athena.backup_schedules ORDER BY id")
    assert rows == [
        {"id": "nightly", "label": "by night", "job_type": "backup", "frequency": "daily 02:30",
         "time_zone": "Europe/Berlin", "enabled": True, "retention": {"keep_last": 2}},
        {"id": "trial", "label": None, "job_type": "drill", "frequency": "weekly sun 05:00", "time_zone": "UTC",
         "enabled": True, "retention": None}]


def test_what_it_is_told(database, run):
    def schedule(*words, status):
        return run("athena", "backup", "schedule", *words, status=status).stderr
    run("athena", "backup", "schedule", "shop", "daily 02:30", "--keep-last", "7")
    (row,) = json.loads(run("athena", "schedule", "list", "--json").stdout)
    assert (row["name"], row["kind"], row["payload"]) == ("backup-shop", "backup", {"database": "shop", "keep_last": 7})
    assert "is there already" in schedule("shop", "daily 02:30", status=1)
    assert "--kind backup" in schedule("shop", "daily 02:30", "--kind", "drill", "--keep-last", "7", status=2)
    assert "a schedule name is" in schedule("postgresql:///shop", "daily 02:30", status=2)
    assert "Five fields" in schedule("mail", "nightly", status=2)
