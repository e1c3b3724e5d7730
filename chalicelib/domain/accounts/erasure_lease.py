"""Who erases an account: one process at a time, as long as nothing forbids it.

A process that dies leaves its lease to run out; what it has committed has its receipt, and the next
one goes on behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from chalicelib.domain.accounts.standing import HELD
from chalicelib.errors import LeaseLost, PonctuelError

# Longer than one call to a store or to Stripe, and than one transaction.
LEASE: Final = timedelta(minutes=10)
# What fails for a night may be an outage; after that many in a row somebody has to know.
BLOCKED_AFTER: Final = 3

_OPEN = "d.state IN ('locked', 'erasing')"
_HELD = HELD.format(who="d", whole="d.scope = 'business'")
_UNTIL = f"ponctuel.clock() + interval '{int(LEASE.total_seconds())} seconds'"
# Of a row that somebody else's account has too: they are being erased, and have let go of it before
# us. Nothing of whom a hold keeps counts as let go.
LET_GO: Final = f"""EXISTS (
  SELECT 1 FROM ponctuel.account_deletions d JOIN ponctuel.erasure_receipts r
    ON r.deletion_id = d.id AND r.step = '{{step}}'
 WHERE d.business_id = {{row}}.business_id AND d.state = 'erasing' AND {{whose}}
   AND NOT {_HELD})"""
WAITING: Final = f"""
SELECT d.business_id, d.id::text AS item FROM ponctuel.account_deletions d
 WHERE {_OPEN} AND (d.next_attempt_at IS NULL OR d.next_attempt_at <= CAST(:now AS timestamptz))
   AND (d.leased_until IS NULL OR d.leased_until <= CAST(:now AS timestamptz))
"""
_OURS: Final = "unnest(CAST(:ids AS bigint[]), CAST(:leases AS bigint[])) AS o(id, lease)"
_TAKE = text(f"""
UPDATE ponctuel.account_deletions d SET lease = d.lease + 1, leased_until = {_UNTIL}
 WHERE d.id = ANY(CAST(:ids AS bigint[])) AND {_OPEN}
   AND (d.leased_until IS NULL OR d.leased_until <= ponctuel.clock())
RETURNING d.id, d.lease, d.business_id, d.user_id, d.scope
""")
_FENCE = text(f"""
UPDATE ponctuel.account_deletions d
   SET state = 'erasing', step = :step, leased_until = {_UNTIL}
  FROM {_OURS}
 WHERE d.id = o.id AND d.lease = o.lease AND {_OPEN} AND NOT {_HELD}
""")
_IS_HELD = text(f"""
SELECT d.id FROM ponctuel.account_deletions d
 WHERE d.id = ANY(CAST(:ids AS bigint[])) AND {_HELD} LIMIT 1
""")
_DONE = text("""
SELECT deletion_id, step FROM ponctuel.erasure_receipts
 WHERE deletion_id = ANY(CAST(:ids AS bigint[]))
""")
_RECEIPTS = text("""
INSERT INTO ponctuel.erasure_receipts (deletion_id, step, counts, done_at)
SELECT r.id, :step, r.counts, ponctuel.clock()
  FROM jsonb_to_recordset(CAST(:receipts AS jsonb)) AS r(id bigint, counts jsonb)
""")
_GO_BACK = text(
    "DELETE FROM ponctuel.erasure_receipts WHERE deletion_id = :id AND step <> 'stripe'"
)
# The nightly run of the next day is less than a day away when the clocks change.
_FAILED = text(f"""
UPDATE ponctuel.account_deletions d
   SET attempts = d.attempts + 1, error_code = :code, leased_until = NULL,
       next_attempt_at = ponctuel.clock() + least(interval '1 hour' * power(2, d.attempts),
                                                  interval '20 hours'),
       blocked_at = CASE WHEN :permanent OR d.attempts + 1 >= {BLOCKED_AFTER}
                         THEN COALESCE(d.blocked_at, ponctuel.clock()) END,
       blocked_reason = CASE WHEN :permanent OR d.attempts + 1 >= {BLOCKED_AFTER}
                             THEN :reason END
 WHERE d.id = :id AND d.lease = :lease AND {_OPEN}
RETURNING d.blocked_reason
""")
_GIVE_BACK = text(f"""
UPDATE ponctuel.account_deletions d SET leased_until = NULL
  FROM {_OURS}
 WHERE d.id = o.id AND d.lease = o.lease
""")


class Held(PonctuelError):
    """A legal hold has been placed since: nothing more is erased until it is lifted."""

    code = "legal_hold"


@dataclass(frozen=True)
class Taken:
    """A deletion that this process erases. `scope`: user or business."""

    id: int
    lease: int
    business_id: str
    user_id: str
    scope: str

    @property
    def _key(self) -> dict[str, Any]:
        return {"id": self.id, "lease": self.lease}

    @property
    def account(self) -> dict[str, Any]:
        """As `retention.parameters` takes it, without the address."""
        return {
            "business": self.business_id,
            "user": self.user_id,
            "email": "",
            "deletion": self.id,
        }

    @contextmanager
    def writing(self, engine: Engine, step: str) -> Iterator[Connection]:
        """See the function of that name."""
        with writing(engine, [self], step) as connection:
            yield connection

    def receipt(self, connection: Connection, step: str, counts: Mapping[str, int]) -> None:
        receipts(connection, step, {self.id: counts})

    def failed(self, engine: Engine, error: PonctuelError, *, permanent: bool, reason: str) -> bool:
        """Writes down that it is to be tried again, and when; whether that is for somebody to look
        at. What was found to remain is erased again from the first step."""
        values = self._key | {"code": error.code, "permanent": permanent, "reason": reason}
        with engine.begin() as connection:
            blocked = connection.execute(_FAILED, values).scalar()
            if error.code == "remains":
                connection.execute(_GO_BACK, {"id": self.id})
        return blocked is not None


def take(engine: Engine, number: int) -> Taken | None:
    """None when another process has it, or it is not to be erased any more."""
    return next(iter(take_all(engine, [number])), None)


def take_all(engine: Engine, numbers: Sequence[int]) -> list[Taken]:
    """Without those that another process has, or that are not to be erased any more."""
    with engine.begin() as connection:
        rows = connection.execute(_TAKE, {"ids": list(numbers)}).all()
    return [Taken(*row) for row in sorted(rows)]


def done(engine: Engine, taken: Sequence[Taken]) -> dict[int, set[str]]:
    """Of each, the steps that have their receipt."""
    found: dict[int, set[str]] = {one.id: set() for one in taken}
    with engine.connect() as connection:
        for number, step in connection.execute(_DONE, {"ids": list(found)}):
            found[number].add(step)
    return found


@contextmanager
def writing(engine: Engine, taken: Sequence[Taken], step: str) -> Iterator[Connection]:
    """A transaction in which nobody else has a lease of these, and no hold of them is in force.
    Raises `LeaseLost`, `Held`."""
    ours = _keys(taken)
    with engine.begin() as connection:
        if connection.execute(_FENCE, ours | {"step": step}).rowcount < len(taken):
            if connection.execute(_IS_HELD, ours).first() is not None:
                raise Held("Une conservation imposée est en vigueur.")
            raise LeaseLost("Un autre processus efface ce compte.")
        yield connection


def receipts(connection: Connection, step: str, counts: Mapping[int, Mapping[str, int]]) -> None:
    """`counts`: of each deletion, by its number."""
    rows = [{"id": number, "counts": dict(of)} for number, of in counts.items()]
    connection.execute(_RECEIPTS, {"step": step, "receipts": json.dumps(rows)})


def give_back(engine: Engine, taken: Sequence[Taken]) -> None:
    with engine.begin() as connection:
        connection.execute(_GIVE_BACK, _keys(taken))


def _keys(taken: Sequence[Taken]) -> dict[str, Any]:
    return {"ids": [one.id for one in taken], "leases": [one.lease for one in taken]}
