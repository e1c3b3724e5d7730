"""What providers and people tell, as the ledger keeps it. Each is one INSERT, with defaults."""

from __future__ import annotations

import json
from datetime import datetime

from tests.harness import NOW, Deployment


def inbound(
    deployment: Deployment, text: str = "Bonjour, c'est réglé.", **overrides: object
) -> None:
    """C1 wrote to B1 on WhatsApp."""
    values = {
        "business_id": "B1",
        "channel": "whatsapp",
        "provider": "twilio",
        "provider_id": "SM-in-1",
        "contact": "+33612345678",
        "person": "C1",
        "kind": "text",
        "text": text,
        "at": NOW,
        "received_at": NOW,
    } | overrides
    _insert(deployment, "inbound_messages", values)


def webhook_event(
    deployment: Deployment,
    message_id: int,
    state: str,
    at: datetime = NOW,
    code: str | None = None,
    **overrides: object,
) -> None:
    """A status that Twilio told."""
    values = {
        "event_key": f"twilio:{message_id}:{state}:{at.isoformat()}",
        "provider": "twilio",
        "type": "status",
        "at": at,
        "received_at": at,
        "message_id": message_id,
        "outcome": "applied",
        "payload": json.dumps({"state": state, "code": code}),
    } | overrides
    _insert(deployment, "webhook_events", values)


def _insert(deployment: Deployment, relation: str, values: dict[str, object]) -> None:
    columns = ", ".join(values)
    marks = ", ".join(
        f"CAST(:{name} AS jsonb)" if name == "payload" else f":{name}" for name in values
    )
    deployment.execute(f"INSERT INTO ponctuel.{relation} ({columns}) VALUES ({marks})", **values)
