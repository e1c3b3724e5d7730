"""A relay before a real IMAP server: it listens, and tells its clients what the test wants."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable
from typing import Self

_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class Relay:
    """`commands`: what clients have sent, without tags. `rewrite` is given each line of the
    server's that is no part of a literal, `on_command` each command before it goes on. `nil`: UIDs
    whose content is answered with NIL. `cut_at`: UIDs at whose content the connection breaks.
    `cut_after`: so many bytes of the server's. `silent`: takes connections and says nothing."""

    def __init__(self, port: int) -> None:
        self.commands: list[str] = []
        self.connections = 0
        self.calm()
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()

    def calm(self) -> None:
        """From now on it changes nothing."""
        self.rewrite: Callable[[bytes], bytes] | None = None
        self.on_command: Callable[[str], None] | None = None
        self.nil: set[int] = set()
        self.cut_at: set[int] = set()
        self.cut_after: int | None = None
        self.refusing = False
        self.silent = False

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def fetched(self) -> int:
        """How many whole messages were asked for."""
        return sum(_count(command) for command in self.commands if "BODY.PEEK[]" in command)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            _close(sock)

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(client)
            if self.refusing:
                _close(client)
            elif not self.silent:
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:  # the server is down
            _close(client)
            return
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(server)
        back = threading.Thread(target=self._answers, args=(server, client), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                for line in data.decode("utf-8", "replace").splitlines():
                    command = line.partition(" ")[2]
                    self.commands.append(command)
                    if self.on_command is not None:
                        self.on_command(command)
                server.sendall(data)
        _close(server)
        back.join()

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        sent = 0
        with contextlib.suppress(OSError), server.makefile("rb") as lines:
            while line := lines.readline():
                literal = _LITERAL.search(line)
                content = lines.read(int(literal[1])) if literal else b""
                found = re.search(rb"UID (\d+)", line)
                uid = int(found[1]) if found else 0
                if literal and b"BODY[]" in line and uid in self.nil:
                    line, content = line[: literal.start()] + b"NIL", b""
                elif literal and b"BODY[]" in line and uid in self.cut_at:
                    client.sendall(line + content[: len(content) // 2])
                    break
                elif self.rewrite is not None:
                    line = self.rewrite(line)
                data = line + content
                if self.cut_after is not None and sent + len(data) > self.cut_after:
                    client.sendall(data[: self.cut_after - sent])
                    break
                sent += len(data)
                client.sendall(data)
        _close(server)
        _close(client)


def _count(command: str) -> int:
    uids = command.split()[2]
    return sum(
        int(part.partition(":")[2] or part) - int(part.partition(":")[0]) + 1
        for part in uids.split(",")
    )


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
