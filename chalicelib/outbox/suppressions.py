"""The suppression list: who does not want to be written to, or cannot be.

One list per business over all its products; an address that takes no mail is on everybody's (`*`).
An entry is for a channel and a category: `*` (every message), `marketing`, or one kind. Entries are
lifted, never deleted: they are what answers a complaint.

A *contact* is an e-mail address in lower case, a number in E.164, or Meta's id of a user. Who
unsubscribed is left alone at any other contact too, so such an entry may have a person only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

from chalicelib.outbox.contacts import Channel

Reason = Literal["stop", "unsubscribe", "complaint", "hard_bounce", "unreachable", "manual"]

EVERYBODY = "*"
EVERYTHING = "*"
MARKETING = "marketing"

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
       (business_id, channel, contact, person, category, reason, at, source, note)
SELECT s.business_id, s.channel, s.contact, s.person, s.category, s.reason, ponctuel.clock(),
       s.source, s.note
  FROM jsonb_to_recordset(CAST(:entries AS jsonb))
    AS s(business_id text, channel text, contact text, person text, category text, reason text,
         source text, note text)
 ORDER BY s.contact, s.channel, s.business_id, s.category
    ON CONFLICT (contact, channel, business_id, category,
                 (CASE WHEN contact = '' THEN person ELSE '' END))
       WHERE lifted_at IS NULL DO NOTHING
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
_LIFT_IDS = text("""
UPDATE ponctuel.suppressions
   SET lifted_at = ponctuel.clock(), lifted_by = :by, lift_reason = :why
 WHERE lifted_at IS NULL
   AND id IN (SELECT value::bigint FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
RETURNING id
""")
# Also those that the person made at another address, or on another channel.
_RESUBSCRIBE = text("""
UPDATE ponctuel.suppressions s
   SET lifted_at = ponctuel.clock(), lifted_by = :by, lift_reason = :why
 WHERE s.business_id = :business_id AND s.category = :category AND s.reason = 'unsubscribe'
   AND s.lifted_at IS NULL
   AND ((s.person <> '' AND s.person = :person)
        OR (s.channel, s.contact) IN (SELECT x.channel, x.contact
              FROM jsonb_to_recordset(CAST(:contacts AS jsonb)) AS x(channel text, contact text)))
""")
_LISTED = text("""
SELECT s.id, s.business_id, s.channel, s.contact, s.person, s.category, s.reason, s.at, s.source,
       s.note, s.lifted_at, s.lifted_by, s.lift_reason
  FROM ponctuel.suppressions s
 WHERE (CAST(:business_id AS text) IS NULL OR s.business_id IN (:business_id, '*'))
   AND (CAST(:channel AS text) IS NULL OR s.channel = :channel)
   AND (CAST(:contact AS text) IS NULL OR s.contact = :contact)
   AND (CAST(:person AS text) IS NULL OR s.person = :person)
   AND (CAST(:lifted AS boolean) OR s.lifted_at IS NULL)
   AND (CAST(:before AS bigint) IS NULL OR s.id < :before)
 ORDER BY s.id DESC LIMIT :limit
""")


@dataclass(frozen=True)
class Suppression:
    """One entry to make. `business_id`: `*` for every business; `contact`: empty where only the
    person is known who unsubscribed; `source`: what made it, an event key or a person's name, never
    a text that somebody wrote; `note`: an operator's reason."""

    business_id: str
    channel: Channel
    contact: str
    reason: Reason
    category: str = EVERYTHING
    person: str = ""
    source: str = ""
    note: str = ""


def opted_out(provider: str) -> tuple[Reason, str]:
    """Reason and category of an opt-out for which a provider refused a message. Who tells WhatsApp
    to stop (Meta's 131050) stops marketing, and may tell it to resume; Twilio's is a STOP."""
    return ("unsubscribe", MARKETING) if provider == "meta" else ("stop", EVERYTHING)


def suppress(connection: Connection, entries: Sequence[Suppression]) -> int:
    """Makes the entries; those that are in force already stay. One without contact and person is
    left out. Returns how many are new."""
    rows = [asdict(entry) for entry in entries if entry.contact or entry.person]
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


def lift_entries(connection: Connection, ids: Sequence[int], *, by: str, why: str) -> list[int]:
    """Lifts those that are in force, whatever made them. Returns their ids."""
    values = {"ids": json.dumps(list(ids)), "by": by, "why": why}
    return sorted(row[0] for row in connection.execute(_LIFT_IDS, values))


def resubscribe(
    connection: Connection,
    *,
    business_id: str,
    person: str,
    contacts: Sequence[tuple[Channel, str]],
    category: str,
    by: str,
    why: str,
) -> None:
    """Lifts what this person unsubscribed from, and nothing that came about otherwise."""
    values = {
        "business_id": business_id,
        "person": person,
        "contacts": json.dumps([{"channel": c, "contact": contact} for c, contact in contacts]),
        "category": category,
        "by": by,
        "why": why,
    }
    connection.execute(_RESUBSCRIBE, values)


def listed(
    connection: Connection,
    where: Mapping[str, str | None],
    *,
    lifted: bool = False,
    limit: int,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """The newest entries, those in force only unless `lifted`; those with a smaller id than
    `before` where it is given. `where` may have `business_id` (its own and everybody's),
    `channel`, `contact` and `person`."""
    values = dict.fromkeys(("business_id", "channel", "contact", "person")) | dict(where)
    page = {"lifted": lifted, "limit": limit, "before": before}
    found = connection.execute(_LISTED, values | page)
    return [dict(row) for row in found.mappings()]
