"""What the outbox holds, for an operator: the list of messages, and one with its history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.errors import BadRequest, NotFound
from chalicelib.outbox import verdicts

# States in which a message has not left yet, nor begun to.
UNSENT = ("planned", "held", "claimed")
FILTERS = ("state", "hold", "business_id", "kind", "channel", "person", "contact", "since")
CHANNELS: Mapping[str, str] = {"email": "e-mail", "whatsapp": "WhatsApp"}
# What was done → the state that it led to.
ENDINGS: Mapping[str, str] = {
    "arrived": "accepted",
    "proved": "accepted",
    "discarded": "cancelled",
    "read": "delivered",
    "sent": "accepted",
}
# Who acted, where a provider told something.
WEBHOOK = "webhook"
# Those who read are in France; a day begins there.
ZONE = ZoneInfo("Europe/Paris")

_WHERE = """
 WHERE (CAST(:state AS text) IS NULL OR m.state = :state)
   AND (CAST(:hold AS text) IS NULL OR (m.state = 'held' AND m.hold_reason = :hold))
   AND (CAST(:business_id AS text) IS NULL OR m.business_id = :business_id)
   AND (CAST(:kind AS text) IS NULL OR m.kind = :kind)
   AND (CAST(:channel AS text) IS NULL OR m.channel = :channel)
   AND (CAST(:person AS text) IS NULL OR m.person = :person)
   AND (CAST(:contact AS text) IS NULL OR m.contact = lower(:contact) OR m.contact = :contact
        OR lower(m.recipient) = lower(:contact))
   AND (CAST(:since AS timestamptz) IS NULL OR m.planned_at >= :since)
"""
_LIST = text(f"""
SELECT m.id, m.business_id, m.kind, m.subject, m.content->>'number' AS number, m.step, m.channel,
       m.person, m.recipient, m.contact, m.state, m.hold_reason, m.planned_at, m.not_before,
       m.expires_at, m.settled_at, m.attempts, m.error_code, m.error
  FROM ponctuel.messages m {_WHERE}
   AND (CAST(:before AS bigint) IS NULL OR m.id < :before)
 ORDER BY m.id DESC LIMIT :limit
""")
_COUNTS = text(f"""
SELECT m.state, m.hold_reason, count(*) AS count FROM ponctuel.messages m {_WHERE}
 GROUP BY m.state, m.hold_reason ORDER BY count(*) DESC, m.state, m.hold_reason
""")
_ONE = text("""
SELECT m.id, m.business_id, m.kind, m.subject, m.cycle, m.step, m.channel, m.person, m.recipient,
       m.contact, m.content, m.state, m.hold_reason, m.planned_at, m.not_before, m.expires_at,
       m.run_id, m.attempts, m.submitting_at, m.settled_at, m.provider, m.provider_id,
       m.message_id, m.error_code, m.error, m.proofs, m.proof_at, m.resends,
       b.subject AS title, b.text, b.attachments, r.number AS run_number,
       ponctuel.clock() AS clock,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', l.kind, 'subject', l.subject,
                 'cycle', l.cycle, 'step', l.step) ORDER BY l.subject), '[]')
          FROM ponctuel.message_lines l WHERE l.message_id = m.id) AS lines,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('at', e.at, 'event', e.event,
                 'actor', e.actor, 'reason', e.reason) ORDER BY e.id), '[]')
          FROM ponctuel.message_events e WHERE e.message_id = m.id) AS events,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('at', w.at, 'provider', w.provider,
                 'type', w.type, 'outcome', w.outcome, 'state', w.payload->>'state',
                 'code', COALESCE(w.payload->>'code', w.payload->>'reason'))
                 ORDER BY w.at, w.received_at, w.event_key), '[]')
          FROM ponctuel.webhook_events w WHERE w.message_id = m.id) AS told,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'at', i.at, 'contact', i.contact,
                 'kind', i.kind, 'text', i.text, 'intent', i.intent) ORDER BY i.at, i.id), '[]')
          FROM ponctuel.inbound_messages i WHERE i.in_reply_to = m.id) AS replies
  FROM ponctuel.messages m
  LEFT JOIN ponctuel.message_bodies b ON b.message_id = m.id
  LEFT JOIN ponctuel.runs r ON r.id = m.run_id
 WHERE m.id = :id
""")


def messages(
    connection: Connection,
    where: Mapping[str, object],
    *,
    limit: int,
    before: int | None = None,
) -> dict[str, Any]:
    """`counts`: how many there are per state and hold; `messages`: the newest of them, recipients
    included, those with a smaller id than `before` where it is given. `where` may have what is in
    `FILTERS`: `contact` is an address or a number, exactly; `since` an aware instant of planning.
    """
    values = dict.fromkeys(FILTERS) | dict(where)
    counts = connection.execute(_COUNTS, values).mappings()
    found = connection.execute(_LIST, values | {"limit": limit, "before": before}).mappings()
    return {"counts": [dict(row) for row in counts], "messages": [dict(row) for row in found]}


def message(connection: Connection, number: int) -> dict[str, Any]:
    """One message with its content, the body that was sent, its lines, the replies to it, its whole
    history (`events`, the oldest first) and `verdict`: was it sent? Raises `NotFound`."""
    row = connection.execute(_ONE, {"id": number}).mappings().first()
    if row is None:
        raise NotFound("Aucun message ne porte ce numéro.")
    found = dict(row)
    told = [_dated(event) for event in found.pop("told")]
    found["replies"] = [_dated(reply) for reply in found["replies"]]
    found["events"] = history(found, told)
    found["verdict"] = verdicts.was_it_sent(found)
    del found["clock"]
    return found


def history(row: Mapping[str, Any], told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`{at, event, actor, reason}` of a message, in the order of time: planned and called, what
    operators did, what its provider told (`told`: rows of webhook_events), and how it ended where
    none of them says so."""
    entries = [_entry(row["planned_at"], "planned")]
    if row["submitting_at"]:
        entries.append(_entry(row["submitting_at"], "submitting", row["provider"]))
    for event in told:
        name = event["state"] or event["type"]
        entries.append(_entry(event["at"], name, event["provider"], event["code"]))
    # Events that moved the message are kept twice, and `told` is forgotten first.
    known = {(entry["at"], entry["event"]) for entry in entries}
    own = [_dated(event) for event in row["events"]]
    entries += [
        event
        for event in own
        if event["actor"] != WEBHOOK or (event["at"], event["event"]) not in known
    ]
    # Of this attempt; providers date by the second.
    begun = (row["submitting_at"] or row["planned_at"]) - timedelta(seconds=1)
    said = {ENDINGS.get(e["event"], e["event"]) for e in entries if e["at"] >= begun}
    if row["settled_at"] and row["state"] not in said:
        why = row["error"] or row["error_code"]
        entries.append(_entry(row["settled_at"], row["state"], row["provider"], why))
    return sorted(entries, key=lambda entry: entry["at"])


def since(given: str) -> datetime:
    """A day (its beginning in Paris) or an instant with its zone. Raises `BadRequest`."""
    wrong = BadRequest("since doit être un jour (2026-03-10) ou un instant avec son fuseau.")
    try:
        found = datetime.fromisoformat(given)
        found = datetime.combine(found, time.min, ZONE) if len(given) == 10 else found
    except ValueError:
        raise wrong from None
    if found.tzinfo is None:
        raise wrong
    return found


def _entry(
    at: datetime, event: str, actor: str | None = None, reason: str | None = None
) -> dict[str, Any]:
    return {"at": at, "event": event, "actor": actor or "", "reason": reason or ""}


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that went through JSON, its instant read again."""
    return dict(row) | {"at": datetime.fromisoformat(row["at"])}
