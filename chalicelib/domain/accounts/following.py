"""The daily look at every account that is to be erased: what the application has decided since,
and what stands in the way.

Today's users let their application write `users.deletion_scheduled_at`: such accounts are adopted.
A date that has gone from there is a cancellation, another date is followed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import telling
from chalicelib.domain.accounts.deletions import REASONS, Decision, follow
from chalicelib.domain.accounts.standing import Facts, account, of_batch
from chalicelib.runner.job import Batch, Outcome, Preview, Run

TO_FOLLOW: Final = """
SELECT u.business_id, u.id AS item FROM ponctuel.users u WHERE u.deletion_scheduled_at IS NOT NULL
UNION
SELECT business_id, user_id FROM ponctuel.account_deletions
 WHERE state IN ('scheduled', 'blocked')
"""

COUNTED: Final = {
    "adopt": "deletions_adopted",
    "move": "deletions_moved",
    "tie": "deletions_moved",
    "cancel": "deletions_cancelled",
    "block": "deletions_blocked",
    "heal": "deletions_resumed",
}

_ADOPT = text("""
INSERT INTO ponctuel.account_deletions (business_id, user_id, state, requested_at, requested_by,
                                        scheduled_at, zone, wanted_at, blocked_at, blocked_reason)
SELECT n.business_id, n.user_id, n.state, ponctuel.clock(), n.requested_by, n.scheduled_at, n.zone,
       n.wanted_at, CASE WHEN n.state = 'blocked' THEN ponctuel.clock() END, n.blocked_reason
  FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS n(business_id text, user_id text, state text, requested_by text, scheduled_at timestamptz,
         zone text, wanted_at timestamptz, blocked_reason text)
    ON CONFLICT (business_id, user_id) WHERE state IN ('scheduled','blocked','locked','erasing')
    DO NOTHING
RETURNING id, business_id, user_id, state, requested_by, requested_at, scheduled_at,
          blocked_reason, blocked_at, cancelled_at
""")
# Whoever was quicker wins: the row must be as it was when this was decided.
_CHANGE = text("""
UPDATE ponctuel.account_deletions d
   SET state = n.state, scheduled_at = n.scheduled_at, wanted_at = n.wanted_at,
       cancelled_at = CASE WHEN n.state = 'cancelled' THEN ponctuel.clock() END,
       cancelled_by = CASE WHEN n.state = 'cancelled' THEN 'application' END,
       blocked_at = CASE WHEN n.state <> 'blocked' THEN NULL
                         WHEN n.blocked_reason = d.blocked_reason THEN d.blocked_at
                         ELSE ponctuel.clock() END,
       blocked_reason = n.blocked_reason,
       approved_at = CASE WHEN n.scheduled_at = d.scheduled_at THEN d.approved_at END
  FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS n(id bigint, was text, since timestamptz, state text, scheduled_at timestamptz,
         wanted_at timestamptz, blocked_reason text)
 WHERE d.id = n.id AND d.state = n.was AND d.scheduled_at = n.since
RETURNING d.id, d.business_id, d.user_id, d.state, d.requested_by, d.requested_at, d.scheduled_at,
          d.blocked_reason, d.blocked_at, d.cancelled_at
""")


@dataclass(frozen=True)
class Follow:
    """Items are ids of users."""

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        decided = _decided(of_batch(connection, batch, run.now))
        counts = Counter(COUNTED[decision.action] for _, decision in decided)
        adopted = insert(connection, decided, "application")
        changed = _change(connection, decided)
        planned = telling.tell_blocked(connection, [*adopted, *changed], run.id)
        planned += telling.tell_cancelled(connection, changed, run.id)
        return Outcome(counts + Counter(planned=planned))

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        decided = _decided(of_batch(connection, batch, run.now))
        return Preview(
            changes=[
                {
                    "change": COUNTED[decision.action],
                    "business_id": facts["business_id"],
                    "subject": facts["user_id"],
                    "scheduled_at": decision.scheduled_at.isoformat(),
                    "reason": decision.blocked_reason,
                    "why": REASONS.get(decision.blocked_reason or ""),
                }
                for facts, decision in decided
            ]
        )


def _decided(found: Sequence[Facts]) -> list[tuple[Facts, Decision]]:
    pairs = ((facts, follow(account(facts), facts["clock"])) for facts in found)
    return [(facts, decision) for facts, decision in pairs if decision is not None]


def insert(
    connection: Connection, decided: Sequence[tuple[Facts, Decision]], by: str
) -> list[dict[str, Any]]:
    """Opens the deletions that are decided to be; those that somebody else has opened meanwhile
    are left alone. Returns the new rows."""
    rows = [
        {
            "business_id": facts["business_id"],
            "user_id": facts["user_id"],
            "state": decision.state,
            "requested_by": by,
            "scheduled_at": decision.scheduled_at.isoformat(),
            "zone": account(facts).zone,
            "wanted_at": _text(decision.wanted_at),
            "blocked_reason": decision.blocked_reason,
        }
        for facts, decision in decided
        if decision.action == "adopt"
    ]
    return _written(connection, _ADOPT, rows)


def _change(
    connection: Connection, decided: Sequence[tuple[Facts, Decision]]
) -> list[dict[str, Any]]:
    rows = [
        {
            "id": facts["id"],
            "was": facts["state"],
            "since": facts["scheduled_at"].isoformat(),
            "state": decision.state,
            "scheduled_at": decision.scheduled_at.isoformat(),
            "wanted_at": _text(decision.wanted_at),
            "blocked_reason": decision.blocked_reason,
        }
        for facts, decision in decided
        if decision.action != "adopt"
    ]
    return _written(connection, _CHANGE, rows)


def _written(
    connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    if not rows:
        return []
    found = connection.execute(statement, {"rows": json.dumps(list(rows))}).mappings()
    return [dict(row) for row in found]


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
