"""Messages as delivery leaves them, and what providers tell of them, for the tests of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from chalicelib.message_reference import reference
from chalicelib.outbox import events
from chalicelib.outbox.events import Applied
from chalicelib.webhooks.events import Event, InboundEvent, StatusEvent
from tests.database import Database
from tests.harness import NOW

PERSON = "+33612345678"
USER_ID = "FR.13491208655302741918"
SHARED = "106540352242922"

_MESSAGE = """
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
       contact, state, hold_reason, planned_at, not_before, expires_at, submitting_at, counted_at,
       provider, provider_id, error_code, key_free, claim_id, proof_at, settled_at)
VALUES (:business_id, :kind, :subject, :cycle, :step, :channel, :person, :contact, :contact, :state,
        :hold_reason, :planned_at, :planned_at, :expires_at, :submitting_at, :submitting_at,
        :provider, :provider_id, :error_code, :key_free, CAST(:claim_id AS uuid), :proof_at,
        :settled_at)
RETURNING id
"""


def message(database: Database, **changes: Any) -> int:
    """A relance by WhatsApp whose answer is lost, an hour after it was planned. Returns its id."""
    row: dict[str, Any] = {
        "business_id": "B1",
        "kind": "billing.invoice_followup",
        "subject": "F1",
        "cycle": "0",
        "step": "1",
        "channel": "whatsapp",
        "person": "C1",
        "contact": PERSON,
        "state": "uncertain",
        "hold_reason": None,
        "planned_at": NOW - timedelta(hours=2),
        "expires_at": NOW + timedelta(days=7),
        "submitting_at": NOW - timedelta(hours=1),
        "provider": None,
        "provider_id": None,
        "error_code": None,
        "key_free": False,
        "claim_id": None,
        "proof_at": NOW,
        "settled_at": None,
    } | changes
    with database.begin() as connection:
        number: int = connection.execute(text(_MESSAGE), row).scalar_one()
    return number


def named(database: Database, number: int) -> str:
    """The reference by which providers know that message."""
    with database.begin() as connection:
        deployment: UUID = connection.execute(
            text("SELECT id FROM ponctuel.deployment")
        ).scalar_one()
    return reference(deployment, number)


def row(database: Database, number: int) -> dict[str, Any]:
    with database.begin() as connection:
        found = connection.execute(
            text("SELECT * FROM ponctuel.messages WHERE id = :id"), {"id": number}
        )
        return dict(found.mappings().one())


def rows(database: Database, query: str, **values: Any) -> list[Any]:
    with database.begin() as connection:
        return [tuple(found) for found in connection.execute(text(query), values)]


def tell(database: Database, *told: Event, at: datetime = NOW, body: bytes = b"") -> Applied:
    """One call with these events."""
    with database.begin() as connection:
        return events.apply(connection, told, received_at=at, body=body)


def status(
    state: Any,
    code: str | None = None,
    *,
    reference: str | None = None,
    provider: str = "meta",
    provider_id: str = "wamid.1",
    at: datetime = NOW,
) -> StatusEvent:
    key = f"{provider}:{provider_id}:{state}:{code}"
    return StatusEvent(provider, provider_id, reference, state, code, at, key)


_number = iter(range(1, 1_000_000))


def wrote(words: str = "Bonjour, c'est réglé.", **changes: Any) -> InboundEvent:
    """Somebody wrote to the shared number."""
    number = next(_number)
    event = InboundEvent(
        provider="meta",
        provider_id=f"wamid.in.{number}",
        from_=PERSON,
        to=SHARED,
        kind="text",
        text=words,
        media_count=0,
        at=NOW,
        event_key=f"meta:wamid.in.{number}:inbound",
    )
    return replace(event, **changes)


def suppressed(database: Database) -> Sequence[tuple[str, str, str, str]]:
    """(business, contact, category, reason) of what is in force."""
    return rows(
        database,
        "SELECT business_id, contact, category, reason FROM ponctuel.suppressions "
        "WHERE lifted_at IS NULL ORDER BY business_id, contact, category",
    )
