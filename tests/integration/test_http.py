# SPDX-License-Identifier: PostgreSQL
"""The pages of --http: health, readiness, and who may not harm them. What /metrics says: test_metrics.py."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import socket
import time

import pytest

from athena_test import DEADLINE_S, wait_until
from pages import Pages
from workers import resume, stop

QUICK_S = 8  # a page is there within a second, whatever Postgres does; the rest is for the machine


@pytest.fixture
def serve(workers):
    """Starts a worker with --http and returns it with its pages."""
    def serve(family="noop", *args, address=":0", **options):
        worker = workers.start(family, f"--http={address}", *args, **options)
        return worker, Pages.of(worker)
    return serve


def refused(run, address):
    """The status and first line of a worker that cannot listen there."""
    done = run("athena-worker", "--family=noop", f"--http={address}", status=None, timeout_s=20)
    return done.returncode, done.stderr


# --- What each page says

def test_ping_and_healthz(database, serve):
    _worker, pages = serve()
    ping = pages.get("/ping")
    assert (ping.status, ping.text) == (200, "pong")
    assert ping.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert ping.headers["Cache-Control"] == "no-store"
    health = pages.get("/healthz")
    assert (health.status, health.text) == (200, "ok\n")


def test_a_worker_is_ready_when_it_claims(database, serve):
    _worker, pages = serve()
    wait_until(pages.is_ready)
    ready = pages.get("/readyz")
    assert (ready.status, ready.text) == (200, "ready\n")


def test_head_is_get_without_the_text(database, serve):
    _worker, pages = serve()
    head = pages.get("/metrics", method="HEAD")
    assert (head.status, head.text) == (200, "")
    assert int(head.headers["Content-Length"]) > 1000
    assert head.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("program, args", [
    ("athena-daemon", ()), ("athena", ("maintenance", "run"))], ids=["daemon", "maintenance"])
def test_every_long_running_program_serves_them(database, spawn, program, args):
    started = spawn(program, *args, "--http=:0")
    pages = Pages.of(started)
    wait_until(pages.is_ready)
    assert pages.get("/ping").text == "pong"
    assert pages.get("/metrics").status == 200
    assert started.terminate() == 0


# --- Without Postgres, or with the wrong one

def test_without_a_database_it_is_healthy_but_not_ready(serve, tmp_path):
    """A supervisor that asks /healthz must not kill workers in an outage."""
    url = f"postgresql:///nowhere?host={tmp_path}"
    _worker, pages = serve(url=url, until=None)
    for page in ("/healthz", "/readyz", "/metrics"):
        assert pages.get(page).took_s < QUICK_S
    assert pages.get("/healthz").status == 200
    wait_until(lambda: "No such file or directory" in pages.get("/readyz").text)
    ready = pages.get("/readyz")
    assert ready.status == 503
    assert ready.text.startswith("no connection to Postgres: ")
    metrics = pages.metrics()
    assert metrics["athena_up"] == 0
    assert metrics["athena_listener_connected"] == 0
    assert metrics["athena_jobs_claimed_total", "noop"] == 0
    assert metrics.of("athena_queue_depth") == {}


def test_without_a_schema_it_is_not_ready(empty_database, serve, run):
    _worker, pages = serve(url=empty_database.url, until=None)
    wait_until(lambda: "athena" in pages.get("/readyz").text)
    assert pages.get("/readyz").status == 503
    assert pages.get("/healthz").status == 200
    run("athena", "migrate", url=empty_database.url)
    wait_until(pages.is_ready)


def test_a_schema_of_the_future_is_not_ready(database, serve):
    _worker, pages = serve()
    wait_until(pages.is_ready)
    database.query("INSERT INTO athena.migrations VALUES (9999, 'future', 'x', '99.0.0', '99.0.0')")
    future = r"this database has migration 9999_future, which needs athena >= 99\.0\.0; .*\n"
    wait_until(lambda: re.fullmatch(future, pages.get("/readyz").text))
    assert not pages.is_ready()
    database.query("DELETE FROM athena.migrations WHERE number = 9999")
    wait_until(pages.is_ready)


def test_claims_that_fail_are_told(database, serve):
    _worker, pages = serve()
    wait_until(pages.is_ready)
    database.query("""CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
                      $$ BEGIN RAISE EXCEPTION 'no leases today'; END $$;
                      CREATE TRIGGER refuse BEFORE INSERT ON athena.leases EXECUTE FUNCTION public.refuse()""")
    job = database.enqueue("noop")
    wait_until(lambda: pages.get("/readyz").text == "noop: claims fail: no leases today\n")
    database.query("DROP TRIGGER refuse ON athena.leases")
    database.wait_for_state(job, "succeeded")
    wait_until(pages.is_ready)


def test_a_paused_family_is_no_trouble(database, serve):
    _worker, pages = serve()
    database.query("SELECT athena.pause('noop')")
    database.enqueue("noop")
    wait_until(pages.is_ready)


def test_while_draining_it_is_not_ready_but_tells(database, serve):
    worker, pages = serve()
    job = database.enqueue("noop", {"sleep_ms": 60000})
    database.wait_for_state(job, "running")
    worker.signal(signal.SIGTERM)
    worker.wait_log("draining")
    ready = pages.get("/readyz")
    assert (ready.status, ready.text) == (503, "draining\n")
    assert pages.get("/healthz").status == 200
    wait_until(lambda: pages.metrics().get("athena_queue_depth", "noop", "running") == 1)
    database.query("SELECT athena.cancel(%s)", job)
    assert worker.wait() == 0
    assert database.job(job)["state"] == "cancelled"


def test_a_server_that_is_away_delays_nobody(own_cluster, serve):
    database = own_cluster.migrated_database()
    _worker, pages = serve(url=database.url)
    wait_until(pages.is_ready)
    assert pages.metrics()["athena_up"] == 1
    own_cluster.stop("immediate")
    wait_until(lambda: pages.metrics()["athena_up"] == 0)
    for page, status in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
        reply = pages.get(page)
        assert reply.status == status and reply.took_s < QUICK_S
    own_cluster.start()
    wait_until(pages.is_ready)
    assert pages.metrics()["athena_up"] == 1


def http_backend(database):
    return wait_until(lambda: database.value(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'athena http' AND datname = current_database()"))


def test_a_server_that_hangs_delays_nobody(database, serve):
    """Postgres is there, and does not answer: the kernel knows nothing of it."""
    worker, pages = serve()
    wait_until(pages.is_ready)
    backend = http_backend(database)
    stop(backend)
    try:
        wait_until(lambda: pages.metrics()["athena_up"] == 0)
        reply = pages.get("/metrics")
        assert reply.took_s < QUICK_S
        assert "athena_queue_depth" not in reply.text
        ready = pages.get("/readyz")
        assert (ready.status, ready.text) == (503, "no answer from Postgres: not in time\n")
        with concurrent.futures.ThreadPoolExecutor(20) as pool:  # all at once, each within its second
            assert max(pool.map(lambda _: pages.get("/metrics").took_s, range(20))) < QUICK_S
        job = database.enqueue("noop")  # on it goes meanwhile
        database.wait_for_state(job, "succeeded")
    finally:
        resume(backend)
    wait_until(lambda: pages.metrics()["athena_up"] == 1)
    assert worker.terminate() == 0


def test_who_leaves_before_the_answer_does_no_harm(database, serve):
    worker, pages = serve()
    wait_until(pages.is_ready)
    backend = http_backend(database)
    stop(backend)
    try:
        for _ in range(20):
            client = pages.socket()
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            client.close()
        assert pages.get("/metrics").status == 200
    finally:
        resume(backend)
    wait_until(pages.is_ready)
    stop(backend)  # and a program that ends while they wait
    try:
        client = pages.socket()
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    finally:
        resume(backend)


def test_questions_do_not_wait_for_locks(database, serve):
    _worker, pages = serve()
    wait_until(pages.is_ready)
    with database.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE athena.totals IN ACCESS EXCLUSIVE MODE")

        def others_are_answered():
            metrics = pages.metrics()
            return (metrics["athena_up"] == 0 and metrics.get("athena_queue_depth", "noop", "ready") == 0
                    and metrics.of("athena_jobs_rescued_total") == {})
        wait_until(others_are_answered)
        conn.rollback()
    wait_until(lambda: pages.metrics()["athena_up"] == 1)


# --- Requests that are none

def test_unknown_pages(database, serve):
    _worker, pages = serve()
    for path in ("/", "/metrics/", "/metricsx", "/../metrics", "/%2e%2e/metrics", "/" + "a" * 3000):
        reply = pages.get(path)
        assert (reply.status, reply.text) == (404, "no such page\n"), path


def test_a_query_does_not_matter(database, serve):
    _worker, pages = serve()
    assert pages.get("/ping?a=b&c").text == "pong"


def test_wrong_methods(database, serve):
    _worker, pages = serve()
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "BREW"):
        for page in ("/ping", "/metrics", "/readyz"):
            reply = pages.get(page, method=method)
            assert reply.status == 405, method
            assert reply.headers["Allow"] == "GET, HEAD"


def test_a_body_is_not_wanted(database, serve):
    _worker, pages = serve()
    for head, status in ((b"GET /metrics HTTP/1.1\r\nContent-Length: 10000000", 413),
                         (b"GET /ping HTTP/1.1\r\nTransfer-Encoding: chunked", 413),
                         (b"POST /nothing HTTP/1.1\r\nContent-Length: 10000000", 404)):
        with contextlib.closing(pages.socket()) as client:
            client.sendall(head + b"\r\nHost: a\r\n\r\n5\r\nhello\r\n")
            assert read_all(client).startswith(b"HTTP/1.1 %d " % status), "and it closes"


def read_all(client, silence_s=15):
    """Everything until the other side closes, or says nothing for so long."""
    client.settimeout(silence_s)
    data = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while more := client.recv(65536):
            data += more
    return data


NONSENSE = [
    b"\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET /ping\r\n\r\n", b"GET /ping FTP/1.0\r\n\r\n",
    b"GET /ping HTTP/9.9\r\nHost: a\r\n\r\n", b"GET /ping HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00" + b"a" * 300,
    b"GET /ping HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 40 + b"\r\n\r\n",
    b"GET /ping HTTP/1.1\r\n: no name\r\n\r\n", b"GET http://[/ping HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", b"GET " + b"/ping " * 200 + b"HTTP/1.1\r\n\r\n",
    b"GET /%00/%zz/%e2%28%a1 HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]


def test_nonsense_harms_nobody(database, serve):
    worker, pages = serve()
    for nonsense in NONSENSE:
        for length in (len(nonsense), len(nonsense) // 2):
            with contextlib.closing(pages.socket()) as client:
                client.sendall(nonsense[:length])
                answer = read_all(client, silence_s=0.1)
            assert re.match(rb"(HTTP/1\.[01] [2345]\d\d |$)", answer), nonsense
        assert pages.get("/ping").text == "pong", nonsense
    assert worker.terminate() == 0


def test_headers_have_a_limit(database, serve):
    _worker, pages = serve()
    fine = pages.get("/ping", headers={"X-Long": "a" * 8000})
    assert fine.status == 200
    assert pages.get("/ping", headers={"X-Long": "a" * 40000}).status in (413, 431)
    assert pages.get("/ping", headers={f"X-{n}": "a" * 100 for n in range(90)}).status in (200, 431)
    assert pages.get("/ping?" + "a" * 40000).status == 414


def test_one_connection_for_many_requests(database, serve):
    _worker, pages = serve()
    wait_until(pages.is_ready)
    connection = pages.connect()
    connection.auto_open = False
    connection.connect()
    for _ in range(3):
        for page in ("/ping", "/metrics", "/nothing", "/readyz"):
            connection.request("GET", page)
            answer = connection.getresponse()
            assert answer.status == (404 if page == "/nothing" else 200)
            answer.read()
    connection.close()
    with contextlib.closing(pages.socket()) as client:  # and before the answers
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 3
                       + b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200 OK") == 4 and answer.endswith(b"pong")


# --- Clients that take their time

def test_connections_that_say_nothing_keep_nobody_out(database, serve):
    """More than there is room for: the ones that have waited longest go."""
    worker, pages = serve()
    wait_until(pages.is_ready)
    idle = [pages.socket() for _ in range(300)]
    for _ in range(5):
        reply = pages.get("/metrics")
        assert reply.status == 200 and reply.took_s < QUICK_S
    open_now = len(list(pathlib.Path(f"/proc/{worker.pid}/fd").iterdir()))
    assert open_now < 150, open_now
    for client in idle:
        client.close()


def test_clients_that_trickle_are_dropped(database, serve):
    """A byte now and then is never idle, and never done."""
    _worker, pages = serve()
    began = time.monotonic()
    clients = [pages.socket() for _ in range(20)]
    text = b"GET /metrics HTTP/1.1\r\nX-Slow: "
    dropped = 0
    while dropped < len(clients) and time.monotonic() - began < DEADLINE_S:
        for n, client in enumerate(clients):
            if client is None:
                continue
            try:
                client.sendall(text[:1] or b"a")
            except OSError:
                clients[n] = None
                dropped += 1
        text = text[1:]
        assert pages.get("/ping").took_s < QUICK_S
        time.sleep(0.2)  # the pace of these clients
    assert dropped == 20
    assert time.monotonic() - began > 8


def test_clients_that_do_not_read_delay_nobody(database, serve):
    worker, pages = serve()
    wait_until(pages.is_ready)
    database.query("INSERT INTO athena.families (name) SELECT 'family' || n FROM generate_series(1, 500) AS n")
    wait_until(lambda: len(pages.get("/metrics").text) > 200_000)
    clients = []
    for _ in range(10):
        client = pages.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        clients.append(client)
    for _ in range(5):
        assert pages.get("/ping").took_s < QUICK_S
        assert pages.get("/metrics").took_s < QUICK_S
    for client in clients:
        client.close()
    assert worker.terminate() == 0


def test_many_scrapes_at_once_are_one_question(own_cluster, serve):
    own_cluster.configure(log_statement="all")
    own_cluster.reload()
    database = own_cluster.migrated_database()
    _worker, pages = serve("noop", "--no-maintenance", url=database.url)
    wait_until(pages.is_ready)
    before = own_cluster.log_text().count("metrics_depth:")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(lambda _: pages.get("/metrics"), range(40)))
    assert {reply.status for reply in replies} == {200}
    assert all("athena_up 1\n" in reply.text for reply in replies)
    assert own_cluster.log_text().count("metrics_depth:") - before < 20


def test_it_rests_when_nobody_asks(database, serve):
    worker, pages = serve("noop", "--no-maintenance")
    wait_until(pages.is_ready)
    http_backend(database)

    def turns():
        status = pathlib.Path(f"/proc/{worker.pid}/status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)[1])

    before = turns()
    time.sleep(2)  # what is measured
    assert turns() - before < 100


# --- Where it listens

def test_loopback_unless_told_otherwise(database, serve):
    _worker, pages = serve(address=":0")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", pages.address)
    _worker, pages = serve(address="0")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", pages.address)
    _worker, pages = serve(address="localhost:0")
    assert re.fullmatch(r"(127\.0\.0\.1|\[::1\]):\d+", pages.address)
    _worker, pages = serve(address="0.0.0.0:0")
    assert re.fullmatch(r"0\.0\.0\.0:\d+", pages.address)


def test_ipv6(database, serve):
    _worker, pages = serve(address="[::1]:0")
    assert re.fullmatch(r"\[::1\]:\d+", pages.address)
    assert pages.get("/ping").text == "pong"


def test_a_unix_socket(database, serve, tmp_path):
    path = tmp_path / "pages"
    worker, pages = serve(address=path)
    assert pages.get("/ping").text == "pong"
    assert path.is_socket()
    worker.kill()
    assert path.is_socket(), "nobody could remove it"
    worker, pages = serve(address=path)
    assert pages.get("/ping").text == "pong"
    assert worker.terminate() == 0
    assert not path.exists()


def test_an_address_in_use(database, serve, run, tmp_path):
    _worker, pages = serve()
    status, text = refused(run, pages.address)
    assert status == 1 and f"cannot listen on {pages.address}: Address already in use" in text
    path = tmp_path / "pages"
    _worker, pages = serve(address=path)
    status, text = refused(run, path)
    assert status == 1 and f"cannot listen on {path}: Address already in use" in text
    assert pages.get("/ping").text == "pong", "it was left alone"
    file = tmp_path / "file"
    file.write_text("precious")
    status, text = refused(run, file)
    assert status == 1 and file.read_text() == "precious"


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", ":70000", ":-1", ":1x", "::1:80", "[::1]", "[::1]80",
                                     "a:b:1", "no host:1", "host.invalid:1", "/" + "a" * 200])
def test_what_is_no_address(run, database, address):
    status, text = refused(run, address)
    assert status == 2 and text.count("\n") <= 3, text


def test_executors_do_not_hold_the_port(database, serve):
    """Or a worker that starts anew could not listen while an old executor ends."""
    worker, pages = serve()
    database.wait_for_state(database.enqueue("noop", {"sleep_ms": 60000}), "running")
    with contextlib.closing(pages.socket()):
        assert pages.get("/ping").text == "pong"
        own = sockets(worker.pid)
        for child in worker.children():
            assert not sockets(child) & own, "inherited"
    assert worker.children()


def sockets(pid):
    """Inodes of the TCP sockets that a process holds."""
    tcp = {line.split()[9] for name in ("tcp", "tcp6")
           for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]}
    held = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
    return held & tcp
