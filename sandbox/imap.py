"""A real IMAP server (pymap, in memory) on the loopback, behind a relay that counts and listens.

In a test:

    with ImapSandbox() as imap:
        imap.append("Sent", [b"Message-ID: <1@example.fr>\\r\\n\\r\\nBonjour"])
        imap.url("Sent")

The relay ends TLS where it is asked to, which pymap does not do from the first byte; it tells how
many connections there were, and what their clients commanded.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

USER = "compta@example.fr"
PASSWORD = "mot de passe, avec : @ et é"
STARTS_WITHIN_S = 30.0
# Half a second of hashing at each login protects nobody here.
_START = """
from pymap.config import IMAPConfig
from pymap.main import main
from pysasl.hashing import BuiltinHash
IMAPConfig._get_hash_context = classmethod(lambda cls, file: BuiltinHash(rounds=1))
main()
"""


class ImapSandbox:
    """The server as a process of its own, from `with` to the end of the block. It has one user."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, user: str = USER) -> None:
        self.user = user
        self.connections = 0
        self.commands: list[str] = []  # without their tags, literals and continuations included
        self.silent = False  # takes connections, and says nothing
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._server_port = 0
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        assert self._listener is not None
        port: int = self._listener.getsockname()[1]
        return port

    def url(self, folder: str = "", **options: str) -> str:
        """What `SentFolder` takes."""
        scheme = "imaps" if self._tls else "imap"
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        who = f"{quote(self.user, safe='')}:{quote(PASSWORD, safe='')}"
        address = f"{scheme}://{who}@127.0.0.1:{self.port}/{quote(folder)}"
        return f"{address}?{query}" if query else address

    def append(self, folder: str, messages: Iterable[bytes]) -> None:
        """Puts messages into the folder, which is made when it is new. Not through the relay."""
        with self._client() as client:
            if not client.folder_exists(folder):
                client.create_folder(folder)
            client.multiappend(folder, list(messages))

    def deliver(self, messages: Iterable[tuple[str, bytes, datetime]]) -> None:
        """See `deliver_to`. Not through the relay."""
        deliver_to(self._server_port, self.user, messages)

    def renumber(self, folder: str) -> None:
        """The same messages, in a folder of the same name with another UIDVALIDITY. Not INBOX."""
        with self._client() as client:
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search(), ["BODY.PEEK[]", "INTERNALDATE"])
            client.select_folder("INBOX", readonly=True)
            client.delete_folder(folder)
            client.create_folder(folder)
            for _uid, one in sorted(found.items()):
                received = one[b"INTERNALDATE"].astimezone(UTC)
                client.append(folder, one[b"BODY[]"], (), received)

    def flags(self, folder: str) -> list[tuple[bytes, ...]]:
        """Of each message of the folder."""
        with self._client() as client:
            client.select_folder(folder, readonly=True)
            return list(client.get_flags(client.search()).values())

    def empty(self) -> None:
        """Without messages and folders, and with nothing counted."""
        with self._client() as client:
            for _flags, _delimiter, name in client.list_folders():
                if name != "INBOX":
                    client.delete_folder(name)
        self.connections = 0
        self.commands.clear()
        self.silent = False

    def _client(self) -> IMAPClient:
        return _logged_in(self._server_port, self.user)

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._server_port = free.getsockname()[1]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _START, "--no-tls"),
                *("--host", "127.0.0.1", "--port", str(self._server_port)),
                *("dict", "--demo-user", self.user, "--demo-password", PASSWORD),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_until_it_answers(self._process)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._listener is not None
        assert self._process is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            _close(sock)
        self._process.terminate()
        self._process.wait()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + STARTS_WITHIN_S
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError, IMAPClientError), self._client():
                return
            time.sleep(0.05)
        raise RuntimeError("pymap does not start")

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            self.connections += 1
            _without_delay(client)
            self._open.add(client)
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        if self.silent:
            return
        if self._tls is not None:
            client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            self._open.add(client)
            try:
                client.do_handshake()
            except OSError:  # the client does not like the certificate
                _close(client)
                return
        server = socket.create_connection(("127.0.0.1", self._server_port))
        _without_delay(server)
        self._open.add(server)
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server, self._hear)
        back.join()

    def _hear(self, data: bytes) -> None:
        for line in data.decode("utf-8", "replace").splitlines():
            self.commands.append(line.partition(" ")[2])


def deliver_to(port: int, user: str, messages: Iterable[tuple[str, bytes, datetime]]) -> None:
    """Each into its folder, which is made when it is new, received then (aware)."""
    with _logged_in(port, user) as client:
        for folder, content, received in messages:
            if not client.folder_exists(folder):
                client.create_folder(folder)
            client.append(folder, content, (), received)


def _logged_in(port: int, user: str) -> IMAPClient:
    client = IMAPClient("127.0.0.1", port, ssl=False, timeout=20)
    _without_delay(client.socket())
    client.plain_login(user, PASSWORD)
    return client


def _pump(
    source: socket.socket, target: socket.socket, hear: Callable[[bytes], None] | None = None
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if hear is not None:
                hear(data)
            target.sendall(data)
    _close(target)


def _without_delay(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
