# SPDX-License-Identifier: PostgreSQL
"""sql/embed.awk: what the C compiler makes of it is what the SQL file says."""
import subprocess

import pytest

from athena_test import ROOT

SHOW = """
#include <stdio.h>
#include "sql_{what}.h"
int main(void)
{{
	{body}
}}
"""
SHOW_MIGRATIONS = """
	for (const struct sql_migration *m = sql_migrations; m->number; m++)
		printf("%d|%s|%s|%s\\f", m->number, m->name, m->oldest_program, m->text);"""
SHOW_STATEMENTS = """
	for (const struct sql_statement *const *s = sql_statements; *s; s++)
		printf("%s|%d|%s\\f", (*s)->name, (*s)->nparams, (*s)->text);"""


def embed(what, form, files):
    return subprocess.run(["awk", "-v", f"what={what}", "-v", f"form={form}", "-f",
                           ROOT / "sql/embed.awk", *files], stdin=subprocess.DEVNULL,
                          capture_output=True)


def compile_and_show(directory, what, body, sources):
    """[field, ...] per statement or migration, as a program sees them."""
    files = []
    for name, text in sources.items():
        (directory / name).write_bytes(text)
        files.append(directory / name)
    for form in ("h", "c"):
        done = embed(what, form, files)
        assert done.returncode == 0, done.stderr
        (directory / f"sql_{what}.{form}").write_bytes(done.stdout)
    (directory / "show.c").write_text(SHOW.format(what=what, body=body))
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "show.c", f"sql_{what}.c",
                    "-o", "show"], cwd=directory, check=True)
    shown = subprocess.run([directory / "show"], check=True, capture_output=True).stdout
    return [row.split(b"|", 3 if what == "migrations" else 2) for row in shown.split(b"\f")[:-1]]


def test_migrations_are_kept_byte_for_byte(tmp_path):
    awkward = (b"-- oldest-program: 0.2.0\n\n\tSELECT '\\d\\\\ ??/ ??=', \"quoted\", E'\\n%s', 'caf\xc3\xa9';\n"
               b"-- $1 & /* no end\n\\\n")
    rows = compile_and_show(tmp_path, "migrations", SHOW_MIGRATIONS, {
        "0001_first.sql": awkward, "0002_second_one.sql": b"-- oldest-program: 0.1.0\nSELECT 1;\n"})
    assert rows == [[b"1", b"first", b"0.2.0", awkward],
                    [b"2", b"second_one", b"0.1.0", b"-- oldest-program: 0.1.0\nSELECT 1;\n"]]


def test_statements_carry_name_and_parameter_count(tmp_path):
    rows = compile_and_show(tmp_path, "statements", SHOW_STATEMENTS, {
        "claim.sql": b"-- Promises $9.\nSELECT $2, $12::text, $1 -- not $13\n\t-- nor $14\nFROM t\n",
        "empty_of_params.sql": b"-- Promises nothing.\nSELECT '--', 1\n"})
    assert rows == [[b"claim", b"12", b"/* claim */ SELECT $2, $12::text, $1 -- not $13\nFROM t\n"],
                    [b"empty_of_params", b"0", b"/* empty_of_params */ SELECT '--', 1\n"]]


def test_no_files_make_empty_lists(tmp_path):
    assert compile_and_show(tmp_path, "statements", SHOW_STATEMENTS, {}) == []
    assert compile_and_show(tmp_path, "migrations", SHOW_MIGRATIONS, {}) == []


@pytest.mark.parametrize("what, name, text, complaint", [
    ("migrations", "0001_x.sql", "SELECT 1;\n", "oldest-program"),
    ("migrations", "0002_x.sql", "-- oldest-program: 0.1.0\n", "without gaps"),
    ("migrations", "first.sql", "-- oldest-program: 0.1.0\n", "0001_name.sql"),
    ("statements", "Claim-it.sql", "-- Promises.\n", "C identifier"),
])
@pytest.mark.parametrize("form", ["h", "c"])
def test_misnamed_files_stop_the_build(tmp_path, what, name, text, complaint, form):
    (tmp_path / name).write_text(text)
    done = embed(what, form, [tmp_path / name])
    assert done.returncode != 0
    assert complaint in done.stderr.decode() and name in done.stderr.decode()
