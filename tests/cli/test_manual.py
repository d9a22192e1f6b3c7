# SPDX-License-Identifier: PostgreSQL
"""Man pages and bash completion: whole, well-formed, and never behind the tables."""
import re
import subprocess

import pytest

from athena_test import run_program

PAGES = ["athena.1", "athena-worker.1", "athena-daemon.1", "athena-config.5"]


def page(name):
    done = run_program("athena", "manual", name)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def plain(text):
    return text.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


def help_of(*words):
    return run_program(*words, "--help").stdout


@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_complain_about(name):
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-rLL=100n"], input=page(name), text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") > 20


def test_the_page_has_every_command_and_every_option():
    text = plain(page("athena.1"))
    for line in help_of("athena").partition("Commands\n")[2].partition("\n\n")[0].splitlines():
        words = line[2:].split("  ")[0].split()
        name = " ".join(word for word in words if re.fullmatch("[a-z]+(-[a-z]+)?", word))
        if line[2:3] == " " or not name:
            continue
        assert f"\\fBathena {name}\\fR" in text
        for option in re.findall(r"^  --([a-z-]+)", help_of("athena", *name.split()), re.M):
            assert f"\\fB--{option}\\fR" in text, (name, option)


@pytest.mark.parametrize("program", ["athena-worker", "athena-daemon"])
def test_the_page_of_a_program_has_its_options(program):
    text = plain(page(f"{program}.1"))
    for option in re.findall(r"^  --([a-z-]+)", help_of(program), re.M):
        assert f"\\fB--{option}\\fR" in text


def test_the_page_of_the_configuration_has_every_setting():
    text = plain(page("athena-config.5"))
    for setting in re.findall(r"^([a-z_]+)\.([a-z_]+) ", run_program("athena", "config", "show").stdout, re.M):
        assert f"\n.SS {setting[0]}\n" in text and f"\\fB{setting[1]}\\fR: " in text


def test_an_unknown_page_and_an_unknown_shell_are_refused():
    for words in (["manual", "athena.9"], ["completion", "fish"]):
        done = run_program("athena", *words, status=2)
        assert (done.returncode, done.stdout) == (2, "") and words[1] in done.stderr


@pytest.mark.parametrize("typed, offered", [
    (["athena", ""], {"migrate", "job", "dev", "config"}),
    (["athena", "jo"], {"job"}),
    (["athena", "job", ""], {"list", "show", "retry"}),
    (["athena", "job", "list", "--"], {"--state", "--limit", "--json"}),
    (["athena", "job", "list", "--limit", "5", "--st"], {"--state"}),
    (["/opt/bin/athena-worker", "--"], {"--family", "--once", "--help"}),
    (["athena-daemon", "--no-m"], {"--no-maintenance"}),
    (["athena", "job", "xyzzy"], set())])
def test_bash_offers(typed, offered):
    script = run_program("athena", "completion", "bash").stdout
    ask = 'eval "$SCRIPT"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _athena; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-uc", ask, "bash", *typed], env={"SCRIPT": script}, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    words = set(done.stdout.split())
    assert offered <= words if offered else not words
    assert all(word.startswith(typed[-1]) for word in words)
