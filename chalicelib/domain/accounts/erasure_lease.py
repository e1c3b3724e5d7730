"""Who erases an account: one process at a time, as long as nothing forbids it.

A process that dies leaves its lease to run out; what it has committed has its receipt, and the next
one goes on behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
WAITING: Final = f"""
SELECT d.business_id, d.id::text AS item FROM ponctuel.account_deletions d
 WHERE {_OPEN} AND (d.next_attempt_at IS NULL OR d.next_attempt_at <= CAST(:now AS timestamptz))
   AND (d.leased_until IS NULL OR d.leased_until <= CAST(:now AS timestamptz))
"""
_TAKE = text(f"""
UPDATE ponctuel.account_deletions d SET lease = d.lease + 1, leased_until = {_UNTIL}
 WHERE d.id = :id AND {_OPEN} AND (d.leased_until IS NULL OR d.leased_until <= ponctuel.clock())
RETURNING d.lease, d.business_id, d.user_id, d.scope
""")
_FENCE = text(f"""
UPDATE ponctuel.account_deletions d
   SET state = 'erasing', step = :step, leased_until = {_UNTIL}
 WHERE d.id = :id AND d.lease = :lease AND {_OPEN} AND NOT {_HELD}
RETURNING d.id
""")
_IS_HELD = text(f"""
SELECT {_HELD} FROM ponctuel.account_deletions d WHERE d.id = :id
""")
_DONE = text("SELECT step FROM ponctuel.erasure_receipts WHERE deletion_id = :id")
_RECEIPT = text("""
INSERT INTO ponctuel.erasure_receipts (deletion_id, step, counts, done_at)
VALUES (:id, :step, CAST(:counts AS jsonb), ponctuel.clock())
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
_GIVE_BACK = text("""
UPDATE ponctuel.account_deletions d SET leased_until = NULL
 WHERE d.id = :id AND d.lease = :lease
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

    def done(self, engine: Engine) -> frozenset[str]:
        """The steps that have their receipt."""
        with engine.connect() as connection:
            return frozenset(connection.execute(_DONE, {"id": self.id}).scalars())

    @contextmanager
    def writing(self, engine: Engine, step: str) -> Iterator[Connection]:
        """A transaction in which nobody else has the lease, and no hold is in force. Raises
        `LeaseLost`, `Held`."""
        with engine.begin() as connection:
            if connection.execute(_FENCE, self._key | {"step": step}).first() is None:
                if connection.execute(_IS_HELD, {"id": self.id}).scalar():
                    raise Held("Une conservation imposée est en vigueur.")
                raise LeaseLost("Un autre processus efface ce compte.")
            yield connection

    def receipt(self, connection: Connection, step: str, counts: Mapping[str, int]) -> None:
        values = {"id": self.id, "step": step, "counts": json.dumps(dict(counts))}
        connection.execute(_RECEIPT, values)

    def failed(self, engine: Engine, error: PonctuelError, *, permanent: bool, reason: str) -> bool:
        """Writes down that it is to be tried again, and when; whether that is for somebody to look
        at. What was found to remain is erased again from the first step."""
        values = self._key | {"code": error.code, "permanent": permanent, "reason": reason}
        with engine.begin() as connection:
            blocked = connection.execute(_FAILED, values).scalar()
            if error.code == "remains":
                connection.execute(_GO_BACK, {"id": self.id})
        return blocked is not None

    def give_back(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(_GIVE_BACK, self._key)


def take(engine: Engine, number: int) -> Taken | None:
    """None when another process has it, or it is not to be erased any more."""
    with engine.begin() as connection:
        row = connection.execute(_TAKE, {"id": number}).first()
    return None if row is None else Taken(number, *row)
