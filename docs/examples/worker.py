#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""A worker in 40 lines, with nothing but SQL: worker.py CONNECTION FAMILY. See docs/sql.md."""
import os
import signal
import socket
import sys
import threading

import psycopg


def work(payload):
    """The work itself. Returns, or raises; here it does what the payload says."""
    if "fail" in payload:
        raise (ValueError if payload["fail"] == "permanent" else RuntimeError)(payload["fail"])
    return stop.wait(payload.get("sleep_ms", 0) / 1000)


def beat(url, worker):
    """One heartbeat every 5 s, on a connection of its own. Who is fenced has lost its jobs."""
    with psycopg.connect(url, autocommit=True) as conn:
        while not stop.wait(5):
            for what, _, _, ticket in conn.execute("SELECT * FROM athena.heartbeat(%s)", [worker]):
                if what == "fenced":
                    os._exit(1)
                if what == "cancel":
                    cancelled.add(ticket)


def run(conn, worker, family):
    job = conn.execute("SELECT job_id, ticket, payload FROM athena.claim(%s, %s)", [worker, family]).fetchone()
    if not job:
        return stop.wait(1)
    result, error, kind = "succeeded", None, None
    try:
        if job[1] in cancelled or work(job[2]):
            result = "cancelled" if job[1] in cancelled else "returned"
    except Exception as problem:
        result, error, kind = "failed", str(problem), "permanent" if isinstance(problem, ValueError) else "transient"
    answer = conn.execute("SELECT answer FROM athena.settle(%s, %s, %s, %s, %s, %s)",
                          [worker, job[0], job[1], result, error, kind]).fetchone()[0]
    print(f"job {job[0]} {result}: {answer}", flush=True)  # "lost": somebody else has it by now


stop, cancelled = threading.Event(), set()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    worker = conn.execute("SELECT athena.register_worker(%s, 'python', %s)", [[sys.argv[2]], socket.gethostname()]).fetchone()[0]
    threading.Thread(target=beat, args=(sys.argv[1], worker), daemon=True).start()
    while not stop.is_set():
        run(conn, worker, sys.argv[2])
    conn.execute("SELECT athena.unregister_worker(%s)", [worker])
