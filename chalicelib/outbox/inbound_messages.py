"""What people write to us on WhatsApp: kept once, obeyed if it is a STOP, offered to domains."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.outbox import correspondents, inbound, reach
from chalicelib.outbox.correspondents import Correspondent
from chalicelib.outbox.events_outcome import Outcome
from chalicelib.outbox.suppressions import Suppression, lift, suppress
from chalicelib.webhooks.events import InboundEvent
from chalicelib.webhooks.stop_words import opt_intent

Intent = Literal["opt_out", "opt_in"]

# A place that is called Stop, a card, a thumb: nobody's own words.
NO_WORDS = frozenset({"location", "contacts", "reaction", "order"})

_KEEP = text("""
WITH kept AS (
  INSERT INTO ponctuel.inbound_messages
         (business_id, channel, provider, provider_id, contact, user_id, person, known_by, sender,
          kind, text, media_count, in_reply_to, intent, at, received_at)
  VALUES (:business_id, 'whatsapp', :provider, :provider_id, :contact, :user_id, :person,
          :known_by, :sender, :kind, :text, :media_count, :in_reply_to, :intent, :at,
          :received_at)
  ON CONFLICT (provider, provider_id) DO NOTHING
  RETURNING id
), met AS (
  INSERT INTO ponctuel.contacts AS c (business_id, channel, contact, user_id, last_inbound_at)
  SELECT :business_id, 'whatsapp', k.value, :user_id, :at
    FROM jsonb_array_elements_text(CAST(:keys AS jsonb)) AS k
   WHERE :business_id <> '' AND EXISTS (SELECT 1 FROM kept)
   ORDER BY k.value
  ON CONFLICT (business_id, channel, contact) DO UPDATE
     SET last_inbound_at = greatest(c.last_inbound_at, excluded.last_inbound_at),
         user_id = COALESCE(excluded.user_id, c.user_id)
)
SELECT id FROM kept
""")
# The last word counts, in whatever order they come; of two at once, the STOP.
_OVERRULED = text("""
SELECT EXISTS (
  SELECT 1 FROM ponctuel.inbound_messages i
   WHERE i.contact IN (SELECT value FROM jsonb_array_elements_text(CAST(:keys AS jsonb)))
     AND i.intent = :opposite AND i.provider = :provider AND i.sender = :sender
     AND (i.at > :at OR (i.at = :at AND :opposite = 'opt_out')))
""")


def receive(connection: Connection, event: InboundEvent, received_at: datetime) -> Outcome:
    """Keeps the message, notes that its author can be reached, and may be answered freely for a
    day, does what a STOP or START asks for, and offers it to the domains."""
    who = correspondents.find(connection, event)
    intent = _intent(event)
    number = connection.execute(
        _KEEP,
        {
            "business_id": who.business_id,
            "provider": event.provider,
            "provider_id": event.provider_id,
            "contact": event.from_,
            "user_id": event.user_id,
            "person": who.person,
            "known_by": who.kind,
            "sender": event.to,
            "kind": event.kind,
            "text": event.text,
            "media_count": event.media_count,
            "in_reply_to": who.answered,
            "intent": intent,
            "at": event.at,
            "received_at": received_at,
            "keys": json.dumps(who.keys),
        },
    ).scalar()
    if number is None:
        return Outcome(event.event_key, "stale", who.answered)
    if not who.businesses:
        logs.warning("inbound_of_nobody", inbound=number, provider=event.provider, intent=intent)
    if intent is not None and not _overruled(connection, event, who, intent):
        _obey(connection, event, who, intent)
    if who.business_id:
        told = {(who.business_id, contact): event.event_key for contact in who.keys}
        reach.weigh(connection, told)
    inbound.offer(connection, number)
    return Outcome(event.event_key, "applied", who.answered)


def _intent(event: InboundEvent) -> Intent | None:
    if event.provider_opt is not None:
        return "opt_out" if event.provider_opt == "out" else "opt_in"
    return None if event.kind in NO_WORDS else opt_intent(event.text)


def _overruled(
    connection: Connection, event: InboundEvent, who: Correspondent, intent: Intent
) -> bool:
    values = {
        "keys": json.dumps(who.keys),
        "opposite": "opt_in" if intent == "opt_out" else "opt_out",
        "provider": event.provider,
        "sender": event.to,
        "at": event.at,
    }
    return bool(connection.execute(_OVERRULED, values).scalar_one())


def _obey(connection: Connection, event: InboundEvent, who: Correspondent, intent: Intent) -> None:
    """STOP: nothing more on WhatsApp from any of the businesses that were addressed. START lifts
    that and nothing else: who unsubscribed from marketing has not asked for it back."""
    if intent == "opt_out":
        suppress(
            connection,
            [
                Suppression(
                    business,
                    "whatsapp",
                    contact,
                    "stop",
                    person=who.person if business == who.business_id else "",
                    source=event.event_key,
                )
                for business in who.businesses
                for contact in who.keys
            ],
        )
        return
    for business in who.businesses:
        for contact in who.keys:
            lift(
                connection,
                business_id=business,
                channel="whatsapp",
                contact=contact,
                reasons=["stop"],
                by="webhook",
                why=event.event_key,
            )
