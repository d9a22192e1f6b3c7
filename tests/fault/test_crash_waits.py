# SPDX-License-Identifier: PostgreSQL
"""The crash matrix of waits: an attempt opens one and parks, somebody outside answers, and each of
them is hurt on the way. Whatever answer was accepted reaches the job that it was for, once.
"""
import pytest

from crash import enqueue, rows

# Point, load, harms; * is the sample.
ROWS = """
wait_open.send         asked     kill error refuse drop
wait_open.sent         asked     kill *drop backend late
wait_open.answered     asked     *kill *drop late
execute.end            asked     kill
result.read            asked     kill executor late
settle.send            asked     kill error drop late
settle.sent            asked     kill *drop
settle.answered        asked     *kill drop
wait_complete.send     posted    kill error drop away
wait_complete.sent     posted    *kill drop away
wait_complete.answered posted    kill *drop away
wait_fail.send         refused   kill error drop away
wait_fail.sent         refused   kill *drop away
wait_fail.answered     refused   *kill drop away
"""

JOBS = 4


@pytest.mark.parametrize("point, load, harm", rows(ROWS))
def test_waits(case, point, load, harm):
    case.database.query("INSERT INTO athena.families (name, lease) VALUES ('ask', '6 s')")
    jobs = enqueue(case.database, JOBS, family="ask")
    case.ask_outside(by_http=load != "asked", refuses=load == "refused")
    case.start_worker(is_armed=True, concurrency=2)
    case.hurt()
    case.finish()
    assert case.outside.of_state("completed") == set(jobs)
    assert case.outside.of_state("failed") == (set(jobs) if load == "refused" else set())
