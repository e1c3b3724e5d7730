"""The point of no return: accounts whose date has passed are locked, and nobody cancels any more.

Everything is asked again in the locking transaction, at the database's clock: still scheduled, not
held, not the last owner, told in time. Who cancels at the same second waits for that transaction,
or it for them: exactly one of the two wins. The application cancels by clearing its own column, so
that column is written too, unchanged: it cannot be cleared behind the lock's back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.domain.accounts import telling
from chalicelib.domain.accounts.deletions import (
    LAST_OWNER,
    LEGAL_HOLD,
    MOST_POSTPONED,
    NO_USER,
    NOT_TOLD,
    NOTICE,
    REASONS,
    SURGE,
    surge_limit,
)
from chalicelib.domain.accounts.letters import TOLD
from chalicelib.domain.accounts.standing import HELD, OTHERS, WANTED
from chalicelib.runner.job import Batch, ItemError, Outcome, Preview, Run

# Of a run; the others wait for the next one. What is locked by mistake cannot be brought back.
MOST_PER_RUN: Final = 50

_DUE = "d.state = 'scheduled' AND d.scheduled_at <= {clock}"
DUE: Final = f"""
SELECT business_id, user_id AS item FROM (
  SELECT d.business_id, d.user_id FROM ponctuel.account_deletions d
   WHERE {_DUE.format(clock="CAST(:now AS timestamptz)")}
   ORDER BY d.scheduled_at, d.id LIMIT {MOST_PER_RUN}) due
"""

_TAKE = f"""
SELECT d.id, d.business_id FROM ponctuel.account_deletions d
 WHERE (d.business_id, d.user_id) IN ({{batch}}) AND {_DUE.format(clock="ponctuel.clock()")}
 ORDER BY d.scheduled_at, d.id FOR UPDATE OF d
"""
# Days of the last month, and the last 24 hours; who was approved is nobody's surprise.
_VOLUME = text("""
SELECT (SELECT count(*) FROM ponctuel.account_deletions
         WHERE locked_at > ponctuel.clock() - interval '24 hours' AND approved_at IS NULL),
       (SELECT count(*) FROM ponctuel.account_deletions
         WHERE state = 'scheduled' AND scheduled_at <= :now AND approved_at IS NULL),
       ARRAY(SELECT count(*) FROM ponctuel.account_deletions
              WHERE locked_at > ponctuel.clock() - interval '31 days'
                AND locked_at <= ponctuel.clock() - interval '24 hours'
              GROUP BY (locked_at AT TIME ZONE 'UTC')::date)
""")
_HOLD_SURGE = text(f"""
UPDATE ponctuel.account_deletions
   SET state = 'blocked', blocked_reason = '{SURGE}', blocked_at = ponctuel.clock()
 WHERE state = 'scheduled' AND scheduled_at <= ponctuel.clock() AND approved_at IS NULL
""")
# A plain UPDATE of one relation, which may be a view: it waits for whoever is writing there.
_KEEP_DATE = text(f"""
UPDATE ponctuel.users u SET deletion_scheduled_at = u.deletion_scheduled_at
 WHERE EXISTS (SELECT 1 FROM ponctuel.account_deletions d
                WHERE d.id = ANY(CAST(:taken AS bigint[])) AND d.business_id = u.business_id
                  AND d.user_id = u.id AND d.wanted_at = {WANTED})
""")

# Whoever is not locked may still stay, whatever their date.
_OTHERS = OTHERS.format(goes="false")
# The deletions that the CTE `taken` names (id).
_STANDING = f"""
asked AS MATERIALIZED (
  SELECT DISTINCT d.business_id, d.user_id FROM ponctuel.account_deletions d JOIN taken USING (id)
), {_OTHERS}, standing AS MATERIALIZED (
SELECT d.id, d.business_id, d.user_id, p.others, d.postponed, d.scheduled_at,
       CASE WHEN {HELD.format(who="d", whole="p.others = 0")} THEN '{LEGAL_HOLD}'
            WHEN u.id IS NULL AND d.approved_at IS NULL THEN '{NO_USER}'
            WHEN u.id IS NOT NULL AND d.wanted_at IS NOT NULL
                 AND d.wanted_at IS DISTINCT FROM {WANTED} THEN 'changed'
            WHEN u.role = 'owner' AND p.others > 0 AND p.owners = 0 THEN '{LAST_OWNER}'
            WHEN d.approved_at IS NULL AND NOT {TOLD} THEN '{NOT_TOLD}'
       END AS reason
  FROM taken
  JOIN ponctuel.account_deletions d ON d.id = taken.id
  JOIN others p ON p.business_id = d.business_id AND p.user_id = d.user_id
  LEFT JOIN ponctuel.users u ON u.business_id = d.business_id AND u.id = d.user_id
)"""
_LOCK = text(f"""
WITH taken AS (SELECT unnest(CAST(:taken AS bigint[])) AS id), {_STANDING}
UPDATE ponctuel.account_deletions d
   SET state = CASE WHEN s.reason IS NULL THEN 'locked'
                    WHEN s.reason = 'changed' THEN d.state
                    WHEN s.reason = '{NOT_TOLD}' AND d.postponed < {MOST_POSTPONED} THEN d.state
                    ELSE 'blocked' END,
       locked_at = CASE WHEN s.reason IS NULL THEN ponctuel.clock() END,
       scope = CASE WHEN s.reason IS NULL
                    THEN CASE WHEN s.others > 0 THEN 'user' ELSE 'business' END END,
       scheduled_at = CASE WHEN s.reason = '{NOT_TOLD}'
                           THEN date_trunc('second', ponctuel.clock())
                                + interval '{int(NOTICE.total_seconds()) + 1} seconds'
                           ELSE d.scheduled_at END,
       postponed = d.postponed + CASE WHEN s.reason = '{NOT_TOLD}' THEN 1 ELSE 0 END,
       blocked_at = CASE WHEN s.reason IN ('{LEGAL_HOLD}', '{NO_USER}', '{LAST_OWNER}')
                           OR (s.reason = '{NOT_TOLD}' AND d.postponed >= {MOST_POSTPONED})
                         THEN ponctuel.clock() END,
       blocked_reason = CASE WHEN s.reason IN ('{LEGAL_HOLD}', '{NO_USER}', '{LAST_OWNER}')
                               OR (s.reason = '{NOT_TOLD}' AND d.postponed >= {MOST_POSTPONED})
                             THEN s.reason END
  FROM standing s
 WHERE s.id = d.id AND d.state = 'scheduled' AND d.scheduled_at <= ponctuel.clock()
RETURNING d.id, d.business_id, d.user_id, d.state, d.scope, d.scheduled_at, d.requested_by,
          d.locked_at, d.blocked_at, d.blocked_reason, s.reason
""")
_PREVIEW = f"""
WITH taken AS (
  SELECT d.id FROM ponctuel.account_deletions d
   WHERE (d.business_id, d.user_id) IN ({{batch}})
     AND {_DUE.format(clock="CAST(:now AS timestamptz)")}
), {_STANDING}
SELECT * FROM standing ORDER BY scheduled_at, id
"""


@dataclass(frozen=True)
class Lock:
    """Items are ids of users. When far more accounts than usual are due, none is locked: all of
    them wait for an operator (`./ponctuel accounts approve`)."""

    def apply(self, run: Run, connection: Connection, batch: Batch) -> Outcome:
        taking = text(_TAKE.replace("{batch}", batch.cte))
        taken = connection.execute(taking, batch.parameters).all()
        if not taken:
            return Outcome()
        due, limit = _volume(connection, run)
        if due > limit:
            return _held(connection, due)
        rows: list[Mapping[Any, Any]] = []
        for one_of_each in _apart(taken):
            connection.execute(_KEEP_DATE, {"taken": one_of_each})
            rows += connection.execute(_LOCK, {"taken": one_of_each}).mappings()
        locked = [row for row in rows if row["state"] == "locked"]
        planned = telling.tell_final(connection, locked, run.id)
        planned += telling.tell_blocked(connection, rows, run.id)
        for row in locked:
            logs.info("account_locked", deletion=row["id"], business=row["business_id"])
        counts = Counter(_COUNTED[row["state"], row["reason"] == NOT_TOLD] for row in rows)
        return Outcome(+(counts + Counter(planned=planned)))

    def preview(self, run: Run, connection: Connection, batch: Batch) -> Preview:
        statement = text(_PREVIEW.replace("{batch}", batch.cte))
        rows = connection.execute(statement, batch.parameters).mappings().all()
        due, limit = _volume(connection, run)
        surging = due > limit
        going = [row for row in rows if row["reason"] is None and not surging]
        return Preview(
            changes=[_as_change(row) for row in going],
            left_out=[_left_out(row, surging=surging) for row in rows if row not in going],
        )


_COUNTED: Final = {
    ("locked", False): "deletions_locked",
    ("blocked", False): "deletions_blocked",
    ("blocked", True): "deletions_blocked",
    ("scheduled", True): "deletions_postponed",
    ("scheduled", False): "deletions_changed",
}


def _apart(taken: Sequence[Any]) -> Iterator[list[int]]:
    """One account of each business at a time: whether somebody is its last owner, or its last user,
    is known once those before them are locked."""
    left: dict[str, list[int]] = {}
    for number, business in taken:
        left.setdefault(business, []).append(number)
    for nth in range(max(len(numbers) for numbers in left.values())):
        yield [numbers[nth] for numbers in left.values() if nth < len(numbers)]


def _volume(connection: Connection, run: Run) -> tuple[int, int]:
    """How many accounts would be locked within a day, and how many may be."""
    locked, due, usual = connection.execute(_VOLUME, {"now": run.now}).one()
    return (locked + due if due else 0), surge_limit(usual)


def _held(connection: Connection, due: int) -> Outcome:
    held = connection.execute(_HOLD_SURGE).rowcount
    logs.error("account_deletions_surge", due=due)
    sentence = (
        f"{held} comptes arrivent à échéance, bien plus que d'habitude : aucun n'est verrouillé. "
        "Vérifiez-les (./ponctuel accounts list --state blocked), puis approuvez ou annulez."
    )
    return Outcome({"deletions_blocked": held}, [ItemError("", SURGE, SURGE, sentence)])


def _as_change(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    return {
        "change": "deletions_locked",
        "business_id": row["business_id"],
        "subject": row["user_id"],
        "scope": "user" if row["others"] else "business",
    }


def _left_out(row: Mapping[Any, Any], *, surging: bool) -> Mapping[str, Any]:
    reason = row["reason"] or SURGE if surging else row["reason"]
    why = REASONS.get(reason, "l'application a changé la date depuis")
    if reason == NOT_TOLD and row["postponed"] < MOST_POSTPONED:
        why = "aucun message n'a encore pu prévenir la personne : la date est reportée"
    return {
        "business_id": row["business_id"],
        "document": "account",
        "subject": row["user_id"],
        "number": row["user_id"],
        "reason": reason,
        "why": why,
    }
