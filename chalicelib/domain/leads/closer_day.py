"""What a closer's page shows besides the proposals: what they did today, and how many follow-ups
each stage has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from chalicelib.domain.leads.closer_link import Reader
from chalicelib.domain.leads.facts import DEFAULT_CADENCE

# Of a long day, the last ones.
SHOWN = 50

_DONE = text("""
SELECT f.id, f.state, f.reason, f.settled_at, COALESCE(l.name, f.lead_id) AS name
  FROM ponctuel.lead_followups f
  LEFT JOIN ponctuel.leads l ON l.business_id = f.business_id AND l.id = f.lead_id
 WHERE f.business_id = :business_id AND f.settled_by = :by AND f.settled_at >= :since
   AND f.state IN ('confirmed','skipped')
 ORDER BY f.settled_at DESC, f.id DESC LIMIT :limit
""")
_STEPS = text("""
SELECT stage, max(number) AS steps FROM ponctuel.lead_cadences
 WHERE business_id = :business_id GROUP BY stage
""")


@dataclass(frozen=True)
class Done:
    """A follow-up that this user confirmed or skipped (`state`), for `reason` (of `reasons`)."""

    id: int
    name: str = field(repr=False)
    state: str
    reason: str | None
    settled_at: datetime


def done_today(connection: Connection, reader: Reader) -> list[Done]:
    """Since midnight in the reader's zone, the last one first; `SHOWN` at most."""
    midnight = reader.clock.astimezone(reader.zone).replace(
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )
    values = {
        "business_id": reader.business_id,
        "by": f"closer:{reader.user_id}",
        "since": midnight,
        "limit": SHOWN,
    }
    return [Done(**row) for row in connection.execute(_DONE, values).mappings()]


def last_numbers(connection: Connection, business_id: str) -> Callable[[str], int]:
    """Stage → the number of its last follow-up; 0 for one that has none."""
    rows = connection.execute(_STEPS, {"business_id": business_id}).mappings()
    found = {row["stage"]: row["steps"] for row in rows}
    if not found:  # as `facts` has it
        return lambda _stage: DEFAULT_CADENCE[-1][0]
    return lambda stage: found.get(stage, 0)
