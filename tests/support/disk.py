# SPDX-License-Identifier: PostgreSQL
"""A small disk that can be full: a tmpfs in a mount namespace of its own."""
import errno
import os
import pathlib
import subprocess
import tempfile

from athena_test import server_ids


class SmallDisk:
    """`folder` leads there from everywhere, through the process that keeps it mounted; when that ends,
    at the latest with the test run, nothing of it is left.
    """

    def __init__(self, megabytes):
        self._mounted_on = tempfile.mkdtemp(prefix="athena-disk-", dir="/tmp")
        ids = server_ids()
        become = [f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"] if ids else []
        namespace = ["--mount"] if ids else ["--map-current-user", "--keep-caps", "--mount"]
        script = 'mount -t tmpfs -o "size=$1m,mode=1777" athena "$2" && echo mounted && shift 2 && exec "$@"'
        self._keeper = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *namespace, "sh", "-c", script, "sh", str(megabytes),
             self._mounted_on, "setpriv", "--pdeathsig", "KILL", *become, "sleep", "infinity"],
            stdout=subprocess.PIPE, text=True)
        assert self._keeper.stdout.readline() == "mounted\n"
        self.folder = pathlib.Path(f"/proc/{self._keeper.pid}/root{self._mounted_on}")
        self._ballast = self.folder / "ballast"

    def fill(self):
        """To the last byte."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC, error

    def relieve(self):
        self._ballast.unlink(missing_ok=True)

    def remove(self):
        self._keeper.kill()
        self._keeper.wait()
        self._keeper.stdout.close()
        os.rmdir(self._mounted_on)
