"""The leads that a business follows up, and where each of them is in its cadence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.leads.calendar import calendar_at
from chalicelib.domain.leads.facts import FIRST, with_facts
from chalicelib.domain.leads.pauses import ended
from chalicelib.domain.leads.reasons import LEFT_OUT
from chalicelib.domain.leads.settle import ACCEPTED_AT, MESSAGE

_WANTED = """
WHERE l.status = 'open'
  AND (CAST(:business_id AS text) IS NULL OR l.business_id = :business_id)
  AND (CAST(:stage AS text) IS NULL OR l.stage = :stage)
  AND (CAST(:closer AS text) IS NULL OR l.closer_id = :closer)
"""
_LISTED = text(f"""
WITH {with_facts(_WANTED)}
SELECT r.*, p.id IS NOT NULL AS paused, p.expires_at AS pause_ends_at, p.content AS pause_why,
       a.state, a.number AS state_number, a.accepted_at
  FROM (SELECT f.business_id, f.id, f.name, f.stage, f.mode, f.closer_id, f.number AS next_number,
               f.due_at, f.followups, f.last_followup_at, {FIRST} AS reason FROM facts f) r
  LEFT JOIN ponctuel.lead_followups p
         ON p.business_id = r.business_id AND p.lead_id = r.id AND p.cycle = 'pause'
        AND p.number = 0 AND p.state = 'skipped' AND p.expires_at > CAST(:now AS timestamptz)
  LEFT JOIN LATERAL (
    SELECT f.state, f.number, {ACCEPTED_AT} AS accepted_at
      FROM ponctuel.lead_followups f {MESSAGE}
     WHERE f.business_id = r.business_id AND f.lead_id = r.id
       AND f.state IN ('planned','proposed','opened') LIMIT 1) a ON true
 WHERE (NOT CAST(:due AS boolean) OR r.reason IS NULL)
   AND (NOT CAST(:paused AS boolean) OR p.id IS NOT NULL)
 ORDER BY r.due_at NULLS LAST, r.business_id, r.id LIMIT :limit
""")
_CLOCK = text("SELECT ponctuel.clock()")


def listed(
    connection: Connection,
    where: Mapping[str, str | None],
    *,
    due: bool = False,
    paused: bool = False,
    limit: int,
) -> list[dict[str, Any]]:
    """The open leads, the one that is due first on top. `where` may have `business_id`, `stage` and
    `closer` (a user's id). `due`: those only that the next run looks at (whose numbers and consents
    it reads then); `paused`: those that a person has paused.

    `reason` (a code, with `reason_text` in French): why the lead is not followed up now. `state`:
    of the follow-up that is under way. `followups`, `last_followup_at`: as the lead has them, and
    with a message that was accepted since the last run (`accepted_at`)."""
    now = connection.execute(_CLOCK).scalar_one()
    values = dict.fromkeys(("business_id", "stage", "closer")) | dict(where)
    asked = {"now": now, "force": False, "due": due, "paused": paused, "limit": limit}
    calendar = calendar_at(connection, now, everyone=True).parameters
    rows = connection.execute(_LISTED, {**values, **asked, **calendar}).mappings()
    return [_lead(row) for row in rows]


def _lead(row: Mapping[Any, Any]) -> dict[str, Any]:
    reason = row["reason"]
    return {
        **row,
        **counted(row, row["accepted_at"]),
        "pause_ends_at": ended(row["pause_ends_at"]),
        "reason_text": LEFT_OUT.get(reason, reason) if reason else None,
    }


def counted(row: Mapping[Any, Any], accepted_at: Any) -> dict[str, Any]:
    """`followups` and `last_followup_at` of a lead, with a message that was accepted at
    `accepted_at` and that no run has counted on the lead yet."""
    sent, last = row["followups"] or 0, row["last_followup_at"]
    if accepted_at is None:
        return {"followups": sent, "last_followup_at": last}
    return {
        "followups": sent + 1,
        "last_followup_at": accepted_at if last is None else max(last, accepted_at),
    }
