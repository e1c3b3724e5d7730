"""What the user is told of: who answered, what, and whose relances wait for that; and a mailbox
that can no longer be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.billing.customers import NAMED, Chased, chased
from chalicelib.domain.inbox import trouble
from chalicelib.domain.inbox.excerpts import excerpt
from chalicelib.domain.inbox.notices import DIGEST, LATE_AFTER, REPLY, period
from chalicelib.outbox.content import clean
from chalicelib.outbox.inbound import KNOWN_BY_ADDRESS
from chalicelib.outbox.kinds import Cancel, Claimed, Kind, Send, Verdict, register
from chalicelib.outbox.windows import zone
from chalicelib.settings import settings

# Of one notice; the rest is counted.
SHOWN = 20

_PARIS = ZoneInfo("Europe/Paris")

_BUSINESSES = text("""
SELECT b.id, b.name, b.sender_email, b.zone FROM ponctuel.businesses b
 WHERE b.id IN (SELECT value FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
""")
# A conversation may have become part of an earlier one since.
_REPLIES = text(f"""
WITH wanted AS (
  SELECT w.*, (SELECT e.thread_id FROM ponctuel.emails e WHERE e.id = w.thread) AS thread_now
    FROM jsonb_to_recordset(CAST(:wanted AS jsonb))
      AS w(message_id bigint, business_id text, thread bigint, since timestamptz,
           until timestamptz, day text)
), found AS (
  SELECT w.message_id, i.business_id, i.id, i.person, i.known_by, i.intent, i.pauses, i.at,
         e.from_name, e.from_email, e.subject, left(e.snippet, 2000) AS snippet,
         cardinality(e.candidates) AS candidates, b.address AS mailbox,
         a.content ->> 'number' AS number, i.in_reply_to,
         e.answers,
         row_number() OVER (PARTITION BY w.message_id ORDER BY i.at, i.id) AS nth,
         count(*) OVER (PARTITION BY w.message_id) AS total
    FROM wanted w
    JOIN ponctuel.inbound_messages i ON i.business_id = w.business_id AND i.channel = 'email'
         AND i.received_at >= w.since AND i.received_at < w.until
    JOIN ponctuel.emails e ON e.inbound_id = i.id
    JOIN ponctuel.mailboxes b ON b.id = e.mailbox_id
    LEFT JOIN ponctuel.messages a ON a.id = e.answers
   WHERE e.thread_id = w.thread_now
      OR (w.thread IS NULL AND NOT EXISTS (
            SELECT 1 FROM ponctuel.messages m
             WHERE m.business_id = w.business_id AND m.kind = '{REPLY}' AND m.cycle = w.day
               AND m.subject = e.thread_id::text AND NOT m.key_free))
)
SELECT * FROM found WHERE nth <= {SHOWN} ORDER BY message_id, nth
""")


def still_wanted(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    """For each notice: what there is to tell. It is cancelled when the answers are no longer there:
    their mailbox was removed."""
    ids = sorted({message.business_id for message in messages})
    businesses = {
        row["id"]: row
        for row in connection.execute(_BUSINESSES, {"ids": json.dumps(ids)}).mappings()
    }
    zones = {id: zone(row["zone"] or "") or _PARIS for id, row in businesses.items()}
    asked = [_asked(message, zones.get(message.business_id, _PARIS)) for message in messages]
    replies: dict[int, list[Mapping[Any, Any]]] = {}
    for row in connection.execute(_REPLIES, {"wanted": json.dumps(asked)}).mappings():
        replies.setdefault(row["message_id"], []).append(row)
    people = {_customer(row) for rows in replies.values() for row in rows} - {None}
    known = chased(connection, {who for who in people if who is not None})
    verdicts: dict[int, Verdict] = {}
    for message in messages:
        business = businesses.get(message.business_id)
        rows = replies.get(message.id)
        if business is None or not rows:
            verdicts[message.id] = Cancel("deleted")
            continue
        local = zones[message.business_id]
        today = now.astimezone(local).date()
        content = {
            "business": {"name": clean(business["name"] or "") or message.business_id},
            "zone": local.key,
            "replies": [_reply(row, known, today) for row in rows],
            "count": rows[0]["total"],
            "unshown": rows[0]["total"] - len(rows),
        }
        verdicts[message.id] = Send(
            content=content,
            recipients=message.recipient or "",
            # Not in the business's own name, where there is another: it is the reader.
            sender_email=None if settings().mail_from else business["sender_email"],
            sender_name="Ponctuel",
            business_zone=local.key,
        )
    return verdicts


def _asked(message: Claimed, local: ZoneInfo) -> dict[str, object]:
    since, until = period(message.subject, message.cycle, local)
    return {
        "message_id": message.id,
        "business_id": message.business_id,
        "thread": None if message.subject == DIGEST else int(message.subject),
        "since": since.isoformat(),
        "until": until.isoformat(),
        "day": since.astimezone(local).date().isoformat(),
    }


def _customer(row: Mapping[Any, Any]) -> tuple[str, str] | None:
    ours = row["known_by"] == KNOWN_BY_ADDRESS or row["known_by"].startswith("billing.")
    return (row["business_id"], row["person"]) if ours and row["person"] else None


def _reply(
    row: Mapping[Any, Any], known: Mapping[tuple[str, str], Chased], today: date
) -> dict[str, object]:
    who = _customer(row)
    customer = known.get(who) if who is not None else None
    paused = customer.paused_until if customer else None
    documents = {
        name: {"numbers": list(numbers[: NAMED - 1]), "more": len(numbers) == NAMED}
        for name, numbers in (
            ("invoices", customer.invoices if customer else ()),
            ("quotes", customer.quotes if customer else ()),
        )
        if numbers
    }
    return {
        "name": clean(row["from_name"]) or row["from_email"],
        "address": row["from_email"],
        "mailbox": row["mailbox"],
        "subject": clean(row["subject"]) or "(sans objet)",
        "excerpt": excerpt(row["snippet"]),
        "at": row["at"].isoformat(),
        "customer": customer.name if customer else None,
        "candidates": row["candidates"] if customer is None else 0,
        # Somebody else than whom the message was for.
        "stranger": row["answers"] is not None and row["in_reply_to"] is None,
        "number": row["number"],
        "opted_out": row["intent"] == "opt_out",
        "paused_until": paused.isoformat() if paused is not None and paused >= today else None,
        **documents,
    }


register(
    Kind(
        name=REPLY,
        title="Réponse reçue dans une boîte aux lettres",
        template="inbox_reply",
        guard=still_wanted,
        late_after=LATE_AFTER,
        hours=None,  # to the user, about what has just happened
        capped=False,
        # So that no absence notice answers it (RFC 3834), Exchange's included.
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    )
)
register(
    Kind(
        name=trouble.MAILBOX_TROUBLE,
        title="Boîte aux lettres en panne",
        template="mailbox_trouble",
        guard=trouble.still_in_trouble,
        late_after=trouble.LATE_AFTER,
        # To a colleague, about something of their own; and a rare one.
        capped=False,
        headers={"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"},
    ),
)
