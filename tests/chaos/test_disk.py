# SPDX-License-Identifier: PostgreSQL
"""The server's disk is full."""
import time

import pytest

from athena_test import Cluster, wait_until
from disk import SmallDisk


@pytest.fixture
def disks():
    """(data, log)"""
    pair = SmallDisk(300), SmallDisk(200)
    yield pair
    for disk in pair:
        disk.remove()


@pytest.fixture
def small_cluster(request, disks, programs):
    data, log = disks
    server = Cluster(data=data.folder / "data", wal=log.folder / "wal", max_wal_size="64MB", min_wal_size="2MB")
    request.node.athena_clusters = [server]
    yield server.start()
    programs.end()
    server.remove()


def is_back(server):
    """A server whose log could not be written has ended, or ends while it tries to recover."""
    if not server.is_running():
        server.start()
    return server.answers()


@pytest.mark.parametrize("full", ["data", "log"])
def test_a_disk_full(begin, small_cluster, disks, full):
    """Where tables are, statements fail that need a new page; where the log is, the server ends."""
    disk = disks[full == "log"]
    chaos = begin(small_cluster)
    for _ in range(2):
        chaos.start_worker()
    chaos.calm()
    chaos.database.close()
    with chaos.harm():
        end = time.monotonic() + 12
        while time.monotonic() < end:
            disk.fill()
            time.sleep(0.1)
        assert "No space left on device" in small_cluster.log_text()
        disk.relieve()
        wait_until(lambda: is_back(small_cluster), what="the server answers")
    chaos.settle()
    chaos.database.close()
