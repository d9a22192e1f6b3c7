# SPDX-License-Identifier: PostgreSQL
"""A database to copy, and a bucket to put it into."""
import time

import pytest

from clones import databases, load_shop
from s3_server import FaultProxy, S3Server


@pytest.fixture(scope="module")
def shop(cluster):
    database = load_shop(cluster.new_database(label="shop"))
    yield database
    database.drop()


@pytest.fixture
def target(cluster):
    """A name that no database has; dropped afterwards, with what was kept of it."""
    class Target:
        name = f"again_{time.monotonic_ns()}"
        url = cluster.url(name)
    yield Target()
    for name in databases(cluster):
        if name.startswith(Target.name):
            cluster.drop_database(name)


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
