"""Kinds of message for the tests of guards and limits, and planned messages of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from chalicelib.outbox import kinds, rendering, whatsapp_texts
from chalicelib.outbox.kinds import Claimed, Kind, Send, Verdict
from tests.harness import Deployment

FOLDER = "invoice_followup"


def _guard(
    _connection: Connection, messages: Sequence[Claimed], _now: datetime
) -> Mapping[int, Verdict]:
    return {message.id: _send(message) for message in messages}


def _send(message: Claimed) -> Send:
    whatsapp = message.channel == "whatsapp"
    sample = whatsapp_texts.sample(FOLDER) if whatsapp else rendering.sample(FOLDER)
    return Send(
        content=sample | dict(message.content.get("with", {})),
        recipients=message.recipient or "",
        variant="rappel",
        user_id=message.content.get("user_id"),
        zone=message.content.get("zone"),
    )


def _kind(name: str, **options: Any) -> Kind:
    defaults = {"late_after": timedelta(days=7), "whatsapp": FOLDER}
    return Kind(f"probe.{name}", "Sonde", FOLDER, _guard, **(defaults | options))


PLAIN = _kind("plain")
MARKETING = _kind("marketing", category="marketing")
UNCAPPED = _kind("uncapped", capped=False)
AT_ANY_HOUR = _kind("at_any_hour", hours=None)
KINDS = (PLAIN, MARKETING, UNCAPPED, AT_ANY_HOUR)


def register(patch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        patch.setitem(kinds._KINDS, kind.name, kind)


def plan(deployment: Deployment, subject: str, kind: Kind = PLAIN, **columns: Any) -> int:
    """A planned message of a business's own person, `subject`; returns its id."""
    values = {
        "business_id": "B1",
        "kind": kind.name,
        "subject": subject,
        "channel": "email",
        "person": subject,
        "recipient": f"{subject.lower()}@customers.example",
        "content": "{}",
        "order_key": None,
    } | columns
    return int(
        deployment.rows(
            """INSERT INTO ponctuel.messages (business_id, kind, subject, channel, person,
                  recipient, content, order_key, state, planned_at, not_before, expires_at)
               VALUES (:business_id, :kind, :subject, :channel, :person, :recipient,
                  CAST(:content AS jsonb), :order_key, 'planned', ponctuel.clock(),
                  ponctuel.clock(), ponctuel.clock() + interval '7 days') RETURNING id""",
            **values,
        )[0]["id"]
    )


def by_whatsapp(deployment: Deployment, subject: str, number: str, **columns: Any) -> int:
    """The same for WhatsApp, whose sandbox is there from now on, with an approved template."""
    assert deployment.twilio
    deployment.execute(
        "INSERT INTO ponctuel.whatsapp_templates (business_id, provider, kind, variant, name,"
        " set_at, set_by) VALUES ('*', 'twilio', :kind, 'rappel', :name, ponctuel.clock(), 'test')"
        " ON CONFLICT DO NOTHING",
        kind=columns.get("kind", PLAIN).name,
        name="HX" + "a" * 32,
    )
    return plan(deployment, subject, channel="whatsapp", recipient=number, **columns)


def one(deployment: Deployment, subject: str, **where: object) -> Mapping[str, Any]:
    (found,) = deployment.messages(subject=subject, **where)
    return found


def fate(deployment: Deployment, subject: str) -> tuple[str, str | None]:
    """The state, and why it is held or closed."""
    message = one(deployment, subject)
    return message["state"], message["hold_reason"] or message["error_code"]
