# SPDX-License-Identifier: PostgreSQL
"""Of the crash matrix only the worker's sample runs with everything else; `make test-fault` runs all,
and `make test-clone` what there is of clones. And what its cases have in common."""
import os

import pytest

from clones import databases

collect_ignore = [] if os.environ.get("ATHENA_MATRIX") == "all" else [
    "test_crash_backup.py", "test_crash_clone.py", "test_crash_commands.py", "test_crash_leader.py", "test_crash_sql.py",
    "test_crash_waits.py"]
collect_ignore += [] if os.environ.get("ATHENA_CLONES") == "all" else ["test_clone_random.py"]


@pytest.fixture(scope="module")
def source(cluster):
    """A small database to copy, again and again."""
    source = cluster.new_database(label="source")
    source.query("CREATE TABLE t AS SELECT n AS id, n::text AS word FROM generate_series(1, 500) AS n;"
                 "ALTER TABLE t ADD PRIMARY KEY (id); COMMENT ON TABLE t IS 'words'")
    yield source
    source.drop()


@pytest.fixture
def tidy(cluster):
    """A row that failed does not fail those after it: what it has left goes when its programs have."""
    yield
    for name in databases(cluster):
        if name.startswith(("athena_stg_", "copy_", "again_")):
            cluster.drop_database(name)
