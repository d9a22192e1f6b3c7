# SPDX-License-Identifier: PostgreSQL
"""What tests stand on: throwaway Postgres servers, databases in them, Athena's programs.

Tests get these through the fixtures of ../conftest.py. Whatever is started here is a child of the
test run, is stopped by its own pid, and dies with the test run even if that is killed.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import psycopg
from psycopg.rows import dict_row

from canary import assert_not_in, with_password

SUPPORT = pathlib.Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
BUILD = ROOT / os.environ.get("ATHENA_BUILD", "build")
FAULT_BUILD = ROOT / os.environ.get("ATHENA_FAULT_BUILD", f"{BUILD.name}-fault")
FUZZ_BUILD = ROOT / os.environ.get("ATHENA_FUZZ_BUILD", f"{BUILD.name}-fuzz")


def patience():
    """How many times longer everything takes here than on an idle machine, from 1 to 4."""
    return min(4.0, max(1.0, os.getloadavg()[0] / os.cpu_count()))


# How long is waited for what happens in a moment. Nothing waits longer than it has to, so a deadline
# only tells a test that hangs from one on a machine that has other things to do: none is shorter.
DEADLINE_S = 60.0

# What is to happen at once takes less than this on any machine. What it could be mistaken for (a
# slow poll, a grace time, a lease that runs out) is set to a minute or an hour where it matters.
PROMPT_S = 20.0


def wait_until(condition, deadline_s=DEADLINE_S, what=None, every_s=0.02):
    """Returns the first true value of condition(); fails when there was none in time, which is a
    minute at least, and more on a busy machine."""
    deadline_s = max(deadline_s, DEADLINE_S)
    end = time.monotonic() + deadline_s * patience()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"not within {deadline_s} s: {name} (last value: {value!r})")
        time.sleep(every_s)


def debian_bins():
    """{major: folder of programs}, of the Debian packages."""
    return {int(path.parent.name): path for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin")}


def postgres_bin():
    """Where initdb and postgres are: $ATHENA_PG_BIN, or the newest major that Debian installed."""
    if "ATHENA_PG_BIN" in os.environ:
        return pathlib.Path(os.environ["ATHENA_PG_BIN"])
    bins = debian_bins()
    assert bins, "no Postgres server in /usr/lib/postgresql"
    return bins[max(bins)]


def client(name):
    """psql, pg_dump, ...: beside the server, or Debian's newest where only a server was unpacked."""
    beside = postgres_bin() / name
    return beside if beside.exists() else debian_bins()[max(debian_bins())] / name


def server_ids():
    """(uid, gid) that servers run with, since Postgres refuses root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    import pwd
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise RuntimeError("neither a user postgres nor nobody")


def processes():
    """{pid: (parent, session)} of all that run, zombies left out."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, parent, _group, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z":
                found[int(entry.name)] = (int(parent), int(session))
    return found


def kill_pid(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Cluster:
    """A private Postgres server that listens on a socket in its own folder and nowhere else.

    Settings override support/postgresql.conf. `hba` replaces pg_hba.conf, which trusts everybody.
    `bin` is the folder of another server's programs. `data` and `wal` are folders of the caller's,
    to which data, or the log in segments of 1 MB, go. With `copy_of` it is a standby of that cluster.
    """

    port = 5432
    user = "postgres"

    def __init__(self, hba=None, bin=None, data=None, wal=None, copy_of=None, **settings):
        self.bin = bin or postgres_bin()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="athena-pg-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.data = data or self.directory / "data"
        self.host = str(self.directory)
        self.log_path = self.directory / "log"
        self.process = None
        self._count = 0
        self._template_made = False
        self._prefix = ["setpriv", "--pdeathsig", "INT"]
        if ids := server_ids():
            os.chown(self.directory, *ids)
            self._prefix += [f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"]
        if copy_of:
            self._tool("pg_basebackup", "-R", "-c", "fast", "-d", copy_of.url(), "-D", self.data)
        else:
            self._tool("initdb", "-N", "-A", "trust", "-U", self.user, "-E", "UTF8", "--locale=C.UTF-8",
                       "-D", self.data, *(["--wal-segsize=1", "-X", wal] if wal else []))
        self.configure((SUPPORT / "postgresql.conf").read_text(),
                       unix_socket_directories=self.host, **settings)
        if hba is not None:
            (self.data / "pg_hba.conf").write_text(hba)

    def _tool(self, name, *args):
        done = subprocess.run([*self._prefix, self.bin / name, *args], cwd=self.directory, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout

    def configure(self, text="", **settings):
        """Adds to postgresql.conf; it holds from the next start() or reload()."""
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(text + "".join(lines))

    def start(self):
        """Starts the server and waits until it answers."""
        assert not self.is_running(), "already running"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self._prefix, self.bin / "postgres", "-D", self.data],
                                            cwd=self.directory, stdout=log, stderr=log)
        wait_until(lambda: self.answers() or not self.is_running(), what="the server answers")
        assert self.is_running(), "the server did not start:\n" + self.log_tail()
        return self

    def answers(self):
        return subprocess.run([client("pg_isready"), "-q", "-h", self.host, "-p", str(self.port)]).returncode == 0

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, mode="fast"):
        """Stops as pg_ctl does: fast, immediate (no checkpoint, as after a crash) or smart."""
        if not self.is_running():
            return
        number = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "smart": signal.SIGTERM}[mode]
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """SIGKILL, to the server and what it has forked: a crash of the machine, nearly."""
        if not self.is_running():
            return
        family = [pid for pid, (parent, _) in processes().items() if parent == self.process.pid]
        for pid in [self.process.pid, *family]:
            kill_pid(pid)
        self.process.wait()
        wait_until(lambda: not set(family) & set(processes()), what="the backends are gone")

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def remove(self):
        self.stop("immediate")
        log = self.log_text()
        shutil.rmtree(self.directory)
        assert_not_in(log, "a server's log")

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def url(self, database="postgres", user=None, **params):
        """A connection URI with the socket's folder as host; params are libpq's."""
        query = {"host": self.host, "port": self.port, "user": user or self.user, **params}
        return f"postgresql:///{urllib.parse.quote(database)}?" + urllib.parse.urlencode(
            query, quote_via=urllib.parse.quote)

    def connect(self, database="postgres", user=None, **params):
        """A psycopg connection: autocommit, rows as dicts, unless told otherwise."""
        return connect(self.url(database, user), **params)

    def create_database(self, name, template=None):
        with self.connect() as conn:
            conn.execute(f'CREATE DATABASE "{name}"'
                         + (f' TEMPLATE "{template}"' if template else ""))
        return Database(self, name)

    def new_database(self, template=None, label="db"):
        """A database with a name of its own."""
        self._count += 1
        return self.create_database(f"{label}_{self._count}", template)

    def drop_database(self, name):
        with self.connect() as conn:
            conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def migrated_database(self, label="db"):
        """A new database with Athena's schema, cloned from a template that is migrated once."""
        if not self._template_made:
            template = self.create_database("athena_template")
            run_program("athena", "migrate", url=template.url)
            self._template_made = True
        database = self.new_database("athena_template", label)
        # A cloned database is a copy, which refuses to run jobs; this one is meant to. (Adopting
        # it would do as well, but begins the job ids anew at a million.)
        database.query("UPDATE athena.meta SET database_oid ="
                       " (SELECT oid FROM pg_database WHERE datname = current_database())")
        return database


def connect(url, **params):
    return psycopg.connect(url, **{"autocommit": True, "row_factory": dict_row, **params})


class Database:
    """One database of a cluster, with a connection of its own for short questions."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.url = cluster.url(name)
        self._conn = None
        self._opened = []

    def connect(self, user=None, **params):
        """A new connection, closed at the test's end at the latest."""
        conn = self.cluster.connect(self.name, user, **params)
        self._opened.append(conn)
        return conn

    def query(self, sql, *args):
        """All rows, as dicts. Reconnects when the server has been away."""
        if self._conn is None or self._conn.closed:
            # What tests count looks dear to the planner, and compiling it took most of a test's time.
            self._conn = self.connect(options="-c jit=off")
        cursor = self._conn.execute(sql, args or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, sql, *args):
        """The only column of the only row; None when there is no row."""
        rows = self.query(sql, *args)
        assert len(rows) <= 1, rows
        if not rows:
            return None
        (value,) = rows[0].values()
        return value

    def column(self, sql, *args):
        """The only column of all rows."""
        return [next(iter(row.values())) for row in self.query(sql, *args)]

    def enqueue(self, family, payload=None, **columns):
        """Inserts one job as a producer would, by plain INSERT; returns its id."""
        names = ["family", "payload", *columns]
        values = [family, json.dumps(payload or {}), *columns.values()]
        return self.value(f"INSERT INTO athena.jobs ({', '.join(names)}) "
                          f"VALUES ({', '.join(['%s'] * len(names))}) RETURNING id", *values)

    def job(self, job_id):
        """The job's row in athena.job_status."""
        (row,) = self.query("SELECT * FROM athena.job_status WHERE job_id = %s", job_id)
        return row

    def wait_for_state(self, job_id, state, deadline_s=DEADLINE_S):
        """Waits until the job is in that state and returns its row."""
        wait_until(lambda: self.job(job_id)["state"] == state, deadline_s,
                   f"job {job_id} is {state}")
        return self.job(job_id)

    def conservation(self):
        """Offenders against the conservation law; every test of the queue ends with none."""
        return self.query("SELECT * FROM athena.conservation()")

    def close(self):
        for conn in self._opened:
            conn.close()
        self._opened.clear()
        self._conn = None

    def drop(self):
        self.close()
        self.cluster.drop_database(self.name)


def program_environment(directory, url=None, env=None):
    """What programs see: nothing of the developer's own settings."""
    base = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(directory),
            "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            base[name] = os.environ[name]
    if url:
        base["ATHENA_DATABASE_URL"] = with_password(url)
    return {**base, **(env or {})}


def program_path(name):
    """A program of ours is found in the build folder, anything else as the shell would."""
    return str(BUILD / name) if name.split("-")[0] == "athena" else name


def run_program(name, *args, url=None, env=None, cwd="/tmp", stdin="", status=0, timeout_s=60):
    """Runs to the end and returns CompletedProcess with text; `status` is checked unless None."""
    done = subprocess.run([program_path(name), *map(str, args)], input=stdin, cwd=cwd, text=True,
                          env=program_environment(cwd, url, env), timeout=timeout_s * patience(),
                          capture_output=True, errors="replace")
    assert_not_in(done.stdout + done.stderr, name)
    assert status is None or done.returncode == status, (
        f"{name} {' '.join(map(str, args))}: status {done.returncode}, expected {status}\n"
        f"{done.stdout}{done.stderr}")
    return done


class Program:
    """A program in the background, with all that it starts: one session of processes.

    stdout and stderr go to files in `directory`, so that nothing blocks on a full pipe.
    """

    def __init__(self, name, *args, directory, url=None, env=None, stdin=None):
        self.name = " ".join([name, *map(str, args)])
        self.directory = pathlib.Path(directory)
        self.stdout_path = self.directory / "stdout"
        self.stderr_path = self.directory / "stderr"
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program_path(name), *map(str, args)],
                stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err, cwd=directory,
                env=program_environment(directory, url, env), start_new_session=True)
        self.pid = self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait_log(self, pattern, deadline_s=DEADLINE_S, count=1):
        """Waits until stderr has `count` lines that match; returns the match of the last of them."""
        def found():
            matches = list(re.finditer(pattern, self.stderr(), re.MULTILINE))
            return matches[count - 1] if len(matches) >= count else None
        return wait_until(lambda: found() or (not self.is_running() and self._died(pattern, found)),
                          deadline_s, f"{pattern!r} in the log of {self.name}")

    def _died(self, pattern, found):
        match = found()
        assert match, (f"{self.name} ended with {self.process.returncode} before {pattern!r}:\n"
                       + self.stderr())
        return match

    def signal(self, number):
        """To the program alone, not to its children."""
        self.process.send_signal(number)

    def terminate(self, deadline_s=DEADLINE_S):
        """SIGTERM, and the status that it ends with."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def kill(self):
        """SIGKILL to the program alone; its children must find out by themselves."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def wait(self, deadline_s=DEADLINE_S):
        try:
            return self.process.wait(max(deadline_s, DEADLINE_S) * patience())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline_s} s") from None

    def children(self):
        """pids of the direct children that live, executors for a worker."""
        return sorted(pid for pid, (parent, _) in processes().items() if parent == self.pid)

    def session_pids(self):
        """Everything that the program started and that did not leave its session, itself included."""
        return sorted(pid for pid, (_, session) in processes().items() if session == self.pid)

    def clean_up(self, grace_s):
        """Ends whatever is left; returns what outlived the program, which nothing should."""
        if self.is_running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
        if self.is_running():
            self.kill()
        end = time.monotonic() + 6 * grace_s * patience()
        while self.session_pids() and time.monotonic() < end:
            time.sleep(0.02)
        left = self.session_pids()
        for pid in left:
            kill_pid(pid)
        return left
