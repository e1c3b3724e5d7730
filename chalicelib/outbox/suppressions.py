"""The suppression list: who does not want to be written to, or cannot be.

One list per business over all its products; an address that takes no mail is on everybody's (`*`).
An entry is for a channel and a category: `*` (every message), `marketing`, or one kind. Entries are
lifted, never deleted: they are what answers a complaint.

A *contact* is an e-mail address in lower case, a number in E.164, or Meta's id of a user.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

Reason = Literal["stop", "unsubscribe", "complaint", "hard_bounce", "unreachable", "manual"]
Channel = Literal["email", "whatsapp"]

EVERYBODY = "*"
EVERYTHING = "*"

# What an operator reads.
REASONS: dict[str, str] = {
    "stop": "a répondu STOP",
    "unsubscribe": "s'est désinscrit",
    "complaint": "a signalé le message comme indésirable",
    "hard_bounce": "l'adresse ne reçoit plus de courrier",
    "unreachable": "n'est pas joignable sur ce canal",
    "manual": "ajouté à la main",
}

_SUPPRESS = text("""
INSERT INTO ponctuel.suppressions
       (business_id, channel, contact, person, category, reason, at, source)
SELECT s.business_id, s.channel, s.contact, s.person, s.category, s.reason, ponctuel.clock(),
       s.source
  FROM jsonb_to_recordset(CAST(:entries AS jsonb))
    AS s(business_id text, channel text, contact text, person text, category text, reason text,
         source text)
 ORDER BY s.contact, s.channel, s.business_id, s.category
    ON CONFLICT (contact, channel, business_id, category) WHERE lifted_at IS NULL DO NOTHING
RETURNING id
""")
_LIFT = text("""
UPDATE ponctuel.suppressions
   SET lifted_at = ponctuel.clock(), lifted_by = :by, lift_reason = :why
 WHERE contact = :contact AND channel = :channel AND lifted_at IS NULL
   AND business_id = :business_id
   AND (CAST(:category AS text) IS NULL OR category = :category)
   AND reason IN (SELECT value FROM jsonb_array_elements_text(CAST(:reasons AS jsonb)))
RETURNING id
""")


@dataclass(frozen=True)
class Suppression:
    """One entry to make. `business_id`: `*` for every business; `source`: what made it, an event
    key or a person's name, never a text that somebody wrote."""

    business_id: str
    channel: Channel
    contact: str
    reason: Reason
    category: str = EVERYTHING
    person: str = ""
    source: str = ""


def suppress(connection: Connection, entries: Sequence[Suppression]) -> int:
    """Makes the entries; those that are in force already stay. Returns how many are new."""
    rows = [asdict(entry) for entry in entries if entry.contact]
    if not rows:
        return 0
    return len(connection.execute(_SUPPRESS, {"entries": json.dumps(rows)}).all())


def lift(
    connection: Connection,
    *,
    business_id: str,
    channel: Channel,
    contact: str,
    reasons: Sequence[Reason],
    by: str,
    why: str,
    category: str | None = None,
) -> int:
    """Lifts the contact's entries made for one of `reasons`, of one category or of all. Returns how
    many. Who says START lifts his own STOP, and nothing else."""
    values: dict[str, Any] = {
        "business_id": business_id,
        "channel": channel,
        "contact": contact,
        "category": category,
        "reasons": json.dumps(list(reasons)),
        "by": by,
        "why": why,
    }
    return len(connection.execute(_LIFT, values).all())
