# SPDX-License-Identifier: PostgreSQL
"""The numbers that docs/config.md gives for the schema are those of the schema.

A unit test compares docs/config.md with the option tables, so this compares the tables, too.
"""
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "config.md"
UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def documented():
    text = DOCS.read_text().split("## Numbers that no setting changes")[1]
    return dict(re.findall(r"^\| `(\w+)` \|[^|]*\| `(\w+)`", text, re.M))


def interval(text):
    number, unit = re.fullmatch(r"(\d+)(\D+)", text).groups()
    return f"{number} {UNITS[unit]}"


def column_default(database, table, column):
    return database.value("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef AS d JOIN pg_attribute AS a"
                          " ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
                          " WHERE d.adrelid = %s::regclass AND a.attname = %s", f"athena.{table}", column)


@pytest.mark.parametrize("table, column, name", [
    ("jobs", "priority", "priority"),
    ("families", "max_attempts", "max_attempts"),
])
def test_numbers(database, table, column, name):
    assert column_default(database, table, column) == documented()[name]


@pytest.mark.parametrize("column, name", [
    ("lease", "lease"),
    ("backoff_base", "backoff_base"),
    ("backoff_cap", "backoff_cap"),
])
def test_durations(database, column, name):
    default = column_default(database, "families", column)
    assert database.value(f"SELECT {default} = %s::interval", interval(documented()[name]))


def test_jitter_in_percent(database):
    default = column_default(database, "families", "backoff_jitter")
    assert database.value(f"SELECT round(({default})::numeric * 100)::text") == documented()["backoff_jitter"]


def test_long_lease(database):
    assert database.value("SELECT bool_and(lease = %s::interval) FROM athena.families"
                          " WHERE name IN ('clone', 'backup')", interval(documented()["lease_long"]))


def test_lanes(database):
    lanes = database.query("SELECT visible, every = CASE WHEN visible THEN %s ELSE %s END::interval AS as_said"
                           " FROM athena.lanes", interval(documented()["lanes_visible"]),
                           interval(documented()["lanes_hygiene"]))
    assert {lane["visible"] for lane in lanes} == {True, False}
    assert all(lane["as_said"] for lane in lanes)


def test_payload_bytes(database):
    most = int(documented()["payload_bytes"])
    check = database.value("SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                           " WHERE conrelid = 'athena.jobs'::regclass AND conname LIKE 'a payload has at most%%'")
    assert re.findall(r"\d{4,}", check) == [str(most)]
