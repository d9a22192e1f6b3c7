# SPDX-License-Identifier: PostgreSQL
"""config.yaml, .env and variables, as the programs meet them."""
import json
import re

import pytest

from athena_test import wait_until

PROGRAMS = [
    ("athena", ["job", "list"]),
    ("athena", ["maintenance", "run"]),
    ("athena-worker", ["--family=noop"]),
    ("athena-daemon", []),
]


@pytest.mark.parametrize("program, arguments", PROGRAMS)
def test_a_mistake_ends_with_status_2_and_says_where(run, tmp_path, program, arguments):
    bad = tmp_path / "bad.yaml"
    bad.write_text("worker:\n  poll: 1s\n  drian: 5s\n")
    done = run(program, *arguments, "--config", bad, status=2)
    assert f'{bad}:3: unknown key "drian" in "worker", did you mean "drain"?' in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("program, arguments", PROGRAMS)
def test_a_wrong_variable_ends_with_status_2(run, program, arguments):
    done = run(program, *arguments, env={"ATHENA_WORKER_DRAIN": "soon"}, status=2)
    assert 'ATHENA_WORKER_DRAIN: "drain" must be a duration (90s, 5m, 250ms) from 0s to 1d, not "soon"' in done.stderr


def test_a_named_file_must_exist(run):
    done = run("athena", "job", "list", "--config=nowhere.yaml", status=2)
    assert "reading nowhere.yaml: No such file or directory" in done.stderr


def test_dotenv_beside_the_file_says_where_the_database_is(run, database, tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "config.yaml").write_text("")
    (folder / ".env").write_text(f"ATHENA_DATABASE_URL='{database.url}'\n")
    job = run("athena", "--config", folder / "config.yaml", "enqueue", "noop",
              url="", env={"ATHENA_DATABASE_URL": " "}).stdout.strip()
    assert database.column("SELECT id::text FROM athena.jobs") == [job]


def test_warnings_are_logged_once_and_without_secrets(spawn, database, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("gateway: {x: 1}\ntypesense: {y: 2}\npostgres_clients:\n  shop: postgresql://u:canary-1@h/shop\n")
    (tmp_path / ".env").write_text("canary-2 canary-2\nATHENA_WROKER_POLL=canary-3\n")
    worker = spawn("athena-worker", "--family=noop", "--config", config)
    worker.wait_log(r"config_warning")
    database.wait_for_state(database.enqueue("noop"), "succeeded")
    assert worker.terminate() == 0
    lines = [line for line in worker.stderr().splitlines() if "config_warning" in line]
    assert [line.split("text=", 1)[1] for line in lines] == [
        f'"{tmp_path}/.env:1: no NAME=value, skipped"',
        f'"{config}: not used by this program: gateway (line 1), typesense (line 2)"',
        '"ATHENA_WROKER_POLL in .env: no such setting, did you mean \\"ATHENA_WORKER_POLL\\"?"',
    ]
    assert "canary" not in worker.stderr()


def test_a_family_of_ones_own(spawn, database, tmp_path):
    """The executor reads the same file, .env and variables as the worker."""
    config = tmp_path / "config.yaml"
    config.write_text("families:\n  thumbnails:\n    run: command\n"
                      "    command: [/bin/sh, -c, 'cat; echo \" $GREETING $HIDDEN\"']\n"
                      "    env: {GREETING: \"${GREETING}\"}\n"
                      "    timeout: 60s\n    lease: 30s\n    max_attempts: 7\n")
    (tmp_path / ".env").write_text("GREETING=hello\nHIDDEN=must-not-arrive\n")
    worker = spawn("athena-worker", "--family=thumbnails", "--config", config)
    wait_until(lambda: database.column("SELECT name FROM athena.families WHERE name = 'thumbnails'"),
               what="the family's row")
    job = database.enqueue("thumbnails", {"a": 1})
    database.wait_for_state(job, "succeeded")
    said = database.value("SELECT message FROM athena.events WHERE job_id = %s AND message LIKE '%%hello%%'", job)
    assert said.split("} ")[1].split() == ["hello"]
    seeded = database.query("SELECT lease = '30 s' AND timeout = '60 s' AND max_attempts = 7 AS as_said"
                            " FROM athena.families WHERE name = 'thumbnails'")
    assert seeded == [{"as_said": True}]
    assert worker.terminate() == 0


def test_a_family_must_be_run_by_a_built_in_one(run, database, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("families:\n  thumbs:\n    command: [/bin/true]\n")
    done = run("athena-worker", "--family=thumbs", "--config", config, status=2)
    assert f'{config}:2: family "thumbs" must say under "run" which built-in family' in done.stderr


# --- athena config

CHECKED = """\
worker:
  poll: 3s
families:
  thumbs: {run: command, command: [/bin/true], env: {API_TOKEN: canary-4}}
  odd: {run: noop}
postgres_clients:
  shop: postgresql://u:canary-5@h/shop
"""


def test_config_show_tells_each_value_and_where_it_came_from(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CHECKED)
    (tmp_path / ".env").write_text("ATHENA_WORKER_DRAIN=7s\n")
    env = {"ATHENA_WORKER_HEARTBEAT": "2s", "ATHENA_DATABASE_URL": "postgresql://u:canary-6@h/d"}
    told = {f"{row['section']}.{row['key']}": (row["value"], row["origin"])
            for row in json.loads(run("athena", "config", "show", "--config", config, "--json", env=env).stdout)}
    assert told["worker.poll"] == ("3s", f"{config}:2")
    assert told["worker.drain"] == ("7s", "ATHENA_WORKER_DRAIN in .env")
    assert told["worker.heartbeat"] == ("2s", "ATHENA_WORKER_HEARTBEAT")
    assert told["worker.concurrency"] == (4, "default")
    assert told["postgres_clients.shop"] == ("postgresql://u:***@h/shop", f"{config}:7")
    text = run("athena", "config", "show", "--config", config, env=env).stdout
    assert re.search(rf"^worker\.poll +3s +{config}:2$", text, re.M)
    assert "canary" not in text and "canary" not in str(told)


def test_config_check_finds_no_fault(run, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CHECKED + "gateway: {x: 1}\n")
    done = run("athena", "config", "check", "--config", config)
    assert done.stdout == f"{config}: good, 2 families, 1 warning\n"
    assert done.stderr.startswith("warning: ") and "gateway" in done.stderr
    assert json.loads(run("athena", "config", "check", "--config", config, "--json").stdout) == {
        "config": str(config), "families": 2, "warnings": 1}


@pytest.mark.parametrize("entry, error", [
    ("{run: command}", 'family "thumbs" needs a line `command: [PROGRAM, ARGUMENT...]`'),
    ("{run: nope}", 'family "thumbs" must say under "run" which built-in family does its work, and "nope" is none'),
    ("{concurrency: 0}", '"concurrency" must be a whole number from 1 to')])
def test_config_check_ends_with_status_2_and_says_where(run, tmp_path, entry, error):
    config = tmp_path / "config.yaml"
    config.write_text(f"families:\n  thumbs: {entry}\n")
    done = run("athena", "config", "check", "--config", config, status=2)
    assert done.stderr.startswith(f"athena config check: {config}:2: {error}")
    assert done.stdout == ""
