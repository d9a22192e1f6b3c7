# SPDX-License-Identifier: PostgreSQL
"""The pages that a program serves with --http, what /metrics says, and a Prometheus that reads it."""
import http.client
import json
import re
import socket
import time
import urllib.parse
import urllib.request

from athena_test import ROOT
from canary import assert_not_in

TIMEOUT_S = 60


class Reply:
    def __init__(self, status, text, headers, took_s):
        self.status = status
        self.text = text
        self.headers = headers
        self.took_s = took_s


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout_s):
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Pages:
    """`address` as the program logs it: 127.0.0.1:PORT, [::1]:PORT or a path."""

    def __init__(self, address, timeout_s=TIMEOUT_S):
        self.address = address
        self.timeout_s = timeout_s

    @classmethod
    def of(cls, program, **options):
        """Those of a program that was started with --http."""
        return cls(program.wait_log(r"http_listening address=(\S+)")[1], **options)

    def connect(self):
        """A connection of http.client."""
        if self.address.startswith("/"):
            return _UnixConnection(self.address, self.timeout_s)
        host, _, port = self.address.rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=self.timeout_s)

    def socket(self):
        """A connected socket, to say anything on."""
        connection = self.connect()
        connection.connect()
        return connection.sock

    def get(self, path, method="GET", **options):
        connection = self.connect()
        began = time.monotonic()
        try:
            connection.request(method, path, **options)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert_not_in(text, path)
            return Reply(answer.status, text, answer.headers, time.monotonic() - began)
        finally:
            connection.close()

    def metrics(self):
        reply = self.get("/metrics")
        assert reply.status == 200
        return Metrics(reply.text)

    def is_ready(self):
        return self.get("/readyz").status == 200


class Metrics:
    """One scrape: metrics["athena_up"], metrics["athena_queue_depth", "noop", "ready"]."""

    def __init__(self, text):
        self.text = text
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        self.helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
        self._samples = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            key = (name, *re.findall(r'\w+="((?:[^"\\]|\\.)*)"', labels or ""))
            assert key not in self._samples, f"twice: {line}"
            self._samples[key] = float(value)

    def __getitem__(self, key):
        return self._samples[key if isinstance(key, tuple) else (key,)]

    def get(self, *key):
        return self._samples.get(key)

    def of(self, name):
        """{labels: value} of one metric; the only label by itself."""
        return {key[1] if len(key) == 2 else key[1:]: value
                for key, value in self._samples.items() if key[0] == name}


def documented():
    """{name: (type, labels)} of the tables in docs/metrics.md."""
    rows = re.findall(r"^\| `(athena_\w+)` \| (\w+) \| (.*?) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


class Prometheus:
    """One that scrapes these pages once a second."""

    def __init__(self, spawn, directory, pages):
        config = directory / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "athena", "static_configs": [
                {"targets": [page.address for page in pages]}]}]}))
        self.program = spawn("prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
                             "--web.listen-address=127.0.0.1:0", "--log.level=info")
        self.address = self.program.wait_log(r'msg="?Listening on"? address=(127\.0\.0\.1:\d+)')[1]
        self.program.wait_log("Server is ready to receive web requests")

    def api(self, path, **query):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def targets(self):
        return self.api("targets")["activeTargets"]

    def query(self, expression):
        """{labels' values: number}"""
        return {tuple(value for _, value in sorted(row["metric"].items())): float(row["value"][1])
                for row in self.api("query", query=expression)["result"]}
