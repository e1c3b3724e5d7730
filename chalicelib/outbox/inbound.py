"""What somebody wrote, offered to the domains: one of them may take it for an answer of its own.

The outbox imports no domain: a domain's `inbound.py`, where there is one, registers a listener. A
listener that fails takes nothing else down: its offer is recorded as failed, and made again later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, Literal

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.db.sqlstate import sqlstate

# With waits of 1, 5, 25 and 125 minutes between them.
ATTEMPTS = 5
# In place of a kind: an address of the customer's file, and no message of ours, tells who it is.
KNOWN_BY_ADDRESS = "customer_address"

_READ = """
SELECT i.id, i.business_id, i.channel, i.contact, i.user_id, i.person, i.known_by, i.kind, i.text,
       i.media_count, i.in_reply_to, i.intent, i.at, i.pauses
"""
_THESE = text(f"""
{_READ} FROM ponctuel.inbound_messages i
 WHERE i.id IN (SELECT value::bigint FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
 ORDER BY i.person, i.id
""")
_FAILED = text(f"""
{_READ}, o.domain
  FROM ponctuel.inbound_offers o JOIN ponctuel.inbound_messages i ON i.id = o.inbound_id
 WHERE o.outcome = 'failed'
   AND o.at + interval '1 minute' * power(5, o.attempts - 1) <= ponctuel.clock()
   AND o.domain IN (SELECT value FROM jsonb_array_elements_text(CAST(:domains AS jsonb)))
 ORDER BY o.at LIMIT :limit FOR UPDATE OF o SKIP LOCKED
""")
_RECORD = text(f"""
INSERT INTO ponctuel.inbound_offers AS o (inbound_id, domain, outcome, at, error)
VALUES (:inbound_id, :domain, :outcome, ponctuel.clock(), :error)
    ON CONFLICT (inbound_id, domain) DO UPDATE
   SET outcome = CASE WHEN excluded.outcome = 'failed' AND o.attempts + 1 >= {ATTEMPTS}
                      THEN 'given_up' ELSE excluded.outcome END,
       attempts = o.attempts + 1, at = excluded.at, error = excluded.error
""")


@dataclass(frozen=True)
class Inbound:
    """A message that somebody wrote. `business_id` and `person` are empty when they are not known;
    `known_by` is the kind of the message of ours by which they are, or `KNOWN_BY_ADDRESS`.
    `in_reply_to`: the message of ours that was answered or reacted to. `kind` is the provider's
    (`text`, `button`, `image`, `reaction`…); `intent` what was asked, and done already. `at` is
    aware. `pauses`: whether who wrote is to be left in peace for a while."""

    id: int
    business_id: str
    channel: str
    contact: str = field(repr=False)
    user_id: str | None = field(repr=False)
    person: str
    known_by: str
    kind: str
    text: str = field(repr=False)
    media_count: int
    in_reply_to: int | None
    intent: Literal["opt_out", "opt_in"] | None
    at: datetime
    pauses: bool = True


# Whether the domain takes the message. Called in a transaction; what it raises is undone.
Listener = Callable[[Connection, Inbound], bool]

_LISTENERS: dict[str, Listener] = {}


def register(domain: str, listener: Listener) -> None:
    """`domain`: the name of the package."""
    _LISTENERS[domain] = listener


def listeners() -> Mapping[str, Listener]:
    """Those of all domains, by name."""
    import chalicelib.domain as domains

    for package in iter_modules(domains.__path__, "chalicelib.domain."):
        if package.ispkg and find_spec(f"{package.name}.inbound"):
            import_module(f"{package.name}.inbound")
    return _LISTENERS


def offer(connection: Connection, number: int) -> None:
    """Offers the message to every domain, and records what each made of it."""
    offer_all(connection, [number])


def offer_all(connection: Connection, numbers: Sequence[int]) -> None:
    """Offers each of the messages. One statement for what they say, three for each offer."""
    known = listeners()
    if known and numbers:
        rows = connection.execute(_THESE, {"ids": json.dumps(list(numbers))}).mappings().all()
        for row in rows:
            for domain in sorted(known):
                _offer(connection, known[domain], domain, Inbound(**row))


def offer_again(connection: Connection, limit: int) -> int:
    """Makes failed offers again, at most `limit`, the oldest first; each five times in all, then it
    is *given_up*. Returns how many were made. One statement when there are none."""
    known = listeners()
    values = {"domains": json.dumps(sorted(known)), "limit": limit}
    rows = connection.execute(_FAILED, values).mappings().all()
    for row in rows:
        message: dict[str, Any] = dict(row)
        domain = message.pop("domain")
        _offer(connection, known[domain], domain, Inbound(**message))
    return len(rows)


def _offer(connection: Connection, listener: Listener, domain: str, message: Inbound) -> None:
    outcome, code = "failed", None
    try:
        with connection.begin_nested():
            outcome = "taken" if listener(connection, message) else "not_ours"
    except Exception as error:  # per-item isolation: one domain's failure, not the webhook's
        if connection.invalidated:
            raise
        code = sqlstate(error) or getattr(error, "code", None) or type(error).__name__
        logs.error("inbound_offer_failed", inbound=message.id, domain=domain, error=error)
    connection.execute(
        _RECORD,
        {"inbound_id": message.id, "domain": domain, "outcome": outcome, "error": code},
    )
