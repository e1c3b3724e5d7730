"""What is known of the accounts that are asked about: one statement for every door."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.accounts.deletions import OPEN, Account, Deletion, zone_of
from chalicelib.runner.job import Batch


def _list(states: Sequence[str]) -> str:
    return ", ".join(f"'{state}'" for state in states)


OPEN_STATES = _list(OPEN)

# Dates that no calendar of Python's holds are as far away as those it holds.
# One without a zone, in somebody's view, is read in UTC.
_DATE = "CAST(u.deletion_scheduled_at AS timestamptz)"
WANTED = f"""CASE WHEN {_DATE} < '9000-01-01Z' THEN greatest({_DATE}, '1900-01-01Z') END"""

# Of users: an address can be tried. Whether it is one is asked when the letter leaves.
HAS_ADDRESS = "u.email LIKE '%_@_%'"

# In force, and this user's; or anybody's of the business, where `whole` of it would go along.
HELD = """EXISTS (SELECT 1 FROM ponctuel.legal_holds h
               WHERE h.business_id = {who}.business_id AND h.lifted_at IS NULL
                 AND (h.user_id IS NULL OR h.user_id = {who}.user_id OR {whole}))"""

# Of the users that the CTE `asked` names (business_id, user_id): how many other active users of the
# business, and owners, stay: `others` (…, others, owners). `goes` says of somebody's open deletion
# `x`, and the open one of the user who is asked about, `d`, whether theirs counts as gone.
OTHERS = f"""
staff AS MATERIALIZED (
  SELECT u.business_id, u.id, u.role = 'owner' AS owner FROM ponctuel.users u
   WHERE u.active AND u.business_id IN (SELECT business_id FROM asked)
), leaving AS MATERIALIZED (
  SELECT s.owner, x.* FROM ponctuel.account_deletions x
    JOIN staff s ON s.business_id = x.business_id AND s.id = x.user_id
   WHERE x.state IN ('scheduled', 'locked', 'erasing')
), gone AS (
  SELECT a.business_id, a.user_id, count(*) AS n, count(*) FILTER (WHERE x.owner) AS owners
    FROM asked a
    JOIN leaving x ON x.business_id = a.business_id AND x.user_id <> a.user_id
    LEFT JOIN ponctuel.account_deletions d
      ON d.business_id = a.business_id AND d.user_id = a.user_id AND d.state IN ({OPEN_STATES})
   WHERE x.state IN ('locked', 'erasing') OR ({{goes}})
   GROUP BY a.business_id, a.user_id
), size AS (
  SELECT business_id, count(*) AS n, count(*) FILTER (WHERE owner) AS owners
    FROM staff GROUP BY business_id
), others AS (
  SELECT a.business_id, a.user_id,
         COALESCE(z.n, 0) - COALESCE(g.n, 0) - (me.id IS NOT NULL)::int AS others,
         COALESCE(z.owners, 0) - COALESCE(g.owners, 0) - COALESCE(me.owner, false)::int AS owners
    FROM asked a
    LEFT JOIN size z ON z.business_id = a.business_id
    LEFT JOIN gone g ON g.business_id = a.business_id AND g.user_id = a.user_id
    LEFT JOIN staff me ON me.business_id = a.business_id AND me.id = a.user_id
)"""
# As far as can be told beforehand: whose date comes first is gone by then.
_GOES = "(x.scheduled_at, x.id) <= (d.scheduled_at, d.id)"

_FACTS = text(f"""
WITH asked AS MATERIALIZED (
  SELECT x.business_id, x.user_id
    FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS x(business_id text, user_id text)
), {OTHERS.format(goes=_GOES)}
SELECT a.business_id, a.user_id, u.id IS NOT NULL AS known, {WANTED} AS wanted,
       u.role = 'owner' AS is_owner, u.zone, u.name, b.name AS business, b.zone AS business_zone,
       b.sender_email, p.others, p.owners, c.wanted_at AS declined,
       {HELD.format(who="a", whole="p.others = 0")} AS held,
       d.id, d.state, d.scheduled_at, d.wanted_at, d.blocked_reason, d.approved_at, d.requested_at,
       d.requested_by, d.locked_at, d.scope,
       greatest(ponctuel.clock(), CAST(:now AS timestamptz)) AS clock
  FROM asked a
  JOIN others p ON p.business_id = a.business_id AND p.user_id = a.user_id
  LEFT JOIN ponctuel.users u ON u.business_id = a.business_id AND u.id = a.user_id
  LEFT JOIN ponctuel.businesses b ON b.id = a.business_id
  LEFT JOIN ponctuel.account_deletions d
    ON d.business_id = a.business_id AND d.user_id = a.user_id AND d.state IN ({OPEN_STATES})
  LEFT JOIN LATERAL (
    SELECT r.wanted_at FROM ponctuel.account_deletions r
     WHERE r.business_id = a.business_id AND r.user_id = a.user_id AND r.state = 'cancelled'
     ORDER BY r.id DESC LIMIT 1) c ON true
 ORDER BY a.business_id, a.user_id
""")

Facts = Mapping[str, Any]


def of_batch(connection: Connection, batch: Batch, now: datetime) -> list[Facts]:
    """The facts of the batch's users, whose ids are its items. They are read first: the planner
    knows how long a list of JSON is, and takes a new worklist for empty."""
    rows = connection.execute(text(batch.cte), batch.parameters)
    return list(of_users(connection, [(row[0], row[1]) for row in rows], now).values())


def of_users(
    connection: Connection, users: Sequence[tuple[str, str]], now: datetime | None = None
) -> dict[tuple[str, str], Facts]:
    """The facts of (business_id, user_id), at the database's clock, or at `now` if it is later."""
    asked = json.dumps([{"business_id": business, "user_id": user} for business, user in users])
    rows = connection.execute(_FACTS, {"asked": asked, "now": now}).mappings()
    return {(row["business_id"], row["user_id"]): dict(row) for row in rows}


def account(facts: Facts) -> Account:
    """The row as the decisions take it."""
    deletion = None
    if facts["id"] is not None:
        deletion = Deletion(
            facts["id"],
            facts["state"],
            facts["scheduled_at"],
            facts["wanted_at"],
            facts["blocked_reason"],
            facts["approved_at"] is not None,
        )
    return Account(
        business_id=facts["business_id"],
        user_id=facts["user_id"],
        known=facts["known"],
        wanted=facts["wanted"],
        is_owner=bool(facts["is_owner"]),
        others=facts["others"],
        owners=facts["owners"],
        held=facts["held"],
        zone=zone_of(facts["zone"], facts["business_zone"]),
        declined=facts["declined"],
        deletion=deletion,
    )
