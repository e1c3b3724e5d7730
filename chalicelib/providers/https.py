"""One HTTPS call at a time, with exact knowledge of whether the request may have been read.

A request's head says how long its content is: until the first byte of the content leaves, no
server can have accepted anything, and every failure is `NotSent`. Afterwards only a complete answer
counts, and its absence is `AnswerLost`.

`urllib3` was not taken: its pool reports a broken connection in the same words whether the request
had left or not, and its time-outs bound one read, so that an answer that drips never ends.
Redirections are not followed, and no proxy is taken from the environment.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection

    from chalicelib.providers.https_socket import TimedSocket

MAX_ANSWER = 4 * 1024 * 1024  # bytes; a page of 200 of Twilio's messages is about 0.5 MB
MAX_IDLE_S = 15.0  # below what servers and load balancers allow, 60 s and more
USER_AGENT = "ponctuel/0.1.0"

_BASE = re.compile(r"(https?)://([A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?/?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})

Reason = Literal["connection", "timeout"]


class NotSent(Exception):
    """The request was certainly not accepted. `reason` is one of our error codes."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class AnswerLost(Exception):
    """The request may have been read, and there is no complete answer to it."""


@dataclass(frozen=True)
class Answer:
    """`headers`: names in lower case. Nothing of it shows in its `repr` but the status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object, None if it is not one."""
        import json

        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def retry_after(self) -> float | None:
        """Retry-After in seconds, one day at most; a date counts from the answer's own Date. None
        if it is missing or cannot be read (RFC 9110, 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit() and len(text) < 10:
            return min(float(text), 86_400.0)
        from email.utils import parsedate_to_datetime

        try:
            wait = parsedate_to_datetime(text) - parsedate_to_datetime(self.headers["date"])
        except (KeyError, TypeError, ValueError):
            return None
        return min(max(wait.total_seconds(), 0.0), 86_400.0)


def usable(base_url: str) -> bool:
    """Whether `HttpsClient` takes this address: `https://host[:port]`, or `http://` on the
    loopback for tests."""
    return _parsed(base_url) is not None


def _parsed(base_url: str) -> tuple[bool, str, int] | None:
    """Whether with TLS, the host and the port."""
    found = _BASE.fullmatch(base_url)
    if found is None:
        return None
    tls, host = found[1] == "https", found[2]
    port = int(found[3] or (443 if tls else 80))
    return (tls, host, port) if 0 < port < 65536 and (tls or host in _LOOPBACK) else None


class HttpsClient:
    """Keeps its connection from one call to the next. One thread only.

    See `usable` for `base_url`; others raise `ValueError`. Times are in seconds; `call_timeout`
    bounds a whole call, name look-up apart, which has the resolver's own time-out. `ca_file` is a
    PEM file of authorities to trust instead of the system's.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout: float = 10.0,
        call_timeout: float = 45.0,
        ca_file: str | None = None,
    ) -> None:
        parsed = _parsed(base_url)
        if parsed is None:
            raise ValueError("the address is https://host[:port]")
        self._tls, self._host, self._port = parsed
        self._connect_timeout = connect_timeout
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._kept: tuple[HTTPConnection, TimedSocket] | None = None
        self._idle_since = 0.0
        self.call_timeout = call_timeout

    def call(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """One request and its answer, never repeated. `path` and `headers` are visible ASCII; a
        POST has a body. Raises `NotSent` or `AnswerLost`, which quote nothing."""
        from http.client import HTTPException

        end = time.monotonic() + self.call_timeout
        connection, sock = self._transmitted(method, path, headers, body, end)
        try:
            response = connection.getresponse()
            content = response.read(MAX_ANSWER + 1)
            # `read(n)` takes the end of the connection for the end of the content.
            complete = not response.length and len(content) <= MAX_ANSWER
            answer_headers = {name.lower(): value for name, value in response.headers.items()}
        except (OSError, HTTPException, ValueError):
            sock.end()
            raise AnswerLost from None
        if response.will_close or not complete:
            sock.end()
        else:
            self._kept, self._idle_since = (connection, sock), time.monotonic()
        if not complete:
            raise AnswerLost
        return Answer(response.status, answer_headers, content)

    def close(self) -> None:
        if self._kept is not None:
            self._kept[1].end()
            self._kept = None

    def _transmitted(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, end: float
    ) -> tuple[HTTPConnection, TimedSocket]:
        """The connection on which the whole request has been sent."""
        from chalicelib.providers.https_socket import NothingSent

        kept = self._still_good(end)
        if kept is not None:
            try:
                return _transmit(kept, method, path, headers, body)
            except NothingSent:
                pass  # servers close idle connections, and this one had just done so
        fresh = self._connect(end)
        try:
            return _transmit(fresh, method, path, headers, body)
        except NothingSent as error:
            raise NotSent(_reason(error.__cause__)) from None

    def _still_good(self, end: float) -> tuple[HTTPConnection, TimedSocket] | None:
        """The kept connection, None if there is none or if the server has closed it."""
        if self._kept is None:
            return None
        kept, self._kept = self._kept, None
        sock = kept[1]
        if time.monotonic() - self._idle_since < MAX_IDLE_S and sock.silent():
            sock.end_at(end)
            return kept
        sock.end()
        return None

    def _connect(self, end: float) -> tuple[HTTPConnection, TimedSocket]:
        from http.client import HTTPConnection, HTTPSConnection

        from chalicelib.providers.https_socket import TimedSocket, connected

        try:
            until = min(end, time.monotonic() + self._connect_timeout)
            context = self._trust()
            sock = TimedSocket(connected(self._host, self._port, context, until), end)
        except OSError as error:
            raise NotSent(_reason(error)) from None
        # The class writes the Host header, which names the port unless it is the usual one.
        connection = (
            HTTPSConnection(self._host, self._port, context=context)
            if context
            else HTTPConnection(self._host, self._port)
        )
        connection.sock = sock
        return connection, sock

    def _trust(self) -> ssl.SSLContext | None:
        if self._tls and self._context is None:
            import ssl

            self._context = ssl.create_default_context(cafile=self._ca_file)
        return self._context


def _transmit(
    connected: tuple[HTTPConnection, TimedSocket],
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
) -> tuple[HTTPConnection, TimedSocket]:
    """Sends the request. Raises `NothingSent` or `AnswerLost`; the connection is then closed."""
    from chalicelib.providers.https_socket import NothingSent

    connection, sock = connected
    connection.putrequest(method, path, skip_accept_encoding=True)
    connection.putheader("User-Agent", USER_AGENT)
    connection.putheader("Accept", "application/json")
    for name, value in headers.items():
        connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    try:
        sock.transmit(body)
    except NothingSent:
        sock.end()
        raise
    except OSError:
        sock.end()
        raise AnswerLost from None
    return connected


def _reason(error: BaseException | None) -> Reason:
    return "timeout" if isinstance(error, TimeoutError) else "connection"
