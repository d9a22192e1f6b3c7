#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How fast is a database cloned, in each mode and beside pgcopydb and pg_dump | pg_restore?

Tables of equal rows, each with a primary key and a second index, are copied within one server. The
ways take turns. With --jobs all of them may do so much at a time; `pgcopydb` (Debian's package) is left
out where it is not installed. A clone is timed from its INSERT to its outcome, once as it comes, with
all rows compared, and once with verify=none, which is what the others do. Every copy must have all rows.
"""
import os
import shutil
import subprocess
import tempfile
import time

from stand import Database, Stand, busy_s, note, options

CLONES = {
    "athena parallel, verified": {"mode": "parallel", "verify": "full"},
    "athena parallel": {"mode": "parallel", "verify": "none"},
    "athena staged": {"mode": "staged", "verify": "none"},
    "athena pipe": {"mode": "pipe", "verify": "none"},
}


def make_source(stand, megabytes, tables):
    source = stand.cluster.new_database(label="source")
    rows = megabytes * 1000 * 1000 // tables // 200
    for number in range(tables):
        source.query(f"CREATE TABLE t{number} AS SELECT i AS id, i::bigint * 7919 % 1000003 AS other,"
                     f" repeat(md5(i::text), 5) AS filler FROM generate_series(1, {rows}) AS i")
        source.query(f"ALTER TABLE t{number} ADD PRIMARY KEY (id); CREATE INDEX ON t{number} (other)")
    source.query("VACUUM ANALYZE")
    source.query("CHECKPOINT")
    return source, rows * tables


def by_clone(stand, queue, source, target, jobs, payload):
    stand.workers(queue, 1, "clone")
    queue.query("UPDATE athena.families SET max_attempts = 1 WHERE name = 'clone'")
    begun = time.monotonic()
    job = queue.enqueue("clone", {"source": source.url, "target": stand.cluster.url(target), "jobs": jobs, **payload})
    queue.wait_for_state(job, "succeeded", 3600)
    seconds = time.monotonic() - begun
    stand.stop_workers()
    return seconds


def run_timed(command, **environment):
    begun = time.monotonic()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=os.environ | environment)
    return time.monotonic() - begun


def by_pipe(stand, source, target):
    stand.cluster.create_database(target, template="template0").close()
    return run_timed('pg_dump -Fc -Z0 -d "$SOURCE" | pg_restore -e -d "$TARGET"', SOURCE=source.url,
                     TARGET=stand.cluster.url(target))


def by_pgcopydb(stand, source, target, jobs):
    stand.cluster.create_database(target, template="template0").close()
    with tempfile.TemporaryDirectory() as folder:
        return run_timed('pgcopydb clone --dir "$FOLDER/work" --source "$SOURCE" --target "$TARGET"'
                         f" --table-jobs {jobs} --index-jobs {jobs}",
                         FOLDER=folder, SOURCE=source.url, TARGET=stand.cluster.url(target))


def check(stand, target, tables, rows):
    copy = Database(stand.cluster, target)
    counts = " UNION ALL ".join(f"SELECT count(*) AS n FROM t{number}" for number in range(tables))
    found = copy.value(f"SELECT sum(n)::bigint FROM ({counts}) AS c")
    indexes = copy.value("SELECT count(*) FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid"
                         " WHERE c.relnamespace = 'public'::regnamespace AND x.indisvalid")
    copy.close()
    if (found, indexes) != (rows, 2 * tables):
        raise SystemExit(f"bench: {target} has {found} rows and {indexes} indexes: no figure")


def main():
    given = options(__doc__, megabytes=(200, 1000), tables=(100, 100), jobs=(2, 2), rounds=(1, 3))
    others = ["pg_dump | pg_restore"] + (["pgcopydb"] if shutil.which("pgcopydb") else [])
    with Stand("clone", given.lines) as stand:
        queue = stand.queue()
        source, rows = make_source(stand, given.megabytes, given.tables)
        for number in range(given.rounds):
            for way in [*CLONES, *others]:
                variant = f"{way}, jobs={given.jobs}" if "pipe" not in way and way != "pg_dump | pg_restore" else way
                if stand.answer(variant, number):
                    continue
                source.close()
                source.query("CHECKPOINT")
                source.close()
                busy = busy_s()
                if way in CLONES:
                    seconds = by_clone(stand, queue, source, "copy", given.jobs, CLONES[way])
                elif way == "pgcopydb":
                    seconds = by_pgcopydb(stand, source, "copy", given.jobs)
                else:
                    seconds = by_pipe(stand, source, "copy")
                cpus = (busy_s() - busy) / seconds
                check(stand, "copy", given.tables, rows)
                stand.cluster.drop_database("copy")
                note(f"clone, {variant}: {seconds:.1f} s")
                stand.emit(queue, variant, number, megabytes=given.megabytes, tables=given.tables,
                           seconds=round(seconds, 2), megabytes_per_s=round(given.megabytes / seconds, 1),
                           cpus_used=round(cpus, 2))


if __name__ == "__main__":
    main()
