# SPDX-License-Identifier: PostgreSQL
"""Chunked families: one ticket, one lease and one outcome for many jobs, and each job accounted for."""
import json
import random

import psycopg
import pytest

from sessions import Background, Worker, assert_lawful, depth, place, small_leaves, somebody


@pytest.fixture
def tiny(database):
    """A chunked family, whose chunks are of five jobs."""
    database.query("INSERT INTO athena.families (name, chunked, backoff_base) VALUES ('tiny', true, '0')")
    database.query("UPDATE athena.settings SET value = '5' WHERE name = 'chunk_jobs'")
    yield database
    assert_lawful(database)


def enqueue(database, count, family="tiny", **columns):
    """Ids of jobs that one statement has queued."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(", %s" for _ in columns)
    return sorted(database.column(f"INSERT INTO athena.jobs (family{names}) SELECT %s{values}"
                                  " FROM generate_series(1, %s) RETURNING id", family, *columns.values(), count))


def state(database, job):
    return database.value("SELECT state::text FROM athena.job_status WHERE job_id = %s", job)


def states(database, jobs):
    return [state(database, job) for job in jobs]


def rows(database, table):
    return database.value(f"SELECT count(*) FROM athena.{table} WHERE family = 'tiny'")


def claim(database, most=100):
    worker = Worker(database, "tiny")
    return worker, worker.claim_chunked(most, "tiny")


# Into the line

def test_jobs_of_one_statement_share_tickets(tiny):
    jobs = enqueue(tiny, 12)
    assert rows(tiny, "ready") == rows(tiny, "chunks") + rows(tiny, "leases") == len({job // 5 for job in jobs})
    assert depth(tiny) == {("tiny", "ready"): 12}
    assert states(tiny, jobs) == ["ready"] * 12
    assert {tuple(place(tiny, job)) for job in jobs} == {("ready",)}


def test_a_lone_job_is_an_ordinary_one(tiny):
    (job,) = enqueue(tiny, 1)
    assert tiny.query("SELECT ticket, job_id FROM athena.ready") == [{"ticket": job, "job_id": job}]
    assert rows(tiny, "chunks") == 0


@pytest.mark.parametrize("column, value", [("timeout", "1 s"), ("concurrency_key", "k"), ("run_at", "2030-01-01")])
def test_jobs_with_something_of_their_own_do_not_share(tiny, column, value):
    assert len(enqueue(tiny, 4, **{column: value})) == 4
    assert rows(tiny, "chunks") == 0
    assert rows(tiny, "ready") + rows(tiny, "scheduled") == 4


def test_large_payloads_do_not_share(tiny):
    assert len(enqueue(tiny, 4, payload='{"pad": "%s"}' % ("x" * 9000))) == 4
    assert rows(tiny, "chunks") == 0
    _, leases = claim(tiny)
    assert sum(lease["jobs"] for lease in leases) == 4


def test_other_families_and_lanes_of_the_same_statement_stay_apart(tiny):
    tiny.query("UPDATE athena.settings SET value = '500' WHERE name = 'chunk_jobs'")
    tiny.query("INSERT INTO athena.jobs (family, priority) SELECT CASE n % 2 WHEN 0 THEN 'tiny' ELSE 'noop' END, n % 3"
               " FROM generate_series(1, 40) AS n")
    assert tiny.value("SELECT bool_and(j.family = c.family AND j.priority = c.priority)"
                      " FROM athena.chunks AS c, athena.ids_of(c.jobs) AS m (id), athena.jobs AS j WHERE j.id = m.id")
    assert tiny.value("SELECT count(*) FROM athena.ready WHERE family = 'noop'") == 20
    assert depth(tiny) == {("tiny", "ready"): 20, ("noop", "ready"): 20}


def test_a_chunked_family_has_no_limits(tiny):
    with pytest.raises(psycopg.errors.CheckViolation, match="a chunked family has no limits"):
        tiny.query("UPDATE athena.families SET max_running = 1 WHERE name = 'tiny'")


def test_jobs_before_one_are_counted(tiny):
    tiny.query("SELECT setval('athena.tickets', 1004)")
    jobs = enqueue(tiny, 5) + enqueue(tiny, 4) + enqueue(tiny, 1) + enqueue(tiny, 3, priority=9)
    assert rows(tiny, "chunks") == 3
    assert [tiny.value("SELECT athena.jobs_ahead(%s, 10000)", job) for job in jobs] == [0] * 5 + [5] * 4 + [9] + [10] * 3
    assert tiny.value("SELECT athena.jobs_ahead(%s, 7)", jobs[-1]) == 7
    claim(tiny)
    assert tiny.value("SELECT athena.jobs_ahead(%s, 7)", jobs[-1]) == 0


# Claim and settle

def test_a_chunk_is_claimed_and_settled_whole(tiny):
    jobs = enqueue(tiny, 12)
    worker, leases = claim(tiny)
    assert sum(lease["jobs"] for lease in leases) == 12
    assert rows(tiny, "leases") == len(leases) < 12
    assert states(tiny, jobs) == ["running"] * 12
    assert depth(tiny) == {("tiny", "running"): 12}
    many = [lease for lease in leases if lease["jobs"] > 1]
    lines = [line for lease in many for line in lease["lines"].split("\n")]
    assert {int(line.split()[0]) for line in lines} <= set(jobs) and {line.split()[1] for line in lines} == {"{}"}
    assert worker.settle_chunks(*many) == {"settled": len(many), "missing": None}
    worker.settle_succeeded(*[lease for lease in leases if lease["jobs"] == 1])
    assert states(tiny, jobs) == ["succeeded"] * 12
    assert depth(tiny) == {("tiny", "succeeded"): 12}
    assert rows(tiny, "outcomes") == len(leases)
    assert tiny.column("SELECT job_id FROM athena.finished WHERE state = 'succeeded' AND attempt = 1 ORDER BY 1") == jobs
    assert worker.settle_chunks(many[0])["missing"] == [many[0]["ticket"]]
    assert tiny.value("SELECT answer FROM athena.settle_recall(%s, %s, %s)",
                      worker.id, many[0]["job_id"], many[0]["ticket"]) == "already"


def test_a_claim_is_for_so_many_jobs_and_lone_ones_are_put_together(tiny):
    enqueue(tiny, 40)
    lone = [enqueue(tiny, 1)[0] for _ in range(3)]
    worker = Worker(tiny, "tiny")
    first = worker.claim_chunked(7, "tiny")
    assert 7 <= sum(lease["jobs"] for lease in first) <= 11
    (one,) = worker.claim_chunked(7, "tiny", tickets=1)
    rest = worker.claim_chunked(100, "tiny")
    assert sum(lease["jobs"] for lease in [*first, one, *rest]) == 43
    (together,) = [lease for lease in rest if lease["last_ticket"] == lone[-1]]
    assert [int(line.split()[0]) for line in together["lines"].split("\n")] == lone
    assert tiny.value("SELECT count(*) FROM athena.leases WHERE ticket = %s", together["ticket"]) == 1


def test_lines_have_kind_and_payload(tiny):
    tiny.query("""INSERT INTO athena.jobs (family, kind, payload) VALUES ('tiny', E'a "kind"\n of its own', '{"a": "x\\ny"}'), ('tiny', NULL, '{}')""")
    _, (lease,) = claim(tiny)
    first, second = lease["lines"].split("\n")
    assert first.split(" ", 1)[1] == r'"a \"kind\"\n of its own"{"a": "x\ny"}'
    assert second.split(" ", 1)[1] == "{}"


def test_athena_claim_takes_jobs_of_chunks_one_by_one_and_in_their_order(tiny):
    jobs = enqueue(tiny, 12)
    first = enqueue(tiny, 3, priority=0)
    worker = Worker(tiny, "tiny")
    taken = [tiny.query("SELECT * FROM athena.claim(%s, 'tiny', %s)", worker.id, most) for most in (1, 2, 4, 100)]
    assert [len(rows) for rows in taken] == [1, 2, 4, 8]
    every = [row for rows in taken for row in rows]
    assert [row["job_id"] for row in every] == first + jobs
    assert {(row["attempt"], str(row["payload"])) for row in every} == {(1, "{}")}
    worker.settle_succeeded(*every[3:])
    assert {worker.settle(row, "failed", error="no", retry_in="0 s")["state"] for row in every[:3]} == {"scheduled"}
    assert rows(tiny, "chunks") == 0
    assert worker.claim(100, "tiny") == []


def test_a_claim_that_knows_nothing_of_chunks_leaves_them(tiny):
    jobs = enqueue(tiny, 5)
    assert [row["job_id"] for row in Worker(tiny, "tiny").claim(100, "tiny")] == [
        job for job in jobs if tiny.value("SELECT count(*) FROM athena.chunks WHERE jobs @> %s::bigint", job) == 0]


def test_a_paused_family_is_not_claimed(tiny):
    enqueue(tiny, 5)
    tiny.query("SELECT athena.pause('tiny')")
    assert claim(tiny)[1] == []


def test_chunks_of_a_family_that_is_chunked_no_more_end(tiny):
    """In all places: the ready ones by the lane, the others as they come."""
    jobs = enqueue(tiny, 12)
    worker, leases = claim(tiny, 1)
    succeeding = Worker(tiny, "tiny")
    (done,) = succeeding.claim_chunked(1, "tiny", tickets=1)
    tiny.query("UPDATE athena.families SET chunked = false, max_running = 100 WHERE name = 'tiny'")
    jobs += enqueue(tiny, 3)
    tiny.query("SELECT athena.unregister_worker(%s)", worker.id)
    while tiny.value("SELECT athena.run_lane('promote', %s)", (leader := somebody())):
        tiny.query("UPDATE athena.lanes SET last_by = NULL")
    assert leader and rows(tiny, "ready") == 15 - done["jobs"]
    (succeeding.settle_chunks if done["jobs"] > 1 else succeeding.settle_succeeded)(done)
    taken = succeeding.claim(100, "tiny")
    assert len(taken) == 15 - done["jobs"]
    succeeding.settle_succeeded(*taken)
    assert states(tiny, jobs) == ["succeeded"] * 15
    assert leases


def test_a_family_becomes_chunked(database):
    jobs = enqueue(database, 5, "noop")
    worker = Worker(database)
    before = worker.claim(2)
    database.query("UPDATE athena.families SET chunked = true WHERE name = 'noop'")
    (together,) = worker.claim_chunked(100)
    assert (together["jobs"], together["job_id"]) == (3, jobs[2])
    worker.settle_succeeded(*before)
    worker.settle_chunks(together)
    assert_lawful(database)


# Some of them fail

def test_one_that_fails_is_tried_again_alone(tiny):
    jobs = enqueue(tiny, 5)
    worker, leases = claim(tiny)
    lease = max(leases, key=lambda lease: lease["jobs"])
    members = [int(line.split()[0]) for line in lease["lines"].split("\n")]
    told = worker.settle_chunk(lease, **{f"j{job}": {"result": "succeeded"} for job in members[:-1]},
                               **{f"j{members[-1]}": {"result": "failed", "error": "no", "error_kind": "transient"}})
    assert {job: row["state"] for job, row in told.items()} == {
        **{job: "succeeded" for job in members[:-1]}, members[-1]: "scheduled"}
    assert state(tiny, members[-1]) == "scheduled"
    assert tiny.query("SELECT ticket, attempt, error FROM athena.failures WHERE job_id = %s", members[-1]) == [
        {"ticket": lease["ticket"], "attempt": 1, "error": "no"}]
    tiny.query("SELECT athena.lane_promote(10)")
    (again,) = [row for row in worker.claim_chunked(100, "tiny") if row["job_id"] == members[-1]]
    assert (again["jobs"], again["attempt"], again["payload"]) == (1, 2, {})
    assert {row["answer"] for row in worker.settle_chunk(lease, **{f"j{job}": {"result": "succeeded"} for job in members}).values()} == {"already"}
    assert jobs


def test_what_is_not_named_goes_back_and_what_has_no_body_is_dead(tiny):
    enqueue(tiny, 20)
    worker, leases = claim(tiny)
    lease = max(leases, key=lambda lease: lease["jobs"])
    first, second, gone, *rest = (int(line.split()[0]) for line in lease["lines"].split("\n"))
    tiny.query("DELETE FROM athena.jobs WHERE id = %s", gone)
    told = worker.settle_chunk(lease, **{f"j{first}": {"result": "succeeded"}, f"j{second}": {"result": "cancelled"}})
    assert [told[job]["state"] for job in (first, second, gone, *rest)] == ["succeeded", "cancelled", "dead"] + ["ready"] * len(rest)
    tiny.query("DELETE FROM athena.outcomes WHERE job_id = %s", gone)
    tiny.query("INSERT INTO athena.tallies VALUES ('tiny', 'dead', -1)")


@pytest.mark.parametrize("result, became", [("failed", "scheduled"), ("cancelled", "cancelled"), ("succeeded", "succeeded"), ("snoozed", "scheduled")])
def test_a_result_for_the_ticket_is_that_of_all(tiny, result, became):
    jobs = enqueue(tiny, 12)
    worker, leases = claim(tiny)
    for lease in leases:
        assert worker.settle(lease, result)["state"] == became
    assert states(tiny, jobs) == [became] * 12
    assert rows(tiny, "chunks") == 0


def test_a_chunk_is_handed_back_whole(tiny):
    jobs = enqueue(tiny, 5)
    worker, leases = claim(tiny)
    for lease in leases:
        assert worker.settle(lease, "returned")["state"] == "ready"
    assert states(tiny, jobs) == ["ready"] * 5
    _, again = claim(tiny)
    assert [lease["jobs"] for lease in again] == [lease["jobs"] for lease in leases]
    assert not {lease["ticket"] for lease in again} & {lease["ticket"] for lease in leases if lease["jobs"] > 1}


# Cancel and retry of one of many

def chunk_of(database, jobs):
    """Ids of the largest chunk."""
    found = database.column("SELECT m.id FROM (SELECT * FROM athena.chunks ORDER BY size DESC, ticket LIMIT 1) AS c, athena.ids_of(c.jobs) AS m (id)")
    assert set(found) <= set(jobs)
    return found


@pytest.mark.parametrize("which", [0, 2, -1])
def test_a_ready_one_is_cancelled_and_the_others_keep_their_turn(tiny, which):
    jobs = chunk_of(tiny, enqueue(tiny, 20))
    before = tiny.query("SELECT ticket FROM athena.ready ORDER BY 1")
    assert tiny.value("SELECT athena.cancel(%s)", jobs[which]) == "cancelled"
    assert tiny.value("SELECT athena.cancel(%s)", jobs[which]) == "cancelled"
    assert tiny.query("SELECT ticket FROM athena.ready ORDER BY 1") == before
    assert state(tiny, jobs[which]) == "cancelled"
    assert depth(tiny) == {("tiny", "ready"): 19, ("tiny", "cancelled"): 1}
    assert tiny.value("SELECT athena.retry(%s)", jobs[which]) == jobs[which]
    assert states(tiny, jobs) == ["ready"] * len(jobs)


def test_all_of_a_ready_chunk_can_be_cancelled(tiny):
    jobs = enqueue(tiny, 12)
    assert {tiny.value("SELECT athena.cancel(%s)", job) for job in jobs} == {"cancelled"}
    assert rows(tiny, "ready") == rows(tiny, "chunks") == 0
    assert depth(tiny) == {("tiny", "cancelled"): 12}


def test_a_running_one_is_cancelled_by_its_worker(tiny):
    enqueue(tiny, 20)
    worker, _ = claim(tiny)
    jobs = tiny.column("SELECT m.id FROM athena.chunks AS c, athena.ids_of(c.jobs) AS m (id) WHERE c.size = (SELECT max(size) FROM athena.chunks)"
                       " ORDER BY c.ticket, m.id")
    ticket = tiny.value("SELECT ticket FROM athena.place_of(%s)", jobs[1])
    assert tiny.value("SELECT athena.cancel(%s)", jobs[1]) == "requested"
    assert ("cancel", jobs[1], ticket) in {(row["what"], row["job_id"], row["ticket"]) for row in worker.beat()}
    assert tiny.value("SELECT cancel_requested_at IS NOT NULL FROM athena.job_status WHERE job_id = %s", jobs[1])
    assert not tiny.value("SELECT cancel_requested_at IS NOT NULL FROM athena.job_status WHERE job_id = %s", jobs[0])
    told = worker.settle(dict(job_id=tiny.value("SELECT job_id FROM athena.leases WHERE ticket = %s", ticket), ticket=ticket), "returned")
    assert told["answer"] == "settled"
    assert (state(tiny, jobs[0]), state(tiny, jobs[1])) == ("ready", "cancelled")


def test_a_cancel_that_meets_a_claim_finds_where_the_job_went(tiny):
    jobs = enqueue(tiny, 20)
    worker = Worker(tiny, "tiny")
    with worker.conn.transaction():
        leases = worker.claim_chunked(100, "tiny")
        cancel = Background(tiny, tiny.connect(), "SELECT athena.cancel(%s)", jobs[7]).wait_blocked()
    assert cancel.value() == "requested"
    assert leases


def test_a_claim_that_meets_a_cancel_takes_the_others_later(tiny):
    jobs = enqueue(tiny, 20)
    job = chunk_of(tiny, jobs)[1]
    conn = tiny.connect()
    with conn.transaction():
        conn.execute("SELECT athena.cancel(%s)", [job])
        _, first = claim(tiny)
    worker, second = claim(tiny)
    assert sum(lease["jobs"] for lease in [*first, *second]) == 19
    assert state(tiny, job) == "cancelled"
    assert worker


def test_only_what_failed_can_be_retried(tiny):
    enqueue(tiny, 20)
    worker, leases = claim(tiny)
    lease = max(leases, key=lambda lease: lease["jobs"])
    first, second, *rest = (int(line.split()[0]) for line in lease["lines"].split("\n"))
    worker.settle_chunk(lease, **{f"j{first}": {"result": "failed", "error_kind": "permanent"}},
                        **{f"j{job}": {"result": "succeeded"} for job in [second, *rest]})
    assert tiny.value("SELECT athena.retry(%s)", first) == first
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is succeeded"):
        tiny.query("SELECT athena.retry(%s)", second)
    whole = [lease for lease in leases if lease["jobs"] > 1][0 if leases[0] is not lease else 1]
    worker.settle_chunks(whole)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is succeeded"):
        tiny.query("SELECT athena.retry(%s)", int(whole["lines"].split("\n")[1].split()[0]))


# Silence, death, deadlines

def test_all_jobs_of_a_dead_worker_are_rescued_one_by_one(tiny):
    jobs = enqueue(tiny, 12)
    worker, leases = claim(tiny)
    assert tiny.value("SELECT athena.rescue(%s, id, heartbeat_at, '1 h', true) FROM athena.workers WHERE id = %s", somebody(), worker.id) == 12
    assert states(tiny, jobs) == ["ready"] * 12
    assert tiny.value("SELECT count(*) FROM athena.failures WHERE kind = 'lost' AND code = 'dead'") == 12
    assert tiny.value("SELECT sum(delta) FROM athena.totals WHERE what = 'dead'") == 12
    assert worker.settle_chunks(*leases)["settled"] == 0
    assert {row["answer"] for row in worker.settle_chunk(leases[-1], j1={"result": "succeeded"}).values()} == {"lost"}
    assert [lease["jobs"] for lease in claim(tiny)[1]] == [1] * 12


def test_a_rescue_is_bounded_in_jobs(tiny):
    enqueue(tiny, 60)
    worker, _ = claim(tiny)
    rescued = tiny.value("SELECT athena.rescue(%s, id, heartbeat_at, '1 h', true, 12) FROM athena.workers WHERE id = %s", somebody(), worker.id)
    assert 12 <= rescued < 20


def test_the_deadline_of_a_chunk_is_that_of_all_its_jobs(tiny):
    tiny.query("UPDATE athena.families SET timeout = '10 s' WHERE name = 'tiny'")
    enqueue(tiny, 20)
    claim(tiny)
    assert tiny.value("SELECT bool_and(l.deadline_at - l.claimed_at = coalesce(c.size, 1) * interval '10 s' + interval '30 s')"
                      "  FROM athena.leases AS l LEFT JOIN athena.chunks AS c ON c.ticket = l.ticket")
    tiny.query("UPDATE athena.leases SET deadline_at = now() - interval '1 s'")
    assert tiny.value("SELECT athena.lane_deadlines(1000)") == 20
    assert depth(tiny) == {("tiny", "scheduled"): 20}


def test_progress_of_one_of_many(tiny):
    enqueue(tiny, 20)
    worker, leases = claim(tiny)
    lease = max(leases, key=lambda lease: lease["jobs"])
    first, second, *_ = (int(line.split()[0]) for line in lease["lines"].split("\n"))
    for job in (first, second):
        assert tiny.value("SELECT athena.set_progress(%s, %s, %s, 1, 2, 'rows')", worker.id, job, lease["ticket"])
    assert not tiny.value("SELECT athena.set_progress(%s, 1000000, %s, 1, 2, 'rows')", worker.id, lease["ticket"])
    assert tiny.value("SELECT progress ->> 'done' FROM athena.job_status WHERE job_id = %s", second) == "1"


# Waits

def test_none_of_many_can_wait(tiny):
    enqueue(tiny, 20)
    worker, leases = claim(tiny)
    lease = max(leases, key=lambda lease: lease["jobs"])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is that of many jobs, none of which can wait"):
        tiny.query("SELECT athena.open_wait(%s, %s, %s)", worker.id, lease["job_id"], lease["ticket"])


def test_what_has_waited_comes_back_alone_with_its_answers(tiny):
    jobs = [enqueue(tiny, 1)[0] for _ in range(3)]
    worker = Worker(tiny, "tiny")
    rows = [row for job in jobs for row in worker.claim_chunked(1, "tiny", tickets=1) if row["job_id"] == job]
    tokens = [tiny.value("SELECT athena.open_wait(%s, %s, %s, 'asked')", worker.id, row["job_id"], row["ticket"]) for row in rows]
    assert {worker.settle(row, "parked", retry_in="1 h")["state"] for row in rows} == {"waiting"}
    for number, token in enumerate(tokens):
        assert tiny.query("SELECT * FROM athena.complete_wait(%s, %s)", token, json.dumps({"n": number}))
    again = worker.claim_chunked(100, "tiny")
    assert [(row["job_id"], row["jobs"], row["answers"]) for row in again] == [
        (job, 1, {"asked": {"n": number}}) for number, job in enumerate(jobs)]


# Lists, retention, the law

def test_lists_by_state_have_each_job_in_its_place(tiny):
    order = random.Random(7)
    for _ in range(12):
        tiny.query("INSERT INTO athena.jobs (family, priority) SELECT CASE WHEN random() < 0.7 THEN 'tiny' ELSE 'noop' END, (random() * 2)::integer"
                   " FROM generate_series(1, %s)", order.randint(1, 40))
        worker = Worker(tiny, "tiny", "noop")
        leases = worker.claim_chunked(order.randint(1, 30), "tiny", lanes=order.sample(range(3), 3))
        worker.settle_chunks(*[lease for lease in leases if lease["jobs"] > 1 and order.random() < 0.7])
        worker.settle_succeeded(*worker.claim(order.randint(1, 5)))
    wanted = tiny.query("SELECT job_id, family, state::text FROM athena.job_status ORDER BY job_id DESC")
    for chosen in ("ready", "running", "succeeded"):
        for family in (None, "tiny", "noop"):
            fit = [row["job_id"] for row in wanted if row["state"] == chosen and family in (None, row["family"])]
            for start in (2**62, *order.sample(range(1, wanted[0]["job_id"]), 10)):
                assert tiny.column("SELECT * FROM athena.jobs_in(%s, %s, %s, 6)", chosen, family, start) == [
                    job for job in fit if job < start][:6]


def settle_all(database):
    worker = Worker(database, "tiny", "noop")
    while leases := worker.claim_chunked(1000, "tiny"):
        worker.settle_chunks(*[lease for lease in leases if lease["jobs"] > 1])
        worker.settle_succeeded(*[lease for lease in leases if lease["jobs"] == 1])


def prune(database):
    return database.value("SELECT athena.lane_prune('0 s', '0 s')")


@pytest.mark.parametrize("ids", [100, 33])
def test_leaves_with_chunks_are_emptied(tiny, ids):
    """Also where a leaf ends in the middle of a chunk."""
    small_leaves(tiny, ids)
    for _ in range(4):
        enqueue(tiny, 60)
        settle_all(tiny)
        tiny.query("SELECT athena.lane_leaves()")
    left = enqueue(tiny, 60)[-1]
    while prune(tiny):
        assert_lawful(tiny)
    assert depth(tiny) == {("tiny", "ready"): 60}
    assert tiny.value("SELECT count(*) FROM athena.outcomes") == 0
    assert tiny.value("SELECT sum(size) FROM athena.chunks") <= 60
    assert state(tiny, left) == "ready"


def test_a_chunk_that_was_kept_is_there_afterwards(tiny):
    small_leaves(tiny, 100)
    kept = enqueue(tiny, 20)
    settle_all(tiny)
    tiny.query("UPDATE athena.outcomes SET finished_at = now() + interval '1 h' WHERE job_id = (SELECT lower(jobs) FROM athena.chunks WHERE size = 5 ORDER BY 1 LIMIT 1)")
    enqueue(tiny, 150)
    settle_all(tiny)
    while prune(tiny):
        assert_lawful(tiny)
    assert tiny.value("SELECT count(*) FROM athena.finished") == 5
    assert depth(tiny) == {("tiny", "succeeded"): 5}
    assert kept


def test_chunks_of_a_leaf_in_use_are_pruned_whole_and_in_batches(tiny):
    tiny.query("UPDATE athena.settings SET value = '7' WHERE name = 'prune_batch_rows'")
    jobs = enqueue(tiny, 60)
    settle_all(tiny)
    conn = tiny.connect()
    with conn.transaction():
        conn.execute("SELECT FROM athena.jobs WHERE id = %s FOR KEY SHARE", [jobs[30]])
        steps = [prune(tiny) for _ in range(20)]
        assert all(step <= 11 for step in steps)
        assert 1 <= tiny.value("SELECT count(*) FROM athena.jobs") <= 5
        assert_lawful(tiny)
    for _ in range(3):
        prune(tiny)
    assert tiny.value("SELECT (SELECT count(*) FROM athena.jobs) + (SELECT count(*) FROM athena.chunks)") == 0
    assert tiny.value("SELECT sum(delta) FROM athena.totals WHERE what = 'pruned'") == 60


def test_the_law_names_what_is_wrong_with_a_chunk(tiny):
    jobs = enqueue(tiny, 20)
    members = chunk_of(tiny, jobs)
    ticket = tiny.value("SELECT ticket FROM athena.place_of(%s)", members[1])

    def offenders(sql, *args):
        conn = tiny.connect()
        with conn.transaction(force_rollback=True):
            conn.execute(sql, args)
            return {(row["job_id"], row["problem"]) for row in conn.execute("SELECT * FROM athena.conservation()").fetchall()}
    assert offenders("DELETE FROM athena.ready WHERE ticket = %s", ticket) == {
        (members[0], "bad chunk"), *((job, "no place") for job in members)}
    assert offenders("DELETE FROM athena.chunks WHERE ticket = %s", ticket) == {(job, "no place") for job in members[1:]}
    assert offenders("UPDATE athena.chunks SET size = size + 1 WHERE ticket = %s", ticket) == {(members[0], "bad chunk")}
    assert offenders("INSERT INTO athena.ready (ticket, job_id, priority, attempt, has_key, family)"
                     " VALUES (%s, %s, 5, 0, false, 'tiny')", members[1], members[1]) == {(members[1], "two places")}
    assert offenders("DELETE FROM athena.jobs WHERE id = %s", members[2]) == {(members[2], "no body")}
    everything = tiny.conservation()
    assert everything == []
