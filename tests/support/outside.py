# SPDX-License-Identifier: PostgreSQL
"""Somebody outside, who answers what jobs wait for: once if he is heard, else again."""
import hashlib
import hmac
import http.client
import json
import pathlib
import threading
import time

from pages import Pages
from workers import script

SECRET = "known to those who answer"

# A command for a family with `wait_timeout`: it hands its token out and parks; with an answer it notes that.
ASK = """
if [ "${ATHENA_JOB_ANSWER+set}" ]; then echo "$ATHENA_JOB_ID $ATHENA_JOB_ANSWER" >>heard; exit 0; fi
echo "$ATHENA_JOB_ID $ATHENA_JOB_TICKET $ATHENA_JOB_TOKEN" >>asked
exit 100
"""


def asking(directory):
    """A family, as config.yaml has it, whose jobs ask whoever reads that folder."""
    return {"run": "command", "command": script(directory, "ask", f"cd {directory}\n{ASK}"), "wait_timeout": "1h", "lease": "6s"}


def signature(token, body):
    return "sha256=" + hmac.new(SECRET.encode(), f"{token}.".encode() + body, hashlib.sha256).hexdigest()


class Outside(threading.Thread):
    """Reads tokens in a folder, and answers each of them until somebody has heard.

    By HTTP, to any of programs() that have pages, or else by SQL. When `refuses`, each job is once
    answered with a failure.
    """

    def __init__(self, directory, database, programs=None, refuses=False):
        super().__init__(daemon=True)
        self.directory = pathlib.Path(directory)
        self.conn = database.connect()
        self.programs = programs
        self.refuses = refuses
        self.told = {}  # (job, ticket): what the first reply said
        self.error = None
        self.is_over = threading.Event()

    def lines(self, name):
        """Whole ones: the last may be in the middle of being written."""
        path = self.directory / name
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def run(self):
        try:
            while not self.is_over.is_set():
                for line in self.lines("asked"):
                    self.answer(*line.split())
                time.sleep(0.01)
        except BaseException as error:
            self.error = error

    def of_state(self, state):
        """Jobs with a wait that has ended so, as we were told."""
        return {job for (job, _), answer in self.told.items() if answer["state"] == state}

    def answer(self, job, ticket, token):
        key = (int(job), int(ticket))
        if key in self.told or self.is_over.is_set():
            return
        is_refusal = self.refuses and key[0] not in self.of_state("failed")
        answer = self.post(token, is_refusal, key[0]) if self.programs is not None else self.call(token, is_refusal, key[0])
        if answer:
            assert answer["state"] != "unknown", f"token of ticket {ticket} of job {job}, which was handed out"
            self.told[key] = answer

    def call(self, token, is_refusal, job):
        if is_refusal:
            return self.conn.execute("SELECT * FROM athena.fail_wait(%s, 'refused')", [token]).fetchone()
        return self.conn.execute("SELECT * FROM athena.complete_wait(%s, %s)", [token, json.dumps({"to": job})]).fetchone()

    def post(self, token, is_refusal, job):
        body = json.dumps({"error": "refused"} if is_refusal else {"to": job}).encode()
        for program in reversed(self.programs()):
            try:
                reply = Pages.of(program, timeout_s=1).get(
                    f"/callbacks/{token}{'/fail' if is_refusal else ''}", method="POST", body=body,
                    headers={"X-Athena-Signature": signature(token, body)})
            except (OSError, http.client.HTTPException):
                continue  # it is dead, or stopped: the next one, or the next time
            if reply.status != 503:
                assert reply.status in (200, 404, 410), reply.text
                return json.loads(reply.text)
        return None

    def stop(self):
        """Once every job has ended: whatever was accepted is known, and was heard by the job that it was for."""
        self.is_over.set()
        self.join()
        if self.error:
            raise self.error
        waits = {(row["job_id"], row["ticket"]): row for row in self.conn.execute("SELECT * FROM athena.waits")}
        for key, answer in self.told.items():
            if answer["answer"] != "refused":
                assert waits[key]["state"] == answer["state"], f"{key}: {answer}, but {waits[key]}"
        heard = [line.split(" ", 1) for line in self.lines("heard")]
        assert [line for line in heard if json.loads(line[1]) != {"to": int(line[0])}] == []
        assert self.of_state("completed") <= {int(job) for job, _ in heard}, "an answer that was accepted was lost"
        self.conn.close()
