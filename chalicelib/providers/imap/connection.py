"""One IMAP connection that nothing a server does can make endless: IMAPClient on a socket of ours.

Time-outs bound one read; a server that drips would still hold a run until Lambda kills it, and one
that announces gigabytes would fill its memory. So the whole conversation has an end, and a size.
"""

from __future__ import annotations

import contextlib
import imaplib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import LoginError

# A search of 200 messages takes about 60 kB.
MOST_BYTES = 8_000_000


@dataclass(frozen=True)
class ImapAccount:
    """`tls=False` is for this machine only. `ca_file`: the authority, where it is not one of the
    system's."""

    host: str
    port: int
    username: str = field(repr=False)
    password: str = field(repr=False)
    tls: bool = True
    ca_file: str | None = None


class _Bounded(imaplib.IMAP4):
    def __init__(self, sock: socket.socket) -> None:
        self._open = sock
        self._left = MOST_BYTES
        super().__init__()

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return self._open

    def read(self, size: int) -> bytes:
        self._count(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._count(len(line))
        return line

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ConnectionError("the server says too much")


class _Client(IMAPClient):  # type: ignore[misc]  # IMAPClient has no types
    def __init__(self, sock: socket.socket, account: ImapAccount) -> None:
        self._open = sock
        super().__init__(account.host, account.port, ssl=account.tls)

    def _create_IMAP4(self) -> _Bounded:  # noqa: N802 - IMAPClient's name
        return _Bounded(self._open)

    def _set_read_timeout(self) -> None:
        """Stays as it was set on the socket."""


@contextlib.contextmanager
def logged_in(account: ImapAccount, *, connect_timeout: float, seconds: float) -> Iterator[Any]:
    """An `IMAPClient`, logged in, cut off after `seconds` whatever it is doing then. Raises what
    sockets, TLS, imaplib and IMAPClient raise; `LoginError` for refused credentials."""
    sock = _connected(account, connect_timeout)
    cut = threading.Timer(seconds, _shut, [sock])
    cut.daemon = True
    cut.start()
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        client = _Client(sock, account)
        _log_in(client, account)
        yield client
        # Not a step of the work: what was to be known is known.
        with contextlib.suppress(Exception):
            client.logout()
    finally:
        cut.cancel()
        sock.close()


def _connected(account: ImapAccount, timeout: float) -> socket.socket:
    context = ssl.create_default_context(cafile=account.ca_file) if account.tls else None
    sock = socket.create_connection((account.host, account.port), timeout=timeout)
    # imaplib sends a line in two parts: the second would wait for the first to be acknowledged.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is None:
        return sock
    return context.wrap_socket(sock, server_hostname=account.host, do_handshake_on_connect=False)


def _log_in(client: _Client, account: ImapAccount) -> None:
    """By SASL PLAIN, which takes any character, where the server offers it."""
    if not client.has_capability("AUTH=PLAIN"):
        client.login(account.username, account.password)
        return
    try:
        client.plain_login(account.username, account.password)
    except IMAPClient.AbortError:
        raise
    except IMAPClient.Error as error:
        raise LoginError(str(error)) from error


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # `close` would leave a read that is under way to its own time-out, and SSLSocket's own
        # `shutdown` would take the encryption away from under it.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
