"""Deletions of accounts as they are shown: without a name or an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.accounts.deletions import REASONS, remaining_days
from chalicelib.errors import NotFound

_COLUMNS = """d.id, d.business_id, d.user_id, d.state, d.scope, d.zone, d.requested_at,
       d.requested_by, d.scheduled_at, d.cancelled_at, d.cancelled_by, d.blocked_at,
       d.blocked_reason, d.approved_at, d.approved_by, d.postponed, d.locked_at, d.erased_at,
       d.step, d.error_code, ponctuel.clock() AS clock"""
_ONE = text(f"SELECT {_COLUMNS} FROM ponctuel.account_deletions d WHERE d.id = :id")
_LATEST = text(f"""
SELECT {_COLUMNS} FROM ponctuel.account_deletions d
 WHERE d.business_id = :business AND d.user_id = :user ORDER BY d.id DESC LIMIT 1
""")
_SEVERAL = text("""
SELECT DISTINCT business_id FROM ponctuel.account_deletions
 WHERE user_id = :user AND (CAST(:business AS text) IS NULL OR business_id = :business)
 ORDER BY 1 LIMIT 2
""")
_LIST = text(f"""
SELECT {_COLUMNS} FROM ponctuel.account_deletions d
 WHERE (CAST(:state AS text) IS NULL OR d.state = :state)
   AND (CAST(:business_id AS text) IS NULL OR d.business_id = :business_id)
   AND (CAST(:before AS bigint) IS NULL OR d.id < :before)
 ORDER BY d.id DESC LIMIT :limit
""")
_BUSINESS = text("SELECT name FROM ponctuel.businesses WHERE id = :id")


def show(connection: Connection, deletion: int) -> dict[str, Any]:
    """One, by its number, with the days that remain and, where it is blocked, why in French.
    Raises `NotFound`."""
    row = connection.execute(_ONE, {"id": deletion}).mappings().first()
    if row is None:
        raise NotFound("Cette suppression de compte n'existe pas.")
    return _shown(row)


def of_user(connection: Connection, user_id: str, business_id: str) -> dict[str, Any]:
    """The latest of a user. Raises `NotFound`."""
    wanted = {"user": user_id, "business": business_id}
    row = connection.execute(_LATEST, wanted).mappings().first()
    if row is None:
        raise NotFound("La suppression de ce compte n'a pas été demandée.")
    return _shown(row)


def businesses_of(connection: Connection, user_id: str, business_id: str | None) -> list[str]:
    """The businesses, two at most, that have or had a deletion of a user of that id: the account
    itself may be gone."""
    wanted = {"user": user_id, "business": business_id}
    return [str(one) for one in connection.execute(_SEVERAL, wanted).scalars()]


def listed(
    connection: Connection, where: Mapping[str, object], *, limit: int
) -> list[dict[str, Any]]:
    """The newest first. `where`: `state`, `business_id`, `before` (a number)."""
    wanted = {"state": None, "business_id": None, "before": None} | dict(where)
    rows = connection.execute(_LIST, wanted | {"limit": limit}).mappings()
    return [_shown(row) for row in rows]


def business_name(connection: Connection, business_id: str) -> str:
    """As a page calls it."""
    return connection.execute(_BUSINESS, {"id": business_id}).scalar() or business_id


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    found = dict(row)
    clock = found.pop("clock")
    waits = found["state"] == "scheduled"
    left = remaining_days(found["scheduled_at"], clock, found["zone"])
    return found | {
        "remaining_days": max(left, 0) if waits else None,
        "why": REASONS.get(found["blocked_reason"] or ""),
    }
