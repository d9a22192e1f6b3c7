# SPDX-License-Identifier: PostgreSQL
"""The models and the SQL name the same things: whatever moves a ticket stands in a model."""
import re

import pytest

from athena_test import ROOT

MOVES = (r"(?:INSERT INTO|COPY|DELETE FROM|UPDATE|TRUNCATE|DROP TABLE) "
         r"athena\.(?:jobs|ready|scheduled|leases|waiting|outcomes)(?![a-z])")
ENTERS = r"INSERT INTO athena\.ready"
SIGNS = r"(?:INSERT INTO|DELETE FROM) athena\.sleepers"

# What a statement does that a model has to know of it.
MODELS = {"tickets": MOVES, "wake": f"{ENTERS}|{SIGNS}", "cursor": ENTERS}


def functions():
    """{name: text} of all functions, from the migrations."""
    found = {}
    for path in sorted((ROOT / "sql/migrations").glob("*.sql")):
        for text in re.split(r"^CREATE (?:OR REPLACE )?(?=FUNCTION)", path.read_text(), flags=re.MULTILINE)[1:]:
            found[re.match(r"FUNCTION athena\.(\w+)", text)[1]] = re.sub(r"--.*", "", text)
    return found


FUNCTIONS = functions()


def reached(text):
    """The text, and that of all functions that it calls, directly or not."""
    seen, texts, waiting = set(), [text], [text]
    while waiting:
        for name in set(re.findall(r"athena\.(\w+)\s*\(", waiting.pop())) & set(FUNCTIONS) - seen:
            seen.add(name)
            texts.append(FUNCTIONS[name])
            waiting.append(FUNCTIONS[name])
    return "\n".join(texts)


def doers(pattern):
    """Names of the statements that do something, or call what does."""
    found = set()
    for path in (ROOT / "sql/statements").glob("*.sql"):
        text = re.sub(r"^--.*", "", path.read_text(), flags=re.MULTILINE)
        if not path.name.startswith("clone_") and re.search(pattern, reached(text)):
            found.add(path.name)
    return found


def model(name):
    return (ROOT / "model" / f"{name}.pml").read_text()


def named(text):
    """What the comments after `sql:` name."""
    return {word for line in re.findall(r"sql: ([^\n*]+)", text) for word in re.findall(r"\w+\.sql", line)}


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_stands_for_exists(name):
    assert named(model(name)), "names nothing"
    assert [file for file in named(model(name)) if not (ROOT / "sql/statements" / file).is_file()] == []


@pytest.mark.parametrize("name", MODELS)
def test_all_that_moves_a_ticket_stands_in_a_model(name):
    """A new statement belongs to the action that does the same to a ticket, or to one of its own."""
    assert doers(MODELS[name]) - named(model(name)) == set()


def test_all_lanes_that_move_tickets_stand_in_the_model():
    lanes = {name.removeprefix("lane_") for name, text in FUNCTIONS.items() if name.startswith("lane_")
             and re.search(MOVES, reached(text))}
    modelled = {lane for names in re.findall(r"lane_run\.sql \(([\w, ]+)\)", model("tickets"))
                for lane in names.split(", ")}
    assert lanes == modelled


def test_every_twin_is_checked_and_every_check_has_its_property():
    text = "".join(model(name) for name in MODELS)
    rows = [line.split("#")[0].split() for line in (ROOT / "model/checks.txt").read_text().splitlines()
            if line.strip() and not line.startswith("#")]
    twins = {flag for row in rows for flag in row[3:] if flag.startswith("TWIN_")}
    assert twins == set(re.findall(r"TWIN_\w+", text))
    assert {row[2] for row in rows} == {"holds", "refuted"}
    for name, prop, expected, *flags in rows:
        assert f"ltl {prop} " in model(name)
        assert (expected == "refuted") == any(flag.startswith("TWIN_") for flag in flags)
