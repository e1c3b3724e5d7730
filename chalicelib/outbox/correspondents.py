"""Who is at the other end of WhatsApp: whose number was written to, and who wrote.

A sender of one business's own says whose message it is. Several may share one: then it is that of
the message that was answered, else of the last one that the contact had from anybody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from chalicelib.webhooks.events import InboundEvent, PreferenceEvent

# How long after a message somebody who writes is taken to answer it.
ANSWERS_WITHIN = "30 days"

# A contact is a number or Meta's id of a user; who wrote with both is known by either.
_FIND = text(f"""
WITH keys AS (
  SELECT contact FROM (VALUES (CAST(:contact AS text)), (CAST(:user_id AS text))) AS v(contact)
   WHERE contact IS NOT NULL
  UNION
  SELECT c.contact FROM ponctuel.contacts c
   WHERE c.channel = 'whatsapp' AND c.user_id IN (:contact, :user_id)
  UNION
  SELECT c.user_id FROM ponctuel.contacts c
   WHERE c.channel = 'whatsapp' AND c.contact IN (:contact, :user_id)
     AND c.user_id IS NOT NULL
), owner AS (
  SELECT s.business_id FROM ponctuel.whatsapp_senders s
   WHERE s.provider = :provider
     AND s.sender IN (SELECT value FROM jsonb_array_elements_text(CAST(:senders AS jsonb)))
   ORDER BY s.sender = :to DESC LIMIT 1
), answered AS (
  SELECT m.id, m.business_id, m.person, m.kind FROM ponctuel.messages m
   WHERE m.provider_id = :in_reply_to AND m.provider = :provider AND m.channel = 'whatsapp'
     AND m.business_id = COALESCE((SELECT business_id FROM owner), m.business_id)
   LIMIT 1
), had AS (
  SELECT m.id, m.business_id, m.person, m.kind, m.submitting_at, m.state
    FROM ponctuel.messages m
   WHERE m.contact = ANY (ARRAY(SELECT contact FROM keys)) AND m.channel = 'whatsapp'
     AND m.submitting_at IS NOT NULL
), last AS (
  SELECT h.business_id, h.person, h.kind FROM had h
   WHERE h.submitting_at > CAST(:at AS timestamptz) - interval '{ANSWERS_WITHIN}'
     AND h.state <> 'refused'
     AND h.business_id = COALESCE((SELECT business_id FROM owner), h.business_id)
   ORDER BY h.submitting_at DESC, h.id DESC LIMIT 1
)
SELECT (SELECT jsonb_agg(contact ORDER BY contact) FROM keys) AS keys,
       (SELECT business_id FROM owner) AS owner,
       (SELECT jsonb_agg(DISTINCT business_id) FROM (
          SELECT business_id FROM had
          UNION SELECT business_id FROM ponctuel.contacts c
                 WHERE c.channel = 'whatsapp'
                   AND c.contact = ANY (ARRAY(SELECT contact FROM keys))) w
        WHERE business_id <> '') AS writers,
       a.id AS answered, COALESCE(a.business_id, l.business_id) AS business_id,
       COALESCE(a.person, l.person) AS person, COALESCE(a.kind, l.kind) AS kind
  FROM (SELECT) AS one LEFT JOIN answered a ON true LEFT JOIN last l ON true
""")


@dataclass(frozen=True)
class Correspondent:
    """`keys`: the contacts that are this person. `business_id`: empty when nobody knows whose they
    are. `businesses`: whom what they say to the sender is meant for, all who wrote to them where
    the sender is shared. `person` and `kind` are those of the message by which they are known;
    `answered` is the one that was answered."""

    keys: tuple[str, ...] = field(repr=False)
    business_id: str
    businesses: tuple[str, ...]
    person: str
    kind: str
    answered: int | None


def find(connection: Connection, event: InboundEvent | PreferenceEvent) -> Correspondent:
    """Who told this, and to which business."""
    inbound = event if isinstance(event, InboundEvent) else None
    senders = {event.to, inbound.service if inbound else None} - {None, ""}
    row = connection.execute(
        _FIND,
        {
            "contact": event.from_,
            "user_id": event.user_id,
            "provider": event.provider,
            "to": event.to,
            "senders": json.dumps(sorted(filter(None, senders))),
            "in_reply_to": inbound.in_reply_to if inbound else None,
            "at": event.at,
        },
    ).one()
    business = row.owner or row.business_id or ""
    businesses = [row.owner] if row.owner else sorted({*(row.writers or ()), business} - {""})
    return Correspondent(
        keys=tuple(row.keys),
        business_id=business,
        businesses=tuple(businesses),
        person=row.person or "",
        kind=row.kind or "",
        answered=row.answered,
    )
