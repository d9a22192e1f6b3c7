# SPDX-License-Identifier: PostgreSQL
"""athena dev: a whole Athena in a folder, and nothing of it left when it ends, however it ends."""
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import termios

import pytest

from athena_test import BUILD, kill_pid, processes, wait_until


@pytest.fixture
def dev(run, folder):
    """athena dev with a command, to its end."""
    def dev(*words, **options):
        return run("athena", "dev", *words, cwd=folder, **options)
    return dev


def all_of(folder):
    """Every process that has something to do with the folder: its server, workers, commands."""
    found = {}
    for pid in processes():
        try:
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
            cwd = os.readlink(f"/proc/{pid}/cwd")  # all that a backend of Postgres leaves
        except OSError:
            continue
        if str(folder) in line + environment + cwd:
            found[pid] = line
    return found


@pytest.fixture
def background(folder):
    """athena dev in the background, in the folder; ended at the end, if the test did not."""
    started = []

    def start(*words, until="^C stops everything"):
        with open(folder / "dev.out", "wb") as log:
            program = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", BUILD / "athena", "dev", *words], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"})
        started.append(program)
        wait_until(lambda: until in text() or program.poll() is not None, what=until)
        assert program.poll() is None, text()
        return program

    def text():
        return (folder / "dev.out").read_text(errors="replace")
    start.text = text
    yield start
    for program in started:
        if program.poll() is None:
            program.terminate()
            program.wait(240)
    wait_until(lambda: not all_of(folder), what="nothing is left")


def test_a_command_runs_in_it(dev, folder):
    done = dev("--", "sh", "-c", "echo $PGHOST $PGPORT $PGUSER $PGDATABASE; psql -XAtc "
               "'SELECT current_database(), current_user, inet_server_addr() IS NULL'; exit 7", status=7)
    assert done.stdout == f"{folder}/.athena/run 5432 postgres athena\nathena|postgres|t\n"
    assert re.fullmatch(r"athena dev: \d+ migrations applied\n", done.stderr)
    assert all_of(folder) == {}


def test_it_listens_on_its_socket_only(dev):
    done = dev("--", "psql", "-XAtc", "SELECT current_setting('listen_addresses'), "
               "current_setting('unix_socket_permissions')")
    assert done.stdout == "|0700\n"


def test_the_second_start_finds_what_the_first_left(dev):
    dev("--no-worker", "--", "athena", "enqueue", "noop", "--unique-key", "k")
    done = dev("--no-worker", "--", "athena", "job", "list", "--json")
    assert [row["unique_key"] for row in json.loads(done.stdout)] == ["k"]
    assert done.stderr == ""


def test_a_worker_serves_every_family(dev):
    done = dev("--", "sh", "-c", "athena enqueue noop --wait && athena worker list --json")
    number, _, rest = done.stdout.partition("\n")
    (worker,) = json.loads(rest)
    assert number == "1"
    assert {"noop", "command", "clone"} <= set(worker["families"])
    assert " succeeded after " in done.stderr


def test_families_of_the_configuration_are_served(dev, folder):
    (folder / "config.yaml").write_text(
        "database:\n  url: postgresql://elsewhere/x\n  direct_url: postgresql://elsewhere/x\n"
        "families:\n  greet: {run: command, command: [sh, -c, 'echo hello >greeting']}\n")
    dev("--", "sh", "-c", "until athena family show greet >/dev/null 2>&1; do sleep 0.1; done; "
        "athena enqueue greet --wait")


def test_command_that_does_not_exist(dev, folder):
    done = dev("--no-worker", "--", "no-such-command", status=2)
    assert done.stderr.endswith("athena dev: executing no-such-command: No such file or directory\n")
    assert all_of(folder) == {}


def test_a_command_that_is_killed(dev):
    dev("--no-worker", "--", "sh", "-c", "kill -9 $$", status=128 + 9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_order(background, folder, number):
    program = background(until="registered")
    assert len(all_of(folder)) > 5
    program.send_signal(number)
    assert program.wait(240) == 0
    assert all_of(folder) == {}
    text = background.text()
    assert text.index("\nstopping\n") < text.index("info draining")
    assert "ended unexpectedly" not in text
    assert "database system is shut down" in (folder / ".athena/postgres.log").read_text()
    assert not (folder / ".athena/url").exists()


@pytest.mark.parametrize("command", [(), ("--", "sh", "-c", "echo up; exec sleep 1000")])
def test_a_hangup_reloads_worker_and_server(background, folder, run, command):
    program = background(*command, until="up" if command else "registered")
    log = folder / (".athena/worker.log" if command else "dev.out")
    wait_until(lambda: "registered" in log.read_text(), what="the worker")
    (folder / "config.yaml").write_text("worker: {concurrency: 3}\n")
    program.send_signal(signal.SIGHUP)
    wait_until(lambda: " reloaded " in log.read_text(), what="the worker reloads")
    wait_until(lambda: "received SIGHUP, reloading" in (folder / ".athena/postgres.log").read_text(), what="the server, too")
    run("athena", "enqueue", "noop", "--wait", cwd=folder)
    assert "\nreloading\n" in background.text()
    assert program.poll() is None


def test_the_end_of_its_terminal_is_the_end(folder):
    ours, theirs = pty.openpty()
    program = subprocess.Popen([BUILD / "athena", "dev", "--no-worker"], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
                               preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
    os.close(theirs)
    text = b""
    while b"^C stops everything" not in text:
        text += os.read(ours, 4096)
    os.close(ours)
    program.wait(240)
    wait_until(lambda: not all_of(folder), what="nothing is left")
    assert "database system is shut down" in (folder / ".athena/postgres.log").read_text()


def test_what_runs_is_finished_before_it_ends(background, folder, run, dev):
    program = background(until="registered")
    job = run("athena", "enqueue", "noop", '{"sleep_ms": 4000}', cwd=folder).stdout.strip()
    wait_until(lambda: '"running"' in run("athena", "job", "show", job, "--json", cwd=folder).stdout)
    program.terminate()
    assert program.wait(240) == 0
    done = dev("--no-worker", "--", "athena", "job", "show", job, "--json")
    assert json.loads(done.stdout)["state"] == "succeeded"


def test_killed_it_takes_everything_along(background, folder, dev):
    program = background("--", "sh", "-c", "echo up; sleep 1000", until="up")
    wait_until(lambda: "registered" in (folder / ".athena/worker.log").read_text(), what="the worker")
    program.kill()
    program.wait()
    wait_until(lambda: not {pid: line for pid, line in all_of(folder).items() if "sleep" not in line},
               what="server and worker are gone")
    for pid in all_of(folder):  # what a command has started is its own
        kill_pid(pid)
    assert "received fast shutdown request" in (folder / ".athena/postgres.log").read_text()
    assert dev("--no-worker", "--", "athena", "job", "list").stdout == ""


def test_killed_and_started_at_once(background, folder, dev):
    program = background("--no-worker")
    program.kill()
    program.wait()
    assert dev("--no-worker", "--", "echo", "again").stdout == "again\n"


def test_the_end_of_the_server_is_the_end(background, folder):
    program = background("--no-worker")
    (postmaster,) = [pid for pid, line in all_of(folder).items() if "/postgres -D " in line]
    os.kill(postmaster, signal.SIGQUIT)
    assert program.wait(240) == 1
    assert re.search(r"athena dev: the server ended unexpectedly, with exit status 0: .*"
                     r"received immediate shutdown request", background.text())


def test_the_end_of_the_worker_is_the_end(background, folder):
    program = background(until="registered")
    (worker,) = [pid for pid, line in all_of(folder).items()
                 if "athena-worker --family=" in line and processes()[pid][0] == program.pid]
    os.kill(worker, signal.SIGKILL)
    assert program.wait(240) == 1
    assert background.text().endswith(
        "athena dev: athena-worker ended unexpectedly, with signal 9 (Killed)\n")


def test_while_it_runs_the_folder_knows_it(background, folder, run):
    background("--no-worker")
    assert run("athena", "enqueue", "noop", cwd=folder).stdout == "1\n"
    (folder / "inside").mkdir()
    done = run("athena", "job", "list", cwd=folder / "inside", status=1)
    assert "(from libpq's defaults: no database.url and no ATHENA_DATABASE_URL)" in done.stderr
    done = run("athena", "job", "list", cwd=folder, status=1, env={"PGHOST": "/nowhere"})
    assert "/nowhere" in done.stderr


def test_it_says_how_to_connect(background, folder):
    background("--no-worker")
    line = re.search(r"^  connect +(psql .*)$", background.text(), re.M)[1]
    done = subprocess.run(f"{line} -XAtc 'SELECT 1'", shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_two_in_one_folder(background, folder, dev):
    program = background("--no-worker")
    done = dev("--no-worker", status=2)
    assert done.stderr == (
        f"athena dev: athena dev runs in {folder}/.athena already (process {program.pid})\n"
        "  next: use that one, or another folder: athena dev --dir FOLDER\n")


def test_a_path_too_long_for_a_socket(dev, folder):
    deep = folder / ("d" * 100)
    deep.mkdir()
    done = dev("--no-worker", "--dir", deep / "it's here", "--", "sh", "-c",
               "echo $PGHOST; athena job list; psql -XAtc 'SELECT 2'")
    host, answer = done.stdout.splitlines()
    assert re.fullmatch(r"/tmp/athena-dev-\w{6}", host)
    assert answer == "2"
    assert not os.path.exists(host)


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
def test_root_in_a_folder_that_the_server_may_not_enter(dev, folder):
    (folder / "private").mkdir(mode=0o700)
    done = dev("--no-worker", "--dir", folder / "private/cluster", status=2)
    assert re.fullmatch(rf"athena dev: as root the server runs as user \w+, who may not enter "
                        rf"{folder}/private\n  next: athena dev --dir /var/tmp/athena-dev\n", done.stderr)


def test_folders_that_cannot_be(dev, folder):
    done = dev("--dir", "a/b", status=2)
    assert done.stderr == "athena dev: making the folder a/b: No such file or directory\n"
    (folder / "file").write_text("")
    done = dev("--dir", "file", status=2)
    assert done.stderr == "athena dev: making the folder file: File exists\n"


def test_a_cluster_half_made_is_made_again(dev, folder):
    (folder / ".athena/data.new/base").mkdir(parents=True)
    assert dev("--no-worker", "--", "echo", "fine").stdout == "fine\n"
    assert not (folder / ".athena/data.new").exists()


def test_other_servers_are_not_heard_of(dev):
    done = dev("--no-worker", "--", "sh", "-c", "echo ${PGPASSWORD-none} ${PGSERVICE-none}",
               env={"PGPASSWORD": "geheim", "PGSERVICE": "prod", "PGPORT": "1"})
    assert done.stdout == "none none\n"
