# SPDX-License-Identifier: PostgreSQL
"""Many jobs in one statement, however it is written, cost its triggers once."""
import pytest

from sessions import assert_lawful, depth

COUNT = 1000
TRIGGERS = ["jobs_check_producer", "jobs_make_tickets", "jobs_need_xid", "ready_wake"]


def by_select(conn):
    conn.execute("INSERT INTO athena.jobs (family, payload) SELECT 'noop', '{\"message\": \"x\"}' FROM generate_series(1, %s)",
                 [COUNT])


def by_values(conn):
    conn.execute("INSERT INTO athena.jobs (family, payload) VALUES "
                 + ", ".join(["('noop', '{\"message\": \"x\"}')"] * COUNT))


def by_copy(conn):
    with conn.cursor().copy("COPY athena.jobs (family, payload) FROM STDIN") as stream:
        for _ in range(COUNT):
            stream.write_row(("noop", '{"message": "x"}'))


def calls(conn):
    """{function: how often it ran in this transaction}, all that are Athena's."""
    return {row["funcname"]: row["calls"] for row in conn.execute(
        "SELECT funcname, calls FROM pg_stat_xact_user_functions WHERE schemaname = 'athena'")}


@pytest.mark.parametrize("way", [by_select, by_values, by_copy])
def test_triggers_run_once_for_a_statement(database, way):
    with database.connect() as conn, conn.transaction():
        conn.execute("SET LOCAL track_functions = 'all'")
        way(conn)
        found = calls(conn)
    assert {name: found.get(name) for name in TRIGGERS} == dict.fromkeys(TRIGGERS, 1)
    assert max(found.values()) == 1, "something was called for each row"
    assert depth(database) == {("noop", "ready"): COUNT}
    assert database.column("SELECT delta FROM athena.tallies") == [COUNT]
    assert_lawful(database)


@pytest.mark.parametrize("way", [by_select, by_values, by_copy])
def test_a_statement_is_one_notification(database, way):
    """Of what a worker would hear that sleeps on the family."""
    listener = database.connect()
    listener.execute("LISTEN athena")
    with database.connect() as conn:
        conn.execute("SET default_transaction_isolation = 'repeatable read'") # tells whoever there is
        way(conn)
        conn.execute("NOTIFY athena, 'end'")
    heard = []
    for notification in listener.notifies():
        if notification.payload == "end":
            break
        heard.append(notification.payload)
    assert heard == ["ready noop"]
