# SPDX-License-Identifier: PostgreSQL
"""What systemd is told: ready when the loop turns, alive as long as it does, stopping when told to."""
import os
import signal
import socket

import pytest

PROGRAMS = [("athena-worker", ["--family=noop"]), ("athena-daemon", []), ("athena", ["maintenance", "run"])]


@pytest.fixture
def supervisor(tmp_path_factory):
    """A socket such as systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path_factory.mktemp("notify") / "s"))
        listener.settimeout(60)
        yield listener


def supervised(supervisor):
    """What systemd puts into the environment of a unit with WatchdogSec=0.2."""
    return {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "200000"}


def heard(supervisor, word):
    """Reads on until that is said."""
    while supervisor.recv(4096).decode() != word:
        pass


@pytest.mark.parametrize("program, args", PROGRAMS, ids=["worker", "daemon", "maintenance"])
def test_ready_alive_stopping(supervisor, spawn, database, program, args):
    process = spawn(program, *args, env=supervised(supervisor))
    assert supervisor.recv(4096) == b"READY=1"
    heard(supervisor, "WATCHDOG=1")
    heard(supervisor, "WATCHDOG=1")
    assert process.terminate() == 0
    heard(supervisor, "STOPPING=1")


def test_ready_without_a_database(supervisor, spawn, tmp_path):
    spawn("athena-worker", "--family=noop", url=f"postgresql:///x?host={tmp_path}", env=supervised(supervisor))
    assert supervisor.recv(4096) == b"READY=1"
    heard(supervisor, "WATCHDOG=1")


def test_a_loop_that_stands_still_feeds_no_watchdog(supervisor, spawn, database):
    process = spawn("athena-worker", "--family=noop", env=supervised(supervisor))
    heard(supervisor, "WATCHDOG=1")
    os.kill(process.pid, signal.SIGSTOP)
    supervisor.settimeout(1)
    with pytest.raises(TimeoutError):
        while supervisor.recv(4096):
            pass
    os.kill(process.pid, signal.SIGCONT)
    supervisor.settimeout(60)
    heard(supervisor, "WATCHDOG=1")
