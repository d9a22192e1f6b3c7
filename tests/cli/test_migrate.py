# SPDX-License-Identifier: PostgreSQL
"""athena migrate: every migration once, whoever runs it how often, and never a changed one."""
import hashlib
import json
import re
import subprocess

import pytest

from athena_test import ROOT, program_environment, program_path, wait_until

FILES = sorted((ROOT / "sql/migrations").glob("*.sql"))
NAMES = [path.stem for path in FILES]
SUMS = [hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES]
LOCK = 1635018852


def recorded(database):
    return database.query("SELECT number, name, checksum, oldest_program FROM athena.migrations "
                          "ORDER BY number")


def expected():
    return [{"number": int(name[:4]), "name": name[5:], "checksum": checksum,
             "oldest_program": re.search(r"^-- oldest-program: (.*)$", path.read_text(), re.M)[1]}
            for name, checksum, path in zip(NAMES, SUMS, FILES)]


def schema(database):
    """Everything that pg_dump knows of the schema, but when things happened."""
    dump = subprocess.run(["pg_dump", "--schema=athena", "--exclude-table-data=athena.meta", "-d", database.url],
                          capture_output=True, text=True, check=True).stdout
    dump = re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.M)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00", "TIME", dump)


def test_from_zero(run, empty_database):
    done = run("athena", "migrate", url=empty_database.url)
    lines = done.stdout.splitlines()
    assert [re.fullmatch(r"applied  (\S+) +\d+ ms", line)[1] for line in lines[:-1]] == NAMES
    assert lines[-1] == f'database "{empty_database.name}" is ready: {len(NAMES)} migrations'
    assert len({line.index(" ms") for line in lines[:-1]}) == 1
    assert done.stderr == ""
    assert recorded(empty_database) == expected()


def test_again_changes_nothing(run, database):
    before = schema(database)
    done = run("athena", "migrate")
    assert (done.stdout, done.stderr) == (f'database "{database.name}" is up to date\n', "")
    assert schema(database) == before


def test_the_script_for_psql_does_the_same(run, empty_database, database):
    script = run("athena", "migrate", "--sql").stdout
    assert run("psql", "-Xq", "-d", empty_database.url, "-f", "-", stdin=script).stdout == ""
    assert recorded(empty_database) == expected()
    same = schema(empty_database).replace(empty_database.name, database.name)
    assert same == schema(database)
    assert run("athena", "migrate", url=empty_database.url).stdout.endswith("is up to date\n")


def test_the_script_twice_stops_without_harm(run, database):
    before = schema(database)
    done = run("psql", "-Xq", "-d", database.url, "-f", "-", status=3,
               stdin=run("athena", "migrate", "--sql").stdout)
    assert "already exists" in done.stderr
    assert schema(database) == before


def test_the_script_can_begin_later(run):
    script = run("athena", "migrate", "--sql", "--after", "2").stdout
    assert re.findall(r"^-- Migration (\S+)$", script, re.M) == NAMES[2:]
    assert run("athena", "migrate", "--sql", "--after", len(NAMES)).stdout.count("\n") == 3


def test_status(run, database, empty_database):
    done = run("athena", "migrate", "--status", "--json")
    rows = json.loads(done.stdout)
    assert [(row["state"], row["checksum"]) for row in rows] == [("applied", sum) for sum in SUMS]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", row["applied_at"]) for row in rows)
    done = run("athena", "migrate", "--status", url=empty_database.url, status=1)
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["MIGRATION", "STATE"], *([name, "missing"] for name in NAMES)]
    assert empty_database.value("SELECT to_regnamespace('athena')") is None


def apply_first(run, database):
    """Migration 1 alone, as a database of an older version has it."""
    script = run("athena", "migrate", "--sql").stdout.partition(f"-- Migration {NAMES[1]}")[0]
    run("psql", "-Xq", "-d", database.url, "-f", "-", stdin=script)


def test_only_what_is_missing_is_applied(run, empty_database):
    apply_first(run, empty_database)
    done = run("athena", "migrate", "--json", url=empty_database.url)
    assert [row["name"] for row in json.loads(done.stdout)["applied"]] == [
        name[5:] for name in NAMES[1:]]
    assert recorded(empty_database) == expected()


def test_a_changed_migration_is_refused(run, database):
    database.query("UPDATE athena.migrations SET checksum = 'abcdef0123456789' WHERE number = 2")
    for words in (["migrate"], ["job", "list"]):
        done = run("athena", *words, status=2)
        assert done.stdout == ""
        assert re.fullmatch(
            rf"athena {' '.join(words)}: migration {NAMES[1]} is not what athena \S+ applied at "
            r"\S+ \S+: recorded checksum abcdef012345, and another one in this program\n", done.stderr)
    states = json.loads(run("athena", "migrate", "--status", "--json", status=1).stdout)
    assert [row["state"] for row in states[:3]] == ["applied", "changed", "applied"]


def add_newer(database, oldest):
    database.query("INSERT INTO athena.migrations VALUES (900, 'future', 'x', '9.0.0', %s)", oldest)


def test_a_newer_schema_that_we_can_live_with(run, database):
    add_newer(database, "0.1.0")
    assert run("athena", "migrate").stdout.endswith("is up to date\n")
    assert run("athena", "job", "list").stdout == ""
    assert json.loads(run("athena", "migrate", "--status", "--json").stdout)[-1]["state"] == "newer"


@pytest.mark.parametrize("oldest", ["0.1.1", "0.2", "9.0.0"])
def test_a_newer_schema_that_we_cannot_live_with(run, database, oldest):
    add_newer(database, oldest)
    version = run("athena", "--version").stdout.split()[1]
    for words in (["migrate"], ["job", "list"]):
        done = run("athena", *words, status=2)
        assert done.stderr == (
            f"athena {' '.join(words)}: this database has migration 0900_future, which needs athena "
            f">= {oldest}; this is athena {version}\n")


def test_an_older_schema_asks_for_migrate(run, database):
    database.query("DELETE FROM athena.migrations WHERE number = %s", len(NAMES))
    done = run("athena", "job", "list", status=2)
    assert done.stderr == (f'athena job list: database "{database.name}" lacks migration {NAMES[-1]}\n'
                           "  next: athena migrate\n")


def test_ten_at_once(empty_database, tmp_path):
    env = program_environment(tmp_path, empty_database.url)
    all_at_once = [subprocess.Popen([program_path("athena"), "migrate"], env=env, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                   for _ in range(10)]
    applied = []
    for program in all_at_once:
        out, err = program.communicate(timeout=60)
        assert program.returncode == 0, err
        applied += re.findall(r"^applied  (\S+)", out, re.M)
    assert sorted(applied) == NAMES
    assert recorded(empty_database) == expected()


def test_a_lock_is_waited_for(spawn, empty_database):
    with empty_database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s, 0)", [LOCK])
        program = spawn("athena", "migrate", url=empty_database.url)
        program.wait_log(r"^waiting for a lock that somebody else holds: .*lock timeout")
        assert empty_database.value("SELECT to_regnamespace('athena')") is None
        holder.execute("SELECT pg_advisory_unlock(%s, 0)", [LOCK])
    assert program.wait() == 0
    assert recorded(empty_database) == expected()
    assert program.stderr().count("waiting") == 1


def test_patience_ends(run, empty_database):
    with empty_database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s, 0)", [LOCK])
        done = run("athena", "migrate", "--patience", "1s", url=empty_database.url, status=1)
    assert done.stderr.endswith("athena migrate: canceling statement due to lock timeout\n")


@pytest.fixture
def open_producer(run, empty_database):
    """A transaction that has inserted into athena.jobs, in the way of migration 2's triggers."""
    apply_first(run, empty_database)
    with empty_database.connect(autocommit=False) as producer:
        producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
        yield producer


def waits_for_a_lock(database):
    return database.value("SELECT count(*) > 0 FROM pg_stat_activity WHERE "
                          "datname = current_database() AND wait_event_type = 'Lock'")


def test_dying_in_the_middle_leaves_what_was_committed(spawn, run, empty_database, open_producer):
    program = spawn("athena", "migrate", url=empty_database.url)
    wait_until(lambda: waits_for_a_lock(empty_database), what="migration 2 waits")
    program.kill()
    open_producer.rollback()
    assert recorded(empty_database) == expected()[:1]
    assert run("athena", "migrate", url=empty_database.url).stdout.count("applied") == len(NAMES) - 1
    assert recorded(empty_database) == expected()


def test_producers_go_on_while_a_migration_waits(spawn, empty_database, open_producer):
    """Whoever comes behind a lock request waits for it: so it is given up soon, and repeated."""
    program = spawn("athena", "migrate", url=empty_database.url)
    program.wait_log("waiting for a lock")
    with empty_database.connect() as producer:
        producer.execute("SET statement_timeout = '2s'")
        for _ in range(20):
            producer.execute("INSERT INTO athena.jobs (family) VALUES ('noop')")
    assert program.is_running()
    open_producer.commit()
    assert program.wait() == 0
    assert recorded(empty_database) == expected()


def test_without_the_right_to(run, cluster, empty_database):
    with cluster.connect() as conn:
        conn.execute("DROP ROLE IF EXISTS nobody_special")
        conn.execute("CREATE ROLE nobody_special LOGIN")
    url = cluster.url(empty_database.name, user="nobody_special")
    done = run("athena", "migrate", url=url, status=1)
    assert re.match(r"athena migrate: migration 0001_tables: permission denied|"
                    r"athena migrate: migration 0001_tables: must ", done.stderr)
    assert empty_database.value("SELECT to_regnamespace('athena')") is None


# --drop

def test_drop_asks_first_and_says_what_is_at_stake(run, database):
    database.enqueue("noop")
    database.enqueue("noop", run_at="2035-01-01")
    done = run("athena", "migrate", "--drop", status=2)
    assert "for good, unfinished ones: 2; add --yes" in done.stderr
    assert len(database.column("SELECT id FROM athena.jobs")) == 2
    assert "--yes goes with --drop" in run("athena", "migrate", "--yes", status=2).stderr


def test_drop_and_begin_anew(run, database):
    database.enqueue("noop")
    assert "dropped the schema athena" in run("athena", "migrate", "--drop", "--yes").stdout
    assert database.value("SELECT to_regnamespace('athena') IS NULL")
    assert "has no schema athena" in run("athena", "migrate", "--drop", "--yes").stdout
    run("athena", "migrate")
    assert database.enqueue("noop") == 1
    run("athena", "worker", "list")


def test_drop_waits_for_programs_to_be_stopped(run, database, spawn):
    worker = spawn("athena-worker", "--family=noop")
    worker.wait_log("registered")
    done = run("athena", "migrate", "--drop", "--yes", status=1)
    assert "programs that work on it: 1; stop them" in done.stderr
    assert worker.terminate() == 0
    run("athena", "migrate", "--drop", "--yes")


def test_drop_gives_up_on_a_lock_that_is_held(run, database):
    with database.connect(autocommit=False) as conn:
        conn.execute("LOCK athena.jobs IN ACCESS SHARE MODE")
        done = run("athena", "migrate", "--drop", "--yes", "--patience", "100ms", status=1)
        assert "lock timeout" in done.stderr
        conn.rollback()
    assert database.column("SELECT id FROM athena.jobs") == []
