# SPDX-License-Identifier: PostgreSQL
"""Support of canaries: what shows a secret is found, wherever it shows it. See support/canary.py."""
import os
import subprocess

import pytest
from canary import CANARY, KEY, assert_not_in, assert_not_written, shown_by


@pytest.mark.parametrize("secret", [f"{CANARY}-session", KEY, f"key {KEY[:30]}..."])
def test_in_output(run, secret):
    with pytest.raises(AssertionError, match="a secret is in the output of /bin/sh"):
        run("/bin/sh", "-c", 'printf "a\\n%s\\n" "$1" >&2', "sh", secret)


@pytest.mark.parametrize("statement", [
    "INSERT INTO athena.events (job_id, level, kind, message) VALUES (%s, 'info', 'x', %s)",
    "INSERT INTO athena.failures (job_id, ticket, attempt, family, kind, error) VALUES (%s, 1, 1, 'noop', 'error', %s)",
    "INSERT INTO athena.backups (job_id, ticket, attempt, client, store, place, stem, verify_error)"
    " VALUES (%s, 1, 1, 'shop', 'local', '/', 's', %s)",
])
@pytest.mark.parametrize("secret", [f"user:{CANARY}-client@host", KEY])
def test_in_the_database(cluster, statement, secret):
    database = cluster.migrated_database()
    assert_not_written(database)
    database.query(statement, 1, secret)
    with pytest.raises(AssertionError, match="a secret is in the database"):
        assert_not_written(database)
    database.drop()


def test_in_what_anybody_may_see_of_a_process():
    for words, environment, is_leak in [(["x", f"--password={CANARY}-client"], {}, True),
                                        (["x"], {"PGPASSWORD": f"{CANARY}-database"}, True),
                                        (["x"], {"PGPASSFILE": "/dev/fd/9"}, False)]:
        process = subprocess.Popen(["/bin/sh", "-c", "read line", *words], env=environment, stdin=subprocess.PIPE)
        try:
            assert bool(list(shown_by([process.pid], but=os.getpid()))) == is_leak
        finally:
            process.communicate(b"\n")


def test_in_nothing():
    assert_not_in("canary", "a bird")
