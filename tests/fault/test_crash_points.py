# SPDX-License-Identifier: PostgreSQL
"""The matrix is complete: every point of src/base/fault_points.h has a row, every row has its point."""
import importlib.util
import pathlib
import re

import pytest

from athena_test import FAULT_BUILD, run_program
from crash import EFFECTS, Case, points

MATRICES = ["test_crash_worker", "test_crash_waits", "test_crash_leader", "test_crash_commands", "test_crash_clone", "test_crash_backup"]


def matrix_rows():
    for name in MATRICES:
        path = pathlib.Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"rows_of_{name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for line in module.ROWS.strip().splitlines():
            yield line.split()


def test_every_point_is_tried_and_every_row_has_a_point():
    tried = {re.sub(r"\(\w+\)", "", point) for point, *_ in matrix_rows()} | {"dev.create"}
    known = {f"{step}.{moment}" for step, moments in points().items() for moment in moments}
    assert tried == known


def test_every_harm_is_known():
    assert {harm.strip("*") for _, _, *harms in matrix_rows() for harm in harms} <= set(EFFECTS)


@pytest.mark.parametrize("text, complaint", [
    ("claim.sent", "not STEP.MOMENT=EFFECT"),
    ("claims.sent=kill", "no such point"),
    ("claim.between=kill", "no such point"),
    ("heartbeat.send=vanish", "no such effect"),
])
def test_what_is_no_fault_is_refused(database, tmp_path, text, complaint):
    """A misspelt point would be one that is never hit."""
    env = {"ATHENA_FAULT": text, "ATHENA_FAULT_MARK": str(tmp_path / "mark")}
    done = run_program(str(FAULT_BUILD / "athena-worker"), "--family=noop", "--once", url=database.url, env=env, status=99)
    assert complaint in done.stderr


def test_a_point_that_nobody_passes_is_a_failure(database, workers, programs, tmp_path):
    case = Case("adopt.send", "kill", tmp_path, database, workers, programs)
    job = database.enqueue("noop")
    case.start_worker(is_armed=True)
    database.wait_for_state(job, "succeeded")
    with pytest.raises(AssertionError, match="nobody has passed adopt.send"):
        case.check_passed()


def test_ordinary_programs_have_no_faults(run, database, tmp_path):
    env = {"ATHENA_FAULT": "claim.send=kill", "ATHENA_FAULT_MARK": str(tmp_path / "mark")}
    run("athena-worker", "--family=noop", "--once", env=env)
    assert not (tmp_path / "mark").exists()
