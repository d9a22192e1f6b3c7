# SPDX-License-Identifier: PostgreSQL
"""Secrets that every program under test is given, and that nothing may ever show.

They are the password of its database (where the server trusts everybody), that of a name for another
one, the key of callbacks and those of buckets. What programs print is searched when they end, pages when they
are read, processes that they have started while they are ended, logs of servers when they go, and
what was written into a database before it is dropped.
"""
import contextlib
import pathlib
import urllib.parse

import psycopg

CANARY = "canary-4f9c1d7e"
KEY = "ca9a5e4f" * 8  # of backups: hexadecimal
MARKS = (CANARY, KEY[:24])

# What programs write as text, and people read. Not payloads: those are the producer's own.
PATTERN = "canary.4f9c1d7e|(ca9a5e4f){3}"  # that a server logs this question is no leak
WRITTEN = f"""
SELECT 'event' AS place, e.job_id::text AS which FROM athena.events AS e WHERE e::text ~ '{PATTERN}'
UNION ALL SELECT 'failure', f.job_id::text FROM athena.failures AS f WHERE f::text ~ '{PATTERN}'
UNION ALL SELECT 'wait', w.job_id::text FROM athena.waits AS w WHERE w.error ~ '{PATTERN}'
UNION ALL SELECT 'progress', p.job_id::text FROM athena.progress AS p WHERE p::text ~ '{PATTERN}'
UNION ALL SELECT 'worker', w.id::text FROM athena.workers AS w WHERE w::text ~ '{PATTERN}'
UNION ALL SELECT 'backup', b.job_id::text FROM athena.backups AS b WHERE b::text ~ '{PATTERN}'
UNION ALL SELECT 'family', f.name FROM athena.families AS f WHERE f::text ~ '{PATTERN}'
"""


def with_password(url):
    """The URL of a throwaway database, with a canary as password unless it has one."""
    if not url.startswith("postgresql:///") or "password" in url:
        return url
    return url + ("&" if "?" in url else "?") + urllib.parse.urlencode({"password": f"{CANARY}-database"})


def sections():
    """Of a worker's config.yaml."""
    return {"postgres_clients": {"canary": f"postgresql://somebody:{CANARY}-client@nowhere.invalid/db"},
            "http": {"callback_secret": f"{CANARY}-callback"},
            "backup": {"s3": {"access_key_id": "known", "secret_access_key": f"{CANARY}-bucket",
                              "session_token": f"{CANARY}-session"}}}


def assert_not_in(text, whose):
    lines = [line for line in text.splitlines() if any(mark in line for mark in MARKS)]
    if lines:
        raise AssertionError(f"a secret is in the output of {whose}: {lines[:3]}")


def shown_by(pids, but):
    """Arguments of those processes that show a secret: in these, which anybody may read, or that of our
    database in the environment of what is no program of ours. `but` was given it there by the test."""
    for pid in pids:
        with contextlib.suppress(OSError):
            folder = pathlib.Path(f"/proc/{pid}")
            words = (folder / "cmdline").read_text(errors="replace")
            is_ours = pid == but or (folder / "exe").readlink().name.startswith("athena")
            environment = "" if is_ours else (folder / "environ").read_text(errors="replace")
            if any(mark in words for mark in MARKS) or f"{CANARY}-database" in environment:
                yield words.split("\0")


def assert_not_written(database):
    """Nothing to see where a test has removed the schema."""
    with contextlib.suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        rows = database.query(WRITTEN)
        assert not rows, f"a secret is in the database: {rows[:3]}"
