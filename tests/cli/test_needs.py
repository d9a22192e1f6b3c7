# SPDX-License-Identifier: PostgreSQL
"""What `make test` counts: a skip is a failure unless needs.txt excuses it, and says so."""
import os
import shutil
import subprocess
import sys

import pytest

from athena_test import ROOT

TESTS = """
import pytest

def test_good():
    pass

def test_bad():
    assert False

def test_skips():
    pytest.skip("no reason")

@pytest.mark.xfail
def test_expected_to_fail():
    assert False

@pytest.mark.deadline(1)
def test_hangs():
    import time
    time.sleep(60)

def test_excused():
    assert False

@pytest.fixture
def broken():
    raise RuntimeError("no")

def test_with_broken_fixture(broken):
    pass
"""


@pytest.fixture
def suite(tmp_path):
    """Runs TESTS under the real conftest.py with the given needs.txt; (output, counts)."""
    for name in ("conftest.py", "pytest.ini"):
        shutil.copy(ROOT / "tests" / name, tmp_path)
    shutil.copytree(ROOT / "tests/support", tmp_path / "support")
    (tmp_path / "test_it.py").write_text(TESTS)

    def suite(needs):
        (tmp_path / "needs.txt").write_text(needs)
        counts = tmp_path / "counts"
        done = subprocess.run([sys.executable, "-m", "pytest", tmp_path / "test_it.py"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path,
                              env={**os.environ, "ATHENA_TEST_COUNTS": str(counts)})
        return done.stdout, counts.read_text()
    return suite


def test_all_that_did_not_pass_failed(suite):
    output, counts = suite("")
    assert counts == "1 6\n", output
    assert "skipped, but not in needs.txt" in output
    assert "ran out of its time" in output


def test_an_excuse_holds_while_its_condition_is_not_met(suite):
    output, counts = suite("test_it.py::test_excused no-such-command # for lack of it\n"
                           "test_it.py::test_bad true # its condition is met, so it runs\n")
    assert counts == "1 5\n", output
    assert "NOT RUN test_it.py::test_excused: for lack of it (needs no-such-command)" in output


def test_an_excuse_needs_its_reason(suite):
    with pytest.raises(FileNotFoundError):
        suite("test_it.py::test_excused no-such-command\n")
