# SPDX-License-Identifier: PostgreSQL
"""What benchmarks have in common beyond a stand: drains, producers, and how long jobs waited."""
import json
import re
import subprocess
import time

from stand import BUILD, Meter, memory_mb, percentiles, wait_until

PAYLOADS = {0: "{}", 100: json.dumps({"pad": "x" * 90})} # by bytes, about


def sql_one(payload_bytes=0, family="noop"):
    """One job, as producers write it."""
    return (f"INSERT INTO athena.jobs (family, payload)"
            f" VALUES ('{family}', '{PAYLOADS[payload_bytes]}') RETURNING id")


def sql_rows(payload_bytes=0, family="noop"):
    """$1 jobs in one statement."""
    return (f"INSERT INTO athena.jobs (family, payload)"
            f" SELECT '{family}', '{PAYLOADS[payload_bytes]}' FROM generate_series(1, $1::integer)"
            f" RETURNING id")


def sql_function(payload_bytes=0, family="noop"):
    return f"SELECT athena.enqueue('{family}', '{PAYLOADS[payload_bytes]}')"


# --- Producers

class Producer:
    """bench/producer.c in the background; see there."""

    def __init__(self, stand, queue, sql, rate, seconds, connections=8, batch=1, ids=False):
        self._ids = stand.directory / f"ids-{time.monotonic_ns()}" if ids else None
        self.deadline_s = seconds + 60
        self.process = subprocess.Popen(
            [BUILD / "bench/producer", queue.url, sql, str(rate), str(seconds), str(connections),
             str(batch), *([self._ids] if ids else [])], stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def result(self):
        """Waits for its end; figures of how it went."""
        out, _ = self.process.communicate(timeout=self.deadline_s)
        if self.process.returncode != 0:
            raise SystemExit("bench: the producer failed")
        return json.loads(out)

    def sent_us(self):
        """{job: when its statement was sent}"""
        rows = (line.split() for line in self._ids.read_text().splitlines())
        return {int(job): int(at_us) for job, at_us in rows}


# --- How long jobs waited

def started_us(workers):
    """{job: when its handler started}, from the logs of workers at debug level."""
    pattern = re.compile(r" attempt_started job=(\d+) .*\bboot_us=(\d+)")
    return {int(job): int(at_us) for worker in workers
            for job, at_us in pattern.findall(worker.stderr())}


def pickup_ms(producer, workers, skip_s=0.0):
    """Percentiles from just before the enqueueing statement was sent to the start of the handler.

    Jobs of the first skip_s seconds do not count: what is measured is a system that runs.
    """
    sent = producer.sent_us()
    started = started_us(workers)
    missing = len(sent.keys() - started.keys())
    if missing:
        raise SystemExit(f"bench: {missing} jobs have no start in the logs: no figure")
    begin = min(sent.values()) + skip_s * 1e6
    return percentiles([(started[job] - at) / 1000 for job, at in sent.items() if at >= begin])


def claim_waits_ms(queue, skip_s=0.0):
    """Percentiles from the transaction that enqueued a job to the one that claimed it."""
    (row,) = queue.query(
        "WITH waits AS (SELECT extract(epoch FROM o.started_at - j.created_at) * 1000 AS ms"
        "  FROM athena.outcomes AS o JOIN athena.jobs AS j ON j.id = o.job_id"
        " WHERE j.created_at >= (SELECT min(created_at) FROM athena.jobs) + %s * interval '1 s')"
        " SELECT array_agg(p) AS values, max(m) AS longest FROM (SELECT percentile_cont("
        "  ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms) AS p, max(ms) AS m FROM waits) AS x", skip_s)
    p50, p95, p99 = row["values"][0]
    return {name: round(float(value), 3) for name, value in
            [("p50", p50), ("p95", p95), ("p99", p99), ("max", row["longest"])]}


def finished_per_s(queue, every_s=1):
    """[jobs per second] of consecutive stretches, by the outcomes."""
    rows = queue.query(
        "SELECT floor(extract(epoch FROM finished_at) / %s)::bigint AS stretch, count(*) AS jobs"
        "  FROM athena.outcomes GROUP BY 1 ORDER BY 1", every_s)
    jobs = {row["stretch"]: row["jobs"] for row in rows}
    return [round(jobs.get(at, 0) / every_s) for at in range(min(jobs), max(jobs) + 1)] if jobs else []


# --- Drains

def queue_paused(queue, jobs, payload="{}", family="noop"):
    """Queues jobs that nobody may claim yet, and lets Postgres know what the tables are like."""
    queue.query("SELECT athena.pause(%s)", family)
    queue.fill(jobs, family, payload)
    queue.query("ANALYZE athena.ready, athena.jobs, athena.leases, athena.outcomes")


def drain(queue, workers, jobs, before=0, family="noop"):
    """Resumes the family and waits until `jobs` more than `before` are done; (rate, figures)."""
    meter = Meter(queue, workers)
    memory = {"worker_memory_mb": 0, "memory_mb": 0}
    begun = time.monotonic()
    queue.query("SELECT athena.resume(%s)", family)
    queue.wait_succeeded(before + jobs, family, meanwhile=lambda: look_at_memory(workers, memory))
    seconds = time.monotonic() - begun
    figures = meter.stop(jobs)
    look_at_memory(workers, memory)
    return jobs / seconds, {**figures, **memory}


def look_at_memory(workers, most):
    """Raises `most` to what a worker takes now, by itself and with its executors."""
    for worker in workers:
        most["worker_memory_mb"] = max(most["worker_memory_mb"], memory_mb([worker.pid]))
        most["memory_mb"] = max(most["memory_mb"], memory_mb(worker.session_pids()))


def wait_quiet(queue, workers, quiet_s=0.3):
    """Until every worker has its sign up, and then a moment more: nothing is left to do."""
    wait_until(lambda: queue.value("SELECT count(DISTINCT worker_id) FROM athena.sleepers") >= len(workers),
               10, "workers are asleep")
    time.sleep(quiet_s)
