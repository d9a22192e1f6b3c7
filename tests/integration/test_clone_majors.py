# SPDX-License-Identifier: PostgreSQL
"""clone between servers of different majors: older into newer, and no source newer than pg_dump."""
import os
import pathlib
import subprocess

import psycopg.sql
import pytest

from athena_test import Cluster, client
from clones import load_shop

MAJORS = range(14, 19)


def major_of(program):
    return int(subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split()[2].split(".")[0])


@pytest.fixture(scope="module")
def servers():
    """servers(17): a server of that major, unpacked by tests/majors, started when first asked for."""
    started = {}

    def server(major):
        if major not in started:
            folder = pathlib.Path(os.environ["ATHENA_MAJORS"])
            started[major] = Cluster(bin=folder / str(major) / "native/bin").start()
        return started[major]
    yield server
    for cluster in started.values():
        cluster.remove()


def roles(server):
    with server.connect() as conn:
        return {row["rolname"] for row in conn.execute("SELECT rolname FROM pg_roles")}


def make_roles(source, target):
    """Roles are a server's, and no part of a database."""
    with target.connect() as conn:
        for name in roles(source) - roles(target):
            conn.execute(psycopg.sql.SQL("CREATE ROLE {}").format(psycopg.sql.Identifier(name)))


@pytest.fixture
def clone(database, workers):
    def clone(source, target, state):
        workers.start("clone")
        job = database.enqueue("clone", {"source": source, "target": target})
        return database.wait_for_state(job, state, 60)
    return clone


@pytest.mark.parametrize("target", [15, 16, 17, 18])
@pytest.mark.parametrize("source", [14, 15])
def test_older_into_newer(database, servers, clone, source, target):
    """The clone counts and compares every row by itself."""
    shop = load_shop(servers(source).new_database(label="shop"))
    make_roles(servers(source), servers(target))
    job = clone(shop.url, servers(target).url(shop.name + "_copy"), "succeeded")
    (result,) = database.column("SELECT details FROM athena.events WHERE job_id = %s AND kind = 'verification_result'", job["job_id"])
    assert (result["passed"], result["rows"]) == (True, 4753)
    shop.drop()
    servers(target).drop_database(shop.name + "_copy")


@pytest.mark.parametrize("source", [major for major in MAJORS if major > 15])
def test_a_source_newer_than_pg_dump_says_so(database, servers, clone, source):
    assert major_of(client("pg_dump")) < source
    empty = servers(source).new_database(label="empty")
    job = clone(empty.url, servers(18).url(empty.name + "_copy"), "dead")
    (failure,) = database.query("SELECT kind, code FROM athena.failures WHERE job_id = %s", job["job_id"])
    assert failure == {"kind": "permanent", "code": "source_newer_than_pg_dump"}
    empty.drop()
