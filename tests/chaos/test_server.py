# SPDX-License-Identifier: PostgreSQL
"""The server goes away and comes back."""
import time


def test_stopped_for_30_s(chaos, own_cluster):
    """Five leases long."""
    chaos.calm()
    with chaos.harm():
        own_cluster.stop()
        time.sleep(30)
        own_cluster.start()
    chaos.settle()


def test_stopped_at_once(chaos, own_cluster):
    """As by `pg_ctl stop -m immediate`, three times; each start recovers from the log."""
    chaos.calm()
    with chaos.harm():
        for _ in range(3):
            own_cluster.restart("immediate")
            chaos.database.close()
            chaos.wait_ended(200)
            time.sleep(1)
        own_cluster.restart("immediate")
    chaos.notes.append("4 times")
    chaos.settle()
