"""Who can be reached on WhatsApp: the latest that providers told of a contact counts.

A failure says that nobody has WhatsApp at a number; a delivery, or a message from there, that
somebody does. Acceptance says neither: providers accept messages to any number. It is weighed anew
from all that was told whenever something new was, so that no order and no repetition changes it. A
message with several copies counts as the most fortunate (`webhooks.standing`): once it is no longer
*failed*, its failures say nothing of the contact.

Only what providers told is lifted: a closer's *wrong number* has somebody else at its other end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, text

from chalicelib.outbox.suppressions import Suppression, lift_entries, suppress
from chalicelib.providers.whatsapp.codes import numbers_of

NOBODY_THERE = "invalid_recipient"

# Of two at the same second, somebody was reached. What nobody would change is left out.
_WEIGHED = text("""
SELECT a.business_id, a.contact, a.key, f.source, f.person, s.id AS entry
  FROM jsonb_to_recordset(CAST(:contacts AS jsonb)) AS a(business_id text, contact text, key text)
  LEFT JOIN LATERAL (
    SELECT e.at, e.event_key AS source, m.person
      FROM ponctuel.messages m JOIN ponctuel.webhook_events e ON e.message_id = m.id
     WHERE m.contact = a.contact AND m.business_id = a.business_id AND m.channel = 'whatsapp'
       AND m.state = 'failed' AND e.type = 'status' AND e.outcome IN ('applied','stale')
       AND e.payload ->> 'state' = 'failed'
       AND e.payload ->> 'code' IN (SELECT jsonb_array_elements_text(
                                      CAST(:nobody AS jsonb) -> e.provider))
    UNION ALL
    SELECT m.settled_at, 'message:' || m.id, m.person FROM ponctuel.messages m
     WHERE m.contact = a.contact AND m.business_id = a.business_id AND m.channel = 'whatsapp'
       AND m.state = 'refused' AND m.error_code = :nobody_there
     ORDER BY 1 DESC, 2 LIMIT 1) f ON true
 CROSS JOIN LATERAL (
    SELECT greatest(
      (SELECT max(e.at)
         FROM ponctuel.messages m JOIN ponctuel.webhook_events e ON e.message_id = m.id
        WHERE m.contact = a.contact AND m.business_id = a.business_id AND m.channel = 'whatsapp'
          AND e.type = 'status' AND e.outcome IN ('applied','stale')
          AND e.payload ->> 'state' IN ('delivered','read')),
      (SELECT c.last_inbound_at FROM ponctuel.contacts c
        WHERE c.business_id = a.business_id AND c.channel = 'whatsapp'
          AND c.contact = a.contact)) AS at) p
  LEFT JOIN ponctuel.suppressions s
    ON s.contact = a.contact AND s.channel = 'whatsapp' AND s.business_id = a.business_id
   AND s.reason = 'unreachable' AND s.category = '*' AND s.lifted_at IS NULL
 WHERE CASE WHEN f.at IS NOT NULL AND (p.at IS NULL OR p.at < f.at) THEN s.id IS NULL
            ELSE split_part(s.source, ':', 1) IN ('message','twilio','meta') END
""")


def weigh(connection: Connection, contacts: Mapping[tuple[str, str], str]) -> None:
    """Suppresses those of the contacts that cannot be reached any more, and lifts that of those who
    can. By business and contact: the event that was told of it, which has to be recorded."""
    if not contacts:
        return
    asked = [
        {"business_id": business, "contact": contact, "key": key}
        for (business, contact), key in sorted(contacts.items())
    ]
    values = {
        "contacts": json.dumps(asked),
        "nobody": json.dumps(
            {provider: numbers_of(provider, NOBODY_THERE) for provider in ("twilio", "meta")}
        ),
        "nobody_there": NOBODY_THERE,
    }
    for row in connection.execute(_WEIGHED, values).all():
        if row.entry is not None:
            lift_entries(connection, [row.entry], by="webhook", why=row.key)
            continue
        entry = Suppression(
            row.business_id,
            "whatsapp",
            row.contact,
            "unreachable",
            person=row.person,
            source=row.source,
        )
        suppress(connection, [entry])
