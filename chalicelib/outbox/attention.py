"""What somebody has to look at, and nobody would hear of: messages, and news of the account.

A run that ends badly is told when it ends. What becomes of a message later is not the end of any
run: its answer is lost and no proof comes, its provider refuses the account for hours, a template
is paused, a surge waits to be approved. Nor is what a provider tells of the account and its
templates. `deliver` sees both, and calls whom it was given to tell them, each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.outbox.answers import ABOUT_THE_PERSON
from chalicelib.providers.mail.port import SENDER_WIDE_CODES

# A proof that exists has been found by then, and most providers are back.
AGE = timedelta(minutes=15)
# A circuit that opened so often in a row has been open for that long: 1, 2, 4 and 8 minutes.
OPENINGS = 5
# What a refusal was so long ago that it is no news any more: of before this was told at all.
FORGOTTEN = timedelta(days=2)
MOST_NAMED = 20

# Over by themselves within a day, and shown by `channels`.
_PASSING = frozenset({"throttled", "quota"})
# Nobody but the operator ends these; the others are the recipient's hours, or the business's own.
_HOLDS = ("approval", "quarantine", "template", "sender", "unsubscribe", "unknown_kind", "guard")


def _listed(codes: object) -> str:
    return ", ".join(f"'{code}'" for code in sorted(codes))  # type: ignore[call-overload]


_AGO = f"ponctuel.clock() - interval '{AGE.total_seconds():.0f} seconds'"
_CONDITIONS: Mapping[str, str] = {
    "uncertain": f"m.state = 'uncertain' AND m.settled_at <= {_AGO}",
    # Those that say something of the person are on the suppression list, and the business's.
    "refused": f"""m.state = 'refused'
         AND COALESCE(m.error_code, '') NOT IN ({_listed(ABOUT_THE_PERSON)})
         AND m.settled_at > ponctuel.clock() - interval '{FORGOTTEN.days} days'""",
    "blocked": f"""m.state = 'planned' AND m.error_code IN ({_listed(SENDER_WIDE_CODES - _PASSING)})
         AND EXISTS (SELECT 1 FROM ponctuel.channel_states c
                      WHERE c.channel = m.channel AND c.business_id IN ('', m.business_id)
                        AND c.opened_at IS NOT NULL AND c.openings >= {OPENINGS})""",
    "held": f"""m.state = 'held' AND m.planned_at <= {_AGO}
         AND m.hold_reason IN ({_listed(_HOLDS)})""",
}
# Told of this attempt: after a resend it is another one.
_UNTOLD = "\nUNION ALL\n".join(
    f"""SELECT m.id, '{trouble}' AS trouble FROM ponctuel.messages m
 WHERE {condition} AND m.business_id <> ''
   AND NOT EXISTS (SELECT 1 FROM ponctuel.message_events e
                    WHERE e.message_id = m.id AND e.event = 'alerted' AND e.reason = '{trouble}'
                      AND e.at >= COALESCE(m.settled_at, m.planned_at))"""
    for trouble, condition in _CONDITIONS.items()
)

# Whether there is any, for a statement that is made anyway.
PENDING = f"""(EXISTS ({_UNTOLD})
  OR EXISTS (SELECT 1 FROM ponctuel.webhook_events WHERE payload ? 'tell'))"""

_TELL = text(f"""
WITH untold AS MATERIALIZED ({_UNTOLD}), told AS (
  INSERT INTO ponctuel.message_events (message_id, at, event, actor, reason)
  SELECT id, ponctuel.clock(), 'alerted', 'deliver_messages', trouble FROM untold
)
SELECT trouble, count(*) AS n, (array_agg(id ORDER BY id))[1:{MOST_NAMED}] AS ids
  FROM untold GROUP BY trouble
""")
# Those of a whole day are no more than what one letter can say.
_TELL_NOTICES = text(f"""
WITH untold AS (
  SELECT event_key FROM ponctuel.webhook_events WHERE payload ? 'tell'
   ORDER BY received_at, event_key LIMIT {MOST_NAMED} FOR UPDATE
)
UPDATE ponctuel.webhook_events e
   SET payload = e.payload - 'tell' || jsonb_build_object('told', e.payload -> 'tell')
  FROM untold WHERE e.event_key = untold.event_key
RETURNING e.received_at, e.payload ->> 'name' AS name, e.payload -> 'told' AS detail
""")


@dataclass(frozen=True)
class Trouble:
    """`count` messages of which nobody was told; `ids` are those with the smallest numbers, at most
    `MOST_NAMED`. `name`: `uncertain`, `refused`, `blocked` (its provider refuses the account, or
    does not answer) or `held` (until the operator does something)."""

    name: str
    count: int
    ids: tuple[int, ...]


def take(connection: Connection) -> list[Trouble]:
    """The troubles of which nobody was told, in the order in which they weigh; from now on they are
    told."""
    found = {row.trouble: row for row in connection.execute(_TELL)}
    return [
        Trouble(name, found[name].n, tuple(found[name].ids))
        for name in _CONDITIONS
        if name in found
    ]


def take_notices(connection: Connection) -> list[dict[str, Any]]:
    """What providers told of the account or its templates and nobody has heard of, the oldest
    first: `name`, `detail` (see `webhooks.events.Notice`). Those are told from now on."""
    rows = sorted(connection.execute(_TELL_NOTICES).all(), key=lambda row: row.received_at)
    return [{"name": row.name, "detail": list(row.detail)} for row in rows]
