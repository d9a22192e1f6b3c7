# SPDX-License-Identifier: PostgreSQL
"""tools/lint.sh finds what it is there for, and nothing in a copy without it."""
import shutil
import subprocess

import pytest

from athena_test import ROOT

GOOD = {
    "src/base/fine.h": "/* SPDX-License-Identifier: PostgreSQL */\nint fine(void);\n",
    "src/base/fine.c": '/* SPDX-License-Identifier: PostgreSQL */\n#include "base/fine.h"\n',
    "src/queue/fine.c": '/* SPDX-License-Identifier: PostgreSQL */\n#include "base/fine.h"\n'
                        '#include "sql_statements.h"\nsend(&sql_move);\n',
    "src/base/fault_points.h": '/* SPDX-License-Identifier: PostgreSQL */\nSTEP("move", STATEMENT, "queue/fine.c", "one", "two")\n',
    "sql/statements/move.sql": "-- Moves a ticket to where it should be.\nDELETE FROM athena.ready\n",
    "sql/migrations/0001_fine.sql": "CREATE FUNCTION athena.look() RETURNS integer\nLANGUAGE sql STABLE AS $$ SELECT 1 $$;\n"
                                    "CREATE FUNCTION athena.act() RETURNS void\nLANGUAGE plpgsql AS $$ BEGIN END $$;\n",
    "src/athena.c": '/* SPDX-License-Identifier: PostgreSQL */\n#include "cli/command.h"\n',
    "sql/statements/fine.sql": "-- Takes nothing and changes nothing.\nSELECT 1\n",
    "tests/fine.py": "# SPDX-License-Identifier: PostgreSQL\nURL = 'http://s3.example.com/bucket'\n",
}

BAD = [
    ("include_direction", "src/base/up.c", '#include "queue/claim.h"', "base/ may not include queue/"),
    ("include_direction", "src/maintenance/side.c", '#include "worker/slot.h"', "maintenance/ may not include worker/"),
    ("include_direction", "src/base/odd.c", '#include "stuff/x.h"', "stuff/ has no place"),
    ("own_header_first", "src/base/fine.c", '#include <stdio.h>\n#include "base/fine.h"', "stdio.h before"),
    ("banned_calls", "src/base/bad.c", "\tstrcpy(a, b);", "bad.c:1:"),
    ("banned_calls", "src/base/bad.h", "\tusleep(5);", "bad.h:1:"),
    ("promises", "sql/statements/bad.sql", "SELECT 1", "bad.sql"),
    ("durable_steps", "sql/statements/bad.sql", "INSERT INTO athena.ready VALUES (1)", "bad.sql writes"),
    ("durable_steps", "sql/statements/bad.sql", "SELECT athena.look(), athena.act()", "bad.sql writes"),
    ("durable_steps", "src/base/fault_points.h", 'STEP("gone", "send", "queue/fine.c", "one", "two")', "gone is not in src/queue/fine.c"),
    ("durable_steps", "src/db/bad.c", "\tif (!query_command(conn, sql, e))", "bad.c:1: runs a command"),
    ("licence_lines", "src/base/bad.c", "int bad;", "bad.c: no SPDX line"),
    ("places", "tests/bad.py", "PATH = '/home/someone/athena'", "bad.py:1:"),
    ("places", "src/base/bad.c", 'x = "http://registry.corp/";', "bad.c:1:"),
]


@pytest.fixture
def copy(tmp_path):
    """A working copy that holds tools/lint.sh and sources without a finding."""
    (tmp_path / "tools").mkdir()
    for name in ("lint.sh", "durable_steps.awk"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools" / name)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name, text in GOOD.items():
        write(tmp_path, name, text)
    return tmp_path


def write(copy, name, text):
    path = copy / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def lint(copy, check):
    return subprocess.run([copy / "tools/lint.sh", check], capture_output=True, text=True)


@pytest.mark.parametrize("check", sorted({row[0] for row in BAD}))
def test_good_sources_pass(copy, check):
    done = lint(copy, check)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("check, name, text, finding", BAD,
                         ids=[f"{row[0]}-{number}" for number, row in enumerate(BAD)])
def test_offenders_are_named(copy, check, name, text, finding):
    write(copy, name, text)
    done = lint(copy, check)
    assert done.returncode == 1
    assert finding in done.stdout
