"""A connected socket each of whose operations ends by one instant, for `HttpsClient`.

Apart, because it imports what is only wanted once a call is made.
"""

from __future__ import annotations

import io
import select
import socket
import ssl
import time


def connected(host: str, port: int, context: ssl.SSLContext | None, end: float) -> socket.socket:
    """A connection to the first address of the host that answers by `end` (monotonic), with TLS
    when there is a context. Raises `OSError` (`TimeoutError`, `ssl.SSLError`, `socket.gaierror`).
    """
    failure = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(end))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is None:
                return sock
            sock.settimeout(_left(end))
            return context.wrap_socket(sock, server_hostname=host)
        except OSError as error:
            sock.close()
            failure = error
    raise failure


class NothingSent(OSError):
    """No byte of a request's content has left."""


class TimedSocket:
    """What `http.client` needs of a socket. Times are on the monotonic clock.

    The head that it writes is held back, and leaves with the content: one packet instead of two.
    """

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._socket = sock
        self._end = end
        self._head = b""

    def end_at(self, end: float) -> None:
        """From now on, another end."""
        self._end = end

    def silent(self) -> bool:
        """Whether the other side has said nothing, not even that it hangs up."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def sendall(self, data: bytes) -> None:
        self._head += data

    def transmit(self, content: bytes) -> None:
        """Sends the head and the content. Raises `NothingSent` (caused by the failure) before the
        content's first byte, `OSError` after it. A write that fails has not been sent: over TLS,
        its record is incomplete."""
        whole, head, sent = memoryview(self._head + content), len(self._head), 0
        self._head = b""
        try:
            while sent < len(whole):
                self._socket.settimeout(_left(self._end))
                sent += self._socket.send(whole[sent:])
        except OSError as error:
            if sent > head:
                raise
            raise NothingSent from error

    def receive(self, buffer: bytearray | memoryview) -> int:
        self._socket.settimeout(_left(self._end))
        return self._socket.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        """Nothing: `http.client` closes before it has read an answer that ends the connection."""

    def end(self) -> None:
        self._socket.close()


class _Received(io.RawIOBase):
    def __init__(self, sock: TimedSocket) -> None:
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any Buffer
        return self._socket.receive(buffer)


def _left(end: float) -> float:
    """Seconds left, more than 0; raises `TimeoutError` when there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    return left
