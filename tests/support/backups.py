# SPDX-License-Identifier: PostgreSQL
"""Backups under test: a directory to keep them in, the jobs, and what must not be left afterwards."""
import hashlib
import pathlib
import re

from athena_test import client
from canary import KEY
from workers import script

OTHER_KEY = "ffeeddccbbaa99887766554433221100" * 2


class Store:
    """A directory of backups; `env` is what a worker has to be told of it."""

    def __init__(self, directory, key=None):
        self.directory = pathlib.Path(directory)
        self.env = {"ATHENA_BACKUP_DIRECTORY": str(self.directory)}
        if key:
            self.env["ATHENA_BACKUP_KEY"] = key

    def objects(self):
        """Keys of what is complete."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*")
                      if path.is_file() and not path.name.startswith("."))

    def unfinished(self):
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob(".*"))

    def path(self, database, backup, kind="dump"):
        stem = database.value("SELECT stem FROM athena.backups WHERE job_id = %s", backup)
        return self.directory / f"{stem}.{kind}"

    def assert_holds(self, database):
        """What the catalog says is there and nothing else, byte for byte."""
        expected = []
        for row in database.query("SELECT * FROM athena.backups WHERE state = 'completed'"):
            expected += [f"{row['stem']}.{kind}" for kind in ("dump", "globals.sql", "manifest.json")]
            content = (self.directory / f"{row['stem']}.dump").read_bytes()
            assert len(content) == row["stored_bytes"]
            assert hashlib.sha256(content).hexdigest() == row["stored_sha256"]
        assert self.objects() == sorted(expected)
        assert self.unfinished() == []


def uncompressed_pg_dump(directory):
    """The path of a pg_dump whose dumps are as large as the database, as one of pictures would be."""
    script(directory, "pg_dumpall", f'exec {client("pg_dumpall")} "$@"\n')
    return script(directory, "pg_dump", f'exec {client("pg_dump")} "$@" -Z0\n')[0]


def peak_kb(worker):
    """The most that any executor of it has ever had in memory."""
    return max(int(re.search(r"^VmHWM:\s*(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])
               for pid in worker.children())


def quicken(database):
    database.query("UPDATE athena.families SET backoff_base = '50 ms' WHERE name = 'backup'")


def enqueue(database, kind, /, **payload):
    return database.enqueue("backup", payload, kind=kind)


def catalog(database, backup):
    (row,) = database.query("SELECT * FROM athena.backups WHERE job_id = %s", backup)
    return row
