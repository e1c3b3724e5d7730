"""The letters about a deletion: which there are, when each is planned, and whether the last one is
gone.

Their key is (business, kind, number of the deletion, cycle, step). The cycle is the date that they
tell, so that another date is told anew; what they say of it is read when they leave (`kinds`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.domain.accounts.standing import HAS_ADDRESS
from chalicelib.outbox.plan import allow_list, planning_statement

REQUESTED: Final = "accounts.deletion_requested"
REMINDER: Final = "accounts.deletion_reminder"
CANCELLED: Final = "accounts.deletion_cancelled"
BLOCKED: Final = "accounts.deletion_blocked"
FINAL: Final = "accounts.deletion_final"

# Erasing waits so long for the last letter to be accepted, and no longer: the law gives a month.
WAITS: Final = timedelta(days=7)

# The date of a deletion `d`, as a key holds it.
CYCLE = """to_char(d.scheduled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
# A message `m` that has gone, or of which somebody has decided that it does not go.
SETTLED = """(m.state IN ('accepted','delivered','failed','refused','uncertain')
              OR (m.state = 'cancelled' AND NOT m.key_free))"""
# Of users `u`: who a person is to the outbox. A customer may have the same id.
PERSON = "'user:' || u.id"

# Whether the user of a deletion `d` was told of its date, as far as they can be.
TOLD = f"""(NOT COALESCE({HAS_ADDRESS}, false) OR EXISTS (
  SELECT 1 FROM ponctuel.messages m
   WHERE m.business_id = d.business_id AND m.kind IN ('{REQUESTED}', '{REMINDER}')
     AND m.subject = d.id::text AND m.cycle = {CYCLE} AND {SETTLED}))"""

_SELECT = f"""
SELECT d.business_id, w.kind, d.id::text AS subject, w.cycle, w.step, 'email' AS channel,
       {PERSON} AS person, u.email AS recipient, '{{}}'::jsonb AS content,
       ponctuel.clock() AS not_before, w.expires_at, NULL::jsonb AS lines, NULL::text AS order_key
  FROM jsonb_to_recordset(CAST(:letters AS jsonb))
    AS w(deletion bigint, kind text, cycle text, step text, user_id text, expires_at timestamptz)
  JOIN ponctuel.account_deletions d ON d.id = w.deletion
  JOIN ponctuel.users u ON u.business_id = d.business_id AND u.id = w.user_id
 WHERE {HAS_ADDRESS}
"""

_LAST = text(f"""
SELECT d.id, EXISTS (
         SELECT 1 FROM ponctuel.messages m
          WHERE m.business_id = d.business_id AND m.kind = '{FINAL}' AND m.subject = d.id::text
            AND (m.state IN ('planned','held','claimed','submitting')
                 OR (m.state = 'uncertain' AND m.proof_at IS NOT NULL))
            AND m.planned_at + interval '{WAITS.days} days' > ponctuel.clock())
  FROM ponctuel.account_deletions d
 WHERE d.id IN (SELECT x::bigint FROM jsonb_array_elements_text(CAST(:deletions AS jsonb)) AS x)
""")


@dataclass(frozen=True)
class Letter:
    """One to plan. `user_id`: who is written to, of the deletion's business."""

    deletion: int
    kind: str
    user_id: str
    cycle: str
    expires_at: str
    step: str = ""


def cycle_of(instant: datetime) -> str:
    """As `CYCLE` writes it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def letter(
    kind: str, deletion: int, user_id: str, about: datetime, expires_at: datetime, step: str = ""
) -> Letter:
    """One about a date or a moment (aware)."""
    return Letter(deletion, kind, user_id, cycle_of(about), expires_at.isoformat(), step)


def plan(connection: Connection, letters: Sequence[Letter], run_id: UUID | None = None) -> int:
    """Plans them, in the caller's transaction; who has no address gets none. Returns how many are
    new."""
    if not letters:
        return 0
    statement = text(planning_statement(_SELECT, "SELECT 1"))
    values = {
        "letters": json.dumps([asdict(one) for one in letters]),
        "allow_list": allow_list(),
        "run_id": run_id,
    }
    planned: int = connection.execute(statement, values).scalar_one()
    return planned


def last_letter(connection: Connection, deletions: Sequence[int]) -> dict[int, bool]:
    """Whether each deletion's address may be erased, as far as its last letter goes: it was
    accepted, it will never be (no address, refused, suppressed, cancelled), or it has waited for
    `WAITS`."""
    rows = connection.execute(_LAST, {"deletions": json.dumps(list(deletions))})
    return {number: not waiting for number, waiting in rows}
