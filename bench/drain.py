#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""How fast are no-op jobs drained, by one worker process and by two?

The workers are up and connected, the family is paused, the jobs are queued and analysed; then the
family is resumed. The time runs until the last outcome is committed. Variants take turns.
"""
from load import drain, queue_paused
from stand import Stand, note, options

PROCESSES = (1, 2)


def run(stand, jobs, processes):
    queue = stand.queue()
    queue_paused(queue, jobs)
    workers = stand.workers(queue, processes)
    rate, figures = drain(queue, workers, jobs)
    stand.stop_workers()
    queue.check(jobs)
    return queue, rate, figures


def main():
    given = options(__doc__, jobs=(300_000, 300_000), rounds=(2, 9))
    with Stand("drain", given.lines) as stand:
        for number in range(given.rounds):
            for processes in PROCESSES:
                variant = f"workers={processes}"
                if stand.answer(variant, number):
                    continue
                queue, rate, figures = run(stand, given.jobs, processes)
                note(f"drain, {variant}: {rate:.0f}/s")
                stand.emit(queue, variant, number, jobs=given.jobs, jobs_per_s=round(rate), **figures)
                queue.drop()


if __name__ == "__main__":
    main()
