"""Legal holds: who may not be erased for the time being, why, and who said so.

A hold is of one account or of a whole business; several may be in force at once, each for its own
reason. None is ever deleted: lifted, and once the account is erased under a pseudonym, it stays as
history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.domain.accounts.deletions import LEGAL_HOLD
from chalicelib.domain.accounts.reasons import lasting
from chalicelib.domain.accounts.standing import OPEN_STATES
from chalicelib.errors import Conflict, NotFound

_COLUMNS = """h.id, h.business_id, h.user_id, h.placed_at, h.placed_by, h.reason, h.lifted_at,
       h.lifted_by, h.lift_reason"""
# A business that was erased is still held in the archive.
_KNOWN = text("""
SELECT EXISTS (SELECT 1 FROM ponctuel.businesses WHERE id = :business)
       OR EXISTS (SELECT 1 FROM ponctuel.accounting_archive WHERE business_id = :business),
       EXISTS (SELECT 1 FROM ponctuel.users WHERE business_id = :business AND id = :user)
       OR EXISTS (SELECT 1 FROM ponctuel.account_deletions
                   WHERE business_id = :business AND user_id = :user AND pseudonym IS NULL)
""")
_PLACE = text(f"""
INSERT INTO ponctuel.legal_holds AS h (business_id, user_id, placed_at, placed_by, reason)
VALUES (:business, :user, ponctuel.clock(), :by, :reason)
RETURNING {_COLUMNS}
""")
# Waits for a step that is under way, and takes the lease from whoever is at work: a step that began
# before the hold could be seen must not commit after it.
_STOP = text(f"""
UPDATE ponctuel.account_deletions d
   SET lease = d.lease + 1, leased_until = NULL,
       blocked_at = CASE WHEN d.state IN ('locked', 'erasing')
                         THEN COALESCE(d.blocked_at, ponctuel.clock()) ELSE d.blocked_at END,
       blocked_reason = CASE WHEN d.state IN ('locked', 'erasing') THEN '{LEGAL_HOLD}'
                             ELSE d.blocked_reason END
 WHERE d.business_id = :business AND d.state IN ({OPEN_STATES})
   AND (CAST(:user AS text) IS NULL OR d.user_id = :user OR d.scope = 'business')
RETURNING d.state
""")
_LIFT = text(f"""
UPDATE ponctuel.legal_holds h
   SET lifted_at = ponctuel.clock(), lifted_by = :by, lift_reason = :reason
 WHERE h.id = :id AND h.lifted_at IS NULL
RETURNING {_COLUMNS}
""")
# What is locked goes on by itself, with the next run; whoever is held by something else is told so
# there again. The others have their notice first (`following`).
_GO_ON = text(f"""
UPDATE ponctuel.account_deletions d
   SET blocked_at = NULL, blocked_reason = NULL, attempts = 0, next_attempt_at = NULL,
       error_code = NULL
 WHERE d.business_id = :business AND d.state IN ('locked', 'erasing')
   AND d.blocked_reason = '{LEGAL_HOLD}'
   AND NOT EXISTS (SELECT 1 FROM ponctuel.legal_holds h
                    WHERE h.business_id = d.business_id AND h.lifted_at IS NULL
                      AND (h.user_id IS NULL OR h.user_id = d.user_id OR d.scope = 'business'))
""")
_ONE = text(f"SELECT {_COLUMNS} FROM ponctuel.legal_holds h WHERE h.id = :id")
_LIST = text(f"""
SELECT {_COLUMNS} FROM ponctuel.legal_holds h
 WHERE (:lifted OR h.lifted_at IS NULL)
   AND (CAST(:business_id AS text) IS NULL OR h.business_id = :business_id)
   AND (CAST(:before AS bigint) IS NULL OR h.id < :before)
 ORDER BY h.id DESC LIMIT :limit
""")


def place(
    connection: Connection, business_id: str, user_id: str | None, *, by: str, reason: str
) -> dict[str, Any]:
    """Places a hold on an account, or, without a user, on the whole business. From its commit on
    nothing more of them is erased. Returns it, with `stopped`: how many erasures it stops that had
    begun. Raises `NotFound`, `BadRequest`."""
    reason = lasting(reason)
    who = {"business": business_id, "user": user_id}
    business, user = connection.execute(_KNOWN, who).one()
    if not business:
        raise NotFound(f"L'entreprise « {business_id} » n'existe pas.")
    if user_id is not None and not user:
        raise NotFound("Aucun compte de cette entreprise ne porte cet identifiant.")
    row = connection.execute(_PLACE, who | {"by": by, "reason": reason}).mappings().one()
    states = connection.execute(_STOP, who).scalars().all()
    logs.info("legal_hold_placed", hold=row["id"], business=business_id, by=by)
    return dict(row) | {"stopped": sum(state in ("locked", "erasing") for state in states)}


def lift(connection: Connection, number: int, *, by: str, reason: str) -> dict[str, Any]:
    """Lifts a hold, which stays as history. Returns it. Raises `NotFound`, `BadRequest`, and
    `Conflict` when somebody has lifted it before."""
    wanted = {"id": number, "by": by, "reason": lasting(reason)}
    row = connection.execute(_LIFT, wanted).mappings().first()
    if row is None:
        if connection.execute(_ONE, wanted).first() is None:
            raise NotFound("Aucune conservation ne porte ce numéro.")
        raise Conflict("Cette conservation est déjà levée.")
    connection.execute(_GO_ON, {"business": row["business_id"]})
    logs.info("legal_hold_lifted", hold=number, business=row["business_id"], by=by)
    return dict(row)


def listed(
    connection: Connection, where: Mapping[str, object], *, limit: int
) -> list[dict[str, Any]]:
    """The newest first. `where`: `lifted` (those too), `business_id`, `before` (a number)."""
    wanted = {"lifted": False, "business_id": None, "before": None} | dict(where)
    rows = connection.execute(_LIST, wanted | {"limit": limit}).mappings()
    return [dict(row) for row in rows]
