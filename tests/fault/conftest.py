# SPDX-License-Identifier: PostgreSQL
"""Of the crash matrix only the worker's sample runs with everything else; `make test-fault` runs all,
and `make test-clone` what there is of clones."""
import os

collect_ignore = [] if os.environ.get("ATHENA_MATRIX") == "all" else [
    "test_crash_backup.py", "test_crash_clone.py", "test_crash_commands.py", "test_crash_leader.py", "test_crash_sql.py",
    "test_crash_waits.py"]
collect_ignore += [] if os.environ.get("ATHENA_CLONES") == "all" else ["test_clone_random.py"]
