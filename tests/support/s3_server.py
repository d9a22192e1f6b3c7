# SPDX-License-Identifier: PostgreSQL
"""A strict S3 server (s3/serve.py), and a proxy in front of it that does what networks and servers do.

    s3.run("put", "key", stdin=b"...")       build/tests/support/s3, with the settings of a bucket
    s3.run("get", "key", via=proxy)          the same through the proxy
    proxy.on("PUT", "partNumber=2", reset(100_000), times=1)
"""
import contextlib
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.parse

from athena_test import BUILD, SUPPORT, patience, program_environment, wait_until
from canary import CANARY

ACCESS_KEY = "test:tester"
SECRET = f"{CANARY}-bucket"
BUCKET = "backups"


class Done:
    """What a run of the program has said."""

    def __init__(self, done):
        self.status = done.returncode
        self.bytes = done.stdout
        self.stdout = done.stdout.decode(errors="replace")
        self.stderr = done.stderr.decode(errors="replace")
        lines = self.stderr.splitlines()
        self.retries = [line.split()[1] for line in lines if line.startswith("retry ")]
        self.error = next((line.split(" ", 3)[1:] for line in lines if line.startswith("error ")), None)
        self.memory_kb = int(next(line.split()[1] for line in lines if line.startswith("memory ")))

    def rows(self):
        """Of a listing: (part, bytes, etag, time, upload, key)."""
        return [line.split("\t", 5) for line in self.stdout.splitlines()]

    def keys(self):
        return [row[5] for row in self.rows()]


class S3Server:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="athena-s3-", dir="/tmp"))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", SUPPORT / "s3/serve.py", self.folder],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(lambda: (self.folder / "port").exists() or self.process.poll() is not None,
                   what="the S3 server answers")
        assert self.process.poll() is None, (self.folder / "log").read_text()
        self.port = int((self.folder / "port").read_text())
        (self.folder / "s3cmd").write_text(
            f"[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET}\nhost_base = 127.0.0.1:{self.port}\n"
            f"host_bucket = 127.0.0.1:{self.port}\nuse_https = False\nprogress_meter = False\n")
        self.s3cmd("mb", f"s3://{BUCKET}")

    def remove(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)

    def settings(self, via=None, **settings):
        """Those of the bucket, as variables; `via` is a proxy. None leaves one out."""
        base = {"endpoint": via.url if via else f"http://127.0.0.1:{self.port}", "bucket": BUCKET,
                "access_key_id": ACCESS_KEY, "secret_access_key": SECRET, "part_size": 5 << 20, **settings}
        return {f"ATHENA_BACKUP_S3_{name.upper()}": str(value) for name, value in base.items()
                if value is not None}

    def run(self, *args, stdin=b"", status=0, via=None, env=None, timeout_s=60, **settings):
        done = Done(subprocess.run(
            [BUILD / "tests/support/s3", *map(str, args)], input=stdin, capture_output=True, cwd=self.folder,
            env=program_environment(self.folder, env={**self.settings(via, **settings), **(env or {})}),
            timeout=timeout_s * patience()))
        assert status is None or done.status == status, done.stderr
        return done

    def s3cmd(self, *args):
        """Another client, for its opinion."""
        done = subprocess.run(["s3cmd", "-c", self.folder / "s3cmd", *map(str, args)], capture_output=True,
                              env=program_environment(self.folder), timeout=60 * patience())
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def is_clean(self):
        """No upload is unfinished."""
        return self.run("uploads").stdout == ""


# What the proxy does with a request: a function of the exchange.

def answer(status, body="", **headers):
    """Answers by itself; the server never hears of it."""
    def act(exchange):
        exchange.read_body()
        exchange.reply(status, body.encode(), headers)
    return act


def error(status, code, **headers):
    return answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a test</Message></Error>",
                  **headers)


def reset(after):
    """The connection is reset after so many bytes of the body."""
    def act(exchange):
        exchange.read_body(after)
        exchange.reset()
    return act


def lose_answer(exchange):
    """The server does it, and nobody hears."""
    exchange.ask_server()
    exchange.reset()


def cut_answer(after, then=lambda: None):
    """The answer's head comes, and so much of its body; then something happens."""
    def act(exchange):
        head, body = exchange.ask_server()
        exchange.send(head + body[:after])
        then()
        exchange.close()
    return act


def replace_answer(body):
    """The server does it, and this is what it says."""
    def act(exchange):
        exchange.ask_server()
        exchange.reply(200, body.encode(), {})
    return act


def silence(exchange):
    """Nothing, until the client goes away."""
    exchange.read_body()
    exchange.client.recv(1)


class Exchange:
    def __init__(self, proxy, client, head, rest):
        self.proxy, self.client, self.head, self._rest = proxy, client, head, rest
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target = lines[0].split(" ")[:2]
        self.headers = {name.lower(): value.strip() for name, value in
                        (line.split(":", 1) for line in lines[1:] if ":" in line)}
        self.length = int(self.headers.get("content-length", 0))

    def read_body(self, most=None):
        body = self._rest
        while len(body) < min(self.length, self.length if most is None else most):
            data = self.client.recv(1 << 16)
            if not data:
                break
            body += data
        return body

    def ask_server(self):
        """(head, body) of its answer."""
        body = self.read_body()
        head = self.head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        with socket.create_connection(("127.0.0.1", self.proxy.server_port)) as server:
            server.sendall(head + b"\r\n\r\n" + body)
            answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n", body

    def send(self, data):
        self.client.sendall(data)

    def reply(self, status, body, headers):
        lines = [f"HTTP/1.1 {status} Test", f"Content-Length: {len(body)}", "Connection: close",
                 *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if self.method == "HEAD" else body))

    def reset(self):
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.client.close()


class FaultProxy:
    """Passes requests on, one per connection, unless there is a rule for them; `certificate` is a file with
    which it speaks TLS. `seen` are the exchanges."""

    def __init__(self, server, certificate=None):
        self.server_port = server.port
        self.seen = []
        self._rules = []
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, method, part_of_target, act, times=1):
        """The next so many requests like that; rules hold in the order in which they were made."""
        self._rules.append([method, part_of_target, act, times])
        return self

    def is_done(self):
        """Every rule has had its requests."""
        return all(times == 0 for *_, times in self._rules)

    def count(self, method, part_of_target=""):
        return sum(one.method == method and part_of_target in urllib.parse.unquote(one.target) for one in self.seen)

    def close(self):
        """Nobody listens from now on."""
        with contextlib.suppress(OSError):  # it is closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _act_of(self, exchange):
        for rule in self._rules:
            method, part, act, times = rule
            if times and method == exchange.method and part in urllib.parse.unquote(exchange.target):
                rule[3] -= 1
                return act
        return lambda exchange: exchange.send(b"".join(exchange.ask_server()))

    def _serve(self, client):
        try:
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data:
                more = client.recv(1 << 16)
                if not more:
                    return
                data += more
            head, _, rest = data.partition(b"\r\n\r\n")
            exchange = Exchange(self, client, head, rest)
            self.seen.append(exchange)
            self._act_of(exchange)(exchange)
        except OSError as problem:
            print(f"proxy: {problem}", file=sys.stderr)
        finally:
            client.close()


def faketime_library():
    """The library that gives a program another clock."""
    (path,) = pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    return os.fspath(path)
