# SPDX-License-Identifier: PostgreSQL
"""The network between workers and the server swallows everything, and gives it back later."""
import time

import pytest

from athena_test import wait_until
from crash import LEASE_S
from proxy import Proxy


@pytest.fixture
def proxy(own_cluster):
    proxy = Proxy(own_cluster, tcp=True)
    yield proxy
    proxy.close()


def test_a_black_hole_before_one_of_two_workers(begin, own_cluster, proxy):
    """For longer than its lease: the other one takes its jobs. Then the settles and claims arrive that
    it sent into the hole, on connections that it has long given up."""
    chaos = begin(own_cluster)
    chaos.start_worker()
    cut_off = chaos.start_worker(url=proxy.url(chaos.database))
    chaos.calm()
    with chaos.harm():
        proxy.become_a_hole()
        wait_until(lambda: chaos.database.value("SELECT count(*) FROM athena.failures WHERE kind = 'lost'"),
                   what="its jobs are taken away")
        time.sleep(LEASE_S)
        proxy.heal()
    assert "connection_lost session=work" in cut_off.stderr()
    lost = chaos.database.value("SELECT count(*) FROM athena.failures WHERE kind = 'lost'")
    chaos.notes.append(f"{lost} leases taken away")
    chaos.settle()
    chaos.database.close()


def test_a_black_hole_before_all_workers(begin, own_cluster, proxy):
    """Nobody is left to take anything: what runs is fenced, and they go on themselves."""
    chaos = begin(own_cluster)
    for _ in range(2):
        chaos.start_worker(url=proxy.url(chaos.database))
    chaos.calm()
    with chaos.harm():
        proxy.become_a_hole()
        time.sleep(15)
        proxy.heal()
    assert all("connection_lost session=work" in worker.stderr() for worker in chaos.all_workers)
    chaos.settle()
    chaos.database.close()
