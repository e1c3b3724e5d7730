"""Deletions of accounts as they are shown: without a name or an address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib.domain.accounts.deletions import REASONS, remaining_days
from chalicelib.errors import Conflict, NotFound

SEVERAL: Final = (
    "Plusieurs entreprises ont un compte de cet identifiant : précisez laquelle (business)."
)

_COLUMNS = """d.id, d.business_id, d.user_id, d.state, d.scope, d.zone, d.requested_at,
       d.requested_by, d.scheduled_at, d.cancelled_at, d.cancelled_by, d.blocked_at,
       d.blocked_reason, d.approved_at, d.approved_by, d.postponed, d.locked_at, d.erased_at,
       d.step, d.error_code, ponctuel.clock() AS clock"""
_ONE = text(f"SELECT {_COLUMNS} FROM ponctuel.account_deletions d WHERE d.id = :id")
_LATEST = text(f"""
SELECT DISTINCT ON (d.business_id) {_COLUMNS} FROM ponctuel.account_deletions d
 WHERE d.user_id = :user AND (CAST(:business AS text) IS NULL OR d.business_id = :business)
 ORDER BY d.business_id, d.id DESC LIMIT 2
""")
_LIST = text(f"""
SELECT {_COLUMNS} FROM ponctuel.account_deletions d
 WHERE (CAST(:state AS text) IS NULL OR d.state = :state)
   AND (CAST(:business_id AS text) IS NULL OR d.business_id = :business_id)
   AND (CAST(:before AS bigint) IS NULL OR d.id < :before)
 ORDER BY d.id DESC LIMIT :limit
""")
_PAGE = text("""
SELECT (SELECT name FROM ponctuel.businesses WHERE id = :id), ponctuel.clock()
""")


def show(connection: Connection, deletion: int) -> dict[str, Any]:
    """One, by its number, with the days that remain and, where it is blocked, why in French.
    Raises `NotFound`."""
    row = connection.execute(_ONE, {"id": deletion}).mappings().first()
    if row is None:
        raise NotFound("Cette suppression de compte n'existe pas.")
    return _shown(row)


def of_user(connection: Connection, user_id: str, business_id: str | None = None) -> dict[str, Any]:
    """The latest of a user, who is named with or without the business: the account itself may have
    gone. Raises `NotFound`, and `Conflict` when several businesses have one of that id."""
    wanted = {"user": user_id, "business": business_id}
    rows = connection.execute(_LATEST, wanted).mappings().all()
    if not rows:
        raise NotFound("La suppression de ce compte n'a pas été demandée.")
    if len(rows) > 1:
        raise Conflict(SEVERAL)
    return _shown(rows[0])


def listed(
    connection: Connection, where: Mapping[str, object], *, limit: int
) -> list[dict[str, Any]]:
    """The newest first. `where`: `state`, `business_id`, `before` (a number)."""
    wanted = {"state": None, "business_id": None, "before": None} | dict(where)
    rows = connection.execute(_LIST, wanted | {"limit": limit}).mappings()
    return [_shown(row) for row in rows]


def for_page(connection: Connection, deletion: int) -> tuple[dict[str, Any], str, datetime]:
    """One as `show` has it, the name of its business, and the database's clock. Raises
    `NotFound`."""
    found = show(connection, deletion)
    name, clock = connection.execute(_PAGE, {"id": found["business_id"]}).one()
    return found, name or found["business_id"], clock


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    found = dict(row)
    clock = found.pop("clock")
    waits = found["state"] == "scheduled"
    left = remaining_days(found["scheduled_at"], clock, found["zone"])
    return found | {
        "remaining_days": max(left, 0) if waits else None,
        "why": REASONS.get(found["blocked_reason"] or ""),
    }
