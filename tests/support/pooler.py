# SPDX-License-Identifier: PostgreSQL
"""PgBouncer in front of a cluster, in transaction mode unless told otherwise: a session is a client's for one transaction."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse

from athena_test import client, connect, server_ids, wait_until

PGBOUNCER = "/usr/sbin/pgbouncer"
SESSIONS = 2  # of each database; clients have to share them

# What a stranger would meet in a session of the pool. PgBouncer keeps the named settings per client.
LEFT = """
SELECT (SELECT array_agg(p.name) FROM pg_prepared_statements AS p WHERE p.name <> '') AS prepared,
       (SELECT array_agg(c) FROM pg_listening_channels() AS c) AS channels,
       (SELECT array_agg(s.name ORDER BY s.name) FROM pg_settings AS s WHERE s.source = 'session'
	 AND s.name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')) AS settings,
       (SELECT array_agg(l.classid) FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()) AS locks
"""


class Pooler:
    port = 6432

    def __init__(self, cluster, **settings):
        settings = {"pool_mode": "transaction", **settings}
        self.cluster = cluster
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="athena-pool-", dir="/tmp"))
        self.directory.chmod(0o755)
        log, conf = self.directory / "log", self.directory / "pgbouncer.ini"
        conf.write_text(
            f"[databases]\n* = host={cluster.host} port={cluster.port} user={cluster.user}\n"
            f"[pgbouncer]\nunix_socket_dir = {self.directory}\nlisten_port = {self.port}\nlogfile = {log}\n"
            f"auth_type = any\ndefault_pool_size = {SESSIONS}\nmax_client_conn = 100\n"
            + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if ids := server_ids():
            os.chown(self.directory, *ids)
            prefix += [f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"]
        self.process = subprocess.Popen([*prefix, PGBOUNCER, "-q", conf], cwd=self.directory)
        wait_until(lambda: self.process.poll() is not None or self._answers(), what="pgbouncer answers")
        assert self.process.poll() is None, log.read_text()

    def _answers(self):
        return subprocess.run([client("pg_isready"), "-q", "-h", self.directory, "-p", str(self.port)]).returncode == 0

    def url(self, database):
        query = {"host": self.directory, "port": self.port, "user": self.cluster.user}
        return f"postgresql:///{urllib.parse.quote(database)}?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)

    def remove(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)

    def left_behind(self, database):
        """Of all sessions of the database's pool, what a stranger would meet: nothing, or each is a row."""
        conns = [connect(self.url(database.name), autocommit=False, prepare_threshold=None) for _ in range(SESSIONS)]
        try:
            rows = [conn.execute(LEFT).fetchone() for conn in conns]
        finally:
            for conn in conns:
                conn.close()
        return [row for row in rows if any(row.values())]
