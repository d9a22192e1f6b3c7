# SPDX-License-Identifier: PostgreSQL
"""The crash matrix of clones: killed, failed or disconnected between all of its phases."""
import os

import pytest

from athena_test import Database, kill_pid
from clones import assert_no_traces, databases
from crash import rows

# Point, what is done, harms; * is the sample. What clone.c does in each phase fails by `error`.
ROWS = """
clone.validated       clone    kill error drop
clone.prepared        clone    *kill error drop
clone.create          clone    kill error drop
clone.created         clone    *kill error *drop
clone.piped           clone    *kill error drop
clone.describe        clone    kill error drop
clone.described       clone    kill error drop
clone.verified        clone    kill *error drop
clone_copies.send       parallel kill error drop
clone_copies.answered   parallel *kill error drop
clone_parallel.made     parallel kill error drop
clone_parallel.copied   parallel kill error drop
clone_parallel.restored parallel kill error drop
clone_staged.dumped     staged   *kill error drop
clone_staged.restored   staged   kill error drop
clone_name.mark            clone    kill error drop
clone_name.marked          clone    *kill error drop
clone_name.rename          clone    kill error drop
clone_name.renamed         clone    *kill error *drop
clone_drop.send       leftover kill error drop
clone_drop.answered   leftover *kill error drop
progress_set.send     clone    kill error drop
progress_set.sent     clone    kill drop
progress_set.answered clone    kill *drop
"""


def leave_staging(case, cluster):
    """A first attempt that died with its worker, and left its staging database behind."""
    case.point, wanted = "clone.created", case.point
    case.harm, harm = "stopped", case.harm
    worker = case.start_worker(is_armed=True)
    executor = case.wait_hit()
    worker.kill()
    kill_pid(executor)
    assert any(name.startswith("athena_stg_") for name in databases(cluster))
    case.mark.unlink()
    case.point, case.harm = wanted, harm


@pytest.mark.parametrize("point, load, harm", rows(ROWS))
def test_clone(tidy, case, cluster, source, point, load, harm):
    target = f"copy_{os.getpid()}_{case.database.name}"
    before = databases(cluster)
    mode = load if load in ("parallel", "staged") else "auto"
    case.database.enqueue("clone", {"source": source.url, "target": cluster.url(target), "mode": mode})
    if load == "leftover":
        leave_staging(case, cluster)
    case.start_worker(is_armed=True)
    case.hurt()
    case.finish()
    assert case.database.column("SELECT state::text FROM athena.outcomes") == ["succeeded"]
    assert databases(cluster) == before | {target}
    copy = Database(cluster, target)
    assert copy.value("SELECT count(*) FROM t") == 500
    copy.close()
    assert_no_traces(cluster)
