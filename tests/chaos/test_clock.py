# SPDX-License-Identifier: PostgreSQL
"""The clocks of workers jump."""
import pathlib
import re
import time

import pytest


@pytest.fixture
def wall_clock(programs, tmp_path):
    """(environment, set_to): programs with it have a wall clock that is so many seconds ahead. What
    nobody can set, CLOCK_MONOTONIC and CLOCK_BOOTTIME, is left to them."""
    ahead = tmp_path / "ahead"
    ahead.write_text("+0\n")
    (library,) = pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    yield ({"LD_PRELOAD": str(library), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
            "FAKETIME_TIMESTAMP_FILE": str(ahead)}, lambda seconds: ahead.write_text(f"{seconds:+}\n"))
    programs.end()
    for program in programs.all:  # what the library leaves behind when a program executes another one
        for path in pathlib.Path("/dev/shm").glob(f"*faketime_s*_{program.pid}"):
            path.unlink()


def test_wall_clocks_jump_by_an_hour(begin, own_cluster, wall_clock):
    """Of both workers and their executors, forth and back and two hours at once; the server's clock
    goes on."""
    environment, set_to = wall_clock
    chaos = begin(own_cluster)
    for _ in range(2):
        chaos.start_worker(env=environment)
    chaos.calm()
    with chaos.harm():
        for seconds in (3600, 0, -3600, 3600, 0):
            set_to(seconds)
            time.sleep(4)
    for worker in chaos.all_workers:
        hours = set(re.findall(r"^\d{4}-\S\S-\S\ST\d\d", worker.stderr(), re.M))
        assert len(hours) >= 3, f"its clock did not jump: {hours}"
    chaos.notes.append("5 jumps")
    chaos.settle()
    chaos.database.close()
