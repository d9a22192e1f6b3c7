# SPDX-License-Identifier: PostgreSQL
"""Every statement of sql/statements prepares on a migrated database."""
import re

import pytest

from athena_test import ROOT

FILES = sorted((ROOT / "sql/statements").glob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_prepares(database, path):
    text = path.read_text().rstrip().rstrip(";")
    if re.search("^COPY", text, re.MULTILINE): # which has no plan to prepare
        with database.connect().cursor().copy(text):
            return
    database.query(f"PREPARE this_one AS {text}")
    database.query("DEALLOCATE this_one")
