# SPDX-License-Identifier: PostgreSQL
"""One case of the crash matrix: a program that is hurt at a named point (src/base/fault.h)."""
import os
import pathlib
import re
import signal

import pytest

from athena_test import FAULT_BUILD, ROOT, kill_pid, processes, run_program, wait_until
from ledger import TOTALS, Ledger, settle_accounts, wait_drained
from outside import SECRET, Outside, asking

LEASE_S = 6  # the shortest that a family may have

# harm: the effect that the point has, and what the test does then (Case.hurt_NAME).
EFFECTS = {"kill": "kill", "error": "error", "refuse": "error:22P05", "drop": "drop",
           "executor": "stop", "late": "stop", "away": "stop", "backend": "stop", "stopped": "stop"}


def points():
    """{step: [moments]} of src/base/fault_points.h."""
    text = (ROOT / "src/base/fault_points.h").read_text()
    shorthands = dict(re.findall(r'^#define (\w+) "(.*)"$', text, re.M))
    found = {}
    for step, quoted, name in re.findall(r'^STEP\("(\w+)",\s*(?:"([^"]*)"|(\w+)),', text, re.M):
        found[step] = (quoted or shorthands[name]).split()
    return found


def rows(text):
    """Parameters of a matrix: lines of a point, a load and harms. Those without a star are for
    `make test-fault` only."""
    everything = os.environ.get("ATHENA_MATRIX") == "all"
    for line in text.strip().splitlines():
        point, load, *harms = line.split()
        for harm in harms:
            if everything or harm[0] == "*":
                yield pytest.param(point, load, harm.strip("*"), id=f"{point}-{load}-{harm.strip('*')}")


def enqueue(database, count=1, family="noop", **columns):
    """Jobs of one INSERT."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(", %s" for _ in columns)
    return database.column(f"INSERT INTO athena.jobs (family{names}) SELECT %s{values} FROM generate_series(1, %s) RETURNING id",
                           family, *columns.values(), count)


class Case:
    """An armed program, what is done to it, and who goes on."""

    def __init__(self, point, harm, directory, database, workers, programs):
        self.point, self.harm = point, harm
        self.directory = pathlib.Path(directory)
        self.mark = self.directory / "mark"
        self.ledger = Ledger(self.directory / "ledger")
        self.scratch = self.directory / "scratch"
        self.scratch.mkdir()
        self.database = database
        self.workers = workers
        self.programs = programs
        self.asked = self.directory / "outside"
        self.asked.mkdir()
        self.builtin = ["noop", "clone"]
        self.settings = {}  # more environment of its programs
        self.families = {**OWN, "ask": asking(self.asked)}
        self.outside = None
        self.armed = None
        self.retried = []

    def environment(self, is_armed):
        assert FAULT_BUILD.is_dir(), f"no {FAULT_BUILD.name}/: make faults"
        env = {"ATHENA_FAULT_LEDGER": str(self.ledger.directory), "TMPDIR": str(self.scratch),
               "ATHENA_HTTP_CALLBACK_SECRET": SECRET, **self.settings}
        if is_armed:
            env |= {"ATHENA_FAULT": f"{self.point}={EFFECTS[self.harm]}", "ATHENA_FAULT_MARK": str(self.mark)}
        return env

    def start_worker(self, is_armed=False, **options):
        """One that serves every family, with pages of its own where somebody outside needs them."""
        pages = ["--http=127.0.0.1:0"] if self.outside else []
        worker = self.workers.start(",".join([*self.builtin, *self.families]), *pages,
                                    program=str(FAULT_BUILD / "athena-worker"),
                                    env=self.environment(is_armed), families=self.families, **options)
        if is_armed:
            self.armed = worker
        return worker

    def start_leader(self):
        """Maintenance alone, armed."""
        self.armed = self.programs.spawn(str(FAULT_BUILD / "athena"), "maintenance", "run",
                                         url=self.database.url, env=self.environment(True))
        return self.armed

    def ask_outside(self, by_http=False, refuses=False):
        """From now on jobs of the family `ask` are answered."""
        def with_pages():
            return [worker for worker in self.workers.all if worker.is_running() and "http_listening" in worker.stderr()]
        self.outside = Outside(self.asked, self.database, with_pages if by_http else None, refuses)
        self.outside.start()

    def passed(self):
        """The pid that passed the point; None: nobody has, yet."""
        words = self.mark.read_text().split() if self.mark.exists() else []
        return int(words[-1]) if len(words) == 3 else None

    def check_passed(self):
        """A point that nobody passes tests nothing."""
        assert self.passed(), f"nobody has passed {self.point}"
        TOTALS["faults injected"] += 1

    def wait_hit(self, deadline_s=60.0):
        return wait_until(self.passed, deadline_s, f"{self.point} was passed", every_s=0.005)

    def hurt(self):
        """Waits for the point, and does what the effect alone does not. Returns the pid that passed."""
        pid = self.wait_hit()
        if EFFECTS[self.harm] == "stop":
            wait_until(lambda: state_of(pid) == "T", 10, f"{pid} has stopped", every_s=0.005)
            getattr(self, f"hurt_{self.harm}")(pid)
            os.kill(pid, signal.SIGCONT)
        elif self.harm == "kill":
            wait_until(lambda: state_of(pid) in "ZX", 10, f"{pid} was killed", every_s=0.005)
        return pid

    def run(self, *args, is_armed=False, status=0, url=None):
        """A command of athena's, armed or not."""
        return run_program(str(FAULT_BUILD / "athena"), *args, url=url or self.database.url,
                           env=self.environment(is_armed), status=status)

    def hurt_executor(self, pid):
        """SIGKILL to all its executors while it looks away."""
        for child, (parent, _) in processes().items():
            if parent == pid:
                kill_pid(child)

    def hurt_backend(self, _pid):
        """Its sessions end on the side of the server."""
        self.database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                            " AND application_name LIKE 'athena%'")

    def hurt_late(self, _pid):
        """It is away past its lease, and another one has taken over what it held."""
        self.start_worker()
        held = self.database.column("SELECT ticket FROM athena.leases WHERE worker_id IN"
                                    " (SELECT id FROM athena.workers WHERE pid = %s)", self.armed.pid)
        if held:
            wait_until(lambda: not self.database.query("SELECT ticket FROM athena.leases WHERE ticket = ANY (%s)", held),
                       LEASE_S + 10, "its leases are taken over")

    def hurt_away(self, _pid):
        """Others do everything while it is away."""
        self.start_worker()
        wait_drained(self.database)

    def forget_unheard(self):
        """Rows of registrations whose answer got lost, whose process lives under another id. The lane
        for it has an hour's patience, which it is spared here."""
        known = re.findall(r" registered worker=(\S+)", "".join(program.stderr() for program in self.programs.all))
        self.database.query("UPDATE athena.workers SET heartbeat_at = now() - interval '2 hours' WHERE id <> ALL (%s::uuid[])", known)
        self.database.query("SELECT athena.lane_registry()")

    def finish(self):
        """Whoever is left, or a new worker, drains all; everybody goes, and the accounts are settled."""
        if not any(worker.is_running() for worker in self.workers.all):
            self.start_worker()
        wait_drained(self.database)
        living = [program for program in self.programs.all if program.is_running()]
        self.forget_unheard()
        wait_until(lambda: self.database.value("SELECT count(*) FROM athena.workers") <= len(living), 20, "the dead are forgotten")
        if self.outside:
            self.outside.stop()
        for program in living:
            assert program.terminate() == 0
        assert os.listdir(self.scratch) == []
        return settle_accounts(self.database, self.ledger, self.programs.all, self.retried)


OWN = {"own": {"run": "noop", "lease": "6s"},
       "say": {"run": "command", "command": ["/bin/echo", "said"], "lease": "6s"}}


def state_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"
