# SPDX-License-Identifier: PostgreSQL
"""Sessions that wait for each other, and the statements of sql/statements as programs send them."""
import json
import re
import threading
import uuid

from athena_test import DEADLINE_S, ROOT, wait_until


def queue_options():
    """What src/db/conn.c sets on every connection to the queue, in libpq's `options`."""
    source = (ROOT / "src/db/conn.c").read_text()
    literals = re.search(r"queue_options\[\] =(.*?);", source, re.DOTALL)[1]
    return "".join(re.findall(r'"(.*?)"\s', literals + " ")).replace("\\\\", "\\")


def statement(name):
    """The text of sql/statements/<name>.sql for psycopg: $1 becomes %(p1)s."""
    lines = (ROOT / f"sql/statements/{name}.sql").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    return re.sub(r"\$(\d+)", r"%(p\1)s", text.replace("%", "%%"))


def run_statement(conn, name, *args):
    """Rows of a statement of sql/statements."""
    cursor = conn.execute(statement(name), {f"p{n}": arg for n, arg in enumerate(args, 1)})
    return cursor.fetchall() if cursor.description else []


class Background:
    """One statement in a thread of its own, on a connection that nothing else uses meanwhile.

    Its parameters by position, or a single dict of them by name.
    """

    def __init__(self, database, conn, sql, *args):
        self._database = database
        self._pid = conn.info.backend_pid
        self._rows = self._error = None
        self._sql = sql
        self._thread = threading.Thread(target=self._run, args=(conn, sql, args), daemon=True)
        self._thread.start()

    def _run(self, conn, sql, args):
        try:
            named = len(args) == 1 and isinstance(args[0], dict)
            cursor = conn.execute(sql, args[0] if named else args or None)
            self._rows = cursor.fetchall() if cursor.description else []
        except Exception as error:  # whatever it is, it is raised where it is waited for
            self._error = error

    def is_done(self):
        return not self._thread.is_alive()

    def wait_blocked(self, deadline_s=DEADLINE_S):
        """Waits until the server says that the statement waits for a lock."""
        wait_until(lambda: self.is_done() or self._database.value(
            "SELECT cardinality(pg_blocking_pids(%s)) > 0", self._pid), deadline_s,
            f"{self._sql} waits", every_s=0.002)
        assert not self.is_done(), f"did not wait: {self._sql}: {self._error or self._rows}"
        return self

    def result(self, deadline_s=DEADLINE_S):
        """Its rows, or its error raised."""
        self._thread.join(deadline_s)
        assert self.is_done(), f"still waits after {deadline_s} s: {self._sql}"
        if self._error:
            raise self._error
        return self._rows

    def value(self, deadline_s=DEADLINE_S):
        (row,) = self.result(deadline_s)
        (value,) = row.values()
        return value


class Worker:
    """A registered worker that claims and settles through sql/statements, as the C worker does."""

    def __init__(self, database, *families, conn=None):
        self.database = database
        self.conn = conn or database.connect(options=queue_options())
        self.id = self.conn.execute("SELECT athena.register_worker(%s) AS id",
                                    [list(families or ["noop"])]).fetchone()["id"]

    def claim(self, most=1, family="noop", lanes=range(10), after=None):
        """Rows of claim.sql or claim_limited.sql, sorted as the caller has to."""
        lanes = list(lanes)
        values = [family, self.id, most, lanes, after or [0] * len(lanes)]
        limited = self.conn.execute("SELECT FROM athena.families WHERE name = %s AND is_limited", [family]).fetchall()
        rows = (run_statement(self.conn, "claim_limited", *values, False) if limited
                else run_statement(self.conn, "claim", *values))
        return sorted(rows, key=lambda row: (row["priority"], row["ticket"]))

    def claim_chunked(self, most=1, family="noop", tickets=1000, lanes=range(10), after=None):
        """Rows of claim_chunked.sql: leases, each of so many `jobs`."""
        lanes = list(lanes)
        rows = run_statement(self.conn, "claim_chunked", family, self.id, most, lanes,
                             after or [0] * len(lanes), tickets)
        return sorted(rows, key=lambda row: (row["priority"], row["ticket"]))

    def settle_chunks(self, *rows):
        (answer,) = run_statement(self.conn, "settle_chunks", self.id, [row["ticket"] for row in rows])
        return answer

    def settle_chunk(self, row, **results):
        """{job id: row of its answer}; results by job id, as j7={"result": ..}."""
        results = json.dumps({name[1:]: result for name, result in results.items()})
        return {answer["job_id"]: answer for answer in
                run_statement(self.conn, "settle_chunk", self.id, row["ticket"], results)}

    def settle_succeeded(self, *rows):
        (answer,) = run_statement(self.conn, "settle_succeeded", self.id,
                                  [row["ticket"] for row in rows])
        return answer

    def settle(self, row, result, **named):
        """Row of athena.settle for a claimed row."""
        extra = "".join(f", {name} => %({name})s" for name in named)
        return self.conn.execute(
            "SELECT * FROM athena.settle(%(worker)s, %(job)s, %(ticket)s, %(result)s" + extra + ")",
            {"worker": self.id, "job": row["job_id"], "ticket": row["ticket"], "result": result,
             **named}).fetchone()

    def beat(self):
        return self.conn.execute("SELECT * FROM athena.heartbeat(%s)", [self.id]).fetchall()

    def is_silent_for(self, seconds):
        """Sets its heartbeat back."""
        self.database.query("UPDATE athena.workers SET heartbeat_at = now() - make_interval(secs => %s)"
                            " WHERE id = %s", seconds, self.id)


def place(database, job_id):
    """Every table that has a ticket or outcome of the job: by the law a list of one."""
    return database.column(
        "SELECT 'ready' FROM athena.ready WHERE job_id = %(id)s"
        " UNION ALL SELECT 'scheduled' FROM athena.scheduled WHERE job_id = %(id)s"
        " UNION ALL SELECT 'leases' FROM athena.leases WHERE job_id = %(id)s"
        " UNION ALL SELECT 'waiting' FROM athena.waiting WHERE job_id = %(id)s"
        " UNION ALL SELECT state::text FROM athena.outcomes WHERE job_id = %(id)s"
        " UNION ALL SELECT CASE p::text WHEN 'running' THEN 'leases' ELSE p::text END FROM athena.chunks AS c, athena.chunk_place(c) AS p"
        " WHERE c.jobs @> %(id)s::bigint AND lower(c.jobs) <> %(id)s".replace(
            "%(id)s", str(int(job_id))))


def depth(database):
    """{(family, state): jobs} as /metrics tells it."""
    return {(row["family"], row["state"]): row["jobs"]
            for row in database.query("SELECT * FROM athena.depth")}


COUNTED_DEPTH = (
    "SELECT family, state::athena.job_state, count(*) AS jobs FROM ("
    " SELECT family, 'ready' AS state FROM athena.ready"
    " UNION ALL SELECT family, 'scheduled' FROM athena.scheduled"
    " UNION ALL SELECT family, 'running' FROM athena.leases"
    " UNION ALL SELECT family, 'waiting' FROM athena.waiting"
    " UNION ALL SELECT family, state::text FROM athena.outcomes"
    " UNION ALL SELECT c.family, p::text FROM athena.chunks AS c, athena.chunk_place(c) AS p, athena.ids_of(c.jobs) AS m (id)"
    "  WHERE m.id <> lower(c.jobs)) AS t GROUP BY 1, 2")


def counted_depth(database):
    """The same, counted."""
    return {(row["family"], row["state"]): row["jobs"] for row in database.query(COUNTED_DEPTH)}


def assert_lawful(database):
    """The conservation law holds, and depth is exact: in one snapshot, for workers may go on meanwhile."""
    assert database.conservation() == []
    assert database.query(
        "SELECT family, state, told.jobs AS told, counted.jobs AS counted"
        f"  FROM athena.depth AS told FULL JOIN ({COUNTED_DEPTH}) AS counted USING (family, state)"
        " WHERE told.jobs IS DISTINCT FROM counted.jobs") == []


def somebody():
    """A worker id that nobody has."""
    return uuid.uuid4()


def small_leaves(database, ids):
    """Leaves of so many ids instead of 50 million, in a database that has no jobs yet."""
    leaves = database.column("SELECT oid::regclass::text FROM pg_class WHERE relispartition AND relkind = 'r'"
                             r" AND relnamespace = 'athena'::regnamespace AND relname ~ '^(jobs|outcomes)_\d'")
    database.query(f"DROP TABLE {', '.join(leaves)}")
    database.query("UPDATE athena.settings SET value = %s::text WHERE name = 'leaf_ids'", ids)
    maker = somebody()
    while database.value("SELECT athena.run_lane('leaves', %s)", maker):
        pass
    database.query("UPDATE athena.lanes SET last_by = NULL, last_at = NULL")
