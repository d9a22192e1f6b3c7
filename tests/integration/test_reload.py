# SPDX-License-Identifier: PostgreSQL
"""SIGHUP: what may change, changes; what runs, runs on; a bad file changes nothing."""
import json
import os
import re
import signal

import pytest

from athena_test import wait_until
from sessions import assert_lawful
from workers import begin, script, wait_line


class Configured:
    """A program with a config.yaml of its own, which edit() changes and reloads."""

    def __init__(self, program, path):
        self.program = program
        self.path = path
        self.reloads = 0

    def edit(self, **sections):
        """Merges into the file; a setting that is None goes."""
        config = json.loads(self.path.read_text())
        for section, values in sections.items():
            merged = {**config.get(section, {}), **values}
            config[section] = {name: value for name, value in merged.items() if value is not None}
        self.path.write_text(json.dumps(config))
        return self.reload()

    def reload(self, answer="reloaded"):
        """SIGHUP, and what the log says until the answer: {option: (event, old, new)}."""
        before = len(self.program.stderr())
        self.program.signal(signal.SIGHUP)
        self.reloads += answer == "reloaded"
        wait_until(lambda: re.search(rf" {answer} .*\n", self.program.stderr()[before:]), what=answer)
        lines = self.program.stderr()[before:]
        value = r'("(?:[^"\\]|\\.)*"|\S+)'
        return {option: (event, json.loads(old) if old[0] == '"' else old, json.loads(new) if new[0] == '"' else new)
                for event, option, old, new in re.findall(
                    rf" (option_\w+) option=(\S+) old={value} new={value}", lines)}


@pytest.fixture
def start(workers, tmp_path):
    def start(*args, **options):
        worker = workers.start(*args, **options)
        return Configured(worker, tmp_path / f"config-{len(workers.all)}.yaml")
    return start


def running(database):
    return database.value("SELECT count(*) FROM athena.job_status WHERE state = 'running'")


def message(database, job):
    return database.column("SELECT message FROM athena.events WHERE job_id = %s AND kind = 'stdout'", job)


def test_more_slots_run_more_jobs_and_fewer_end_after_what_they_run(database, start):
    worker = start(concurrency=1, poll="1h")
    first = begin(database, worker.program, {"sleep_ms": 600000})
    (executor,) = worker.program.children()
    second = database.enqueue("noop", {"sleep_ms": 600000})
    assert worker.edit(worker={"concurrency": 2}) == {"worker.concurrency": ("option_reloaded", "1", "2")}
    database.wait_for_state(second, "running")
    assert executor in worker.program.children()
    assert worker.edit(worker={"concurrency": 1}) == {"worker.concurrency": ("option_reloaded", "2", "1")}
    assert running(database) == 2
    database.query("SELECT athena.cancel(%s)", second)
    database.wait_for_state(second, "cancelled")
    wait_until(lambda: worker.program.children() == [executor], what="the second slot has gone")
    database.query("SELECT athena.cancel(%s)", first)
    database.wait_for_state(database.enqueue("noop"), "succeeded")
    wait_until(lambda: len(worker.program.children()) == 1)
    assert database.query("SELECT * FROM athena.failures WHERE kind <> 'cancelled'") == []
    assert_lawful(database)


def test_the_slots_of_one_family(database, start):
    worker = start("noop,own", families={"own": {"run": "noop", "concurrency": 1}}, concurrency=3, poll="1h")
    jobs = [database.enqueue("own", {"sleep_ms": 600000}) for _ in range(2)]
    wait_until(lambda: running(database) == 1)
    assert worker.edit(families={"own": {"run": "noop", "concurrency": 2}}) == {
        "families.own.concurrency": ("option_reloaded", "1", "2")}
    for job in jobs:
        database.wait_for_state(job, "running")
    assert worker.edit(families={"own": {"run": "noop"}}) == {
        "families.own.concurrency": ("option_reloaded", "2", "(not set)")}
    database.wait_for_state(database.enqueue("own"), "succeeded")


def waiting_script(directory, name, says):
    """Says that it has begun, waits for a file, and prints a word."""
    return script(directory, name, f"echo {says} >>{directory}/begun\n"
                  f"until [ -e {directory}/go ]; do sleep 0.05; done\necho {says}\n")


def test_what_runs_keeps_its_command_and_the_next_gets_the_new_one(database, start, tmp_path):
    old, new = (waiting_script(tmp_path, name, name) for name in ("old", "new"))
    worker = start("own", families={"own": {"run": "command", "command": old}}, concurrency=1)
    job = database.enqueue("own")
    wait_line(tmp_path / "begun", "old")
    changes = worker.edit(families={"own": {"run": "command", "command": new, "env": {"API_TOKEN": "swordfish-7"}}})
    assert changes == {"families.own.command": ("option_reloaded", json.dumps(old), json.dumps(new)),
                       "families.own.env": ("option_reloaded", "(not set)", '{"API_TOKEN":"***"}')}
    (tmp_path / "go").touch()
    assert database.wait_for_state(job, "succeeded")["attempt"] == 1
    assert message(database, job) == ["old"]
    later = database.enqueue("own")
    database.wait_for_state(later, "succeeded")
    assert message(database, later) == ["new"]
    assert "swordfish" not in worker.program.stderr()


@pytest.mark.parametrize("text,error", [
    ("worker:\n  pol: 1s\n", r'config-1.yaml:2: unknown key \\"pol\\" in \\"worker\\"'),
    ("worker:\n  poll: soon\n", r'config-1.yaml:2: \\"poll\\" must be a duration'),
    ("worker: [\n", r"config-1.yaml:2: "),
    ("families:\n  own: {run: command}\n", r"config-1.yaml:2: .*command"),
    ("worker: {heartbeat: 19s, fence_margin: 19s}\n", "must be shorter than"),
    (None, "reading .*config-1.yaml: No such file"),
])
def test_a_bad_file_changes_nothing_and_hurts_no_executor(database, start, tmp_path, text, error):
    """An executor that begins while the file is bad knows what its worker knows."""
    command = script(tmp_path, "says", "echo good\n")
    worker = start("own", families={"own": {"run": "command", "command": command}}, executor_attempts=1)
    good = worker.path.read_text()
    if text is None:
        worker.path.unlink()
    else:
        worker.path.write_text(text)
    worker.reload("reload_failed")
    assert re.search(rf' error reload_failed error="[^\n]*{error}', worker.program.stderr())
    for _ in range(2):
        job = database.enqueue("own")
        database.wait_for_state(job, "succeeded")
        assert message(database, job) == ["good"]
    assert database.query("SELECT * FROM athena.failures") == []
    worker.path.write_text(good)
    assert worker.reload() == {}
    assert " reloaded " in worker.program.stderr()
    assert worker.program.terminate() == 0


def test_what_needs_a_restart_stays_and_is_said_each_time(database, start):
    worker = start(concurrency=1)
    expected = {"worker.heartbeat": ("option_needs_restart", "300ms", "400ms"),
                "families.late": ("option_needs_restart", "(not set)", "there")}
    assert worker.edit(worker={"heartbeat": "400ms"}, families={"late": {"run": "noop"}}) == expected
    assert worker.reload() == expected
    assert worker.program.stderr().count("changed=0 need_restart=2") == 2
    assert worker.edit(worker={"heartbeat": "300ms"}, families={"late": None}) == {}
    assert "changed=0 need_restart=0" in worker.program.stderr()
    database.wait_for_state(database.enqueue("noop"), "succeeded")


def test_no_secret_reaches_the_log(database, start):
    worker = start()
    changes = worker.edit(http={"callback_secret": "canary-of-callbacks"},
                          postgres_clients={"shop": "postgresql://u:canary-one@h/db"})
    assert changes == {"http.callback_secret": ("option_needs_restart", "***", "***"),
                       "postgres_clients.shop": ("option_reloaded", "(not set)", "postgresql://u:***@h/db")}
    changes = worker.edit(postgres_clients={"shop": "postgresql://u:canary-two@h/db"})
    assert changes["postgres_clients.shop"] == (
        "option_reloaded", "postgresql://u:***@h/db", "postgresql://u:***@h/db")
    assert worker.edit(postgres_clients={"shop": None})["postgres_clients.shop"] == (
        "option_reloaded", "postgresql://u:***@h/db", "(not set)")
    assert "canary" not in worker.program.stderr()


def test_log_level_and_grace_times(database, start, tmp_path):
    """A worker that got less time to drain hands back what runs, well before the hour it began with."""
    stubborn = script(tmp_path, "stubborn", f"trap '' TERM INT\necho on >>{tmp_path}/begun\nwhile :; do sleep 0.1; done\n")
    worker = start("own", families={"own": {"run": "command", "command": stubborn}}, drain="1h", cancel_grace="1h")
    job = database.enqueue("own")
    wait_line(tmp_path / "begun", "on")
    changes = worker.edit(worker={"drain": "0s", "cancel_grace": "0s"}, log={"level": "info"})
    assert changes["worker.drain"] == ("option_reloaded", "1h", "0s")
    assert changes["log.level"] == ("option_reloaded", "debug", "info")
    assert worker.program.terminate() == 0
    assert database.job(job)["state"] == "ready"
    assert " debug " not in worker.program.stderr().partition(" reloaded ")[2]


def test_an_executor_takes_no_hangup(database, start):
    worker = start(concurrency=1)
    job = begin(database, worker.program, {"sleep_ms": 3000})
    (executor,) = worker.program.children()
    os.kill(executor, signal.SIGHUP)
    assert database.wait_for_state(job, "succeeded")["attempt"] == 1
    assert worker.program.children() == [executor]


@pytest.mark.parametrize("program", [["athena-worker", "--family=noop"], ["athena-daemon"], ["athena", "maintenance", "run"]])
def test_a_hangup_at_the_start_is_not_the_end(database, spawn, tmp_path, program):
    """The configuration is a pipe: while the program waits to read it, it has no handler yet."""
    pipe = tmp_path / "config.yaml"
    os.mkfifo(pipe)
    running = spawn(*program, "--config", pipe)
    writer = wait_until(lambda: opened(pipe), what="it reads its configuration")
    running.signal(signal.SIGHUP)
    pipe.unlink()
    pipe.write_text("log: {level: debug}\n")
    os.write(writer, b"log: {level: info}\n")
    os.close(writer)
    running.wait_log(" option_reloaded option=log.level old=info new=debug")
    running.wait_log(r" registered\b")
    assert running.terminate() == 0


def opened(pipe):
    """A descriptor to write to, once there is a reader."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


@pytest.mark.parametrize("program", [["athena-daemon"], ["athena", "maintenance", "run"]])
def test_maintenance_is_told_of_another_retention(own_cluster, spawn, tmp_path, program):
    own_cluster.configure(log_statement="all")
    own_cluster.reload()
    database = own_cluster.migrated_database()
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"retention": {"finished": "61m"}}))
    running = Configured(spawn(*program, "--config", path, url=database.url), path)
    wait_until(lambda: "3660.000 s" in own_cluster.log_text(), what="the prune lane with an hour and a minute")
    assert running.edit(retention={"finished": "62m"}) == {"retention.finished": ("option_reloaded", "61m", "62m")}
    wait_until(lambda: "3720.000 s" in own_cluster.log_text(), what="the prune lane with a minute more")
    assert running.edit(retention={"finished": None}) == {"retention.finished": ("option_reloaded", "62m", "7d")}
    wait_until(lambda: "604800.000 s" in own_cluster.log_text(), what="the default")
    assert running.program.terminate() == 0
