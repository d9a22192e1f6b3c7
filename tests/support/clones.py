# SPDX-License-Identifier: PostgreSQL
"""Clones under test: sample databases, jobs that copy them, and what must not be left afterwards."""
import re
import subprocess

from athena_test import DEADLINE_S, ROOT, client, processes, wait_until

PHASES = ["validate_source", "prepare_target", "resolve_tools", "dump_source", "restore_target",
          "verify_target", "complete"]


def load_shop(database, scale=1):
    """Fills an empty database with the sample shop."""
    subprocess.run(["psql", "-X", "-q", "-v", f"scale={scale}", "-f", ROOT / "tools/sample_shop.sql",
                    database.url], check=True, stdout=subprocess.DEVNULL)
    return database


def load_bytes(database, megabytes, tables=4):
    """Fills a database with so much that a clone of it takes a while."""
    for n in range(tables):
        database.query(f"CREATE TABLE t{n} AS SELECT i AS id, repeat(md5(i::text), 31) AS filler"
                       f" FROM generate_series(1, {megabytes * 1000 // tables}) i")
        database.query(f"ALTER TABLE t{n} ADD PRIMARY KEY (id)")
    return database


def dump(cluster, name):
    """What pg_dump says of a database."""
    done = subprocess.run([client("pg_dump"), "-d", cluster.url(name)], check=True,
                          capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if not re.match(r"\\(un)?restrict ", line)]


def copy_by_hand(cluster, source, target):
    """pg_dump | pg_restore, as anybody would do it."""
    with cluster.connect() as conn:
        conn.execute(f'CREATE DATABASE "{target}" TEMPLATE template0')
    subprocess.run(f"set -o pipefail; {client('pg_dump')} -Fc -d '{cluster.url(source)}' |"
                   f" {client('pg_restore')} -e -d '{cluster.url(target)}'",
                   shell=True, check=True, executable="/bin/bash")


def databases(cluster):
    with cluster.connect() as conn:
        return {row["datname"] for row in conn.execute("SELECT datname FROM pg_database")}


def sessions(cluster):
    """Sessions of clones on a server, as {pid: application_name}."""
    with cluster.connect() as conn:
        return {row["pid"]: row["application_name"] for row in conn.execute(
            "SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'athena:%'")}


def tools(*clusters):
    """Processes of pg_dump and pg_restore that clones and backups run on these servers, as {pid: argv}."""
    found = {}
    for pid in processes():
        try:
            argv = open(f"/proc/{pid}/cmdline", "rb").read().decode(errors="replace").split("\0")
        except OSError:
            continue
        conninfo = argv[-2] if len(argv) > 1 else ""
        if re.search("athena:(clone|backup):", conninfo) and any(server.host in conninfo for server in clusters):
            found[pid] = argv
    return found


def traces(*clusters):
    """What of clones is left on these servers, and in the process table."""
    left = [f"process {pid}" for pid in tools(*clusters)]
    for cluster in clusters:
        left += [name for name in databases(cluster) if name.startswith("athena_stg_")]
        left += [f"session {pid} {name}" for pid, name in sessions(cluster).items()]
    return left


def assert_no_traces(*clusters, deadline_s=DEADLINE_S):
    """Nothing is left; sessions of what was killed are granted the 2 s that they take to notice."""
    wait_until(lambda: not traces(*clusters), deadline_s, f"no traces, but {traces(*clusters)}")


def events(database, job, *kinds):
    """Events of a job in order, all or of these kinds."""
    return database.query("SELECT * FROM athena.events WHERE job_id = %s"
                          " AND (%s OR kind = ANY (%s)) ORDER BY seq", job, not kinds, list(kinds))


def messages(database, job, kind):
    return [row["message"] for row in events(database, job, kind)]


def failures(database, job):
    return database.query("SELECT attempt, kind, code, error FROM athena.failures"
                          " WHERE job_id = %s ORDER BY at", job)


def wait_for_event(database, job, kind, deadline_s=DEADLINE_S, **columns):
    """Waits for an event of this kind whose columns have these values."""
    def found():
        for row in events(database, job, kind):
            if all(row[name] == value for name, value in columns.items()):
                return row
        return None
    return wait_until(found, deadline_s, f"event {kind} {columns} of job {job}")


def wait_for_phase(database, job, phase, attempt=1, deadline_s=DEADLINE_S):
    return wait_for_event(database, job, "phase_started", deadline_s, phase=phase, attempt=attempt)
