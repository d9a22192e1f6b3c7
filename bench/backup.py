#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How fast is a database backed up, and how much memory does it take, beside pg_dump by hand?

Tables of equal rows. A backup is timed from its INSERT to its outcome: pg_dump, digests, encryption,
the census of all rows, everything read back, and pg_restore of that to /dev/null. By hand it is pg_dump
into a file, and the same pg_restore of that. Dumps are not compressed, so that not zlib is measured.
Memory is the most that the executor has ever had.
"""
import subprocess
import tempfile
import time

from stand import Stand, note, options

from athena_test import client  # of the tests' support, to which stand leads
from backups import KEY, Store, catalog, peak_kb, uncompressed_pg_dump
from clones import load_bytes
from s3_server import S3Server


def by_hand(source, folder):
    dump = f"{folder}/by-hand.dump"
    begun = time.monotonic()
    subprocess.run([client("pg_dump"), "-Fc", "-Z0", "-f", dump, "-d", source.url], check=True)
    subprocess.run([client("pg_restore"), "-f", "/dev/null", dump], check=True)
    return {"seconds": time.monotonic() - begun}


def by_backup(stand, queue, source, env):
    (worker,) = stand.workers(queue, 1, "backup", env=env)
    begun = time.monotonic()
    job = queue.enqueue("backup", {"database": source.url})
    queue.wait_for_state(job, "succeeded", 3600)
    seconds, peak = time.monotonic() - begun, peak_kb(worker)
    stand.stop_workers()
    return {"seconds": seconds, "memory_mb": round(peak / 1024, 1), "stored_bytes": catalog(queue, job)["stored_bytes"]}


def main():
    given = options(__doc__, megabytes=(200, 1000), rounds=(1, 3))
    with Stand("backup", given.lines) as stand, tempfile.TemporaryDirectory(dir="/tmp") as folder:
        queue, bucket = stand.queue(), S3Server()
        source = load_bytes(stand.cluster.new_database(label="source"), given.megabytes)
        source.close()
        places = {"a directory": Store(f"{folder}/plain").env, "a directory, encrypted": Store(f"{folder}/sealed", KEY).env,
                  "a bucket, encrypted": {**bucket.settings(part_size=8 << 20), "ATHENA_BACKUP_KEY": KEY}}
        tools = {"ATHENA_PG_DUMP_PATH": uncompressed_pg_dump(folder)}
        for number in range(given.rounds):
            for way in ["by hand", *places]:
                if stand.answer(way, number):
                    continue
                found = by_hand(source, folder) if way == "by hand" else by_backup(stand, queue, source, {**places[way], **tools})
                note(f"backup, {way}: {found['seconds']:.1f} s, {found.get('memory_mb', '-')} MB of memory")
                found |= {"seconds": round(found["seconds"], 2), "megabytes_per_s": round(given.megabytes / found["seconds"], 1)}
                stand.emit(queue, way, number, megabytes=given.megabytes, **found)
        bucket.remove()


if __name__ == "__main__":
    main()
