# SPDX-License-Identifier: PostgreSQL
"""The ledger of executions (src/base/fault.h), and the accounts that have to balance with it."""
import collections
import pathlib
import re
import time

from athena_test import wait_until

# One time that a handler ran: `beside` is the pid of a living execution of the same job that it met;
# `how` it ended is ok, parked or failed, and None when it did not get that far.
Execution = collections.namedtuple("Execution", "job ticket attempt pid began_at beside how")

# What a whole run has seen, printed at its end.
TOTALS = dict.fromkeys(("faults injected", "jobs accounted", "executions", "lost", "unexplained duplicates"), 0)

LOCK_CLASSES = (1635018852, 1635018853, 1635018855)  # migrations, limited families, lanes


class Ledger:
    """A folder that executions write to; ask once nothing runs any more."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def lines(self):
        path = self.directory / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def executions(self):
        """In the order in which they began; times as time.time() has them."""
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        ends = {}
        for line in self.lines():
            if line.startswith("end "):
                _, job, ticket, how, _, pid = line.split()
                ends.setdefault((int(job), int(ticket), int(pid)), []).append(how)
        found = []
        for line in self.lines():
            if line.startswith("begin "):
                _, job, ticket, attempt, began, pid, *rest = line.split()
                end = ends.get((int(job), int(ticket), int(pid)), [])
                found.append(Execution(int(job), int(ticket), int(attempt), int(pid), boot + int(began) / 1e9,
                                       int(rest[2]) if rest else None, end.pop(0) if end else None))
        return found


def one_outcome_each(accounts):
    """Every committed job has ended, once."""
    for row in accounts.outcomes_of_jobs:
        if row["outcomes"] != 1:
            yield f"job {row['id']} has {row['outcomes']} outcomes"


def success_is_in_the_ledger(accounts):
    """A job that succeeded was executed to its end, under the ticket that its outcome names."""
    done = accounts.tickets_that_ended("ok")
    for row in accounts.outcomes:
        if row["state"] == "succeeded" and (row["job_id"], row["ticket"]) not in done:
            yield f"job {row['job_id']} succeeded by ticket {row['ticket']}, which never ran to its end"


def parking_is_in_the_ledger(accounts):
    """A job that was parked had asked for it, under the ticket that its wait names."""
    for job, ticket in accounts.parked - accounts.tickets_that_ended("parked"):
        yield f"job {job} was parked by ticket {ticket}, which never asked for that"


def a_ticket_runs_once(accounts):
    """Whoever runs again, runs under another number."""
    runs = collections.Counter((run.job, run.ticket) for run in accounts.executions)
    for (job, ticket), count in runs.items():
        if count > 1:
            yield f"ticket {ticket} of job {job} was executed {count} times"


def executions_are_recorded(accounts):
    """What ran is an outcome, a failure, was parked, or was handed back uncounted, which a worker has logged."""
    recorded = {(row["job_id"], row["ticket"]) for row in accounts.outcomes + accounts.failures} | accounts.parked
    for run in accounts.executions:
        if (run.job, run.ticket) not in recorded and (run.job, run.ticket) not in accounts.handed_back:
            yield f"ticket {run.ticket} of job {run.job} was executed, and no attempt is recorded"


def attempts_are_numbered(accounts):
    """Attempts count up from 1, one for each failure; the last one ends the job."""
    failed = collections.Counter(row["job_id"] for row in accounts.failures)
    for row in accounts.outcomes:
        if row["job_id"] in accounts.retried:
            continue
        wanted = failed[row["job_id"]] + (row["state"] == "succeeded")
        if row["state"] != "cancelled" and row["attempt"] != wanted:
            yield f"job {row['job_id']} {row['state']} at attempt {row['attempt']}, with {failed[row['job_id']]} failures"


def reports_come_from_executions(accounts):
    """An attempt that failed by itself has run; only one that crashed or was lost may not have."""
    ran = {(run.job, run.ticket) for run in accounts.executions}
    for row in accounts.failures:
        if row["kind"] in ("transient", "permanent", "timeout") and (row["job_id"], row["ticket"]) not in ran:
            yield f"ticket {row['ticket']} of job {row['job_id']} failed ({row['error']}), and never ran"


def nobody_ran_beside_another(accounts):
    """No execution began while another one of the same job was alive."""
    for run in accounts.executions:
        if run.beside:
            yield f"job {run.job}: ticket {run.ticket} began while process {run.beside} was still executing it"


def nobody_begins_without_a_lease(accounts):
    """No execution began after its ticket had been taken away."""
    taken = {(row["job_id"], row["ticket"]): row["at"].timestamp() for row in accounts.failures
             if row["kind"] in ("lost", "overdue")}
    for run in accounts.executions:
        late_s = run.began_at - taken.get((run.job, run.ticket), run.began_at)
        if late_s > 0:
            yield f"ticket {run.ticket} of job {run.job} began {late_s:.3f} s after its lease was taken away"


def the_law_holds(accounts):
    """Each job is in one place; the counters say the same as the tables."""
    for row in accounts.offenders:
        yield f"conservation: {row}"
    if accounts.counted != accounts.depth:
        yield f"depth says {accounts.depth}, counted are {accounts.counted}"


RULES = [one_outcome_each, success_is_in_the_ledger, parking_is_in_the_ledger, a_ticket_runs_once, executions_are_recorded,
         attempts_are_numbered, reports_come_from_executions, nobody_ran_beside_another,
         nobody_begins_without_a_lease, the_law_holds]


class Accounts:
    """What database, ledger and logs say. `retried` are jobs that somebody made ready again; `schema`
    is where to read jobs, outcomes and failures, should they have been pruned in the schema athena."""

    def __init__(self, database, ledger, workers=(), retried=(), schema="athena"):
        from sessions import counted_depth, depth
        self.executions = ledger.executions()
        self.retried = set(retried)
        outcomes = "athena.finished" if schema == "athena" else f"{schema}.outcomes"
        self.outcomes = database.query(f"SELECT * FROM {outcomes}")
        self.failures = database.query(f"SELECT * FROM {schema}.failures")
        self.outcomes_of_jobs = database.query(
            f"SELECT j.id, count(o.job_id) AS outcomes FROM {schema}.jobs AS j"
            f" LEFT JOIN {outcomes} AS o ON o.job_id = j.id GROUP BY j.id")
        self.parked = {(row["job_id"], row["ticket"]) for row in database.query(
            "SELECT job_id, ticket FROM athena.waits WHERE parked_at IS NOT NULL")}
        self.offenders = database.conservation()
        self.depth, self.counted = depth(database), counted_depth(database)
        self.handed_back = set()
        for worker in workers:
            for job, ticket in re.findall(
                    r"job_settled job=(\d+) ticket=(\d+) .*result=returned answer=(?:settled|already)", worker.stderr()):
                self.handed_back.add((int(job), int(ticket)))

    def tickets_that_ended(self, how):
        return {(run.job, run.ticket) for run in self.executions if run.how == how}

    def findings(self):
        return [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(self)]

    def totals(self):
        """Lost: what was promised and not done. Unexplained: executed, and nothing says why again."""
        found = collections.Counter(finding.split(":")[0] for finding in self.findings())
        return {"jobs accounted": len(self.outcomes_of_jobs), "executions": len(self.executions),
                "lost": found["one_outcome_each"] + found["success_is_in_the_ledger"],
                "unexplained duplicates": found["a_ticket_runs_once"] + found["executions_are_recorded"]
                + found["nobody_ran_beside_another"] + found["nobody_begins_without_a_lease"]}

    def summary(self):
        states = collections.Counter(row["state"] for row in self.outcomes)
        return (f"{len(self.outcomes_of_jobs)} jobs ({', '.join(f'{n} {state}' for state, n in sorted(states.items()))}),"
                f" {len(self.executions)} executions, {len(self.failures)} failed attempts,"
                f" {len(self.handed_back)} handed back, {len(self.parked)} parked")


def wait_drained(database, deadline_s=30.0):
    """Until every job has an outcome."""
    wait_until(lambda: database.value(
        "SELECT count(*) FROM athena.jobs AS j WHERE NOT EXISTS"
        " (SELECT FROM athena.finished AS o WHERE o.job_id = j.id)") == 0, deadline_s, "every job has ended", every_s=0.05)


def left_behind(database, programs):
    """Processes, sessions, rows, databases and locks that outlived their reason; programs have ended."""
    left = [f"process {pid} of {program.name}" for program in programs for pid in program.session_pids()]
    left += database.column("SELECT format('session %s %s', pid, application_name) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND application_name LIKE 'athena%'")
    left += database.column("SELECT 'database ' || datname FROM pg_database WHERE datname LIKE 'athena\\_stg\\_%'")
    left += database.column("SELECT format('lock %%s %%s', classid, objid) FROM pg_locks WHERE locktype = 'advisory'"
                            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                            " AND classid = ANY (%s)", list(LOCK_CLASSES))
    for table in ("leases", "ready", "scheduled", "waiting", "cancel_requests", "sleepers", "uniques", "workers"):
        left += [f"{table}: {row}" for row in database.query(f"SELECT * FROM athena.{table}")]
    return left


def settle_accounts(database, ledger, programs, retried=(), schema="athena"):
    """All has drained and every program was ended: nothing is left, and the accounts balance."""
    wait_until(lambda: not left_behind(database, programs), 10, f"nothing is left, but {left_behind(database, programs)}")
    accounts = Accounts(database, ledger, programs, retried, schema)
    for name, count in accounts.totals().items():
        TOTALS[name] += count
    assert accounts.findings() == [], accounts.summary()
    print(accounts.summary())
    return accounts
