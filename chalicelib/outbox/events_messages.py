"""What a provider tells of a message of ours: which message it is, and where that brings it.

The message is found by our own reference, which the provider echoes, else by the provider's id. It
is locked while the events are weighed (`webhooks.standing`), so that neither delivery nor another
webhook can come between. An event is proof that the provider took the message: whatever state it is
in, it is not sent again, and its key stays taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.message_reference import number_of
from chalicelib.outbox import events_people
from chalicelib.outbox.events_outcome import Outcome
from chalicelib.outbox.suppressions import suppress
from chalicelib.providers.whatsapp.codes import meaning
from chalicelib.webhooks.events import BounceEvent, ComplaintEvent, StatusEvent
from chalicelib.webhooks.standing import Known, Standing, settled

MessageEvent = StatusEvent | BounceEvent | ComplaintEvent

_MAIL = ("ses", "smtp")

# In the order of their numbers, as everybody locks them who locks several.
_LOCK = text("""
SELECT m.id, m.business_id, m.channel, m.person, m.contact, m.state, m.error_code, m.provider,
       m.provider_id, m.planned_at, m.submitting_at
  FROM ponctuel.messages m
 WHERE m.id = ANY (ARRAY(SELECT CAST(value AS bigint)
                           FROM jsonb_array_elements_text(CAST(:ids AS jsonb))))
    OR m.provider_id = ANY (ARRAY(SELECT value
                                    FROM jsonb_array_elements_text(CAST(:provider_ids AS jsonb))))
 ORDER BY m.id FOR UPDATE OF m
""")
# Read once the messages are locked: what another webhook has just told is seen.
_TOLD = text("""
SELECT e.message_id, e.provider_id, e.payload ->> 'state' AS state, e.payload ->> 'code' AS code
  FROM ponctuel.webhook_events e
 WHERE e.message_id = ANY (ARRAY(SELECT CAST(value AS bigint)
                                   FROM jsonb_array_elements_text(CAST(:ids AS jsonb))))
   AND e.type = 'status' AND e.outcome IN ('applied','stale')
""")
# A key that was freed is taken again, unless another message has it by now.
_MOVE = text("""
WITH news AS (
  SELECT * FROM jsonb_to_recordset(CAST(:news AS jsonb))
    AS n(id bigint, state text, code text, error text, provider text, provider_id text)
), moved AS (
  UPDATE ponctuel.messages m
     SET state = n.state, hold_reason = NULL, claims = 0, proof_at = NULL,
         provider = n.provider, provider_id = n.provider_id,
         counted_at = COALESCE(m.counted_at, m.submitting_at),
         settled_at = CASE WHEN m.state = n.state THEN m.settled_at ELSE ponctuel.clock() END,
         error_code = CASE WHEN n.state = 'failed' THEN n.code
                           WHEN m.state IN ('accepted','delivered') THEN m.error_code END,
         error = CASE WHEN n.state = 'failed' THEN n.error
                      WHEN m.state IN ('accepted','delivered') THEN m.error END,
         key_free = m.key_free AND EXISTS (
           SELECT 1 FROM ponctuel.messages other
            WHERE (other.business_id, other.kind, other.subject, other.cycle, other.step)
                = (m.business_id, m.kind, m.subject, m.cycle, m.step)
              AND other.id <> m.id AND NOT other.key_free)
    FROM news n WHERE m.id = n.id
)
INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
SELECT e.message_id, e.at, e.event, 'webhook', e.reason
  FROM jsonb_to_recordset(CAST(:history AS jsonb))
    AS e(message_id bigint, at timestamptz, event text, reason text)
""")


@dataclass(frozen=True)
class Received:
    """An event, and when it was first received (aware, on the database's clock)."""

    event: MessageEvent
    at: datetime


@dataclass
class ToldOf:
    """`moved`: the messages that are in another state than before. `contacts`: to be weighed once
    the outcomes are recorded (`reach.weigh`)."""

    outcomes: list[Outcome] = field(default_factory=list)
    moved: tuple[int, ...] = ()
    contacts: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class _Message:
    """A locked message, and where the events bring it."""

    row: Mapping[str, Any]
    provider: str | None
    was: Standing
    standing: Standing
    before: list[Known] = field(default_factory=list)


@dataclass(frozen=True)
class _Messages:
    by_number: Mapping[int, _Message]
    by_provider: Mapping[tuple[str | None, str | None], _Message]


def apply_to_messages(
    connection: Connection, received: Sequence[Received], deployment: UUID | None
) -> ToldOf:
    """Moves the messages that the events are about, and suppresses whom they say must not be
    written to."""
    found = ToldOf()
    if not received or deployment is None:
        return found
    messages = _locked(connection, received, deployment)
    people = events_people.Changes()
    history: list[dict[str, Any]] = []
    for one in received:
        event = one.event
        message = _about(messages, one, deployment)
        outcome = _unplaced(event, deployment) if message is None else _weighed(message, event)
        found.outcomes.append(
            Outcome(event.event_key, outcome, message.row["id"] if message else None)
        )
        if message is not None and isinstance(event, StatusEvent) and outcome == "applied":
            history.append(_history(message, event))
        if isinstance(event, BounceEvent):
            people.bounced(event)
        elif message is not None and outcome in ("applied", "stale"):
            people.told(event, message.row)
    locked = messages.by_number.values()
    changed = [message for message in locked if message.standing != message.was]
    if changed or history:
        values = {"news": json.dumps(list(map(_news, changed))), "history": json.dumps(history)}
        connection.execute(_MOVE, values)
    suppress(connection, people.made)
    found.contacts = people.contacts
    found.moved = tuple(m.row["id"] for m in changed if _ledger_state(m.standing) != m.row["state"])
    return found


def _locked(connection: Connection, received: Sequence[Received], deployment: UUID) -> _Messages:
    numbers = {number_of(one.event.reference, deployment) for one in received} - {None}
    values = {
        "ids": json.dumps(sorted(filter(None, numbers))),
        "provider_ids": json.dumps(sorted({one.event.provider_id for one in received})),
    }
    found: dict[int, _Message] = {}
    for row in connection.execute(_LOCK, values).mappings():
        now = Standing(row["state"], row["error_code"], row["provider_id"])
        found[row["id"]] = _Message(dict(row), row["provider"], now, now)
    if found:
        for told in connection.execute(_TOLD, {"ids": json.dumps(list(found))}):
            found[told.message_id].before.append(Known(told.provider_id, told.state, told.code))
    return _Messages(found, {(m.row["provider"], m.row["provider_id"]): m for m in found.values()})


def _about(messages: _Messages, one: Received, deployment: UUID) -> _Message | None:
    """The message that the event is about. One that was planned after the event was received has
    only got its number: the database was restored in between."""
    event = one.event
    number = number_of(event.reference, deployment)
    message = messages.by_number.get(number) if number is not None else None
    if message is not None:
        channel = "email" if event.provider in _MAIL else "whatsapp"
        if message.row["channel"] == channel and message.row["planned_at"] <= one.at:
            return message
    return messages.by_provider.get((event.provider, event.provider_id))


def _unplaced(event: MessageEvent, deployment: UUID) -> str:
    """The outcome of an event about no message that is known."""
    if isinstance(event, BounceEvent):
        return "applied" if event.dead_address else "noted"
    if event.reference is not None and number_of(event.reference, deployment) is None:
        return "noted"  # another deployment's
    return "pending"


def _weighed(message: _Message, event: MessageEvent) -> str:
    """Moves the message where the event brings it, and says what became of the event."""
    if message.row["submitting_at"] is None:
        return "noted"  # it has never been sent from here
    if not isinstance(event, StatusEvent):
        return "applied"
    told = Known(event.provider_id, event.state, event.code)
    after = settled(message.standing, message.before, told)
    message.before.append(told)
    if after is None:
        return "stale"
    message.standing = after
    if after.provider_id != event.provider_id:
        return "stale"
    message.provider = event.provider
    return "applied"


_BOUNCES = {
    "bounce_permanent": "Le serveur du destinataire l'a renvoyé, définitivement.",
    "bounce_transient": "Le serveur du destinataire l'a renvoyé, pour une raison passagère.",
}


def _news(message: _Message) -> dict[str, Any]:
    standing = message.standing
    return {
        "id": message.row["id"],
        "state": _ledger_state(standing),
        "code": _code(message.provider, standing.code),
        "error": _BOUNCES.get(
            standing.code or "", f"Le fournisseur annonce un échec ({standing.code})."
        ),
        "provider": message.provider,
        "provider_id": standing.provider_id,
    }


def _ledger_state(standing: Standing) -> str:
    """The ledger does not tell what was read from what was delivered; its events do."""
    return "delivered" if standing.state == "read" else standing.state


def _code(provider: str | None, code: str | None) -> str | None:
    """The ledger's code: ours where there is one, as for the answer to a call."""
    if code is None or provider not in ("twilio", "meta"):
        return code
    return meaning(provider, code).code


def _history(message: _Message, event: StatusEvent) -> dict[str, Any]:
    return {
        "message_id": message.row["id"],
        "at": event.at.isoformat(),
        "event": event.state,
        "reason": event.code or "",
    }
