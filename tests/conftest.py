# SPDX-License-Identifier: PostgreSQL
"""Fixtures of all suites, and what counts as a failure: see support/athena_test.py, needs.txt.

A test may take 5 min; @pytest.mark.deadline(600) gives it more.

    cluster       one throwaway server for the whole run
    database      a migrated database of one's own in it
    empty_database  the same without Athena's schema
    own_cluster   a server that the test may stop, kill and restart
    run           run("athena", "migrate", ...) to the end, its status checked
    spawn         spawn("athena-worker", "--family=noop") in the background
    case          support/crash.py: one row of the crash matrix
    folder        an empty folder in /tmp that a server may enter, unlike pytest's own
    workers       workers.start("noop", poll="1h"), with the settings of support/workers.py
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

SUPPORT = pathlib.Path(__file__).parent / "support"
pytest.register_assert_rewrite(*(path.stem for path in SUPPORT.glob("*.py")))

from athena_test import Cluster, Program, patience, run_program  # noqa: E402
from canary import assert_not_in, assert_not_written, shown_by  # noqa: E402
from workers import Workers

DEADLINE_S = 300
NEEDS = pathlib.Path(__file__).with_name("needs.txt")


@pytest.fixture(scope="session")
def cluster():
    server = Cluster()
    try:
        yield server.start()
    finally:
        server.remove()


class Programs:
    """What a test has started, ended before the server or database that it talks to."""

    def __init__(self, directory, grace_s=5):
        self.directory = directory
        self.grace_s = grace_s
        self.all = []

    def spawn(self, name, *args, **options):
        directory = self.directory / f"program-{len(self.all) + 1}"
        directory.mkdir()
        program = Program(name, *args, directory=directory, **options)
        self.all.append(program)
        return program

    def end(self):
        """Ends them all; what they started and left behind is ended too, and is a failure."""
        leaks = [shown for program in self.all if program.name.startswith("athena") and program.is_running()
                 for shown in shown_by(program.session_pids(), but=program.pid)]
        left = {program.name: program.clean_up(self.grace_s) for program in self.all}
        left = {name: pids for name, pids in left.items() if pids}
        assert not left, f"outlived the program that started them: {left}"
        assert not leaks, f"a secret is in what can be seen of {leaks}"
        for program in self.all:
            assert_not_in(program.stdout() + program.stderr(), program.name)


@pytest.fixture
def programs(request, tmp_path):
    registry = Programs(tmp_path)
    request.node.athena_programs = registry.all
    yield registry
    registry.end()


@pytest.fixture
def empty_database(cluster, programs):
    database = cluster.new_database(label="empty")
    yield database
    programs.end()
    database.drop()


@pytest.fixture
def database(cluster, programs):
    database = cluster.migrated_database(label="db")
    yield database
    programs.end()
    assert_not_written(database)
    database.drop()


@pytest.fixture
def own_cluster(request, programs):
    server = Cluster()
    request.node.athena_clusters = [server]
    yield server.start()
    programs.end()
    server.remove()


@pytest.fixture
def default_url(request):
    """The control-plane database of run and spawn: that of `database`, if the test uses it."""
    if "database" in request.fixturenames:
        return request.getfixturevalue("database").url
    return None


@pytest.fixture
def folder():
    """A folder that the server's user may enter, unlike pytest's own."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="athena-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def run(default_url, tmp_path):
    def run(name, *args, **options):
        return run_program(name, *args, **{"url": default_url, "cwd": tmp_path, **options})
    return run


@pytest.fixture
def spawn(default_url, programs):
    def spawn(name, *args, **options):
        return programs.spawn(name, *args, **{"url": default_url, **options})
    return spawn


@pytest.fixture
def workers(default_url, programs, tmp_path):
    return Workers(programs, default_url, tmp_path)


@pytest.fixture
def case(request, tmp_path, database, workers, programs):
    """A case of the crash matrix; leases are short, and so are back-offs."""
    from crash import Case
    database.query("UPDATE athena.families SET lease = '6 s', backoff_base = '50 ms'")
    named = request.node.callspec.params
    case = Case(named["point"], named["harm"], tmp_path, database, workers, programs)
    yield case
    if not getattr(request.node, "athena_failed", False):
        case.check_passed()


# What a failed test shows beside its own words: the logs of what it ran.

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    item.athena_failed = True
    for program in getattr(item, "athena_programs", []):
        tail = "\n".join(program.stderr().splitlines()[-60:])
        report.sections.append((f"stderr of {program.name} (pid {program.pid})", tail))
    for server in getattr(item, "athena_clusters", []):
        report.sections.append(("log of own_cluster", server.log_tail()))


# needs.txt: the only way for a test not to run. Any other skip, and any xfail, is a failure.

def read_needs():
    """[(test id prefix, condition, reason)]"""
    rows = []
    for line in NEEDS.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            match = re.fullmatch(r"(\S+)\s+(.+?)\s+# (.+)", line)
            assert match, f"needs.txt: not 'TEST CONDITION # reason': {line}"
            rows.append(match.groups())
    return rows


def is_met(condition):
    """One word is a command that must exist; more words are run by the shell."""
    script = condition if " " in condition else f"command -v {condition}"
    return subprocess.run(["sh", "-c", script], capture_output=True).returncode == 0


def pytest_collection_modifyitems(config, items):
    config.athena_excused = {}
    unmet = [row for row in read_needs() if not is_met(row[1])]
    for item in items:
        for prefix, condition, reason in unmet:
            if item.nodeid.startswith(prefix):
                config.athena_excused[item.nodeid] = f"{reason} (needs {condition})"
                item.add_marker(pytest.mark.skip(reason=reason))


# Under pytest-xdist (tests/run) tests run in several processes, and the first one prints: each of
# the others hands over who was excused and what its ledgers counted when it ends.

def pytest_sessionfinish(session):
    from ledger import TOTALS
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput.update(excused=session.config.athena_excused, ledger=dict(TOTALS))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    from ledger import TOTALS
    output = getattr(node, "workeroutput", None) or {}
    node.config.athena_excused = {**getattr(node.config, "athena_excused", {}), **output.get("excused", {})}
    for name, count in output.get("ledger", {}).items():
        TOTALS[name] += count


def pytest_terminal_summary(terminalreporter, config):
    """Prints who was excused, and leaves the figures for tests/run."""
    stats = terminalreporter.stats
    excused = getattr(config, "athena_excused", {})
    for test, reason in excused.items():
        terminalreporter.write_line(f"NOT RUN {test}: {reason}")
    skipped = [report for report in stats.get("skipped", []) if report.nodeid not in excused]
    for report in skipped:
        terminalreporter.write_line(f"FAILED {report.nodeid}: skipped, but not in needs.txt")
    failed = [*stats.get("failed", []), *stats.get("error", []), *stats.get("xfailed", []),
              *stats.get("xpassed", []), *skipped]
    from ledger import TOTALS
    if any(TOTALS.values()):
        terminalreporter.write_line("ledger: " + ", ".join(f"{name} {count}" for name, count in TOTALS.items()))
    if "ATHENA_TEST_COUNTS" in os.environ:
        counts = pathlib.Path(os.environ["ATHENA_TEST_COUNTS"])
        counts.write_text(f"{len(stats.get('passed', []))} {len(failed)}\n")
        names = dict.fromkeys(report.nodeid for report in failed)
        counts.with_suffix(".failed").write_text("".join(f"{name}\n" for name in names))


# A test that hangs is a failure as well, with its fixtures torn down.

def on_alarm(_number, _frame):
    pytest.fail("ran out of its time", pytrace=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("deadline")
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(int((mark.args[0] if mark else DEADLINE_S) * patience()))
    yield
    signal.alarm(0)


def pytest_configure(config):
    """SIGTERM ends a run as ^C does, with fixtures torn down."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
