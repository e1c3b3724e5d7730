"""Who is told, and what day and time it is where they are."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection, text

from chalicelib.domain.people.responsible import responsible
from chalicelib.outbox.windows import zone
from chalicelib.runner.job import Prepared, Run

# Where neither the user nor the business says it, or says what is no zone.
ELSEWHERE = "Europe/Paris"

# With a parameter, since a statement that has none costs a round trip more (`db/wire.py`).
_ZONES = text("""
SELECT zone FROM ponctuel.businesses
 WHERE active AND (CAST(:businesses_in AS text) IS NULL OR zone = :businesses_in)
 UNION SELECT zone FROM ponctuel.users WHERE active AND zone IS NOT NULL
""")

# `businesses_here`: the active ones, with the day that it is there. `people`: their active users,
# with their own wall clock and how they want to be told. `owners`: whom to tell of what belongs to
# the business.
PEOPLE = f"""
clocks AS MATERIALIZED (
  SELECT z.zone, z.today, z.clock FROM jsonb_to_recordset(CAST(:zones AS jsonb))
         AS z(zone text, today date, clock time)
), businesses_here AS MATERIALIZED (
  SELECT b.id AS business_id, coalesce(z.zone, '{ELSEWHERE}') AS zone,
         coalesce(z.today, e.today) AS today, coalesce(z.clock, e.clock) AS clock
    FROM ponctuel.businesses b JOIN clocks e ON e.zone = '{ELSEWHERE}'
    LEFT JOIN clocks z ON z.zone = b.zone
   WHERE b.active AND (CAST(:businesses_in AS text) IS NULL OR b.zone = :businesses_in)
), people AS MATERIALIZED (
  SELECT u.business_id, u.id AS user_id, u.role, nullif(btrim(u.email), '') AS email,
         coalesce(z.zone, b.zone) AS zone, coalesce(z.today, b.today) AS today,
         coalesce(z.clock, b.clock) AS clock, coalesce(p.email, true) AS by_email,
         coalesce(p.digest, false) AS digest, coalesce(p.digest_at, '08:00') AS digest_at,
         p.appointment_offsets
    FROM ponctuel.users u JOIN businesses_here b ON b.business_id = u.business_id
    LEFT JOIN clocks z ON z.zone = u.zone
    LEFT JOIN ponctuel.user_preferences p ON p.business_id = u.business_id AND p.user_id = u.id
   WHERE u.active
), owners AS MATERIALIZED (
  SELECT p.* FROM people p
   WHERE {responsible("p", "people")}
)"""


def prepare(run: Run, connection: Connection) -> Prepared:
    """The wall clocks of every zone in use at `run.now`, for the run's businesses."""
    return clocks_at(connection, run.now, businesses_in=run.businesses_in)


def clocks_at(
    connection: Connection, now: datetime, *, businesses_in: str | None = None
) -> Prepared:
    """The parameters of `PEOPLE`: date and time of day in each zone that somebody is in, at `now`
    (aware); and the zone whose businesses are meant, None for all. A zone that does not exist is
    left out: whoever has it goes by the business's, then by Paris."""
    used = connection.execute(_ZONES, {"businesses_in": businesses_in})
    names = {ELSEWHERE, *(row[0] for row in used if row[0])}
    found = {name: local for name in sorted(names) if (local := zone(name)) is not None}
    rows = []
    for name, local in found.items():
        here = now.astimezone(local)
        clock = here.time().isoformat(timespec="seconds")
        rows.append({"zone": name, "today": here.date().isoformat(), "clock": clock})
    return Prepared({"zones": json.dumps(rows), "businesses_in": businesses_in})
