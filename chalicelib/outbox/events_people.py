"""What providers tell of people rather than of messages: who must not, or cannot, be written to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from chalicelib.outbox import correspondents
from chalicelib.outbox.events_outcome import Outcome
from chalicelib.outbox.suppressions import MARKETING, Suppression, lift, opted_out, suppress
from chalicelib.providers.whatsapp.codes import meaning
from chalicelib.webhooks.events import (
    BounceEvent,
    ComplaintEvent,
    PreferenceEvent,
    StatusEvent,
)

if TYPE_CHECKING:
    from chalicelib.outbox.events_messages import MessageEvent

WEBHOOK = "webhook"
NOT_ARRIVED = ("failed", "refused")

_OVERRULED = text("""
SELECT EXISTS (
  SELECT 1 FROM ponctuel.webhook_events e
   WHERE e.type = 'preference' AND e.provider = :provider AND e.payload ->> 'to' = :to
     AND e.payload ->> 'contact' IN (SELECT value
                                       FROM jsonb_array_elements_text(CAST(:keys AS jsonb)))
     AND (e.payload ->> 'wanted')::boolean = :opposite
     AND (e.at > :at OR (e.at = :at AND NOT :opposite)))
""")


@dataclass
class Changes:
    """What a call's events make of the suppression list. `contacts`: of whom something was told
    that says whether WhatsApp reaches them, and by which event (see `reach`)."""

    made: list[Suppression] = field(default_factory=list)
    contacts: dict[tuple[str, str], str] = field(default_factory=dict)

    def bounced(self, event: BounceEvent) -> None:
        """An address that takes no mail is on everybody's list, or on that of whom it is told."""
        if event.dead_address:
            self.made += [
                Suppression(
                    event.business_id,
                    "email",
                    address.lower(),
                    "hard_bounce",
                    source=event.event_key,
                )
                for address in event.recipients
            ]

    def told(self, event: MessageEvent, message: Mapping[str, Any]) -> None:
        """`message`: the row that the event is about, as it was."""
        if not message["business_id"]:
            return  # the operator's own
        if isinstance(event, ComplaintEvent):
            self.made += [
                Suppression(
                    message["business_id"],
                    "email",
                    address.lower(),
                    "complaint",
                    person=message["person"],
                    source=event.event_key,
                )
                for address in event.recipients
            ]
        elif (
            isinstance(event, StatusEvent)
            and message["channel"] == "whatsapp"
            and message["contact"]
        ):
            # An acceptance too, of a message that had failed.
            if event.state in ("failed", "delivered", "read") or message["state"] in NOT_ARRIVED:
                self.contacts[message["business_id"], message["contact"]] = event.event_key
            if event.state == "failed":
                self._failed(event, message)

    def _failed(self, event: StatusEvent, message: Mapping[str, Any]) -> None:
        if meaning(event.provider, event.code or "").code == "opt_out":
            reason, category = opted_out(event.provider)
            self.made.append(
                Suppression(
                    message["business_id"],
                    "whatsapp",
                    message["contact"],
                    reason,
                    category=category,
                    person=message["person"],
                    source=event.event_key,
                )
            )


def prefer(connection: Connection, event: PreferenceEvent) -> Outcome:
    """Stops or resumes marketing for who told WhatsApp so, and for nothing else than marketing.
    The last one said counts, in whatever order they come."""
    if not event.category.startswith(MARKETING):
        return Outcome(event.event_key, "noted")
    who = correspondents.find(connection, event)
    values = {
        "provider": event.provider,
        "to": event.to,
        "keys": json.dumps(who.keys),
        "opposite": not event.wanted,
        "at": event.at,
    }
    if connection.execute(_OVERRULED, values).scalar_one():
        return Outcome(event.event_key, "stale")
    if not event.wanted:
        suppress(
            connection,
            [
                Suppression(
                    business,
                    "whatsapp",
                    contact,
                    "unsubscribe",
                    category=MARKETING,
                    person=who.person if business == who.business_id else "",
                    source=event.event_key,
                )
                for business in who.businesses
                for contact in who.keys
            ],
        )
        return Outcome(event.event_key, "applied")
    for business in who.businesses:
        for contact in who.keys:
            lift(
                connection,
                business_id=business,
                channel="whatsapp",
                contact=contact,
                reasons=["unsubscribe"],
                category=MARKETING,
                by=WEBHOOK,
                why=event.event_key,
            )
    return Outcome(event.event_key, "applied")
