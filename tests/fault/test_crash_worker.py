# SPDX-License-Identifier: PostgreSQL
"""The crash matrix of a worker: each point between two durable acts, with each harm that makes sense there.

Afterwards every job has ended once, the ledger of executions balances with what is recorded, and
nothing is left (support/ledger.py). `make test` runs the rows with a star, `make test-fault` all.
"""
import pytest

from crash import enqueue, rows
from ledger import wait_drained

# Point, load, harms; * is the sample.
ROWS = """
register.send             mixed    kill error drop
register.sent             mixed    kill drop
register.answered         mixed    kill *drop
family_declare.send       mixed    kill *error drop
family_declare.sent       mixed    kill drop
family_declare.answered   mixed    kill drop
heartbeat.send            mixed    kill error drop
heartbeat.sent            mixed    kill drop
heartbeat.answered        mixed    kill drop
sleep_sign.send           trickle  kill *error drop
sleep_sign.sent           trickle  kill drop
sleep_sign.answered       trickle  *kill drop
sleep_unsign.send         burst    kill error drop
sleep_unsign.sent         burst    kill drop
sleep_unsign.answered     burst    kill drop
claim(noop).send                mixed    kill *error drop backend
claim(noop).sent                mixed    *kill *drop backend
claim(noop).answered            mixed    *kill *drop executor backend
claim_limited.send          limited  kill error drop
claim_limited.sent          limited  kill drop
claim_limited.answered      limited  kill drop
claim_chunked(noop).send        chunks   kill error drop
claim_chunked(noop).sent        chunks   *kill *drop backend
claim_chunked(noop).answered    chunks   *kill drop executor
dispatch.send             mixed    *kill executor
dispatch.sent             mixed    kill *executor
execute.begin             mixed    *kill
execute.begun             mixed    *kill
execute.end               mixed    *kill
execute.sent              mixed    *kill
result.read               mixed    *kill executor backend
crash.read                mixed    *kill executor
settle.send               mixed    kill error *refuse drop
settle.sent               mixed    kill *drop backend
settle.answered           mixed    *kill drop
settle_succeeded.send     mixed    *kill error *refuse drop executor
settle_succeeded.sent     mixed    kill *drop backend
settle_succeeded.answered mixed    kill *drop
settle_chunks.send        chunks   *kill error refuse drop executor
settle_chunks.sent        chunks   kill *drop backend
settle_chunks.answered    chunks   kill *drop
settle_chunk.send         chunks   kill error *refuse drop
settle_chunk.sent         chunks   *kill *drop backend
settle_chunk.answered     chunks   kill *drop
event_insert.send         talk     kill error refuse drop
event_insert.sent         talk     kill drop
event_insert.answered     talk     *kill drop
unregister.send           goodbye  kill error drop
unregister.sent           goodbye  kill *drop
unregister.answered       goodbye  kill drop
dispatch.sent             chunks   kill executor
execute.begun             chunks   *kill
execute.end               chunks   *kill
execute.sent              chunks   kill
result.read               chunks   kill executor
crash.read                chunks   *kill
claim(noop).sent          slow     late
claim(noop).answered      slow     *late
dispatch.send             slow     *late
dispatch.sent             slow     late
result.read               slow     late
settle_succeeded.send     slow     late
settle_succeeded.answered slow     late
heartbeat.send            slow     late
heartbeat.answered        slow     late
claim_chunked(noop).sent        shared   *late
dispatch.send             shared   late
settle_chunks.send        shared   late
settle_chunk.send         shared   late
"""


# --- Loads: what the armed worker is given, so that it passes the point

def mixed(database):
    """Of everything: success, failures of each kind, a crash, a key, a delay, another family."""
    enqueue(database, 8)
    enqueue(database, payload='{"fail_times": 1}')
    enqueue(database, payload='{"fail": "permanent"}')
    enqueue(database, payload='{"crash": "exit", "fail_times": 1}')
    enqueue(database, unique_key="held until the end", payload='{"sleep_ms": 20}')
    database.query("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '300 ms')")


def trickle(database):
    enqueue(database, 2)


def burst(database):
    """More than the worker can take at once, for longer than a second: it takes its sign down."""
    enqueue(database, 260, payload='{"sleep_ms": 20}')


def slow(database):
    """Jobs that take so long that they meet whoever runs them beside."""
    enqueue(database, 6, payload='{"sleep_ms": 1500}')


def talk(database):
    """What handlers say becomes events."""
    database.query("INSERT INTO athena.families (name, lease) VALUES ('say', '6 s')")
    enqueue(database, 3, family="say")


def limited(database):
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    enqueue(database, 4)


def chunks(database):
    """Jobs that share tickets, of which some succeed whole."""
    database.query("UPDATE athena.families SET chunked = true WHERE name = 'noop'")
    enqueue(database, 20)
    database.query("INSERT INTO athena.jobs (family, payload) SELECT 'noop', CASE n WHEN 3 THEN '{\"fail_times\": 1}'"
                   " WHEN 5 THEN '{\"crash\": \"exit\", \"fail_times\": 1}' WHEN 7 THEN '{\"fail\": \"permanent\"}'"
                   " ELSE '{\"sleep_ms\": 5}' END::jsonb FROM generate_series(1, 12) AS n")
    enqueue(database, 1, unique_key="alone")
    enqueue(database, 20)


def shared(database):
    """Chunks that take so long that they meet whoever runs them beside."""
    database.query("UPDATE athena.families SET chunked = true WHERE name = 'noop'")
    enqueue(database, 3, payload='{"sleep_ms": 700}')
    database.query("INSERT INTO athena.jobs (family, payload) SELECT 'noop', CASE n WHEN 2 THEN '{\"fail_times\": 1}'"
                   " ELSE '{\"sleep_ms\": 700}' END::jsonb FROM generate_series(1, 3) AS n")


LOADS = {"mixed": mixed, "trickle": trickle, "burst": burst, "limited": limited, "slow": slow, "talk": talk, "goodbye": trickle,
         "chunks": chunks, "shared": shared}


@pytest.mark.parametrize("point, load, harm", rows(ROWS))
def test_worker(case, point, load, harm):
    step = point.split(".")[0]
    early = step in ("register", "family_declare")
    if load != "burst":
        LOADS[load](case.database)
    case.start_worker(is_armed=True, concurrency=2, until=None if early else "registered")
    if load == "burst":
        case.armed.wait_log("asleep", count=5)
        LOADS[load](case.database)
    if load == "goodbye":
        wait_drained(case.database)
        case.armed.terminate() if harm != "kill" else case.armed.signal(15)
    case.hurt()
    if load == "goodbye":
        case.armed.wait()
    case.finish()
