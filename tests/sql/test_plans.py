# SPDX-License-Identifier: PostgreSQL
"""The plans of the hot statements, in the states of the tables that made other plans go wrong.

A plan made on an empty table is kept by a worker that idles, and then meets a million rows. So the
session settings of the queue have to force the one right plan, whatever the statistics say.
"""
import json
import re

import pytest

from sessions import Worker, queue_options, statement

JOBS = 20000


def fresh(database):
    """Never analysed."""
    return []


def emptied(database):
    """Full once, empty when it was analysed."""
    load(database)
    database.query("DELETE FROM athena.ready")
    database.query("VACUUM ANALYZE athena.ready, athena.leases, athena.jobs, athena.outcomes")
    return []


def bulk_loaded(database):
    """Analysed while empty, then full: autovacuum has not come by yet."""
    emptied(database)
    load(database)
    return []


def analysed(database):
    load(database)
    database.query("ANALYZE athena.ready, athena.leases, athena.jobs, athena.outcomes")
    return []


def pinned(database):
    """Most tickets are dead, but somebody's snapshot keeps them in the index."""
    load(database)
    holder = database.connect()
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT count(*) FROM athena.ready")
    database.query("DELETE FROM athena.ready WHERE ticket < %s", JOBS * 9 // 10)
    database.query("VACUUM ANALYZE athena.ready, athena.leases, athena.jobs")
    return [holder]


def load(database):
    database.query("INSERT INTO athena.jobs (family, priority)"
                   " SELECT 'noop', n %% 10 FROM generate_series(1, %s) AS n", JOBS)


STATES = [fresh, emptied, bulk_loaded, analysed, pinned]


@pytest.fixture(params=STATES, ids=lambda state: state.__name__)
def state(request, database):
    database.query("ALTER TABLE athena.ready SET (autovacuum_enabled = false)")
    return request.param(database)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def assert_goes_by_index(plan):
    found = list(nodes(plan))
    kinds = {node["Node Type"] for node in found}
    assert not {kind for kind in kinds if "Sort" in kind or "Hash" in kind or "Merge" in kind}, kinds
    scans = {(node["Relation Name"], node["Node Type"], node.get("Index Name")) for node in found
             if node.get("Relation Name") == "ready" and node["Node Type"] != "ModifyTable"}
    assert scans == {("ready", "Tid Scan", None), ("ready", "Index Scan", "ready_line")}
    bodies = {node["Node Type"] for node in found if node.get("Relation Name", "").startswith("jobs_")}
    assert bodies == {"Index Scan"}


def explain(conn, name, types, *args):
    """The plan that a program gets, which prepares its statements."""
    conn.execute(f"PREPARE it ({types}) AS " + statement_text(name))
    values = ", ".join(args)
    (row,) = conn.execute(f"EXPLAIN (FORMAT JSON) EXECUTE it ({values})").fetchall()
    conn.execute("DEALLOCATE it")
    (plan,) = row["QUERY PLAN"]
    return plan["Plan"]


def statement_text(name):
    return re.sub(r"%\(p(\d+)\)s", r"$\1", statement(name)).replace("%%", "%")


def test_1_7_plan_of_the_claim(database, state):
    worker = Worker(database)
    plan = explain(worker.conn, "claim", "text, uuid, integer, smallint[], bigint[]", "'noop'",
                   f"'{worker.id}'", "100", "'{5,1}'", "'{7,0}'")
    assert_goes_by_index(plan)
    assert len(worker.claim(2)) == (2 if database.value("SELECT count(*) FROM athena.ready") else 0)


def test_1_7_plan_of_the_claim_function(database, state):
    """In the session of a worker that sets nothing: the function does."""
    conn = database.connect()
    worker = Worker(database, conn=conn)
    conn.execute("LOAD 'auto_explain'")
    for setting in ("auto_explain.log_min_duration = 0", "auto_explain.log_nested_statements = on",
                    "auto_explain.log_format = json", "client_min_messages = log"):
        conn.execute(f"SET {setting}")
    plans = []
    conn.add_notice_handler(lambda notice: plans.append(notice.message_primary))
    for _ in range(7):  # the sixth call of a statement is the first that may have a generic plan
        conn.execute("SELECT * FROM athena.claim(%s, 'noop', 10)", [worker.id])
    texts = [text[text.index("{"):] for text in plans if text.startswith("duration")]
    found = [plan for plan in map(json.loads, texts) if "picked AS" in plan["Query Text"]]
    assert len(found) == 7
    for plan in found:
        claim = plan["Plan"]
        assert claim["Node Type"] == "Sort"  # of the answer, by priority and ticket
        (body,) = [child for child in claim["Plans"] if child.get("Parent Relationship") == "Outer"]
        rest = [child for child in claim["Plans"] if child is not body]
        for part in [body, *rest]:
            kinds = {node["Node Type"] for node in nodes(part)}
            assert not {kind for kind in kinds if "Sort" in kind or "Hash" in kind or "Merge" in kind}
        assert_goes_by_index({"Node Type": "Result", "Plans": claim["Plans"]})


@pytest.mark.parametrize("limit", ["max_running", "max_running_per_key"])
def test_plans_of_a_limited_claim(database, state, limit):
    database.query(f"UPDATE athena.families SET {limit} = 3 WHERE name = 'noop'")
    database.query("INSERT INTO athena.jobs (family, concurrency_key) SELECT 'noop', mod(n, 9) FROM generate_series(1, 900) AS n")
    worker, plans = Worker(database), []
    for setting in ("auto_explain.log_min_duration = 0", "auto_explain.log_nested_statements = on",
                    "auto_explain.log_format = json", "client_min_messages = log"):
        worker.conn.execute("LOAD 'auto_explain'")
        worker.conn.execute(f"SET {setting}")
    worker.conn.add_notice_handler(lambda notice: plans.append(notice.message_primary))
    worker.claim(5)
    found = [json.loads(text[text.index("{"):])["Plan"] for text in plans if text.startswith("duration")]
    scans = {(node["Relation Name"], node["Node Type"], node.get("Index Name")) for plan in found for node in nodes(plan)
             if node.get("Relation Name") in ("ready", "leases") and node["Node Type"] != "ModifyTable"}
    assert ("ready", "Index Scan", "ready_line") in scans and ("ready", "Tid Scan", None) in scans
    indexes = {index for table, _, index in scans if table == "ready"}
    assert indexes == ({"ready_line", "ready_keyed", None} if limit == "max_running_per_key" else {"ready_line", None})
    assert limit == "max_running" or ("leases", "Index Only Scan", "leases_keyed") in scans
    assert not any("Seq" in kind for table, kind, _ in scans if table == "ready")


def test_plan_of_settle_succeeded(database, state):
    worker = Worker(database)
    plan = explain(worker.conn, "settle_succeeded", "uuid, bigint[]", f"'{worker.id}'", "'{1,2,3}'")
    kinds = {node["Node Type"] for node in nodes(plan)}
    leases = {node["Node Type"] for node in nodes(plan) if node.get("Relation Name") == "leases"}
    uniques = {node["Node Type"] for node in nodes(plan) if node.get("Relation Name") == "uniques"}
    assert leases <= {"ModifyTable", "Index Scan", "Bitmap Heap Scan"} and len(leases) == 2
    assert uniques == {"ModifyTable", "Index Scan"}
    assert not {kind for kind in kinds if "Hash Join" in kind or "Merge" in kind}, kinds


def test_plan_of_promotion(database, state):
    """Deleted by ctid, found by run_at, oldest first."""
    conn = database.connect(options=queue_options())
    conn.execute("LOAD 'auto_explain'")
    for setting in ("auto_explain.log_min_duration = 0", "auto_explain.log_nested_statements = on",
                    "auto_explain.log_format = json", "client_min_messages = log"):
        conn.execute(f"SET {setting}")
    plans = []
    conn.add_notice_handler(lambda notice: plans.append(notice.message_primary))
    conn.execute("SELECT athena.run_lane('promote', gen_random_uuid())")
    texts = [text[text.index("{"):] for text in plans if text.startswith("duration")]
    (plan,) = [plan["Plan"] for plan in map(json.loads, texts) if "due AS" in plan["Query Text"]]
    scans = {(node["Node Type"], node.get("Index Name")) for node in nodes(plan)
             if node.get("Relation Name") == "scheduled" and node["Node Type"] != "ModifyTable"}
    assert scans == {("Tid Scan", None), ("Index Scan", "scheduled_due")}


def test_the_check_sees_a_bad_plan(database):
    """Without the settings the claim of a worker that started on an empty table is the bad one."""
    emptied(database)
    conn = database.connect()
    conn.execute("SET plan_cache_mode = force_generic_plan")
    worker = Worker(database, conn=conn)
    plan = explain(conn, "claim", "text, uuid, integer, smallint[], bigint[]", "'noop'",
                   f"'{worker.id}'", "100", "'{5}'", "'{0}'")
    with pytest.raises(AssertionError):
        assert_goes_by_index(plan)


def test_job_status_of_one_job_costs_index_probes_only(database):
    load(database)
    worker = Worker(database)
    worker.settle_succeeded(*worker.claim(JOBS // 2))
    worker.claim(JOBS // 4)
    database.query("ANALYZE")
    (row,) = database.query("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM athena.job_status WHERE job_id = %s", JOBS)
    (plan,) = row["QUERY PLAN"]
    big = {(node["Relation Name"], node["Node Type"]) for node in nodes(plan["Plan"])
           if node.get("Relation Name", "").startswith(("jobs", "outcomes", "ready", "leases")) and node["Actual Loops"]}
    assert {relation for relation, _ in big} == {"jobs_0", "outcomes_0", "ready", "leases"}
    assert not {scan for scan in big if "Seq" in scan[1]}, big


@pytest.mark.parametrize("state", STATES)
def test_counting_what_is_before_a_job_reads_no_more_than_it_counts(database, state):
    """Nor does it where most tickets are dead: they lie at the other end."""
    holders = state(database)
    if database.value("SELECT count(*) FROM athena.ready") == 0:
        load(database)
    conn = database.connect(options=queue_options())
    last = database.value("SELECT max(job_id) FROM athena.ready")
    with conn.transaction():
        assert conn.execute("SELECT athena.jobs_ahead(%s, 100) AS n", [last]).fetchone()["n"] == 100
        reads = conn.execute("SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'ready'").fetchone()
    assert reads["seq_scan"] == 0
    assert reads["idx_tup_fetch"] <= 102
    for holder in holders:
        holder.close()
