# SPDX-License-Identifier: PostgreSQL
"""POST /callbacks/TOKEN: signed answers from outside, and everybody else's attempts."""
import hashlib
import hmac
import json

import pytest

from athena_test import wait_until
from pages import Pages
from sessions import Worker, assert_lawful, place

SECRET = "sixteen characters and more"


def sign(token, body, secret=SECRET):
    return "sha256=" + hmac.new(secret.encode(), f"{token}.".encode() + body, hashlib.sha256).hexdigest()


@pytest.fixture
def pages(database, workers):
    """Those of a worker that takes callbacks, once it can."""
    worker = workers.start("command", "--http=127.0.0.1:0", env={"ATHENA_HTTP_CALLBACK_SECRET": SECRET})
    pages = Pages.of(worker)
    wait_until(lambda: post(pages, "x").status == 404, 20)
    assert SECRET not in worker.stderr()
    return pages


def post(pages, token, body=b"", path="", signature=None, method="POST"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if signature == "" else {"X-Athena-Signature": signature or sign(token, body)}
    return pages.get(f"/callbacks/{token}{path}", method=method, body=body, headers=headers)


@pytest.fixture
def parked(database):
    """parked() makes a job that waits: its id, the worker that had it, and its token."""
    def parked():
        worker = Worker(database)
        job = database.enqueue("noop")
        (row,) = worker.claim()
        token = worker.conn.execute("SELECT athena.open_wait(%s, %s, %s) AS t", [worker.id, job, row["ticket"]]).fetchone()["t"]
        worker.settle(row, "parked", retry_in="1 h")
        return job, worker, token
    return parked


def told(reply):
    return reply.status, json.loads(reply.text)


def test_an_answer_and_its_repetition(database, pages, parked):
    job, worker, token = parked()
    reply = post(pages, token, {"paid": "ünï"})
    assert told(reply) == (200, {"answer": "accepted", "state": "completed"})
    assert reply.headers["Content-Type"] == "application/json"
    assert told(post(pages, token, {"paid": 2})) == (200, {"answer": "already", "state": "completed"})
    assert told(post(pages, token, {"error": "no"}, "/fail")) == (410, {"answer": "refused", "state": "completed"})
    (row,) = worker.claim()
    assert (row["job_id"], row["answers"]) == (job, {"": {"paid": "ünï"}})
    assert_lawful(database)


def test_a_failure(database, pages, parked):
    job, _, token = parked()
    assert told(post(pages, token, {"error": "card refused", "permanent": True}, "/fail")) == (
        200, {"answer": "accepted", "state": "failed"})
    assert database.job(job)["error"] == "card refused"
    assert place(database, job) == ["dead"]
    assert told(post(pages, token)) == (410, {"answer": "refused", "state": "failed"})
    assert_lawful(database)


@pytest.mark.parametrize("body, answer", [(b"", {}), (b"null", None), (b"[1]", [1]), (b" 12.5 ", 12.5), (b'"x"', "x")])
def test_any_json_is_an_answer(pages, parked, body, answer):
    _, worker, token = parked()
    assert post(pages, token, body).status == 200
    assert worker.claim()[0]["answers"] == {"": answer}


@pytest.mark.parametrize("body, path", [
    (b"{", ""), (b"paid=1", ""), (b"\xff", ""), (b'"a\\u0000b"', ""), (b'"' + b"x" * 65536 + b'"', ""),
    (b"", "/fail"), (b"{}", "/fail"), (b'{"error": 1}', "/fail"), (b'{"error": "x", "permanent": "yes"}', "/fail"), (b"[]", "/fail")])
def test_bad_bodies_change_nothing(database, pages, parked, body, path):
    job, _, token = parked()
    status, reply = told(post(pages, token, body, path))
    assert (status, list(reply)) == (400, ["error"])
    assert place(database, job) == ["waiting"]


def test_a_body_that_is_too_long(database, pages, parked):
    job, _, token = parked()
    assert post(pages, token, b'"' + b"x" * 200_000 + b'"').status == 413
    assert place(database, job) == ["waiting"]


FORGERIES = {
    "none": lambda token: "",
    "nothing behind the prefix": lambda token: "sha256=",
    "zeros": lambda token: "sha256=" + "0" * 64,
    "no prefix": lambda token: sign(token, b"{}")[7:],
    "upper case": lambda token: sign(token, b"{}").upper(),
    "another token": lambda token: sign("another", b"{}"),
    "another body": lambda token: sign(token, b'{"x": 1}'),
    "another secret": lambda token: sign(token, b"{}", "another secret of mine"),
    "too much": lambda token: sign(token, b"{}") + "0",
}


def test_who_cannot_sign_cannot_answer(database, pages, parked):
    job, _, token = parked()
    for name, forge in FORGERIES.items():
        assert post(pages, token, b"{}", signature=forge(token)).status == 401, name
    assert place(database, job) == ["waiting"]
    assert post(pages, token, b"{}").status == 200


def test_other_methods_and_paths(database, pages, parked):
    job, _, token = parked()
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        reply = post(pages, token, method=method)
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    for path in ("/", "/retry", "/fail/", "/fail/fail"):
        assert post(pages, token, path=path).status == 404
    assert post(pages, "").status == 404
    assert post(pages, "x" * 43).status == 404
    assert place(database, job) == ["waiting"]


def test_without_a_secret_there_is_no_such_page(workers, database):
    pages = Pages.of(workers.start("noop", "--http=127.0.0.1:0", secrets={}))
    assert post(pages, "x", b"{}").status == 404


def test_a_short_secret_is_refused(run):
    done = run("athena-worker", "--family=noop", "--http=:0", env={"ATHENA_HTTP_CALLBACK_SECRET": "short"}, status=2)
    assert "http.callback_secret must have at least 16 characters" in done.stderr


def test_while_postgres_is_away_it_says_so(own_cluster, programs, tmp_path):
    from workers import Workers
    database = own_cluster.migrated_database()
    worker = Workers(programs, database.url, tmp_path).start(
        "noop", "--http=127.0.0.1:0", env={"ATHENA_HTTP_CALLBACK_SECRET": SECRET})
    pages = Pages.of(worker)
    wait_until(lambda: post(pages, "x").status == 404, 20)
    database.close()
    own_cluster.stop()
    wait_until(lambda: post(pages, "x").status == 503, 20)
    own_cluster.start()
    wait_until(lambda: post(pages, "x").status == 404, 30)
    database.close()
    assert worker.terminate() == 0
