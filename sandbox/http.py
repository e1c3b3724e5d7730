"""API Gateway on this machine: requests become REST proxy events for the Chalice app.

`Api` calls the app without a socket, as the tests do; `serve` puts it behind a loopback port. What
API Gateway refuses by itself is refused here in the same words.
"""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from chalice.app import Chalice

from sandbox.local_context import LocalContext

STAGE = "api"
LIMIT_S = 29.0
LONGEST_BODY = 10_000_000  # API Gateway's quota for a payload
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
# Pages that people come to from an e-mail; reading one changes nothing.
LINKED = ("/unsubscribe/", "/closer/", "/deletion/")
Headers = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Reply:
    """`headers`: names in lower case, values as sent, the last one where there are several."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """The app behind API Gateway. `under_stage`: paths are those of an execute-api address, which
    begin with the stage's name; else those of a custom domain."""

    app: Chalice
    host: str = "127.0.0.1:8000"
    under_stage: bool = False

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Headers | None = None,
        body: str | bytes | Mapping[str, Any] | None = None,
        query: Headers | None = None,
        address: str = "127.0.0.1",
    ) -> Reply:
        """One request. A mapping as body is sent as JSON, with its content type."""
        event = self.event(method, path, headers=headers, body=body, query=query, address=address)
        return _missing() if event is None else self.send(event)

    def send(self, event: Mapping[str, Any]) -> Reply:
        """The app's reply to an event."""
        answer = self.app(dict(event), LocalContext("api", LIMIT_S))
        headers = {name.lower(): str(value) for name, value in answer["headers"].items()}
        several = answer.get("multiValueHeaders") or {}
        headers |= {name.lower(): str(values[-1]) for name, values in several.items()}
        body = answer["body"]
        raw = b64decode(body) if answer.get("isBase64Encoded") else body.encode()
        return Reply(answer["statusCode"], headers, raw)

    def event(
        self,
        method: str,
        path: str,
        *,
        headers: Headers | None = None,
        body: str | bytes | Mapping[str, Any] | None = None,
        query: Headers | None = None,
        address: str = "127.0.0.1",
    ) -> dict[str, Any] | None:
        """The REST proxy event; None when no route takes that method and path."""
        path, _, asked = path.partition("?")
        inside = path.removeprefix(f"/{STAGE}") if self.under_stage else path
        found = self._match(method, inside)
        if found is None:
            return None
        resource, parameters = found
        several = _several(headers)
        if isinstance(body, Mapping):
            body = json.dumps(body)
            several = {"Content-Type": ["application/json"], **several}
        text, encoded = _payload(body)
        queries = _several(query)
        for name, value in parse_qsl(asked, keep_blank_values=True):
            queries.setdefault(name, []).append(value)
        return {
            "resource": resource,
            "path": inside,
            "httpMethod": method,
            "headers": {name: values[-1] for name, values in several.items()} or None,
            "multiValueHeaders": several or None,
            "queryStringParameters": {name: values[-1] for name, values in queries.items()} or None,
            "multiValueQueryStringParameters": queries or None,
            "pathParameters": parameters or None,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": resource,
                "path": path,
                "httpMethod": method,
                "stage": STAGE,
                "requestId": str(uuid4()),
                "requestTimeEpoch": int(1000 * time.time()),
                "identity": {"sourceIp": address},
                "domainName": self.host,
                "protocol": "HTTP/1.1",
            },
            "body": text,
            "isBase64Encoded": encoded,
        }

    def _match(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """The route's pattern and its parameters. API Gateway prefers a fixed segment to a
        parameter, and takes no notice of a slash at the end."""
        parts = (path.rstrip("/") or "/").split("/")
        matches = []
        for pattern, methods in self.app.routes.items():
            names = pattern.split("/")
            pairs = list(zip(names, parts, strict=False))
            if method in methods and len(names) == len(parts) and all(map(_fits, names, parts)):
                parameters = {name[1:-1]: part for name, part in pairs if name.startswith("{")}
                matches.append((len(parameters), pattern, parameters))
        return min(matches)[1:] if matches else None


def server(app: Chalice, port: int = 0) -> ThreadingHTTPServer:
    """A server on 127.0.0.1, not started; port 0 takes a free one. Raises OSError when the port is
    taken."""

    class Bound(_Handler):
        api_app = app

    return ThreadingHTTPServer(("127.0.0.1", port), Bound)


@contextmanager
def serving(app: Chalice, ports: Sequence[int] = (0,)) -> Iterator[int]:
    """A server in a thread of its own, on the first of these ports that is free; yields it. Raises
    OSError when all are taken."""
    bound = _bound(app, ports)
    thread = threading.Thread(target=bound.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield bound.server_address[1]
    finally:
        bound.shutdown()
        bound.server_close()
        thread.join()


def _bound(app: Chalice, ports: Sequence[int]) -> ThreadingHTTPServer:
    for port in ports:
        try:
            return server(app, port)
        except OSError:
            continue
    raise OSError(f"aucun port libre de {ports[0]} à {ports[-1]}.")


class _Handler(BaseHTTPRequestHandler):
    api_app: Chalice
    protocol_version = "HTTP/1.1"
    server_version = "ponctuel"
    sys_version = ""
    timeout = 60

    def _answer(self) -> None:
        reply = self._refused() or self._call()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        try:
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
        except ConnectionError:  # whoever asked did not wait for the answer
            self.close_connection = True

    def _call(self) -> Reply:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name, []).append(value)
        headers["X-Forwarded-Proto"] = ["http"]
        api = Api(self.api_app, host=self.headers.get("Host", ""))
        return api.call(
            self.command, self.path, headers=headers, body=body, address=self.client_address[0]
        )

    def _refused(self) -> Reply | None:
        """On this machine no secret may be needed, so that no web page may reach us: neither from
        another site, nor through a name of its own that leads to 127.0.0.1."""
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        length = self.headers.get("Content-Length") or "0"
        foreign = self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if host not in LOOPBACK_HOSTS or (foreign and not self._is_followed_link()):
            return self._no(403, "Adresse refusée : appelez http://127.0.0.1.")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            return self._no(411, "Content-Length manquant.")
        if int(length) > LONGEST_BODY:
            return self._no(413, "Corps trop long.")
        return None

    def _is_followed_link(self) -> bool:
        followed = self.headers.get("Sec-Fetch-Mode") == "navigate"
        return followed and self.command == "GET" and self.path.startswith(LINKED)

    def _no(self, status: int, error: str) -> Reply:
        self.close_connection = True  # the body was not read
        body = json.dumps({"success": False, "error": error}, ensure_ascii=False).encode()
        return Reply(status, {"Content-Type": "application/json"}, body)

    def log_message(self, format: str, *args: Any) -> None:
        """The door logs each call, without its query, which may hold the secret."""


for _method in METHODS:
    setattr(_Handler, f"do_{_method}", _Handler._answer)


def _missing() -> Reply:
    """API Gateway's own answer to a path or method that has no route."""
    headers = {
        "content-type": "application/json",
        "x-amzn-errortype": "MissingAuthenticationTokenException",
    }
    return Reply(403, headers, b'{"message":"Missing Authentication Token"}')


def _fits(name: str, part: str) -> bool:
    return name == part or (name.startswith("{") and bool(part))


def _several(given: Headers | None) -> dict[str, list[str]]:
    return {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in (given or {}).items()
    }


def _payload(body: str | bytes | None) -> tuple[str | None, bool]:
    """The body as text; in base64 when it is not UTF-8."""
    if not body:
        return None, False
    if isinstance(body, str):
        return body, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return b64encode(body).decode(), True
