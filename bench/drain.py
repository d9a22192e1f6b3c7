#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How fast are no-op jobs drained, by one worker process and by two?

--families noop,chunked asks for a family whose jobs are claimed and settled by the frame as well.

The workers are up and connected, the family is paused, the jobs are queued and analysed; then the
family is resumed. The time runs until the last outcome is committed. Variants take turns.
"""
from load import drain, queue_paused
from stand import Stand, note, options

PROCESSES = (1, 2)
FAMILIES = "noop"


def run(stand, jobs, processes, family="noop"):
    queue = stand.queue()
    if family == "chunked":
        queue.query("INSERT INTO athena.families (name, chunked) VALUES ('chunked', true)")
    queue_paused(queue, jobs, family=family)
    workers = stand.workers(queue, processes, family)
    rate, figures = drain(queue, workers, jobs, family=family)
    stand.stop_workers()
    queue.check(jobs, family)
    return queue, rate, figures


def main():
    given = options(__doc__, jobs=(300_000, 300_000), rounds=(2, 9), families=(FAMILIES, FAMILIES))
    variants = [(family, processes) for family in given.families.split(",") for processes in PROCESSES]
    with Stand("drain", given.lines) as stand:
        for number in range(given.rounds):
            for family, processes in variants:
                variant = f"workers={processes}" + (f" family={family}" if family != "noop" else "")
                if stand.answer(variant, number):
                    continue
                queue, rate, figures = run(stand, given.jobs, processes, family)
                note(f"drain, {variant}: {rate:.0f}/s")
                stand.emit(queue, variant, number, jobs=given.jobs, jobs_per_s=round(rate), **figures)
                queue.drop()


if __name__ == "__main__":
    main()
