#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How long does a scrape of /metrics take, on an empty queue and beside millions of ready jobs?

The family is paused, so that nothing moves. Scrapes are far enough apart for each to ask Postgres
anew. What it says about the depth has to be what was queued.
"""
import time

from stand import Stand, note, options, percentiles

from pages import Pages  # of the tests' support, to which stand leads


def scrape(stand, given, jobs):
    queue = stand.queue()
    queue.query("SELECT athena.pause('noop')")
    queue.fill(jobs)
    queue.query("VACUUM ANALYZE")
    (worker,) = stand.workers(queue, 1, "noop", "--http=127.0.0.1:0")
    pages = Pages.of(worker)
    took_ms = []
    for _ in range(given.scrapes + 1):
        reply = pages.get("/metrics")
        took_ms.append(reply.took_s * 1000)
        time.sleep(given.pause)
    depth = pages.metrics().get("athena_queue_depth", "noop", "ready") or 0
    if depth != jobs:
        raise SystemExit(f"bench: /metrics says {depth} ready jobs, there are {jobs}: no figure")
    stand.stop_workers()
    queue.check(0)
    found = percentiles(took_ms[1:]) # the first one waits for the connection
    note(f"a scrape with {jobs} ready jobs: {found['p50']} ms")
    stand.emit(queue, f"ready={jobs}", scrape_ms=found, scrapes=given.scrapes,
               bytes=len(reply.text))
    queue.drop()


def main():
    given = options(__doc__, large=(1_000_000, 10_000_000), scrapes=(8, 60), pause=(0.5, 2.0))
    with Stand("scrape", given.lines) as stand:
        for jobs in (0, given.large):
            if not stand.answer(f"ready={jobs}"):
                scrape(stand, given, jobs)


if __name__ == "__main__":
    main()
