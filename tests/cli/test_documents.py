# SPDX-License-Identifier: PostgreSQL
"""Every command that README and docs show is run: those of shell blocks, and those in running text.

docs/cli.md is compared with --help elsewhere, sessions of psql are in tests/sql/test_docs.py. What
cannot be run here is listed with who runs it instead; a new command that is in neither is a failure.
"""
import json
import re
import subprocess

import pytest

from athena_test import BUILD, ROOT, program_environment

DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
             if path.name != "cli.md"]

ELSEWHERE = {
    r"athena clone .*": "tests/integration/test_clone_plan.py",
    r"athena backup (create|restore|schedule|expire|list)\b.*|.*/etc/athena/backup\.key.*": "tests/integration/test_backup_document.py",
    r"athena dev": "tests/cli/test_dev.py",
    r"sudo .*": "as root on a system of its own: tests/deb follows docs/install.md there, word by word",
    r".* \| sudo .*": "the same",
    r"createdb restored|pg_dump .*|pg_restore .*": "tests/integration/test_dump_restore.py",
    r"tests/run .*": "is what runs this",
    r"export ATHENA_.*": "the environment of the test says it",
    r"build-fault/athena-worker .*": "tests/fault/test_crash_worker.py",
    r"(body|signature)=.*": "tests/integration/test_callbacks.py",
    r"curl .*": "the same",
    r"athena migrate --drop --yes": "tests/cli/test_migrate.py",
    r"athena server": "a program of another system, named as such",
    r"athena >= 0\.1\.0": "what a command prints",
}

# What stands for something of the reader's own.
PLACES = {"/etc/athena/config.yaml": "{config}", "/run/athena.sock": "{directory}/athena.sock", ":9187": ":0",
          " FAMILY": " noop", " FILE": " {lines}"}

RUNS_ON = re.compile(r"athena-(worker|daemon)\b|athena maintenance run\b")


def shell_commands(text):
    """Those of ```sh blocks, and those after a prompt in ```console blocks; without their remarks."""
    for kind, block in re.findall(r"^```(sh|console)\n(.*?)^```$", text, re.M | re.S):
        if block.startswith("#!"):
            continue  # a script of the reader's own
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        if kind == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            command = re.sub(r"\s+# .*", "", line).strip()
            if command and not command.startswith("{"):
                yield command


def named_commands(text):
    """`athena ...` in running text."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return [" ".join(command.split()) for command in re.findall(r"`(athena(?:-worker|-daemon)? [^`]+)`", text)]


def is_elsewhere(command):
    return any(re.fullmatch(pattern, command) for pattern in ELSEWHERE)


@pytest.fixture
def reader(database, workers, tmp_path):
    """Whoever reads: with a database, a worker, a family of his own, a job that failed."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"families": {"mail": {"run": "noop"}, "thumbnails": {"run": "noop"}},
                                  "worker": {"reconnect_min": "20ms"}}))
    lines = tmp_path / "jobs.ndjson"
    lines.write_text("{}\n{}\n")
    workers.start("noop,mail,thumbnails", families={"mail": {"run": "noop"}, "thumbnails": {"run": "noop"}})
    database.wait_for_state(database.enqueue("noop", {"fail": "permanent"}), "dead")
    return {"config": config, "directory": tmp_path, "lines": lines, "database": database}


def in_place(command, reader):
    """The command with what is there. Job 17 has ended well, unless it is to be cancelled."""
    for place, ours in PLACES.items():
        command = command.replace(place, ours.format(**reader))
    if re.search(r" (17|ID)\b", command):
        database = reader["database"]
        is_over = "cancel" not in command
        job = database.enqueue("noop", None if is_over else {"sleep_ms": 60000})
        database.wait_for_state(job, "succeeded" if is_over else "running")
        command = re.sub(r" (17|ID)\b", f" {job}", command)
    return command


def runs_on(command, reader, spawn):
    """A program that goes on until it is told to end."""
    words = command.split()
    program = spawn(words[0], *words[1:], env={"ATHENA_CONFIG_PATH": str(reader["config"])})
    program.wait_log(r" registered\b")
    assert program.terminate() == 0, program.stderr()


def ends(command, reader):
    statuses = (0, 1) if command.startswith("athena doctor") else (0,)
    done = subprocess.run(
        ["bash", "-c", command], text=True, capture_output=True, cwd=reader["directory"], stdin=subprocess.DEVNULL,
        env={**program_environment(reader["directory"], reader["database"].url),
             "ATHENA_CONFIG_PATH": str(reader["config"]), "PATH": f"{BUILD}:/usr/bin:/bin"})
    assert done.returncode in statuses, f"{command}\n{done.stdout}{done.stderr}"


def run_as_written(command, reader, spawn):
    if command.startswith("make"):  # only whether there are such goals
        subprocess.run(["make", "-C", ROOT, "-n", "PACKAGES=skip", *command.split()[1:]], check=True, capture_output=True)
    elif RUNS_ON.match(command):
        runs_on(in_place(command, reader), reader, spawn)
    else:
        ends(in_place(command, reader), reader)


@pytest.mark.parametrize("document", [str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_commands_of(document, request):
    text = (ROOT / document).read_text()
    shown = [command for command in shell_commands(text) if not is_elsewhere(command)]
    named = [command for command in named_commands(text) if not is_elsewhere(command)]
    if not shown and not named:
        return
    reader, spawn = request.getfixturevalue("reader"), request.getfixturevalue("spawn")
    for command in dict.fromkeys(shown):
        run_as_written(command, reader, spawn)
    for command in dict.fromkeys(named):
        if re.search(r" (--?\w|[A-Z]|\d|\w+ mail)", command) and not RUNS_ON.match(command):
            ends(in_place(command, reader), reader)
        else:  # the name of a command; what it does stands in blocks
            ends(f"{command} --help", reader)


def test_who_runs_the_others():
    """Nothing is excused that no document shows."""
    commands = [command for path in DOCUMENTS for command in (*shell_commands(path.read_text()),
                                                              *named_commands(path.read_text()))]
    for pattern in ELSEWHERE:
        assert any(re.fullmatch(pattern, command) for command in commands), f"{pattern} is shown nowhere"
