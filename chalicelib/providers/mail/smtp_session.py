"""One SMTP connection, driven command by command (RFC 5321, 3207, 4954).

`smtplib` was not taken: its time-outs bound one read, not one call, it turns an answer that it
cannot read into a refusal with code 500, and both would blur what `SmtpProvider` must know exactly.
"""

from __future__ import annotations

import math
import re
import select
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_REPLY = 65_536  # bytes; a server that says more is not speaking SMTP
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")
_CHUNK = 65_536


@dataclass(frozen=True)
class Reply:
    """One complete answer of the server."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), such as `5.1.1`, empty if there is none."""
        found = _ENHANCED.match(self.lines[-1])
        return found[0] if found else ""


class ProtocolError(ConnectionError):
    """The server did not answer in SMTP: the connection is of no more use."""


class Deadline:
    """The end of one call, `seconds` from now on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def at_most(self, seconds: float) -> Deadline:
        """This deadline, or `seconds` from now if that is sooner."""
        return Deadline(min(seconds, self._end - time.monotonic()))

    def remaining(self) -> float:
        """Seconds left, more than 0; raises `TimeoutError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("no time left")
        return left


class SmtpSession:
    """Every method raises `OSError` (`TimeoutError`, `ConnectionError`, `ssl.SSLError`) when the
    connection is lost, too slow or out of step: it can then only be closed."""

    def __init__(self, sock: socket.socket) -> None:
        # Python waits before each call on a socket that has a time-out, and setting one is a call
        # of its own: here only what has to be waited for is.
        sock.setblocking(False)
        self._socket = sock
        self._buffer = b""
        self.extensions: dict[str, str] = {}
        self.closing = False  # the server has said so (421), or it is in the middle of something

    @classmethod
    def connect(cls, host: str, port: int, deadline: Deadline) -> SmtpSession:
        """Tries each address of the host in turn. Looking the name up has the resolver's own
        time-out, which cannot be set from here."""
        failure: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(deadline.remaining())
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return cls(sock)
        raise failure

    @property
    def encrypted(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket)

    def encrypt(self, context: ssl.SSLContext, host: str, deadline: Deadline) -> None:
        """Goes over to TLS. Whatever was received in clear is refused, not carried over."""
        self.expect_silence()
        self._socket.settimeout(deadline.remaining())
        self._socket = context.wrap_socket(self._socket, server_hostname=host)
        self._socket.setblocking(False)

    def command(self, line: str, deadline: Deadline) -> Reply:
        """Sends one line, which holds no line break, and waits for its answer."""
        self.send_commands((line,), deadline)
        return self.reply(deadline)

    def send_commands(self, lines: Sequence[str], deadline: Deadline) -> None:
        """Sends lines, which hold no line breaks; each is then answered by a `reply`."""
        if any(not line.isascii() or "\r" in line or "\n" in line for line in lines):
            raise ValueError("a command is one line of ASCII")
        self.expect_silence()
        self._send("".join(f"{line}\r\n" for line in lines).encode("ascii"), deadline)

    def hello(self, deadline: Deadline) -> Reply:
        """EHLO under our own IP address, which needs no name; learns the extensions."""
        host = self._socket.getsockname()[0]
        name = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
        reply = self.command(f"EHLO {name}", deadline)
        if reply.code == 250:
            words = (line.replace("=", " ", 1).partition(" ") for line in reply.lines[1:])
            self.extensions = {}
            for keyword, _, arguments in words:
                known = self.extensions.get(keyword.upper(), "")
                self.extensions[keyword.upper()] = f"{known} {arguments}".strip()
        return reply

    def login(self, username: str, password: str, deadline: Deadline) -> Reply | None:
        """The server's verdict (235 when it is satisfied), None if it offers neither PLAIN nor
        LOGIN."""
        offered = self.extensions.get("AUTH", "").upper().split()
        if "PLAIN" in offered:
            secret = _base64(f"\0{username}\0{password}")
            return self.command(f"AUTH PLAIN {secret}", deadline)
        if "LOGIN" in offered:
            reply = self.command("AUTH LOGIN", deadline)
            for answer in (username, password):
                if reply.code != 334:
                    break
                reply = self.command(_base64(answer), deadline)
            return reply
        return None

    def send_content(self, content: bytes, deadline: Deadline) -> None:
        """Sends the message, dots doubled, and the line that ends it."""
        stuffed = content.replace(b"\n.", b"\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        if not stuffed.endswith(b"\r\n"):
            stuffed += b"\r\n"
        self._send(stuffed + b".\r\n", deadline)

    def reply(self, deadline: Deadline) -> Reply:
        """The next answer, complete."""
        lines: list[str] = []
        size = 0
        while True:
            line = self._line(deadline)
            size += len(line)
            match = _REPLY_LINE.fullmatch(line)
            if match is None or size > _MAX_REPLY:
                raise ProtocolError("not an SMTP answer")
            lines.append((match[3] or b"").decode("utf-8", "replace"))
            if match[2] != b"-":
                reply = Reply(int(match[1]), tuple(lines))
                self.closing = self.closing or reply.code == 421
                return reply

    def expect_silence(self) -> None:
        """Raises `ProtocolError` if the server has already said more than it was asked."""
        if self._buffer:
            raise ProtocolError("the server answered before it was asked")

    def close(self) -> None:
        self._socket.close()

    def _line(self, deadline: Deadline) -> bytes:
        while b"\n" not in self._buffer:
            received = self._receive(deadline)
            if not received:
                raise ConnectionError("closed by the server")
            self._buffer += received
            if len(self._buffer) > _MAX_REPLY:
                raise ProtocolError("not an SMTP answer")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def _receive(self, deadline: Deadline) -> bytes:
        if not self.encrypted:  # else it may be here, decrypted already
            self._wait(select.POLLIN, deadline)
        while True:
            try:
                return self._socket.recv(4096)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)

    def _send(self, data: bytes, deadline: Deadline) -> None:
        view = memoryview(data)
        while view:
            deadline.remaining()
            try:
                view = view[self._socket.send(view[:_CHUNK]) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT, deadline)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)

    def _wait(self, event: int, deadline: Deadline) -> None:
        ready = select.poll()
        ready.register(self._socket, event)
        if not ready.poll(math.ceil(deadline.remaining() * 1000)):
            raise TimeoutError("no time left")


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")
