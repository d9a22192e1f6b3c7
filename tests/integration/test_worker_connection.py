# SPDX-License-Identifier: PostgreSQL
"""What a worker says and does when it cannot work: no server, no schema, no rights, a wrong database."""
import time

import pytest

from athena_test import PROMPT_S, Cluster, run_program, wait_until
from proxy import Proxy
from sessions import assert_lawful
from workers import script

RESTRICTED = "local all postgres trust\nlocal all all scram-sha-256\n"


@pytest.fixture(scope="module")
def restricted_cluster():
    """Passwords for all but the superuser."""
    server = Cluster(hba=RESTRICTED)
    try:
        yield server.start()
    finally:
        server.remove()


def failures(worker):
    return [line for line in worker.stderr().splitlines() if "connection_failed" in line]


def test_no_server_yet(own_cluster, workers):
    """It keeps trying, says so a few times and not each time, and works once there is one."""
    database = own_cluster.migrated_database()
    database.close()
    own_cluster.stop()
    worker = workers.start(url=database.url, until=None)
    worker.wait_log(r"connection_failed .*session=work .*No such file or directory|connection_failed .*refused")
    time.sleep(2)
    assert worker.is_running()
    assert len(failures(worker)) <= 4, worker.stderr()
    own_cluster.start()
    worker.wait_log(" registered ")
    worker.wait_log(r"connected session=work")
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert len(failures(worker)) <= 8, "refused and starting up, for each of two sessions"
    assert worker.terminate() == 0
    database.close()


def test_a_wrong_password_is_told_and_may_become_right(restricted_cluster, workers):
    database = restricted_cluster.migrated_database()
    database.query("CREATE ROLE hand LOGIN PASSWORD 'old' IN ROLE athena_worker")
    url = database.url.replace("user=postgres", "user=hand") + "&password=secret-new"
    worker = workers.start(url=url, until=None)
    worker.wait_log(r'connection_failed .*password authentication failed for user \\?"hand')
    time.sleep(1)
    assert worker.is_running() and len(failures(worker)) <= 4
    assert "secret-new" not in worker.stderr()
    database.query("ALTER ROLE hand PASSWORD 'secret-new'")
    worker.wait_log(" registered ")
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert worker.terminate() == 0
    assert_lawful(database)
    database.drop()
    restricted_cluster.connect().execute("DROP ROLE hand")


def test_the_role_athena_worker_is_enough(restricted_cluster, workers):
    """Every statement of the worker and its maintenance, by a role that is nothing else."""
    database = restricted_cluster.migrated_database()
    database.query("CREATE ROLE hand LOGIN PASSWORD 'pw' IN ROLE athena_worker")
    url = database.url.replace("user=postgres", "user=hand") + "&password=pw"
    worker = workers.start("noop,own", families={"own": {"run": "command", "command": ["echo", "hello"]}}, url=url)
    database.query("UPDATE athena.families SET backoff_base = '0 s', max_running = 2")
    payloads = [{}, {"fail_times": 1}, {"fail": "permanent"}, {"crash": "exit", "fail_times": 1}]
    jobs = [database.enqueue("noop", payload, unique_key=f"k{n}") for n, payload in enumerate(payloads)]
    own = database.enqueue("own")
    endless = database.enqueue("noop", {"sleep_ms": 60000})
    for job, state in zip([*jobs, own], ["succeeded", "succeeded", "dead", "succeeded", "succeeded"]):
        database.wait_for_state(job, state)
    database.wait_for_state(endless, "running")
    database.query("SELECT athena.cancel(%s)", endless)
    database.wait_for_state(endless, "cancelled")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.events WHERE job_id = %s", own) == 1)
    worker.wait_log("lane_led lane=prune")
    assert worker.terminate() == 0
    assert " warn " not in worker.stderr() and " error " not in worker.stderr(), worker.stderr()
    assert_lawful(database)
    database.drop()
    restricted_cluster.connect().execute("DROP ROLE hand")


def test_a_missing_schema_is_told_with_what_to_do(empty_database, workers):
    worker = workers.start(url=empty_database.url, until=None)
    worker.wait_log("connection_failed .*athena migrate")
    time.sleep(1)
    assert worker.is_running() and len(failures(worker)) <= 4
    run_program("athena", "migrate", url=empty_database.url)
    worker.wait_log(" registered ")
    assert empty_database.wait_for_state(empty_database.enqueue("noop"), "succeeded")
    assert worker.terminate() == 0


def test_a_copied_database_is_refused(cluster, database, workers):
    """It holds the original's jobs, which would be run twice."""
    job = database.enqueue("noop")
    database.close()
    copy = cluster.create_database("copied", template=database.name)
    worker = workers.start(url=copy.url, until=None)
    assert worker.wait() == 1
    assert "copy of another system" in worker.stderr() and "athena adopt" in worker.stderr()
    assert copy.job(job)["state"] == "ready"
    assert copy.query("SELECT * FROM athena.workers") == []
    copy.query("SELECT athena.adopt()")
    worker = workers.start(url=copy.url)
    copy.wait_for_state(job, "succeeded")
    assert worker.terminate() == 0
    assert database.job(job)["state"] == "ready"
    copy.drop()


def test_every_address_of_a_host_is_tried(database, cluster, workers):
    """The first one refuses; libpq opens the next socket under the number of the one it closed."""
    refusing, proxy = Proxy(cluster, tcp=True), Proxy(cluster, tcp=True)
    refusing.close()
    began = time.monotonic()
    worker = workers.start(url=f"postgresql:///{database.name}?host=127.0.0.1,127.0.0.1&user=postgres"
                               f"&port={refusing.port},{proxy.port}")
    assert time.monotonic() - began < PROMPT_S
    assert failures(worker) == []
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert worker.terminate() == 0
    proxy.close()


def test_registering_is_tried_again_when_it_fails(database, workers):
    database.query("""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON athena.workers EXECUTE FUNCTION public.refuse()""")
    worker = workers.start(until=None)
    worker.wait_log("not_registered .*no room")
    assert worker.is_running()
    database.query("DROP TRIGGER refuse ON athena.workers")
    worker.wait_log(" registered ")
    assert database.wait_for_state(database.enqueue("noop"), "succeeded")


def test_a_claim_that_fails_is_tried_again(database, workers):
    """A moment later, not with the poll, and without a flood of attempts."""
    worker = workers.start(poll="1h")
    worker.wait_log("asleep")
    database.query("""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON athena.leases EXECUTE FUNCTION public.refuse()""")
    job = database.enqueue("noop")
    worker.wait_log("claim_failed .*no room", count=2)
    time.sleep(1)
    assert worker.stderr().count("claim_failed") <= 5
    database.query("DROP TRIGGER refuse ON athena.leases")
    database.wait_for_state(job, "succeeded")
    assert_lawful(database)


@pytest.mark.parametrize("table", ["outcomes", "events"])
def test_what_cannot_be_written_waits(database, workers, tmp_path, table):
    """A full disk: results and events are kept, and tried twice a second at most."""
    worker = workers.start("own", families={"own": {"run": "command", "command": ["echo", "hello"]}})
    database.query(f"""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON athena.{table} EXECUTE FUNCTION public.refuse()""")
    refused = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    job = database.enqueue("own")
    time.sleep(1)
    before = database.value(refused)
    time.sleep(2)
    assert database.value(refused) - before < 15
    database.query(f"DROP TRIGGER refuse ON athena.{table}")
    database.wait_for_state(job, "succeeded")
    wait_until(lambda: database.column("SELECT message FROM athena.events WHERE job_id = %s", job) == ["hello"])
    assert worker.terminate() == 0
    assert_lawful(database)


def test_an_event_that_is_refused_costs_no_other(database, workers, tmp_path):
    command = script(tmp_path, "talk", "for n in 1 2 3 4 poison 6 7 8 9; do echo $n; done\n")
    worker = workers.start("own", families={"own": {"run": "command", "command": command}})
    database.query("""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.message = 'poison' THEN
                RAISE EXCEPTION 'not this one' USING ERRCODE = 'data_exception';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON athena.events FOR EACH ROW EXECUTE FUNCTION public.refuse()""")
    job = database.enqueue("own")
    database.wait_for_state(job, "succeeded")
    told = "SELECT message FROM athena.events WHERE job_id = %s ORDER BY seq"
    wait_until(lambda: database.column(told, job) == ["1", "2", "3", "4", "6", "7", "8", "9"])
    assert worker.stderr().count("event_refused") == 1


def test_sessions_pin_their_isolation(database, workers):
    """Whatever a role or database sets: the protocol needs READ COMMITTED."""
    database.query(f"ALTER DATABASE {database.name} SET default_transaction_isolation = 'serializable'")
    database.query(f"ALTER DATABASE {database.name} SET search_path = 'nowhere'")
    workers.start()
    later = database.value("INSERT INTO athena.jobs (family, run_at) VALUES ('noop', now() + interval '300 ms')"
                           " RETURNING id")
    for job in (later, database.enqueue("noop")):
        database.wait_for_state(job, "succeeded")
