# SPDX-License-Identifier: PostgreSQL
"""A proxy between a program and its server that loses answers, or all of a connection."""
import pathlib
import select
import socket
import tempfile
import threading

FATAL = b"SFATAL\0VFATAL\0C57P01\0Mended in a hurry\0\0"
SYNC = b"S\x00\x00\x00\x04"
READY_FOR_QUERY = b"Z\x00\x00\x00\x05"


class Counter:
    """How often a message has gone by."""

    def __init__(self, message):
        self.message = message
        self.count = 0
        self._tail = b""

    def see(self, data):
        data = self._tail + data
        self.count += data.count(self.message)
        self._tail = data[-len(self.message) + 1:]


class Proxy:
    """Passes bytes on, on a Unix socket in a folder of its own, or on a port of 127.0.0.1.

    `cluster` may be changed later: connections made from then on go there. `losses` are the answers
    that were lost.
    """

    def __init__(self, cluster, tcp=False):
        self.cluster = cluster
        self._pattern = None
        self._lost = threading.Event()
        self.losses = 0
        self._hangs_at = []
        self._said = {}
        self._ended = threading.Event()
        self._open = set()
        self._hung = set()
        self._is_hole = False
        if tcp:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.host, self.port = self._listener.getsockname()
        else:
            self._directory = tempfile.TemporaryDirectory(prefix="athena-proxy-", dir="/tmp")
            self.host, self.port = self._directory.name, 5432
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(pathlib.Path(self.host) / ".s.PGSQL.5432"))
            self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, database):
        return f"postgresql:///{database.name}?host={self.host}&port={self.port}&user={self.cluster.user}"

    def lose_answer(self, statement):
        """The answer to the next execution of this prepared statement is waited for, so that it is
        committed, and then lost together with its connection. Returns the event."""
        self._lost = threading.Event()
        self._pattern = b"\0" + statement.encode() + b"\0"
        return self._lost

    def hang_at(self, *messages):
        """Connections on which one of these is sent stay open, and it is not read, nor anything after it;
        once for each. A statement's name before a NUL prepares it, between two NULs executes it."""
        self._hangs_at = list(messages)

    def says_instead(self, bytes, others):
        """What the server says goes on as something else of the same length, if it comes in one piece."""
        assert len(bytes) == len(others)
        self._said[bytes] = others

    def has_hung(self):
        return not self._hangs_at

    def drop_all(self):
        """Closes all connections in both directions."""
        for pair in list(self._open):
            for end in pair:
                end.close()

    def hang_all(self):
        """Connections stay open, and nothing more goes through them."""
        self._hung |= self._open

    def become_a_hole(self):
        """As a network that drops everything: nothing goes through connections, old and new ones."""
        self._is_hole = True
        self.hang_all()

    def heal(self):
        """What was sent meanwhile arrives now, even from those who have given up."""
        self._is_hole = False
        self._hung.clear()

    def end_in_a_hurry(self):
        """Ends hung connections as a server that is told to stop: with a last word, and without reading
        what it was asked, which is an error on the client's socket behind that word."""
        for client, server in list(self._hung):
            client.sendall(b"E" + (len(FATAL) + 4).to_bytes(4, "big") + FATAL)
            client.close()
            server.close()
        self._hung.clear()

    def close(self):
        self._ended.set()
        self._listener.close()
        self.drop_all()
        self._thread.join()

    def _accept(self):
        while not self._ended.is_set():
            try:
                if not select.select([self._listener], [], [], 0.05)[0]:
                    continue
                client, _ = self._listener.accept()
            except (OSError, ValueError):
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(pathlib.Path(self.cluster.host) / f".s.PGSQL.{self.cluster.port}"))
            except OSError:
                client.close()
                continue
            self._open.add((client, server))
            if self._is_hole:
                self._hung.add((client, server))
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _is_to_hang(self, data):
        found = [message for message in self._hangs_at if message in data]
        for message in found:
            self._hangs_at.remove(message)
        return bool(found)

    def _pass_on(self, client, server):
        asked, answered = Counter(SYNC), Counter(READY_FOR_QUERY)
        swallows = False
        try:
            while not self._ended.is_set():
                if (client, server) in self._hung:
                    self._ended.wait(0.05)
                    if client.fileno() < 0:
                        return
                    continue
                for end in select.select([client, server], [], [], 0.05)[0]:
                    if (client, server) in self._hung:
                        break
                    if end is client and self._is_to_hang(client.recv(65536, socket.MSG_PEEK)):
                        self._hung.add((client, server))
                        break
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client:
                        # Only Bind messages hold a statement's name between two NULs.
                        if self._pattern and self._pattern in data and b"B" in data:
                            self._pattern = None
                            swallows = True
                        asked.see(data)
                        server.sendall(data)
                    else:
                        answered.see(data)
                        for bytes, others in self._said.items():
                            data = data.replace(bytes, others)
                        if not swallows:
                            client.sendall(data)
                    # The server says once that it is ready without having been asked.
                    if swallows and answered.count > asked.count:
                        return
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            server.close()
            self._open.discard((client, server))
            if swallows:
                self.losses += 1
                self._lost.set()
