# SPDX-License-Identifier: PostgreSQL
"""`make chaos` runs these, nothing else does. At the end it prints a table, the one of docs/reliability.md."""
import os

import pytest

from chaos import Chaos

collect_ignore_glob = [] if os.environ.get("ATHENA_CHAOS") == "all" else ["test_*.py"]


@pytest.fixture
def begin(request, programs, tmp_path):
    """Makes a load on a server: begin(cluster)."""
    made = []

    def begin(cluster, **options):
        made.append(Chaos(request.node.name.removeprefix("test_").replace("_", " "), request.node.user_properties.append,
                          cluster, programs, tmp_path, **options))
        return made[-1]
    yield begin
    for chaos in made:
        if chaos.producer:
            chaos.producer.stop()


@pytest.fixture
def chaos(begin, own_cluster):
    """A load on a server of its own, with two workers."""
    chaos = begin(own_cluster)
    for _ in range(2):
        chaos.start_worker()
    yield chaos
    chaos.database.close()


COLUMNS = ("jobs", "lost", "unexplained", "executions", "failed", "before", "during", "after")
HEAD = ("| case | jobs | lost | unexplained duplicates | executions | failed attempts"
        " | jobs/s before | during | after | 95 % again | |")


def pytest_terminal_summary(terminalreporter):
    rows = [value for report in terminalreporter.stats.get("passed", [])
            for name, value in report.user_properties if name == "chaos"]
    if not rows:
        return
    terminalreporter.write_line(HEAD)
    terminalreporter.write_line("|---" + "|---:" * 9 + "|---|")
    for row in rows:
        again = "never" if row["again_s"] is None else f"{row['again_s']} s"
        cells = [row["case"], *(f"{row[name]:,}" for name in COLUMNS), again, "; ".join(row["notes"])]
        terminalreporter.write_line(f"| {' | '.join(cells)} |")
