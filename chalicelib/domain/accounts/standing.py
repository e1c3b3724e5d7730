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

# Open, in force, and this user's.
HELD = """EXISTS (SELECT 1 FROM ponctuel.legal_holds h
               WHERE h.business_id = {who}.business_id AND h.lifted_at IS NULL
                 AND (h.user_id IS NULL OR h.user_id = {who}.user_id))"""

# The other active users of the business who stay; `stays` is about their own open deletion `x`.
OTHERS = f"""LATERAL (
  SELECT count(*) AS others, count(*) FILTER (WHERE o.role = 'owner') AS owners
    FROM ponctuel.users o
    LEFT JOIN ponctuel.account_deletions x
      ON x.business_id = o.business_id AND x.user_id = o.id AND x.state IN ({OPEN_STATES})
   WHERE o.business_id = {{who}}.business_id AND o.id <> {{who}}.user_id AND o.active
     AND (x.id IS NULL OR {{stays}})
)"""
# As far as can be told beforehand: whose date comes first is gone by then.
_STAYS = """x.state = 'blocked' OR (x.state = 'scheduled' AND (
            d.scheduled_at IS NULL OR (x.scheduled_at, x.id) > (d.scheduled_at, d.id)))"""

_FACTS = f"""
WITH asked AS ({{asked}})
SELECT a.business_id, a.user_id, u.id IS NOT NULL AS known, {WANTED} AS wanted,
       u.role = 'owner' AS is_owner, u.zone, u.name, b.name AS business, b.zone AS business_zone,
       b.sender_email, p.others, p.owners, {HELD.format(who="a")} AS held, c.wanted_at AS declined,
       d.id, d.state, d.scheduled_at, d.wanted_at, d.blocked_reason, d.approved_at, d.requested_at,
       d.requested_by, d.locked_at, d.scope,
       greatest(ponctuel.clock(), CAST(:now AS timestamptz)) AS clock
  FROM asked a
  LEFT JOIN ponctuel.users u ON u.business_id = a.business_id AND u.id = a.user_id
  LEFT JOIN ponctuel.businesses b ON b.id = a.business_id
  LEFT JOIN ponctuel.account_deletions d
    ON d.business_id = a.business_id AND d.user_id = a.user_id AND d.state IN ({OPEN_STATES})
  LEFT JOIN LATERAL (
    SELECT r.wanted_at FROM ponctuel.account_deletions r
     WHERE r.business_id = a.business_id AND r.user_id = a.user_id AND r.state = 'cancelled'
     ORDER BY r.id DESC LIMIT 1) c ON true
 CROSS JOIN {OTHERS.format(who="a", stays=_STAYS)} p
 ORDER BY a.business_id, a.user_id
"""
_ASKED = """SELECT x.business_id, x.user_id
  FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS x(business_id text, user_id text)"""
_OF_PAIRS = text(_FACTS.replace("{asked}", _ASKED))

Facts = Mapping[str, Any]


def of_batch(connection: Connection, batch: Batch) -> list[Facts]:
    """The facts of the batch's users, whose ids are its items."""
    asked = f"SELECT business_id, item AS user_id FROM ({batch.cte}) items"
    statement = text(_FACTS.replace("{asked}", asked))
    return [dict(row) for row in connection.execute(statement, batch.parameters).mappings()]


def of_users(
    connection: Connection, users: Sequence[tuple[str, str]], now: datetime | None = None
) -> dict[tuple[str, str], Facts]:
    """The facts of (business_id, user_id), at the database's clock, or at `now` if it is later."""
    asked = json.dumps([{"business_id": business, "user_id": user} for business, user in users])
    rows = connection.execute(_OF_PAIRS, {"asked": asked, "now": now}).mappings()
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
