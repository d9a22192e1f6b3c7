# SPDX-License-Identifier: PostgreSQL
"""The psql sessions of the documents are real: each is run again, and says what the document says."""
import difflib
import re
import subprocess

import pytest

from athena_test import ROOT, client

DOCUMENTS = ["docs/sql.md", "docs/waits.md", "docs/schedules.md"]
PROMPT = re.compile(r"^shop([=\-'])> ", re.MULTILINE)
END = "---end of this command---"


def blocks(text):
    return re.findall(r"```psql\n(.*?)```", text, re.DOTALL)


def commands(block):
    """Each command as it was typed, prompts included."""
    found = []
    for line in block.splitlines():
        if line.startswith("shop=> "):
            found.append([line])
        elif re.match(r"shop[-'(]> ", line):
            found[-1].append(line)
    return ["\n".join(lines) for lines in found]


def normal(text):
    """What differs from run to run: worker ids, times, pids."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00", "TIME", text)
    text = re.sub(r"server process with PID \d+", "server process with PID N", text)
    return re.sub(r"[ -]+(?=\n)", "", re.sub(r" +\n", "\n", re.sub(r"-{5,}", "-----", text)))


class Psql:
    def __init__(self, database):
        self.process = subprocess.Popen(
            [client("psql"), "-X", "-q", database.url], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.answer("\\set SHOW_CONTEXT never\n\\set QUIET off\n\\set PROMPT1 ''\nSET search_path = pg_catalog;")

    def answer(self, command):
        """All that it prints for a command."""
        self.process.stdin.write(f"{command}\n\\echo {END}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != f"{END}\n":
            assert line, "psql has ended"
            lines.append(line)
        return "".join(lines)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


def run(database, block_texts):
    """The same blocks, with what psql says today."""
    psql, written = Psql(database), []
    for block in block_texts:
        text = ""
        for command in commands(block):
            text += command + "\n" + psql.answer(re.sub(r"^shop[=\-'(]> ", "", command, flags=re.MULTILINE))
        written.append(re.sub(r"\n{3,}", "\n\n", text.rstrip("\n") + "\n"))
    psql.close()
    return written


@pytest.fixture
def shop(cluster, database):
    database.close()
    with cluster.connect() as conn:
        conn.execute(f'ALTER DATABASE "{database.name}" SET timezone = UTC')
    return database


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_sessions_of_a_document(shop, document):
    texts = blocks((ROOT / document).read_text())
    assert len(texts) >= 4
    actual = run(shop, texts)
    for expected, found in zip(texts, actual):
        difference = "\n".join(difflib.unified_diff(normal(expected).splitlines(), normal(found).splitlines(),
                                                    document, "psql", lineterm=""))
        assert not difference, difference
