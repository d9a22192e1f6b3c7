# SPDX-License-Identifier: PostgreSQL
"""What `athena` says about itself, and to those who mistype: no database is needed for that."""
import re

import pytest

from athena_test import BUILD, ROOT, run_program

GLOBAL = """
Options of every command
  --config FILE                   config.yaml to read, instead of looking for it
  --json                          print JSON, with times in UTC
  --utc                           times for people in UTC, not in the local zone
  --no-color                      no colours, not even on a terminal
  --help                          what a command does and takes
  --version                       the program's version
"""


def commands():
    """All of them, as --help lists them."""
    text = run_program("athena", "--help").stdout
    block = text.partition("Commands\n")[2].partition("\n\n")[0]
    names = []
    for line in block.splitlines():
        words = line[2:].split("  ")[0].split() if line[2:3] != " " else []
        name = [word for word in words if re.fullmatch("[a-z]+(-[a-z]+)?", word)]
        if name:
            names.append(" ".join(name))
    return names


def test_version(run):
    done = run("athena", "--version")
    assert re.fullmatch(r"athena \d+\.\d+\.\d+ \(\w+\)\n", done.stdout)
    assert run("athena", "job", "list", "--version").stdout == done.stdout


def test_without_a_command_the_usage_is_shown_and_it_fails(run):
    done = run("athena", status=2)
    assert done.stdout == ""
    assert done.stderr.startswith("athena: jobs are rows, workers claim them\n\nUsage: athena COMMAND")
    assert done.stderr.endswith("athena: which command?\n")


def test_help_of_a_group(run):
    done = run("athena", "worker", "--help")
    assert done.stdout == """\
Usage: athena worker COMMAND [ARGUMENT...] [OPTION...]

Commands
  worker list                     processes that run jobs or maintenance, on all hosts
"""
    assert done.stderr == ""


def test_help_of_a_command(run):
    done = run("athena", "migrate", "--help")
    assert done.stdout == """\
athena migrate: brings Athena's schema into the database, or up to date

Usage: athena migrate [OPTION...]

Each migration is one transaction; running it again changes nothing, and any number
may run at once. Workers and producers may go on meanwhile.

  athena migrate
  athena migrate --status
  athena migrate --sql | psql shop      # for those who want to read it first
  athena migrate --drop --yes           # the end: schema and jobs go, roles stay

Options
  --status                        show what is applied and what is missing, change nothing
  --sql                           print the migrations as a script for psql, connect nowhere
  --after N                       with --sql: only migrations after this number (default 0)
  --patience TIME                 how long to wait for locks that others hold (default 60s)
  --drop                          remove the schema athena, and all jobs with it, for good
  --yes                           with --drop: it is meant
""" + GLOBAL


@pytest.mark.parametrize("name", commands())
def test_every_command_explains_itself(run, name):
    done = run("athena", *name.split(), "--help")
    assert done.stdout.startswith(f"athena {name}: ")
    assert f"\nUsage: athena {name}" in done.stdout
    assert done.stdout.endswith(GLOBAL)
    assert all(len(line) <= 100 for line in done.stdout.splitlines())
    assert run("athena", *name.split(), "-h").stdout == done.stdout
    assert run("athena", "--help", *name.split()).stdout == done.stdout


def test_the_manual_shows_every_help():
    """docs/cli.md has each command's --help, word for word, in the order of `athena --help`."""
    manual = (ROOT / "docs/cli.md").read_text()
    block = re.compile(r"^```text\n\$ athena ([a-z -]+) --help\n(.*?)^```$", re.M | re.S)

    def as_it_is(match):
        text = run_program("athena", *match[1].split(), "--help").stdout.removesuffix(GLOBAL)
        return f"```text\n$ athena {match[1]} --help\n{text}```"
    right = block.sub(as_it_is, manual)
    (BUILD / "cli.md").write_text(right)
    assert manual == right, f"what is right is in {BUILD / 'cli.md'}"
    assert [match[1] for match in block.finditer(manual)] == commands()


@pytest.mark.parametrize("words, text", [
    ("migrte", "athena: unknown command 'migrte'; did you mean 'migrate'?\n  next: athena --help\n"),
    ("jbo list", "athena: unknown command 'jbo list'; did you mean 'job list'?\n"
                 "  next: athena --help\n"),
    ("enqueu noop", "athena: unknown command 'enqueu'; did you mean 'enqueue'?\n"
                    "  next: athena --help\n"),
    ("job shw 1", "athena: unknown command 'job shw'; did you mean 'job show'?\n"
                  "  next: athena job --help\n"),
    ("xyzzy", "athena: unknown command 'xyzzy'\n  next: athena --help\n"),
    ("job list --limt 3", "athena job list: unknown option --limt; did you mean --limit?\n"
                          "  next: athena job list --help\n"),
    ("job list --xyzzy", "athena job list: unknown option --xyzzy\n  next: athena job list --help\n"),
    ("job list -x", "athena job list: unknown option -x\n  next: athena job list --help\n"),
    ("job list --limit", "athena job list: option --limit needs a value\n"
                         "  next: athena job list --help\n"),
    ("job list --json=yes", "athena job list: option --json takes no value\n"
                            "  next: athena job list --help\n"),
    ("job list surplus", "athena job list: 'surplus' is one argument too many\n"
                         "  next: athena job list --help\n"),
    ("job show", "athena job show: JOB is missing\n  next: athena job show --help\n"),
    ("job show x", "athena job show: 'x' is no job id; ids are numbers such as 42\n"),
    ("job show -1", "athena job show: unknown option -1\n  next: athena job show --help\n"),
    ("migrate --after 1", "athena migrate: --after goes with --sql\n"),
])
def test_mistakes_are_named_and_mended(run, words, text):
    done = run("athena", *words.split(), status=2)
    assert (done.stdout, done.stderr) == ("", text)


def test_a_group_alone_lists_its_commands(run):
    done = run("athena", "family", status=2)
    assert done.stdout == ""
    assert "  family pause FAMILY...          stops claims of a family" in done.stderr
    assert done.stderr.endswith("athena: which command of 'family'?\n")


def test_a_full_disk_is_noticed(run):
    done = run("sh", "-c", 'exec "$0" migrate --sql >/dev/full', BUILD / "athena", status=1)
    assert done.stderr == "athena: writing to standard output: No space left on device\n"
