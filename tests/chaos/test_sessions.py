# SPDX-License-Identifier: PostgreSQL
"""Sessions are ended by the server, or find no place there."""
import time

import psycopg
import pytest

ENDED = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
         " WHERE datname = current_database() AND application_name LIKE %s")


def end_again_and_again(chaos, application, times, every_s):
    """Sessions of that name, as harm; how many there were."""
    ended = 0
    with chaos.harm():
        for _ in range(times):
            ended += chaos.database.value(ENDED, application)
            time.sleep(every_s)
    chaos.notes.append(f"{ended} sessions ended")
    return ended


def test_all_sessions_ended_twice_a_second(chaos):
    chaos.calm()
    assert end_again_and_again(chaos, "athena%", times=30, every_s=0.5) > 30
    chaos.settle()


def test_only_the_listening_session_ended(begin, own_cluster):
    """Jobs come one by one to workers that sleep between them, and that look by themselves once an
    hour only: whatever the notifications of a lost session were, none is missed."""
    chaos = begin(own_cluster, every_s=0.02)
    for _ in range(2):
        chaos.start_worker(poll="1h")
    chaos.calm()
    chaos.notes.append("one job every 20 ms")
    assert end_again_and_again(chaos, "athena worker pulse", times=100, every_s=0.1) > 20
    chaos.settle()
    assert all(worker.stderr().count(" asleep ") > 20 for worker in chaos.all_workers), "they did sleep"
    chaos.database.close()


def hog(cluster, hogs, count):
    """So many more idle connections, or as many as there are places."""
    for _ in range(count):
        try:
            hogs.append(cluster.connect())
        except psycopg.OperationalError as error:
            assert "too many clients" in str(error) or "reserved" in str(error), error
            return False
    return True


@pytest.mark.deadline(600)
def test_300_idle_connections(begin, own_cluster):
    """First beside Athena's sessions; then Athena's are ended, and others take the places as well."""
    own_cluster.configure(max_connections=330)
    own_cluster.restart()
    chaos = begin(own_cluster)
    for _ in range(2):
        chaos.start_worker()
    chaos.calm()
    hogs = []
    with chaos.harm():
        assert hog(own_cluster, hogs, 300)
        chaos.wait_ended(1000)
        full_at = time.monotonic() + 8
        while time.monotonic() < full_at:
            hog(own_cluster, hogs, 330)
            chaos.database.value(ENDED, "athena%")
        assert any("connection_failed" in worker.stderr() for worker in chaos.all_workers), "they found no place"
        chaos.notes.append(f"{len(hogs)} at last, and none left for Athena for 8 s")
        for conn in hogs:
            conn.close()
    chaos.settle()
    chaos.database.close()
