"""Asking a deployed stage over HTTPS; whatever goes wrong is one French line that says what to do.

The secret goes into one header of requests to the stage's own address, and nowhere else.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
    TimeoutError,
)

from chalicelib import __version__
from chalicelib.errors import BadRequest, NotFound, PonctuelError
from cli.remote.address import Address, is_loopback

CONNECT_S = 8.0
# API Gateway answers by itself after 29 s.
READ_S = 35.0
LARGEST_BYTES = 20_000_000
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 3


class StageError(PonctuelError):
    """A deployed stage cannot be used. `passing`: asking again later may help."""

    code = "stage"

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class Client:
    """Calls one stage; close it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._name = f"L'étape {address.name}" if address.name else f"Le serveur {address.url}"
        self._pool = _pool(address.url)
        self._headers = {"Accept": "application/json", "User-Agent": f"ponctuel/{__version__}"}
        if address.secret:
            self._headers["Authorization"] = f"Bearer {address.secret}"

    def get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The answer's JSON object. `query`: what is None is left out."""
        return self._call("GET", _with_query(path, query or {}), None)

    def delete(self, path: str, query: Mapping[str, object]) -> dict[str, Any]:
        """As `get` takes it: a DELETE has no body."""
        return self._call("DELETE", _with_query(path, query), None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._call("POST", path, json.dumps(body).encode())

    def close(self) -> None:
        self._pool.clear()

    def _call(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        url = self.address.url + path
        for _ in range(MOST_REDIRECTS + 1):
            status, headers, content = self._send(method, url, body)
            if status not in REDIRECTS:
                return self._read(method, path, status, headers, content)
            url = self._followed(method, url, headers.get("Location", ""))
        raise StageError(f"{self._name} renvoie sans fin d'une adresse à l'autre : vérifiez --url.")

    def _send(
        self, method: str, url: str, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
            )
            content = response.read(LARGEST_BYTES + 1, decode_content=True)
            response.release_conn()
        except HTTPError as error:
            raise self._unreachable(error) from error
        if len(content) > LARGEST_BYTES:
            raise StageError(f"{self._name} répond plus de {LARGEST_BYTES // 10**6} Mo : trop.")
        return response.status, response.headers, content

    def _followed(self, method: str, url: str, location: str) -> str:
        """Where a redirection leads, when the secret may go there."""
        target = urljoin(url, location)
        if location and method == "GET" and _origin(target) == _origin(url):
            return target
        host = urlsplit(target).hostname or "une autre adresse"
        raise StageError(
            f"{self._name} renvoie vers {host} : le secret n'y est pas envoyé. Donnez par --url "
            "l'adresse définitive de l'API."
        )

    def _read(
        self, method: str, path: str, status: int, headers: Mapping[str, str], content: bytes
    ) -> dict[str, Any]:
        try:
            body: Any = json.loads(content)
        except ValueError:
            body = None
        ours = isinstance(body, dict) and "success" in body
        # Some refusals are an answer: of a run that failed, of messages left as they were.
        if ours and (status < 400 or "runId" in body or "left" in body):
            found: dict[str, Any] = body
            return found
        if ours:
            raise self._refused(status, str(body.get("error") or body.get("message") or ""))
        if status in (403, 404) and (isinstance(body, dict) or status == 404):
            route = path.partition("?")[0]
            raise StageError(
                f"Cette version déployée ne connaît pas encore {method} {route}, ou "
                f"{self.address.url} n'est pas l'adresse de l'API (elle finit d'ordinaire par "
                "/api) : déployez cette version-ci, ou corrigez l'adresse."
            )
        if status == 429:
            raise StageError(
                f"{self._name} reçoit trop d'appels (HTTP 429) : réessayez dans une minute.",
                passing=True,
            )
        if status >= 500:
            late = "n'a pas répondu en 29 secondes" if status == 504 else "a échoué"
            raise StageError(
                f"{self._name} {late} (HTTP {status}) : réessayez ; le journal de sa fonction "
                "API dans CloudWatch dit pourquoi.",
                passing=True,
            )
        kind = headers.get("Content-Type", "").partition(";")[0].strip()[:40] or "sans type"
        raise StageError(
            f"{self._name} ne répond pas en JSON (HTTP {status}, {kind}) : un proxy ou une page de "
            f"connexion répond à sa place. Vérifiez l'adresse {self.address.url} et le réseau."
        )

    def _refused(self, status: int, told: str) -> PonctuelError:
        """What one of our own errors says; of a refused secret also where it came from."""
        told = " ".join("".join(c if c.isprintable() else " " for c in told).split())[:500]
        if status in (401, 403):
            if self.address.secret is None:
                return StageError(
                    f"{self._name} demande un secret : renseignez {self.address.secret_from} dans "
                    "l'environnement de ce terminal."
                )
            return StageError(
                f"{self._name} refuse le secret ({self.address.secret_from}) : il a peut-être "
                "changé ; comparez-le à CRON_SECRET de l'étape."
            )
        if status == 404:
            return NotFound(told)
        if status == 400:
            return BadRequest(told)
        return StageError(f"{self._name} : {told}", passing=status >= 500)

    def _unreachable(self, error: HTTPError) -> StageError:
        host = urlsplit(self.address.url).hostname
        if isinstance(error, NameResolutionError):
            why = f"le nom {host} n'existe pas, ou le réseau est coupé : vérifiez l'adresse."
        elif isinstance(error, SSLError):
            why = (
                f"le certificat de {host} n'est pas accepté ({_ssl_reason(error)}) : vérifiez "
                "l'adresse et l'heure de ce poste ; derrière un proxy d'entreprise, donnez son "
                "autorité par SSL_CERT_FILE."
            )
        elif isinstance(error, ProxyError):
            why = "le proxy de ce poste (HTTPS_PROXY) n'est pas joignable : vérifiez-le."
        elif isinstance(error, TimeoutError) and not isinstance(error, NewConnectionError):
            connecting = isinstance(error, ConnectTimeoutError)
            why = (
                f"{host} ne répond pas en {CONNECT_S if connecting else READ_S:.0f} secondes : "
                "vérifiez le réseau et réessayez."
            )
        else:  # a NewConnectionError, which urllib3 counts among the time-outs, or a broken one
            why = f"{host} refuse ou coupe la connexion : vérifiez l'adresse et le réseau."
        return StageError(f"{self._name} n'est pas joignable : {why}", passing=True)


def _pool(url: str) -> urllib3.PoolManager:
    """Verifies certificates against the system's authorities (or SSL_CERT_FILE); goes through the
    proxy of the environment, except on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = None
    if not is_loopback(host) and not urllib.request.proxy_bypass(host):
        proxy = urllib.request.getproxies().get(parts.scheme)
    if parts.scheme == "http" and not proxy:
        return urllib3.PoolManager()  # which needs no authorities: reading them takes a while
    context = ssl.create_default_context()
    if proxy:
        return urllib3.ProxyManager(proxy, ssl_context=context)
    return urllib3.PoolManager(ssl_context=context)


def _with_query(path: str, query: Mapping[str, object]) -> str:
    asked = {name: str(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(asked)}" if asked else path


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _ssl_reason(error: SSLError) -> str:
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "TLS")
