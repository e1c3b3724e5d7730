"""A lead that is left in peace because a person said so, until a day or until further notice.

A pause is a row of `lead_followups` that is no follow-up: its number is 0, its cycle one that no
lead is in. It is in force while it is *skipped* and its end is ahead (`standing.PAUSED`); one that
was replaced or taken back is *cancelled*. `content` has the reason, in the words of who gave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.leads import notices
from chalicelib.domain.leads.hours import zone_of
from chalicelib.errors import BadRequest, NotFound

# The end of a pause that has none: beyond every date that a lead may have.
FOREVER: Final = datetime(2999, 12, 31, tzinfo=UTC)

_LEADS = text("""
SELECT l.business_id, l.id, b.zone, ponctuel.clock() AS clock
  FROM ponctuel.leads l LEFT JOIN ponctuel.businesses b ON b.id = l.business_id
 WHERE l.id = :id AND (CAST(:business_id AS text) IS NULL OR l.business_id = :business_id)
 ORDER BY l.business_id
""")
_END = text("""
UPDATE ponctuel.lead_followups
   SET state = 'cancelled', expires_at = least(expires_at, ponctuel.clock())
 WHERE business_id = :business_id AND lead_id = :lead_id AND cycle = 'pause' AND number = 0
   AND state = 'skipped' AND (CAST(:also_over AS boolean) OR expires_at > ponctuel.clock())
""")
# Two that are made at once: the later one counts.
_NOTE = text("""
INSERT INTO ponctuel.lead_followups
       (business_id, lead_id, cycle, number, mode, state, content, due_at, proposed_at, settled_at,
        settled_by, reason, expires_at)
VALUES (:business_id, :lead_id, 'pause', 0, 'assisted', :state, :why, ponctuel.clock(),
        ponctuel.clock(), ponctuel.clock(), :by, :reason, :ends_at)
    ON CONFLICT (business_id, lead_id, cycle, number) WHERE state <> 'cancelled'
    DO UPDATE SET content = excluded.content, settled_at = excluded.settled_at,
                  settled_by = excluded.settled_by, expires_at = excluded.expires_at
""")
_WITHDRAW = text("""
UPDATE ponctuel.lead_followups
   SET state = 'cancelled', settled_at = ponctuel.clock(), settled_by = :by, reason = 'paused'
 WHERE business_id = :business_id AND lead_id = :lead_id AND state IN ('proposed','opened')
""")
_HISTORY = text("""
SELECT reason, proposed_at AS at, settled_by AS by, content AS why, expires_at AS ends_at,
       state = 'skipped' AND expires_at > ponctuel.clock() AS in_force
  FROM ponctuel.lead_followups
 WHERE business_id = :business_id AND lead_id = :lead_id AND cycle = 'pause' AND number = 0
 ORDER BY id
""")


@dataclass(frozen=True)
class Paused:
    """A lead that is paused, until `ends_at` (aware; None: until further notice), or no longer.
    `why`: French, as it was typed."""

    business_id: str
    id: str
    paused: bool
    ends_at: datetime | None
    why: str = field(repr=False)


def pause(
    connection: Connection,
    lead_id: str,
    *,
    business_id: str | None = None,
    until: date | None = None,
    by: str,
    why: str,
) -> Paused:
    """Pauses the lead through the day `until` (where its business is), or until it is resumed, in
    place of an earlier pause. What is proposed is withdrawn, what is planned is cancelled when its
    time comes. Raises `NotFound`, and `BadRequest` for no reason, a day that is over, or a lead
    that several businesses have."""
    if not why.strip():
        raise BadRequest("Donnez la raison de la pause : un collègue la lira.")
    lead = _lead(connection, lead_id, business_id)
    ends_at = (
        FOREVER if until is None else _midnight_after(until, zone_of(None, None, lead["zone"]))
    )
    if ends_at <= lead["clock"]:
        raise BadRequest(f"Le {until:%d/%m/%Y} est passé : donnez un jour à venir, ou aucun.")
    where = {"business_id": lead["business_id"], "lead_id": lead_id, "by": by}
    connection.execute(_END, where | {"also_over": True})
    noted = {"state": "skipped", "why": why, "reason": "paused", "ends_at": ends_at}
    connection.execute(_NOTE, where | noted)
    connection.execute(_WITHDRAW, where)
    notices.resolve(connection, lead["business_id"])
    return Paused(lead["business_id"], lead_id, True, ended(ends_at), why)


def resume(
    connection: Connection, lead_id: str, *, business_id: str | None = None, by: str, why: str = ""
) -> Paused:
    """Ends the lead's pause: the next run follows it up, if it is due. Raises `NotFound`, and
    `BadRequest` for a lead that is not paused, or that several businesses have."""
    lead = _lead(connection, lead_id, business_id)
    where = {"business_id": lead["business_id"], "lead_id": lead_id, "by": by}
    if connection.execute(_END, where | {"also_over": False}).rowcount < 1:
        raise BadRequest(f"Le lead « {lead_id} » n'est pas en pause.")
    noted = {"state": "cancelled", "why": why, "reason": "resumed", "ends_at": lead["clock"]}
    connection.execute(_NOTE, where | noted)
    return Paused(lead["business_id"], lead_id, False, None, why)


def history(connection: Connection, business_id: str, lead_id: str) -> list[dict[str, Any]]:
    """What was said of the lead, oldest first: `reason` (*paused* or *resumed*), `at`, `by`, `why`,
    `ends_at` (None: until further notice) and whether it is in force."""
    values = {"business_id": business_id, "lead_id": lead_id}
    rows = connection.execute(_HISTORY, values).mappings()
    return [dict(row) | {"ends_at": ended(row["ends_at"])} for row in rows]


def ended(ends_at: datetime | None) -> datetime | None:
    """As people read it: None for a pause without an end."""
    return None if ends_at is None or ends_at >= FOREVER else ends_at


def _lead(connection: Connection, lead_id: str, business_id: str | None) -> Mapping[Any, Any]:
    values = {"id": lead_id, "business_id": business_id}
    rows = connection.execute(_LEADS, values).mappings().all()
    businesses = sorted({row["business_id"] for row in rows})
    if not rows:
        raise NotFound(f"Aucun lead n'a l'identifiant « {lead_id} ».")
    if len(businesses) > 1:
        raise BadRequest(
            f"Plusieurs entreprises ont ce lead ({', '.join(businesses)}) : précisez laquelle."
        )
    return rows[0]


def _midnight_after(day: date, local: ZoneInfo) -> datetime:
    try:
        return datetime.combine(day + timedelta(days=1), time.min, local).astimezone(UTC)
    except OverflowError:
        return FOREVER
