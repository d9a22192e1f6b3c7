# SPDX-License-Identifier: PostgreSQL
"""athena grants: what it prints is SQL, and gives what it says."""
import subprocess

import pytest

from athena_test import client

MAY = {"worker": "SELECT athena.pause('noop')",
       "producer": "INSERT INTO athena.jobs (family) VALUES ('noop')",
       "reader": "SELECT * FROM athena.job_status",
       "maintenance": "SELECT athena.run_lane('tallies', gen_random_uuid())"}


@pytest.fixture
def psql(database):
    def psql(sql):
        done = subprocess.run([client("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", database.url], input=sql, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    return psql


@pytest.fixture
def names(database):
    """Roles of this test alone; they are the cluster's."""
    names = {ours: f'{database.name} "{ours}"' for ours in MAY}
    yield names
    for name in names.values():
        quoted = '"' + name.replace('"', '""') + '"'
        database.query(f"DROP OWNED BY {quoted}")
        database.query(f"DROP ROLE {quoted}")


def test_roles_that_are_made_may_do_what_they_are_for(run, database, psql, names):
    words = [word for ours, name in names.items() for word in (f"--{ours}", name)]
    psql(run("athena", "grants", "--create", *words).stdout)
    psql(run("athena", "grants", *words).stdout)  # and once more, without making them
    for ours, name in names.items():
        database.connect(user=name).execute(MAY[ours])
    for ours in ("producer", "reader", "maintenance"):
        with pytest.raises(Exception, match="permission denied"):
            database.connect(user=names[ours]).execute("SELECT athena.pause('noop')")


def test_several_roles_by_commas(run):
    assert run("athena", "grants", "--producer", "shop,billing").stdout == (
        "-- athena_producer: may queue jobs, and answer those that wait\n"
        'GRANT athena_producer TO "shop";\nGRANT athena_producer TO "billing";\n')


def test_without_roles_it_says_what_there_is(run, psql):
    text = run("athena", "grants").stdout
    assert all(f"athena_{ours} TO" in text for ours in MAY)
    psql(text)


def test_nobody_is_no_role(run):
    assert "--worker: which role?" in run("athena", "grants", "--worker", "", status=2).stderr
