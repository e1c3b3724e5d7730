"""Who may call. Pure functions over a request's headers and query; refusals are in `refusals`.

The secret is `CRON_SECRET`, or `CRON_SECRET_PREVIOUS` while callers change from one to the other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from chalicelib.errors import NotConfigured, PonctuelError, SettingsError, Unauthorized

if TYPE_CHECKING:
    from chalicelib.settings import Settings

# "forbidden": inbox, followups, users and check-overdue, whose callers know 403. "shop": the shop's
# three, whose callers look for the word Unauthorized.
Family = Literal["forbidden", "shop", "other"]
Values = Mapping[str, str | Sequence[str]]

# Since the first release; a date in the past is allowed (RFC 9745, section 2.1).
QUERY_DEPRECATED_AT = datetime(2026, 11, 21, tzinfo=UTC)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ponctuel"'}  # owed with a 401 (RFC 9110, 15.5.2)
HOW = "Envoyez l'en-tête « Authorization: Bearer » suivi du secret."


@dataclass(frozen=True)
class Caller:
    """Someone who may call. "local": nothing is configured, on a developer's machine. `rotated`:
    the previous secret was used."""

    kind: Literal["local", "bearer", "query"]
    rotated: bool = False

    @property
    def deprecated(self) -> bool:
        """Whether the answer carries `deprecation()`."""
        return self.kind == "query"


def authorize(
    headers: Values | None, query: Values | None, *, settings: Settings, allow_query: bool
) -> Caller:
    """The caller, by `Authorization: Bearer` or, where `allow_query` and SECRET_IN_QUERY agree, by
    `?secret=`. A Bearer header decides alone: the query is not looked at then.

    Give API Gateway's `multiValueHeaders` and `multiValueQueryStringParameters`, where there are
    any: two different secrets in one request are refused. Raises `NotConfigured` when there is no
    secret to compare with (it is missing, too short, or cannot be fetched), and `Unauthorized` with
    code `secret_missing`, `secret_not_in_query`, `secret_ambiguous` or `unauthorized`.
    """
    current, previous = _configured(settings)
    if current is None:
        return Caller("local")
    bearer = _bearer(headers)
    if bearer:
        kind: Literal["bearer", "query"] = "bearer"
        presented = bearer
    else:
        kind = "query"
        presented = _values(query, "secret", fold=False)
        if presented and not (allow_query and _query_accepted(settings)):
            raise Unauthorized(
                f"Le secret dans l'adresse (?secret=) n'est pas accepté ici. {HOW}",
                code="secret_not_in_query",
            )
    if not presented:
        raise Unauthorized(f"Secret absent. {HOW}", code="secret_missing")
    if len(presented) > 1:
        raise Unauthorized(
            "Deux secrets différents dans le même appel : n'en envoyez qu'un.",
            code="secret_ambiguous",
        )
    (secret,) = presented
    # Both are always compared, so that the time taken says nothing.
    is_current, is_previous = _same(secret, current), _same(secret, previous)
    if not is_current and not is_previous:
        raise Unauthorized(
            "Secret refusé. Comparez-le à CRON_SECRET : majuscules et minuscules comptent."
        )
    return Caller(kind, rotated=not is_current)


def refusal(error: PonctuelError, family: Family) -> tuple[int, dict[str, object]]:
    """Status and JSON body for what `authorize` raised, as the route's users know them."""
    if isinstance(error, SettingsError):
        return 503, {"success": False, "error": str(error)}
    if family == "forbidden":
        return 403, {"success": False, "error": str(error)}
    if family == "shop":
        return 401, {"success": False, "error": "Unauthorized", "message": str(error)}
    return 401, {"success": False, "error": str(error)}


def deprecation(documentation: str | None) -> dict[str, str]:
    """Headers of an answer to `?secret=`: RFC 9745, with the address of a page that explains."""
    headers = {"Deprecation": f"@{int(QUERY_DEPRECATED_AT.timestamp())}"}
    if documentation:
        headers["Link"] = f'<{documentation}>; rel="deprecation"'
    return headers


def _configured(settings: Settings) -> tuple[str | None, str | None]:
    """Current and previous secret; no current one means that none is needed (`local` only)."""
    try:
        current, previous = settings.cron_secret, settings.cron_secret_previous
        if current is None and (previous is not None or not settings.is_local):
            how = settings.how_to_set("CRON_SECRET")
            raise NotConfigured(f"Aucun secret n'est configuré, donc rien n'est lancé. {how}")
    except NotConfigured:
        raise
    except SettingsError as error:
        raise NotConfigured(f"Rien n'est lancé. {error}") from error
    return current, previous


def _query_accepted(settings: Settings) -> bool:
    try:
        return settings.secret_in_query
    except SettingsError as error:
        raise NotConfigured(f"Rien n'est lancé. {error}") from error


def _bearer(headers: Values | None) -> set[str]:
    found = set()
    for value in _values(headers, "authorization", fold=True):
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "bearer" and rest.strip():
            found.add(rest.strip())
    return found


def _values(pairs: Values | None, name: str, *, fold: bool) -> set[str]:
    """The different values given for `name`, in whichever case its letters are when `fold`."""
    found: set[str] = set()
    for key, given in (pairs or {}).items():
        if (key.lower() if fold else key) == name:
            found.update([given] if isinstance(given, str) else given)
    return {value.strip() for value in found if value.strip()}


def _same(presented: str, secret: str | None) -> bool:
    expected = _digest((secret or "").encode("utf-8", "surrogatepass"))
    sent = presented.encode("utf-8", "surrogatepass")
    try:
        # A client that sends UTF-8 through a server that reads Latin-1 still sends these bytes.
        on_the_wire = presented.encode("latin-1")
    except UnicodeEncodeError:
        on_the_wire = sent
    same = hmac.compare_digest(_digest(sent), expected)
    same |= hmac.compare_digest(_digest(on_the_wire), expected)
    return same and secret is not None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
