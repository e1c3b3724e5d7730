"""Why a lead is not followed up now: the first condition that holds, what was done so far, and what
else stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.leads import pauses, queries
from chalicelib.domain.leads.calendar import calendar_at
from chalicelib.domain.leads.contacts import known_of
from chalicelib.domain.leads.decisions import decide, reach
from chalicelib.domain.leads.facts import FOLLOWUP
from chalicelib.domain.leads.listing import counted
from chalicelib.domain.leads.reasons import LEFT_OUT
from chalicelib.domain.leads.settle import ACCEPTED_AT, MESSAGE
from chalicelib.errors import NotFound

JOB = "lead_followups"

_CLOCK = text("SELECT ponctuel.clock()")
_HISTORY = text(f"""
SELECT f.cycle, f.number, f.mode, f.state, f.reason, f.closer_id, f.proposed_at, f.opened_at,
       {ACCEPTED_AT} AS accepted_at, f.settled_at, f.settled_by, f.expires_at
  FROM ponctuel.lead_followups f {MESSAGE}
 WHERE f.business_id = :business_id AND f.lead_id = :lead_id AND f.number > 0 ORDER BY f.id
""")
_OBSTACLES = text("""
SELECT (SELECT coalesce(pause_reason, '') FROM ponctuel.job_state
         WHERE job = :job AND paused_at IS NOT NULL LIMIT 1) AS pause_reason,
       EXISTS (SELECT 1 FROM ponctuel.quarantine
                WHERE job = :job AND business_id = :business_id AND item = :lead_id
                  AND released_at IS NULL) AS quarantined,
       EXISTS (SELECT 1 FROM ponctuel.go_lives WHERE business_id = '*') AS stage_is_live,
       (SELECT count(*) FROM ponctuel.go_lives
         WHERE business_id = :business_id AND kind IN ('*', :kind)) = 2 AS business_is_live
""")


def explain(
    connection: Connection, lead_id: str, *, business_id: str | None = None, force: bool = False
) -> list[dict[str, Any]]:
    """For the lead of each business that has the id: the first reason that holds (`reason`, a code,
    and `reason_text`, French; None when the next run follows it up, from `opens_at` on), its next
    number and when that is due, how many were sent and when the last one (a message that was
    accepted since the last run included), its follow-ups and pauses so far, obstacles around it.
    Raises `NotFound`."""
    now: datetime = connection.execute(_CLOCK).scalar_one()
    values = dict(calendar_at(connection, now, everyone=True).parameters)
    asked = {"id": lead_id, "business_id": business_id, "now": now, "force": force}
    rows = connection.execute(text(queries.EXPLAIN), values | asked).mappings().all()
    if not rows:
        raise NotFound(f"Aucun lead n'a l'identifiant « {lead_id} ».")
    return [_one(connection, row, now) for row in rows]


def _one(connection: Connection, row: Mapping[Any, Any], now: datetime) -> dict[str, Any]:
    reason, opens_at = row["reason"], None
    if reason is None:
        reached, unusable = reach([row])
        decided = decide(reached, known_of(connection, reached), now)
        left_out = [*unusable, *decided.left_out]
        reason = left_out[0][1] if left_out else None
        opens_at = decided.followups[0].opens_at if decided.followups else None
    where = {"business_id": row["business_id"], "lead_id": row["id"]}
    obstacles = connection.execute(_OBSTACLES, where | {"job": JOB, "kind": FOLLOWUP})
    followups = [dict(found) for found in connection.execute(_HISTORY, where).mappings()]
    accepted = next((found["accepted_at"] for found in followups if found["accepted_at"]), None)
    names = ("business_id", "id", "name", "stage", "mode", "closer_id")
    return {
        **{name: row[name] for name in names},
        "reason": reason,
        "reason_text": LEFT_OUT.get(reason, reason) if reason else None,
        "next_number": row["number"],
        "due_at": row["due_at"],
        "opens_at": opens_at,
        "sent": counted(row, accepted),
        "obstacles": dict(obstacles.mappings().one()),
        "followups": followups,
        "pauses": pauses.history(connection, row["business_id"], row["id"]),
    }
