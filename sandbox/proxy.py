"""A TCP proxy on the loopback that a test can make fail: between us and PostgreSQL, SMTP, anything.

To try every point at which a conversation can break: `proxy.fail_at(n, "cut")` for each n from 1.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Literal

Failure = Literal["cut", "cut_answer", "half_open"]
"""Of one burst: it is not delivered and the connection ends; it is delivered and the connection
ends in place of the answer; neither it nor anything after it is delivered, in silence."""

Target = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

_CHUNK = 65_536


class Proxy:
    """Forwards every connection made to `address` on to `target`, from `with` to the block's end.

    Set at any time: `latency` (seconds added to each burst that a client sends), `half_open`
    (bytes are swallowed in both directions, connections stay). `round_trips` counts the bursts that
    clients have sent, a burst being what comes before the other side speaks.
    """

    def __init__(self, target: Target, *, latency: float = 0.0) -> None:
        self._target = target
        self.latency = latency
        self.half_open = False
        self.round_trips = 0
        self.connections = 0  # since the start
        self._failures: dict[int, Failure] = {}
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._listener = _listen(0)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._acceptor: threading.Thread | None = None

    @property
    def host(self) -> str:
        return self.address[0]

    @property
    def port(self) -> int:
        return self.address[1]

    def fail_at(self, burst: int, failure: Failure) -> None:
        """The n-th burst from now on meets this failure; 1 is the next one."""
        with self._lock:
            self._failures[self.round_trips + burst] = failure

    def forget_failures(self) -> None:
        """No failure that has not gone off yet will."""
        with self._lock:
            self._failures.clear()

    def freeze(self) -> None:
        """Connections that are open now go half-open; new ones work. As after a NAT's time-out."""
        with self._lock:
            for link in self._links:
                link.half_open = True

    def cut(self) -> None:
        """Ends every connection at once, with whatever was under way. New ones are taken."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.cut()

    def refuse(self) -> None:
        """New connections are refused, as when nothing listens. Those that are open stay."""
        if self._acceptor is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that is in accept()
        self._listener.close()
        self._acceptor.join()
        self._acceptor = None

    def accept(self) -> None:
        """Takes new connections again, on the same port."""
        if self._acceptor is None:
            if self._listener.fileno() < 0:
                self._listener = _listen(self.port)
            self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
            self._acceptor.start()

    def __enter__(self) -> Proxy:
        self.accept()
        return self

    def __exit__(self, *exception: object) -> None:
        self.refuse()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            # Without it each of the server's answers in two parts costs a client 40 ms.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            try:
                server = _connect(self._target)
            except OSError:
                client.close()
                continue
            link = _Link(self, client, server)
            with self._lock:  # `cut` must not find a link that has not started
                self._links.add(link)
                link.start()

    def _burst(self) -> Failure | None:
        """Counts one; the failure that it meets."""
        with self._lock:
            self.round_trips += 1
            failure = self._failures.pop(self.round_trips, None)
        if self.latency > 0:
            time.sleep(self.latency)
        return failure

    def _forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)


class _Link:
    """One client and its server, with a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.half_open = False
        self._proxy = proxy
        self._client = client
        self._server = server
        self._client_spoke_last = False
        self._cut_answer = False
        self._threads = [
            threading.Thread(target=self._pump, args=pair, name="proxy-link", daemon=True)
            for pair in ((client, server), (server, client))
        ]
        self._running = len(self._threads)
        self._lock = threading.Lock()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        self._abort()
        for thread in self._threads:
            thread.join()

    @property
    def _silent(self) -> bool:
        return self.half_open or self._proxy.half_open

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        from_client = source is self._client
        try:
            while data := source.recv(_CHUNK):
                if from_client:
                    self._note_burst()
                elif self._cut_answer:
                    raise ConnectionAbortedError
                else:
                    self._client_spoke_last = False
                if not self._silent:
                    target.sendall(data)
            if not self._silent:
                target.shutdown(socket.SHUT_WR)
        except OSError:  # one side has gone: the other is told, unless silence is asked for
            if not self._silent:
                self._abort()
        self._finish()

    def _note_burst(self) -> None:
        if self._client_spoke_last:
            return
        self._client_spoke_last = True
        failure = self._proxy._burst()
        if failure == "cut":
            raise ConnectionAbortedError
        self._cut_answer = failure == "cut_answer"
        self.half_open = self.half_open or failure == "half_open"

    def _abort(self) -> None:
        """Wakes both threads; the sockets are closed with a reset once they have ended."""
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)

    def _finish(self) -> None:
        """The last of the two directions closes both sockets."""
        with self._lock:
            self._running -= 1
            if self._running:
                return
        self._client.close()
        self._server.close()
        self._proxy._forget(self)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _connect(target: Target) -> socket.socket:
    if isinstance(target, tuple):
        server = socket.create_connection(target, timeout=10)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.settimeout(10)
        try:
            server.connect(target)
        except OSError:
            server.close()
            raise
    server.settimeout(None)
    return server
