"""Requests, answers and webhooks of the WhatsApp sandboxes, and how a connection is cut short."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from sandbox.whatsapp_faults import BEFORE_THE_CONTENT

if TYPE_CHECKING:
    from sandbox.whatsapp_server import WhatsAppSandbox

Manner = Literal["whole", "nothing", "half", "silence", "drip", "late"]
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html"}


@dataclass(frozen=True)
class Request:
    """`headers`: names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """`manner` is how it goes out, with its `seconds`."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner = "whole"
    seconds: float = 0.0


@dataclass(frozen=True)
class Webhook:
    """What the provider would post (or get) to one of our addresses, signed."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: Literal["GET", "POST"] = "POST"

    def send(self, timeout: float = 10.0) -> tuple[int, bytes]:
        """Status and content of our answer."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        try:
            target = self.url.removeprefix(f"{parts.scheme}://{parts.netloc}") or "/"
            connection.request(self.method, target, self.body or None, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    sandbox: WhatsAppSandbox
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.sandbox.connections += 1
        self.sandbox.open_sockets.add(self.connection)

    def finish(self) -> None:
        self.sandbox.open_sockets.discard(self.connection)
        with contextlib.suppress(OSError):  # whoever asked has gone
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.sandbox.requests += 1
        self.sandbox.faults.reread()
        length = int(self.headers.get("Content-Length") or 0)
        fault = self.sandbox.faults.pick(BEFORE_THE_CONTENT)
        if fault is not None:
            self.rfile.read(length // 2 if fault.kind == "cut_in" else 0)
            self._hang_up()
            return
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        self._send(self.sandbox.answer(Request(self.command, path, query, headers, body)))

    def _send(self, reply: Reply) -> None:
        head = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '')}"]
        head += [f"Date: {http_date(datetime.now(UTC))}", f"Content-Length: {len(reply.body)}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        whole = "\r\n".join([*head, "", ""]).encode() + reply.body
        stopped = self.sandbox.stopped
        if reply.manner == "late":
            stopped.wait(reply.seconds)
        if reply.manner == "drip":
            for number in range(len(whole)):
                self.wfile.write(whole[number : number + 1])
                if stopped.wait(reply.seconds):
                    break
        elif reply.manner in ("whole", "late"):
            self.wfile.write(whole)
        elif reply.manner == "half":
            self.wfile.write(whole[: len(whole) - len(reply.body) // 2 - 1])
        elif reply.manner == "silence":
            with contextlib.suppress(OSError):
                self.rfile.read(1)  # until the other side gives up
        if reply.manner in ("nothing", "half", "silence"):
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """The journal is the log."""


def http_date(at: datetime) -> str:
    """RFC 9110, always in GMT."""
    return at.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def json_reply(status: int, found: object) -> Reply:
    return Reply(status, json.dumps(found).encode(), JSON)
