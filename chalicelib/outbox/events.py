"""What providers tell by webhook, applied to the ledger: each event once, in one transaction.

An event is stored under its key before anything else: a replay finds it there and changes nothing,
and two deliveries at once wait for one another. One about a message that nobody knows yet is
*pending*: the answer that names the provider's id may be on its way to the ledger.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.outbox import events_people, inbound_messages, reach
from chalicelib.outbox.events_messages import MessageEvent, Received, apply_to_messages
from chalicelib.outbox.events_outcome import Outcome
from chalicelib.webhooks.events import (
    BounceEvent,
    ComplaintEvent,
    Event,
    InboundEvent,
    Notice,
    PreferenceEvent,
    StatusEvent,
    Unreadable,
)

# Of a body that cannot be read, what is kept: every event of ours is shorter.
KEPT_BYTES = 64 * 1024
# Longer than any provider repeats an event that was not taken (Meta: 7 days).
PENDING_DAYS = 7
SETTLED_AT_ONCE = 500

_STORE = text("""
INSERT INTO ponctuel.webhook_events (event_key, provider, type, at, received_at, provider_id,
                                     reference, outcome, payload)
SELECT n.event_key, n.provider, n.type, COALESCE(n.at, :received_at), :received_at, n.provider_id,
       n.reference, CASE n.type WHEN 'unreadable' THEN 'unreadable' ELSE 'noted' END, n.payload
  FROM jsonb_to_recordset(CAST(:events AS jsonb))
    AS n(event_key text, provider text, type text, at timestamptz, provider_id text,
         reference text, payload jsonb)
 ORDER BY n.event_key
    ON CONFLICT (event_key) DO NOTHING
RETURNING event_key, (SELECT d.id FROM ponctuel.deployment d) AS deployment
""")

# What an event was kept for is not kept longer: a complaint names people.
_RECORD = text("""
UPDATE ponctuel.webhook_events e
   SET outcome = n.outcome, message_id = n.message_id,
       payload = CASE n.outcome WHEN 'pending' THEN e.payload ELSE e.payload - 'recipients' END
  FROM jsonb_to_recordset(CAST(:outcomes AS jsonb))
    AS n(event_key text, outcome text, message_id bigint)
 WHERE e.event_key = n.event_key
""")

_KNOWN_BY_NOW = text(f"""
WITH forgotten AS (
  UPDATE ponctuel.webhook_events SET outcome = 'noted', payload = payload - 'recipients'
   WHERE outcome = 'pending' AND received_at < ponctuel.clock() - interval '{PENDING_DAYS} days'
)
SELECT e.event_key, e.provider, e.type, e.at, e.received_at, e.provider_id, e.reference, e.payload,
       d.id AS deployment
  FROM ponctuel.webhook_events e CROSS JOIN ponctuel.deployment d
 WHERE e.outcome = 'pending'
   AND e.received_at >= ponctuel.clock() - interval '{PENDING_DAYS} days'
   AND EXISTS (SELECT 1 FROM ponctuel.messages m
                WHERE m.provider_id = e.provider_id AND m.provider = e.provider)
 ORDER BY e.event_key LIMIT {SETTLED_AT_ONCE} FOR UPDATE OF e SKIP LOCKED
""")


@dataclass(frozen=True)
class Applied:
    """How many events came to each outcome (`applied`, `stale`, `pending`, `noted`, `unreadable`),
    how many were known already, and the messages that are now in another state."""

    outcomes: Mapping[str, int]
    replayed: int
    moved: tuple[int, ...]


def clock(connection: Connection) -> datetime:
    """Now, by the database's clock: when a call is received."""
    found: datetime = connection.execute(text("SELECT ponctuel.clock()")).scalar_one()
    return found


def apply(
    connection: Connection, events: Sequence[Event], *, received_at: datetime, body: bytes = b""
) -> Applied:
    """Stores and applies the events of one call; `received_at` is aware, on the database's clock.
    `body`: what was posted, kept (64 kB of it) with an event that cannot be read. The domains are
    offered what people wrote (`inbound`). Raises `DatabaseUnavailable` through the transaction."""
    rows = _rows(events, body)
    if not rows:
        return Applied({}, 0, ())
    stored = connection.execute(
        _STORE, {"events": json.dumps(list(rows.values())), "received_at": received_at}
    ).all()
    told = {event.event_key: event for event in reversed(events)}
    new = {row.event_key: told[row.event_key] for row in stored}
    outcomes = [
        Outcome(event.event_key, "unreadable" if isinstance(event, Unreadable) else "noted")
        for event in new.values()
        if isinstance(event, Notice | Unreadable)
    ]
    about_messages = [Received(e, received_at) for e in new.values() if isinstance(e, MessageEvent)]
    moved = apply_to_messages(connection, about_messages, stored[0].deployment if stored else None)
    changed = [*moved.outcomes]
    for event in sorted(
        (e for e in new.values() if isinstance(e, InboundEvent | PreferenceEvent)),
        key=lambda event: event.at,
    ):
        if isinstance(event, InboundEvent):
            changed.append(inbound_messages.receive(connection, event, received_at))
        else:
            changed.append(events_people.prefer(connection, event))
    _record(connection, changed)
    reach.weigh(connection, moved.contacts)
    counts = Counter(outcome.outcome for outcome in [*outcomes, *changed])
    return Applied(counts, len(events) - len(new), moved.moved)


def settle_pending(connection: Connection) -> int:
    """Applies what was told of messages that are known by now, and gives up on what has been
    pending for a week. One statement when there is nothing to apply. Returns how many were."""
    rows = connection.execute(_KNOWN_BY_NOW).mappings().all()
    if not rows:
        return 0
    events = [Received(_event(row), row["received_at"]) for row in rows]
    told = apply_to_messages(connection, events, rows[0]["deployment"])
    _record(connection, told.outcomes)
    reach.weigh(connection, told.contacts)
    return sum(outcome.outcome != "pending" for outcome in told.outcomes)


def _record(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    if outcomes:
        rows = [vars(outcome) for outcome in outcomes]
        connection.execute(_RECORD, {"outcomes": json.dumps(rows)})


def _rows(events: Sequence[Event], body: bytes) -> dict[str, dict[str, Any]]:
    """What is stored of each event, by key. The body goes with the first that cannot be read: the
    others name its digest."""
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        payload = _payload(event)
        if isinstance(event, Unreadable) and body:
            payload |= {"body": b64encode(body[:KEPT_BYTES]).decode(), "length": len(body)}
            body = b""
        rows.setdefault(
            event.event_key,
            {
                "event_key": event.event_key,
                "provider": event.provider,
                "type": _TYPES[type(event)],
                "at": None if isinstance(event, Notice | Unreadable) else event.at.isoformat(),
                "provider_id": getattr(event, "provider_id", None),
                "reference": getattr(event, "reference", None),
                "payload": payload,
            },
        )
    return rows


_TYPES: Mapping[type, str] = {
    StatusEvent: "status",
    InboundEvent: "inbound",
    PreferenceEvent: "preference",
    BounceEvent: "bounce",
    ComplaintEvent: "complaint",
    Notice: "notice",
    Unreadable: "unreadable",
}


def _payload(event: Event) -> dict[str, Any]:
    match event:
        case StatusEvent():
            return {"state": event.state, "code": event.code}
        case BounceEvent():
            return {"permanent": event.permanent, "reason": event.reason}
        case ComplaintEvent():
            return {"reason": event.reason, "recipients": list(event.recipients)}
        case PreferenceEvent():
            return {"contact": event.from_, "to": event.to, "wanted": event.wanted}
        case Notice():
            return {"name": event.name} | ({} if event.tell is None else {"tell": event.tell})
        case Unreadable():
            return {"reason": event.reason, "sha256": event.sha256, "where": event.where}
    return {}


def _event(row: Mapping[Any, Any]) -> MessageEvent:
    """A pending event, as it was told."""
    told = {name: row[name] for name in ("provider", "provider_id", "reference", "at", "event_key")}
    payload = row["payload"]
    if row["type"] == "complaint":
        recipients = tuple(payload["recipients"])
        return ComplaintEvent(
            reason=payload["reason"], recipients=recipients, feedback_id="", **told
        )
    return StatusEvent(state=payload["state"], code=payload["code"], **told)
