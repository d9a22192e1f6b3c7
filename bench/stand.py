# SPDX-License-Identifier: PostgreSQL
"""What every benchmark stands on: a durable private Postgres, real workers, lines of JSON.

A figure is a line on stdout that says by itself where it is from: machine, Postgres and its
settings, commit. None is printed unless fsync, full_page_writes and synchronous_commit are on, and
the data lie on a disk. A benchmark also checks its own result: Queue.check() counts outcomes, each
job exactly once, and asks for offenders against the conservation law.

The server's settings are those that somebody would give it in production on this machine; they
stand in server_settings() and in each line.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from athena_test import BUILD, Cluster, Database, Program, wait_until  # noqa: E402

BUILT_IN = ("noop", "clone", "backup")
MUST_BE_ON = ("fsync", "full_page_writes", "synchronous_commit")
TICKS = os.sysconf("SC_CLK_TCK")
GB = 1 << 30


# --- What is asked for

def options(doc, **settings):
    """Command line of a benchmark: each setting has a value for a short run and one for --long."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="sizes of a long run")
    parser.add_argument("--lines", metavar="FILE", type=pathlib.Path,
                        help="of an earlier run that was broken off: what they answer is not asked again")
    for name, (short, long) in settings.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(short), help=f"{short}; {long}")
    given = parser.parse_args()
    for name, values in settings.items():
        if getattr(given, name) is None:
            setattr(given, name, values[given.long])
    signal.signal(signal.SIGTERM, signal.default_int_handler) # servers and files go with us
    return given


def read_lines(path):
    """The whole lines of an earlier run, each a dict; what was being written when it ended is not one."""
    text = path.read_text() if path and path.exists() else ""
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]


# --- Figures

def percentiles(values):
    """p50, p95, p99 and max, to three digits after the point."""
    if not values:
        return {"p50": None, "p95": None, "p99": None, "max": None}
    ordered = sorted(values)

    def at(share):
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 3)}


def spread(values):
    """The median of several runs, and how far they lie apart."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3),
            "max": round(max(values), 3), "runs": len(values)}


# --- The machine

def _first(path, pattern):
    found = re.search(pattern, pathlib.Path(path).read_text(), re.MULTILINE)
    return found[1].strip() if found else "?"


def memory_bytes():
    return int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) * 1024


def fdatasync_us(directory):
    """The median time that a write of 8 KiB takes to be on disk: what a commit waits for."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(50):
            os.pwrite(file.fileno(), b"\0" * 8192, 0)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1e6)
    return round(statistics.median(times))


def machine(directory):
    return {"cpu": _first("/proc/cpuinfo", r"^model name\s*:(.*)"), "cpus": os.cpu_count(),
            "memory_gb": round(memory_bytes() / GB, 1), "kernel": platform.release(),
            "fdatasync_us": fdatasync_us(directory)}


def commit():
    def git(*args):
        return subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True).stdout
    changed = git("status", "--porcelain", "--untracked-files=no").strip()
    return (git("rev-parse", "--short", "HEAD").strip() or "unknown") + ("+changes" if changed else "")


def cpu_s(pid):
    """CPU seconds of a process, its children, and those of its children that have ended.

    To the nanosecond, but for those that have ended and were waited for: of them the kernel tells
    ticks of 10 ms.
    """
    total_s, children = 0.0, []
    with contextlib.suppress(OSError):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for member in [pid, *children]:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total_s += sum(map(int, fields[13:15])) / TICKS
            total_s += sum(int(task.read_text().split()[0])
                           for task in pathlib.Path(f"/proc/{member}/task").glob("*/schedstat")) / 1e9
    return total_s


def memory_mb(pids):
    """Proportional memory: what is shared between processes counts once."""
    kb = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            kb += int(_first(f"/proc/{pid}/smaps_rollup", r"^Pss:\s+(\d+)"))
    return round(kb / 1024, 1)


def busy_s():
    """CPU seconds that the whole machine has spent on something."""
    user, nice, system, _idle, _iowait, irq, softirq = map(
        int, _first("/proc/stat", r"^cpu\s+(.*)").split()[:7])
    return (user + nice + system + irq + softirq) / TICKS


# --- The server

def server_settings():
    """A quarter of the memory for Postgres' own cache, room for WAL, lz4; the rest as it comes."""
    memory = memory_bytes()
    return {
        "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
        "shared_buffers": f"{min(memory // 4, 4 * GB) >> 20}MB",
        "effective_cache_size": f"{memory * 3 // 4 >> 20}MB",
        "max_wal_size": "16GB", "min_wal_size": "2GB", "wal_compression": "lz4",
        "checkpoint_timeout": "15min", "random_page_cost": "1.1",
        "maintenance_work_mem": "256MB", "track_io_timing": "on", "track_wal_io_timing": "off",
    }


class DurableCluster(Cluster):
    """Reachable through TCP on loopback as well, for drivers that know nothing else."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        super().__init__(port=self.port, listen_addresses="127.0.0.1", **server_settings())

    def tcp_url(self, database):
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"


class Meter:
    """CPU, WAL and time between its beginning and stop(). `tools` are part of the measuring."""

    def __init__(self, queue, workers=(), tools=()):
        self._queue = queue
        self._pids = {"server": [queue.cluster.process.pid], "worker": [w.pid for w in workers],
                      "tool": [tool.pid for tool in tools]}
        self._cpu = self._cpu_now()
        self._busy = busy_s()
        self._wal = self._wal_now()
        self._begun = time.monotonic()

    def _cpu_now(self):
        own = resource.getrusage(resource.RUSAGE_SELF)
        return {"bench": own.ru_utime + own.ru_stime,
                **{who: sum(map(cpu_s, pids)) for who, pids in self._pids.items()}}

    def _wal_now(self):
        """The end of the WAL, which is exact; sessions tell their counters with a delay of a second."""
        (row,) = self._queue.query("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes,"
                                   " (SELECT wal_fpi FROM pg_stat_wal) AS full_page_images")
        return row

    def stop(self, jobs):
        """Figures per job, as part of a line."""
        seconds = time.monotonic() - self._begun
        wal = self._wal_now()
        now = self._cpu_now()
        own = {who: now[who] - self._cpu[who] for who in now}
        others = busy_s() - self._busy - sum(own.values())
        return {
            "server_cpu_us_per_job": round(own["server"] / jobs * 1e6, 2),
            "worker_cpu_us_per_job": round(own["worker"] / jobs * 1e6, 2),
            "wal_bytes_per_job": round(float(wal["bytes"] - self._wal["bytes"]) / jobs),
            "full_page_images": wal["full_page_images"] - self._wal["full_page_images"],
            "cpus_used_by_others": round(max(0.0, others) / seconds, 2),
        }


class Queue(Database):
    """A migrated database, with what benchmarks do to it."""

    def fill(self, jobs, family="noop", payload="{}", batch=100_000, **columns):
        """Enqueues by INSERT .. SELECT; returns how long it took."""
        names = "".join(f", {name}" for name in columns)
        values = "".join(", %s" for _ in columns)
        begun = time.monotonic()
        for first in range(0, jobs, batch):
            self.query(f"INSERT INTO athena.jobs (family, payload{names}) SELECT %s, %s::jsonb{values}"
                       " FROM generate_series(1, %s)", family, payload, *columns.values(),
                       min(batch, jobs - first))
        return time.monotonic() - begun

    def depth(self, family, state):
        return self.value("SELECT coalesce(sum(delta), 0)::bigint FROM athena.tallies"
                          " WHERE family = %s AND state = %s::athena.job_state", family, state)

    def wait_succeeded(self, jobs, family="noop", deadline_s=3600, meanwhile=None):
        """Until so many have; meanwhile() is called every half second."""
        look_at = time.monotonic() + 0.5

        def have_succeeded():
            nonlocal look_at
            if meanwhile and time.monotonic() >= look_at:
                meanwhile()
                look_at = time.monotonic() + 0.5
            return self.depth(family, "succeeded") >= jobs
        wait_until(have_succeeded, deadline_s, f"{jobs} jobs of {family} succeeded", every_s=0.05)

    def check(self, finished, family="noop", retried=0):
        """So many outcomes of that family, all succeeded, all but so many at the first attempt, and the
        law holds."""
        view = self.value("SELECT coalesce(to_regclass('athena.finished'), 'athena.outcomes')::text")
        (found,) = self.query(
            "SELECT count(*) AS outcomes, count(DISTINCT job_id) AS jobs,"
            " count(*) FILTER (WHERE state = 'succeeded' AND attempt = 1) AS straight"
            f" FROM {view} WHERE family = %s", family)
        wanted = {"outcomes": finished, "jobs": finished, "straight": finished - retried}
        if found != wanted:
            raise SystemExit(f"bench: outcomes are {found}, not {wanted}: no figure")
        if offenders := self.conservation():
            raise SystemExit(f"bench: the law does not hold: {offenders[:10]}: no figure")

    def dead_tuples(self):
        self.query("SELECT pg_stat_clear_snapshot()")
        rows = self.query("SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE schemaname = 'athena'"
                          " AND relname IN ('ready', 'leases', 'tallies')")
        return {row["relname"]: row["n_dead_tup"] for row in rows}


class Stand:
    """The server and the workers of one benchmark, gone when it ends.

    A benchmark asks variants, in rounds; answer() has what an earlier run that was broken off found.
    """

    def __init__(self, question, lines=None, tcp=False):
        self.question = question
        self._answers = {(line["variant"], line["round"]): line for line in read_lines(lines)
                         if line["question"] == question}
        self._tcp = tcp
        self.programs = []
        self._count = 0

    def answer(self, variant, number=0):
        """The line that has been emitted for it, or None."""
        return self._answers.get((variant, number))

    def __enter__(self):
        missing = [name for name in ("athena", "athena-worker") if not (BUILD / name).exists()]
        if missing:
            raise SystemExit(f"bench: no {', '.join(missing)} in {BUILD}: run make")
        self.cluster = DurableCluster()
        try:
            self.cluster.start()
            self.directory = pathlib.Path(tempfile.mkdtemp(dir=self.cluster.directory))
            self._about = {"machine": machine(self.cluster.data), "commit": commit(),
                           "postgres": self._postgres()}
        except BaseException:
            self.cluster.remove()
            raise
        return self

    def __exit__(self, *_):
        self.stop_workers()
        self.cluster.remove()

    def _postgres(self):
        with self.cluster.connect() as conn:
            rows = conn.execute("SELECT name, current_setting(name) AS value FROM pg_settings"
                                " WHERE name = ANY (%s) ORDER BY name",
                                [[*server_settings(), "server_version", "wal_level"]]).fetchall()
        return {row["name"]: row["value"] for row in rows}

    def queue(self):
        """A new, empty queue."""
        database = self.cluster.migrated_database("bench")
        database.close()
        queue = Queue(self.cluster, database.name)
        if self._tcp:
            queue.url = self.cluster.tcp_url(database.name)
        return queue

    def workers(self, queue, count=1, family="noop", *args, log="info", env=None, **settings):
        """Starts real workers, with settings of the section `worker` of config.yaml.

        Jobs of a family that is not built in are done as those of noop are.
        """
        families = {} if family in BUILT_IN else {family: {"run": "noop"}}
        started = []
        for _ in range(count):
            self._count += 1
            directory = self.directory / f"worker-{self._count}"
            directory.mkdir()
            (directory / "config.yaml").write_text(
                json.dumps({"worker": settings, "log": {"level": log}, "families": families}))
            started.append(Program("athena-worker", f"--family={family}", "--config",
                                   directory / "config.yaml", *args, directory=directory, url=queue.url, env=env))
        for program in started:
            program.wait_log(r" registered\b")
        self.programs += started
        return started

    def stop_workers(self):
        for program in self.programs:
            program.clean_up(grace_s=10)
        self.programs = []

    def _refuse_unless_durable(self, queue):
        off = [name for name in MUST_BE_ON if queue.value(f"SHOW {name}") != "on"]
        kind = subprocess.run(["stat", "-f", "-c", "%T", self.cluster.data], capture_output=True,
                              text=True).stdout.strip()
        if off or kind in ("tmpfs", "ramfs"):
            raise SystemExit(f"bench: {', '.join(off) or kind} is no basis for a figure")

    def emit(self, queue, variant, number=0, **figures):
        """Prints one line, the answer of that round."""
        self._refuse_unless_durable(queue)
        line = {"question": self.question, "variant": variant, "round": number, **figures,
                "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                **self._about}
        print(json.dumps(line), flush=True)
        self._answers[variant, number] = line
        return line


def note(text):
    """For whoever watches."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
