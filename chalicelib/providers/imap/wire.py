"""Bytes to and from a server, in bounded time and size. It raises `ImapError` and nothing else."""

from __future__ import annotations

import contextlib
import functools
import io
import socket
import ssl
import time
from collections.abc import Iterator

from chalicelib.providers.imap.account import ImapAccount
from chalicelib.providers.imap.addresses import connected
from chalicelib.providers.imap.port import ImapError
from chalicelib.providers.imap.refusals import fault

# A line; a search of a folder with a million messages takes 8 MB, without ESEARCH.
MOST_LINE = 8_000_000
_BUFFER = 262_144
# ValueError: a host that TLS cannot name, or a file that is closed.
_FAILURES = (OSError, ValueError)


class Wire:
    """Every operation ends by `end` (monotonic), and each wait after `read_timeout` seconds. After
    a failure, nothing works any more."""

    def __init__(self, sock: socket.socket, *, end: float, read_timeout: float) -> None:
        self._end = end
        self._read_timeout = read_timeout
        self._taken = 0
        self._attach(sock)

    def _attach(self, sock: socket.socket) -> None:
        self._socket = sock
        self._received = _Received(sock, self._end, self._read_timeout)
        self._file = io.BufferedReader(self._received, _BUFFER)

    def line(self) -> bytes:
        """The next line, without its end."""
        try:
            line = self._file.readline(MOST_LINE)
        except _FAILURES as error:
            raise self._failure(error) from error
        if not line.endswith(b"\n"):  # too long, or cut
            raise self._failure()
        self._taken += len(line)
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    def exactly(self, size: int) -> bytes:
        """`size` bytes. Room for all of them is taken at once: the caller bounds it."""
        try:
            data = self._file.read(size)
        except _FAILURES as error:
            raise self._failure(error) from error
        if len(data) != size:
            raise self._failure()
        self._taken += size
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """`size` bytes in pieces of at most 256 kB."""
        while size > 0:
            piece = self.exactly(min(size, _BUFFER))
            size -= len(piece)
            yield piece

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                self._socket.settimeout(_wait(self._end, self._read_timeout))
                rest = rest[self._socket.send(rest) :]
        except _FAILURES as error:
            raise self._failure(error) from error

    def encrypt(self, account: ImapAccount) -> None:
        """TLS from here on. When the server said more than was read, anybody could have said it:
        that is a failure."""
        if self._received.total != self._taken:
            raise self._failure()
        try:
            self._socket.settimeout(_wait(self._end, self._read_timeout))
            context = _context(account.ca_file)
            self._attach(context.wrap_socket(self._socket, server_hostname=account.host))
        except _FAILURES as error:
            raise self._failure(error) from error
        self._taken = 0

    def close(self) -> None:
        """No operation works afterwards."""
        with contextlib.suppress(OSError):
            self._socket.close()
            self._file.close()

    def _failure(self, error: Exception | None = None) -> ImapError:
        self.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            return fault("certificate")
        return fault("connection")


def connect(
    account: ImapAccount, *, connect_timeout: float, seconds: float, read_timeout: float
) -> Wire:
    """Connected and, for `tls`, encrypted. Raises `ImapError`."""
    end = time.monotonic() + seconds
    wire = Wire(
        connected(account, min(connect_timeout, seconds)), end=end, read_timeout=read_timeout
    )
    if account.security == "tls":
        try:
            wire.encrypt(account)
        except ImapError:
            wire.close()
            raise
    return wire


@functools.lru_cache(maxsize=8)
def _context(ca_file: str | None) -> ssl.SSLContext:
    """Reading the system's authorities takes 20 ms: once is enough."""
    return ssl.create_default_context(cafile=ca_file)


class _Received(io.RawIOBase):
    def __init__(self, sock: socket.socket, end: float, read_timeout: float) -> None:
        self._socket = sock
        self._end = end
        self._read_timeout = read_timeout
        self.total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any Buffer
        self._socket.settimeout(_wait(self._end, self._read_timeout))
        size = self._socket.recv_into(buffer)
        self.total += size
        return size


def _wait(end: float, most: float) -> float:
    """Seconds, more than 0; raises `TimeoutError` when there are none left."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    return min(left, most)
