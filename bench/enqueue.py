#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How fast are jobs queued, by each of the ways there are?

In bulk: one INSERT .. SELECT, multi-row inserts, COPY, athena enqueue --from-file. One by one, each
its own transaction: INSERT and athena.enqueue(), over one connection and over eight. Nobody claims.
The payload is {} or has about 100 bytes; the family noop declares its keys, so that Postgres checks
such a payload.
"""
import subprocess
import time

from load import PAYLOADS, Producer, sql_function, sql_one
from stand import BUILD, Meter, Stand, note, options

PROGRAM = "COPY athena.jobs (family, payload) FROM STDIN"


def by_select(queue, jobs, payload):
    queue.fill(jobs, payload=payload, batch=jobs)


def by_rows(queue, jobs, payload, rows=1000):
    row = "('noop', %(payload)s)"
    with queue.connect() as conn:
        for first in range(0, jobs, rows):
            values = ", ".join([row] * min(rows, jobs - first))
            conn.execute(f"INSERT INTO athena.jobs (family, payload) VALUES {values}",
                         {"payload": payload})


def by_copy(queue, jobs, payload, rows=10_000):
    line = f"noop\t{payload}\n".encode()
    with queue.connect() as conn, conn.cursor() as cursor:
        for first in range(0, jobs, rows):
            with cursor.copy(PROGRAM) as copy:
                copy.write(line * min(rows, jobs - first))


def by_program(queue, jobs, payload):
    subprocess.run([BUILD / "athena", "enqueue", "noop", "--from-file", "-", "--json"], check=True,
                   input=f"{payload}\n".encode() * jobs, stdout=subprocess.DEVNULL,
                   env={"ATHENA_DATABASE_URL": queue.url, "HOME": "/nonexistent"})


BULK = {"insert_select": by_select, "multi_row_1000": by_rows, "copy_10000": by_copy,
        "program": by_program}
SINGLE = {"insert": sql_one, "enqueue_function": sql_function}


def bulk(stand, way, jobs, payload_bytes):
    queue = stand.queue()
    meter = Meter(queue)
    begun = time.monotonic()
    BULK[way](queue, jobs, PAYLOADS[payload_bytes])
    seconds = time.monotonic() - begun
    figures = meter.stop(jobs)
    if queue.value("SELECT count(*) FROM athena.ready") != jobs:
        raise SystemExit(f"bench: {way} did not queue {jobs} jobs: no figure")
    queue.check(0)
    return queue, jobs / seconds, figures


def single(stand, way, seconds, connections, payload_bytes):
    queue = stand.queue()
    meter = Meter(queue)
    found = Producer(stand, queue, SINGLE[way](payload_bytes), 0, seconds, connections).result()
    figures = meter.stop(found["jobs"])
    if queue.value("SELECT count(*) FROM athena.ready") != found["jobs"]:
        raise SystemExit(f"bench: {way} did not queue what it says: no figure")
    queue.check(0)
    return queue, found["jobs_per_s"], {**figures, "took_p50_ms": found["enqueue_p50_ms"],
                                        "took_p99_ms": found["enqueue_p99_ms"]}


def variants(given):
    """{variant: how to run it}"""
    found = {}
    for payload_bytes in PAYLOADS:
        for way in BULK:
            found[f"{way} payload={payload_bytes}"] = (
                lambda stand, way=way, size=payload_bytes: bulk(stand, way, given.jobs, size))
    for connections in (1, 8):
        for way in SINGLE:
            found[f"{way} connections={connections}"] = (
                lambda stand, way=way, n=connections: single(stand, way, given.seconds, n, 0))
    return found


def main():
    given = options(__doc__, jobs=(100_000, 1_000_000), seconds=(2.0, 20.0), rounds=(2, 7))
    with Stand("enqueue", given.lines) as stand:
        for number in range(given.rounds):
            for variant, run in variants(given).items():
                if stand.answer(variant, number):
                    continue
                queue, rate, figures = run(stand)
                note(f"{variant}: {rate:.0f}/s")
                stand.emit(queue, variant, number, jobs_per_s=round(rate), **figures)
                queue.drop()


if __name__ == "__main__":
    main()
