"""What the outbox holds, for an operator: the list of messages, and one with its history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.errors import NotFound

# States in which a message has not left yet, nor begun to.
UNSENT = ("planned", "held", "claimed")
FILTERS = ("state", "hold", "business_id", "kind")

_WHERE = """
 WHERE (CAST(:state AS text) IS NULL OR m.state = :state)
   AND (CAST(:hold AS text) IS NULL OR (m.state = 'held' AND m.hold_reason = :hold))
   AND (CAST(:business_id AS text) IS NULL OR m.business_id = :business_id)
   AND (CAST(:kind AS text) IS NULL OR m.kind = :kind)
"""
_LIST = text(f"""
SELECT m.id, m.business_id, m.kind, m.subject, m.content->>'number' AS number, m.step, m.recipient,
       m.state, m.hold_reason, m.planned_at, m.not_before, m.expires_at, m.settled_at,
       m.attempts, m.error_code, m.error
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
       m.content, m.state, m.hold_reason, m.planned_at, m.not_before, m.expires_at, m.run_id,
       m.attempts, m.submitting_at, m.settled_at, m.provider, m.provider_id, m.message_id,
       m.error_code, m.error, b.subject AS title, b.text, b.attachments, r.number AS run_number,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', l.kind, 'subject', l.subject,
                 'cycle', l.cycle, 'step', l.step) ORDER BY l.subject), '[]')
          FROM ponctuel.message_lines l WHERE l.message_id = m.id) AS lines,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('at', e.at, 'event', e.event,
                 'actor', e.actor, 'reason', e.reason) ORDER BY e.id), '[]')
          FROM ponctuel.message_events e WHERE e.message_id = m.id) AS events
  FROM ponctuel.messages m
  LEFT JOIN ponctuel.message_bodies b ON b.message_id = m.id
  LEFT JOIN ponctuel.runs r ON r.id = m.run_id
 WHERE m.id = :id
""")


def messages(
    connection: Connection,
    where: Mapping[str, str | None],
    *,
    limit: int,
    before: int | None = None,
) -> dict[str, Any]:
    """`counts`: how many there are per state and hold; `messages`: the newest of them, recipients
    included, those with a smaller id than `before` where it is given. `where` may have `state`,
    `hold`, `business_id`, `kind`."""
    values = dict.fromkeys(FILTERS) | dict(where)
    counts = connection.execute(_COUNTS, values).mappings()
    found = connection.execute(_LIST, values | {"limit": limit, "before": before}).mappings()
    return {"counts": [dict(row) for row in counts], "messages": [dict(row) for row in found]}


def message(connection: Connection, number: int) -> dict[str, Any]:
    """One message with its content, the body that was sent, its lines and events. Raises
    `NotFound`."""
    row = connection.execute(_ONE, {"id": number}).mappings().first()
    if row is None:
        raise NotFound("Aucun message ne porte ce numéro.")
    events = [event | {"at": datetime.fromisoformat(event["at"])} for event in row["events"]]
    return dict(row) | {"events": events}
