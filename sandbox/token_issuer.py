"""Google's and Microsoft's token endpoints on this machine, as strict as an issuer can be: each
refresh token of Microsoft's works once, and what it is answered replaces it.

The real Microsoft lets an old one live on; a client that keeps up with the strict one keeps up with
both. Google gives no new refresh token.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

CLIENT, SECRET = "sandbox-client", "s3cret~client"
MICROSOFT_SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
Reply = tuple[int, bytes, str]


@dataclass
class TokenIssuer:
    """`asked`: the form of each request. `fault`: what to answer instead of all else (status, body,
    content type). `delay`: seconds before each answer. `life`: of access tokens, in seconds."""

    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    fault: Reply | None = None
    delay: float = 0.0
    life: int = 3599

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._good: dict[str, str] = {}
        self.access_tokens: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = parse_qs(self.rfile.read(length).decode(), strict_parsing=True)
                status, body, kind = issuer._answer(self.path, {k: v[0] for k, v in form.items()})
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, issuer: str) -> str:
        """The setting GOOGLE_OAUTH_URL or MICROSOFT_OAUTH_URL that leads here."""
        tenant = "common" if issuer == "microsoft" else ""
        base = f"http://127.0.0.1:{self._server.server_port}"
        return f"{issuer}://{CLIENT}:{SECRET}@{tenant}?base_url={base}"

    def grant(self, issuer: str) -> str:
        """A refresh token, as if somebody had just agreed."""
        token = f"{issuer[0]}R.{secrets.token_urlsafe(30)}"
        with self._lock:
            self._good[token] = issuer
        return token

    def revoke(self, refresh_token: str) -> None:
        with self._lock:
            del self._good[refresh_token]

    @property
    def valid(self) -> set[str]:
        """The refresh tokens that would be taken now."""
        with self._lock:
            return set(self._good)

    def _answer(self, path: str, form: dict[str, str]) -> Reply:
        time.sleep(self.delay)
        with self._lock:
            self.asked.append(form)
            self.paths.append(path)
            if self.fault is not None:
                return self.fault
            if path == "/revoke":
                if self._good.get(form.get("token", "")) != "google":
                    return _json(400, {"error": "invalid_token"})
                del self._good[form["token"]]
                return _json(200, {})
            issuer = {"/token": "google", "/common/oauth2/v2.0/token": "microsoft"}.get(path)
            if issuer is None:
                return 404, b"<html>Not Found</html>", "text/html"
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
                return _error(issuer, 401, "invalid_client", 7000215)
            if issuer == "microsoft" and form.get("scope") != MICROSOFT_SCOPE:
                return _error(issuer, 400, "invalid_scope", 70011)
            if self._good.get(form.get("refresh_token", "")) != issuer:
                return _error(issuer, 400, "invalid_grant", 70008)
            return self._granted(issuer, form["refresh_token"])

    def _granted(self, issuer: str, refresh_token: str) -> Reply:
        access = f"{issuer[0]}A.{secrets.token_urlsafe(60)}"
        self.access_tokens.append(access)
        answer: dict[str, Any] = {
            "access_token": access,
            "expires_in": self.life,
            "token_type": "Bearer",
        }
        if issuer == "google":
            return _json(200, answer | {"scope": "https://mail.google.com/"})
        del self._good[refresh_token]
        renewed = f"mR.{secrets.token_urlsafe(30)}"
        self._good[renewed] = issuer
        return _json(
            200,
            answer
            | {
                "scope": "https://outlook.office.com/IMAP.AccessAsUser.All",
                "ext_expires_in": self.life,
                "refresh_token": renewed,
            },
        )


def _error(issuer: str, status: int, error: str, number: int) -> Reply:
    if issuer == "google":
        words = {
            "invalid_grant": "Token has been expired or revoked.",
            "invalid_client": "The OAuth client was not found.",
        }
        return _json(status, {"error": error, "error_description": words[error]})
    return _json(
        status,
        {
            "error": error,
            "error_description": f"AADSTS{number}: The request was refused.\r\n"
            "Trace ID: 5c3e0f2a-0000-4000-8000-6aae19bd4c00\r\n"
            "Correlation ID: c0261266-0000-4000-8000-e6f8438666f7\r\n"
            "Timestamp: 2026-03-10 09:00:00Z",
            "error_codes": [number],
            "timestamp": "2026-03-10 09:00:00Z",
            "trace_id": "5c3e0f2a-0000-4000-8000-6aae19bd4c00",
            "correlation_id": "c0261266-0000-4000-8000-e6f8438666f7",
            "error_uri": f"https://login.microsoftonline.com/error?code={number}",
        },
    )


def _json(status: int, content: Mapping[str, Any]) -> Reply:
    return status, json.dumps(content).encode(), "application/json; charset=utf-8"
