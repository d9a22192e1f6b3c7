# SPDX-License-Identifier: PostgreSQL
"""Dumps of the very database whose partitions are emptied and made meanwhile."""
import contextlib
import subprocess
import threading
import time

import psycopg

from athena_test import client, run_program, wait_until
from sessions import assert_lawful, small_leaves, somebody

LEAF_IDS = 1500

# What was ever put in, ended and failed, whatever has been pruned since: written by the transaction
# that wrote the row.
KEPT = """
CREATE SCHEMA kept;
CREATE TABLE kept.jobs (LIKE athena.jobs);
CREATE TABLE kept.outcomes (LIKE athena.outcomes);
CREATE TABLE kept.failures (LIKE athena.failures);
CREATE FUNCTION kept.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('INSERT INTO kept.%I SELECT * FROM news', TG_TABLE_NAME);
	RETURN NULL;
END $$;
"""
KEEP = ("CREATE TRIGGER keep AFTER INSERT ON athena.{0} REFERENCING NEW TABLE AS news"
        " FOR EACH STATEMENT EXECUTE FUNCTION kept.keep()")


@contextlib.contextmanager
def housekeeping(database):
    """Leaves are made, and what ended a second ago is pruned, all the time: as by whoever leads."""
    leader, ended, failed = somebody(), threading.Event(), []

    def run():
        with database.cluster.connect(database.name) as conn:
            while not ended.wait(0.1):
                for lane, settings in (("leaves", "{}"), ("prune", '{"finished": "1 s", "dead": "1 s"}')):
                    try:
                        conn.execute("SELECT athena.run_lane(%s, %s, %s::jsonb)", [lane, leader, settings])
                    except psycopg.Error as error:
                        failed.append(error)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: database.value("SELECT count(*) FROM athena.lanes WHERE last_by = %s", leader) == 2,
                   what="these lanes are led")
        yield
    finally:
        ended.set()
        thread.join()
    assert failed == []


def dump(database, path, seconds):
    """As long as that, because nobody reads faster what it writes; all the while it holds its locks."""
    began = time.monotonic()
    with subprocess.Popen([client("pg_dump"), "-Fc", "-Z0", "-d", database.url], stdout=subprocess.PIPE) as dumping:
        with open(path, "wb") as file:
            while data := dumping.stdout.read1(16384):
                file.write(data)
                if time.monotonic() < began + seconds:
                    time.sleep(0.1)
    assert dumping.returncode == 0


def assert_whole(chaos, path):
    """Restored, it is lawful in itself."""
    copy = chaos.cluster.new_database(label="restored")
    run_program(str(client("pg_restore")), "-d", copy.url, str(path))
    assert_lawful(copy)
    assert copy.value("SELECT count(*) FROM athena.jobs") > 0
    copy.drop()


def test_dumps_while_partitions_are_emptied(begin, own_cluster, tmp_path):
    """One for longer than it takes to fill all leaves that there are, then short ones. Nothing may wait
    for them, and each is whole."""
    chaos = begin(own_cluster, schema="kept")
    small_leaves(chaos.database, LEAF_IDS)
    chaos.database.query(KEPT)
    for table in ("jobs", "outcomes", "failures"):
        chaos.database.query(KEEP.format(table))
    paths = [tmp_path / f"dump-{number}" for number in range(4)]
    with housekeeping(chaos.database):
        for _ in range(2):
            chaos.start_worker()
        chaos.calm()
        with chaos.harm():
            for path, seconds in zip(paths, (20, 3, 3, 3)):
                dump(chaos.database, path, seconds)
        pruned = chaos.ended() - chaos.database.value("SELECT count(*) FROM athena.outcomes")
        outran = chaos.database.value("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'jobs_default'")
    assert pruned > LEAF_IDS
    chaos.notes.append(f"4 dumps; {pruned:,} jobs pruned, {outran:,} had outrun the leaves")
    chaos.settle()
    for path in paths:
        assert_whole(chaos, path)
    chaos.database.close()
