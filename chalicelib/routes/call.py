"""One HTTP call, as a route sees it: API Gateway's event, read without trusting any of it."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.errors import BadRequest
from chalicelib.routes.auth import Caller, authorize
from chalicelib.routes.refusals import clean_path
from chalicelib.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

# Every route is also there under it: on a custom domain no stage name stands before the path.
PREFIX = "/api"
LONGEST_BODY = 100_000
ON = {"1", "true", "on", "oui", "yes"}
# API Gateway gives up after 29 s, and a call may have waited most of that before a statement hangs.
STATEMENT_TIMEOUT_MS = 7_000
SOCKET_TIMEOUT_S = 8.0


@dataclass
class Call:
    """`event` is a REST proxy event; `parameters` are the route's path parameters. `caller` is
    known once `authorize` has let the call in."""

    event: Mapping[str, Any]
    parameters: Mapping[str, str]
    settings: Settings
    caller: Caller | None = None
    _begun: float = field(default_factory=time.monotonic)
    _late: float = field(init=False)

    def __post_init__(self) -> None:
        received = self._context.get("requestTimeEpoch")
        known = isinstance(received, int | float)
        self._late = max(0.0, time.time() - float(received or 0) / 1000) if known else 0.0

    def authorize(self, *, allow_query: bool) -> Caller:
        """Lets the call in, or raises `NotConfigured` or `Unauthorized`."""
        self.caller = authorize(
            self._multiple("multiValueHeaders", "headers"),
            self._multiple("multiValueQueryStringParameters", "queryStringParameters"),
            settings=self.settings,
            allow_query=allow_query,
        )
        return self.caller

    @property
    def method(self) -> str:
        return str(self._context.get("httpMethod", ""))

    @property
    def path(self) -> str:
        """The path as it was called, stage included; never the query, which may hold the secret,
        nor a token: the route's pattern stands for an address that opens by itself."""
        if "token" in self.parameters:
            return clean_path(str(self._context.get("resourcePath") or ""))
        return clean_path(str(self._context.get("path") or self.event.get("path") or ""))

    @property
    def called_path(self) -> str:
        """The path to the letter, for a signature over it: never for a log or an answer."""
        return str(self._context.get("path") or "")

    @property
    def address(self) -> str | None:
        """The caller's address, as API Gateway saw it."""
        address = (self._context.get("identity") or {}).get("sourceIp")
        return str(address) if address else None

    @property
    def reference(self) -> str:
        """What finds this call in the logs."""
        return str(self._context.get("requestId", ""))

    def header(self, name: str) -> str:
        """The last value of a header, in any case; empty when it is absent."""
        pairs = self._multiple("multiValueHeaders", "headers")
        values = [value for key, given in pairs.items() if key.lower() == name for value in given]
        return values[-1] if values else ""

    def query(self, name: str) -> str:
        """The last value of a query parameter; empty when it is absent."""
        pairs = self._multiple("multiValueQueryStringParameters", "queryStringParameters")
        return (pairs.get(name) or [""])[-1]

    def pairs(self) -> list[tuple[str, str]]:
        """Every name and value of the query, decoded, in the order in which they came."""
        several = self._multiple("multiValueQueryStringParameters", "queryStringParameters")
        return [(name, value) for name, values in several.items() for value in values]

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes: 1, true, on, oui, yes."""
        return self.query(name).strip().lower() in ON

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, whatever its content type; `{}` without a body. Raises
        `BadRequest`."""
        raw = self.body()
        if not raw.strip():
            return {}
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            raise BadRequest("Le corps de l'appel n'est pas du JSON lisible.") from None
        if not isinstance(found, dict):
            raise BadRequest('Le corps doit être un objet JSON, par exemple {"dry_run": true}.')
        return found

    def link(self, path: str) -> str:
        """The absolute address of a route: PUBLIC_URL, or what this caller used before the path."""
        if self.settings.public_url:
            return self.settings.public_url + path
        called = str(self._context.get("path") or "").strip("/").split("/")
        own = str(self._context.get("resourcePath") or "").removeprefix(PREFIX).strip("/")
        before = called[: len(called) - len(own.split("/"))]
        root = "".join(f"/{part}" for part in before)
        host = self._context.get("domainName")
        if not host:
            return root + path
        scheme = self.header("x-forwarded-proto")
        return f"{scheme if scheme == 'http' else 'https'}://{host}{root}{path}"

    def elapsed(self) -> float:
        """Seconds since API Gateway received the call; our clock may be behind its clock."""
        return self._late + time.monotonic() - self._begun

    @cached_property
    def engine(self) -> Engine:
        """The call's own connection, opened on first use and closed with the call."""
        from chalicelib.runner.invocation import engine_from

        return engine_from(
            self.settings,
            "api",
            statement_timeout_ms=STATEMENT_TIMEOUT_MS,
            socket_timeout_s=SOCKET_TIMEOUT_S,
        )

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    @property
    def _context(self) -> Mapping[str, Any]:
        context: Mapping[str, Any] = self.event.get("requestContext") or {}
        return context

    def _multiple(self, several: str, single: str) -> Mapping[str, Sequence[str]]:
        """Names to values. The console's test button sends null for both forms."""
        if self.event.get(several):
            return {name: list(values or ()) for name, values in self.event[several].items()}
        return {name: [value] for name, value in (self.event.get(single) or {}).items()}

    def body(self, longest: int = LONGEST_BODY) -> bytes:
        """The body's bytes, as they were sent. Raises `BadRequest`: over `longest` characters, or
        unreadable."""
        body = self.event.get("body") or ""
        if len(body) > longest:
            raise BadRequest(f"Le corps de l'appel dépasse {longest // 1000} ko.")
        if not self.event.get("isBase64Encoded"):
            return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
        try:
            return b64decode(body)
        except ValueError:
            raise BadRequest("Le corps de l'appel est illisible.") from None
