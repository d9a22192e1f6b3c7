# SPDX-License-Identifier: PostgreSQL
"""The test support itself: what it starts is gone afterwards, and crashes are real."""
import os
import signal

import psycopg
import pytest

from athena_test import processes, wait_until


def test_databases_are_apart(cluster):
    first, second = cluster.new_database(), cluster.new_database()
    first.query("CREATE TABLE only_here (n int)")
    assert second.value("SELECT to_regclass('only_here')") is None
    first.drop()
    second.drop()


def test_a_killed_server_comes_back_with_its_data(own_cluster):
    own_cluster.configure(fsync="on")
    own_cluster.restart()
    database = own_cluster.new_database()
    database.query("CREATE TABLE kept AS SELECT 42 AS n")
    backend = database.value("SELECT pg_backend_pid()")
    own_cluster.kill()
    assert backend not in processes()
    with pytest.raises(psycopg.OperationalError):
        own_cluster.connect()
    own_cluster.start()
    database.close()
    assert database.value("SELECT n FROM kept") == 42


def test_the_server_listens_on_its_socket_only(cluster):
    database = cluster.new_database()
    assert database.value("SHOW listen_addresses") == ""
    database.drop()


def test_what_outlives_a_program_is_found_and_ended(programs):
    program = programs.spawn("sh", "-c", "sleep 1000 & echo $! >&2; wait")
    child = int(program.wait_log(r"^(\d+)$")[1])
    assert child in program.children()
    os.kill(program.pid, signal.SIGKILL)
    programs.grace_s = 0.1
    with pytest.raises(AssertionError, match=f"outlived.*{child}"):
        programs.end()
    wait_until(lambda: child not in processes())


def test_wait_until_fails_at_its_deadline(monkeypatch):
    monkeypatch.setattr("athena_test.DEADLINE_S", 0.01)
    with pytest.raises(AssertionError, match="not within 0.05 s: never"):
        wait_until(lambda: False, 0.05, "never")
