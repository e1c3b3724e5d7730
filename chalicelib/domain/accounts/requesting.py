"""Asking for the deletion of an account, and taking it back: by the API, by the link of a letter.

Both write the application's own column too, so that it shows what was decided; both may be
repeated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from chalicelib import logs
from chalicelib.domain.accounts import reading, telling
from chalicelib.domain.accounts.deletions import APPROVED, Decision, follow, obstacle, scheduled_for
from chalicelib.domain.accounts.following import insert
from chalicelib.domain.accounts.standing import WANTED, account, of_users
from chalicelib.errors import Conflict, NotFound

# Who may ask; what the application wrote by itself has `application`.
BY: Final = ("user", "operator")

_FIND = text("""
SELECT u.business_id FROM ponctuel.users u
 WHERE u.id = :user AND (CAST(:business AS text) IS NULL OR u.business_id = :business)
 ORDER BY u.business_id LIMIT 2
""")
_DATED = text("""
SELECT u.business_id FROM ponctuel.users u
 WHERE u.id = :user AND (CAST(:business AS text) IS NULL OR u.business_id = :business)
   AND u.deletion_scheduled_at IS NOT NULL
 ORDER BY u.business_id LIMIT 2
""")
_SET = text("""
UPDATE ponctuel.users SET deletion_scheduled_at = :date
 WHERE business_id = :business AND id = :user AND deletion_scheduled_at IS DISTINCT FROM :date
""")
# Read back: a view may round what it is given, or keep nothing of it.
_NOTE = text(f"""
UPDATE ponctuel.account_deletions d
   SET wanted_at = (SELECT {WANTED} FROM ponctuel.users u
                     WHERE u.business_id = d.business_id AND u.id = d.user_id)
 WHERE d.id = :id
""")
_CANCEL = text("""
UPDATE ponctuel.account_deletions
   SET state = 'cancelled', cancelled_at = ponctuel.clock(), cancelled_by = :by,
       blocked_at = NULL, blocked_reason = NULL
 WHERE id = :id AND state IN ('scheduled', 'blocked')
RETURNING *
""")
_APPROVE = text("""
UPDATE ponctuel.account_deletions
   SET state = 'scheduled', approved_at = ponctuel.clock(), approved_by = :by,
       blocked_at = NULL, blocked_reason = NULL
 WHERE id IN (SELECT x::bigint FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS x)
   AND state = 'blocked'
   AND blocked_reason IN (SELECT jsonb_array_elements_text(CAST(:reasons AS jsonb)))
RETURNING id
""")


def business_of(connection: Connection, user_id: str, business_id: str | None) -> str:
    """The business of a user who is named with or without it. Raises `NotFound`, and `Conflict`
    when several businesses have a user of that id."""
    wanted = {"user": user_id, "business": business_id}
    found = connection.execute(_FIND, wanted).scalars().all()
    if not found:
        raise NotFound("Aucun compte ne porte cet identifiant.")
    if len(found) > 1:
        raise Conflict(reading.SEVERAL)
    return str(found[0])


def request(
    connection: Connection, user_id: str, business_id: str | None, *, by: str, days: int
) -> dict[str, Any]:
    """Schedules the deletion of an account in `days`, and tells its user. The same again changes
    nothing. Returns the deletion, as `reading` shows it. Raises `NotFound`, `Conflict`."""
    business = business_of(connection, user_id, business_id)
    facts = of_users(connection, [(business, user_id)])[business, user_id]
    if facts["id"] is not None:
        return reading.show(connection, facts["id"])
    who = account(facts)
    date = scheduled_for(facts["clock"], days, who.zone)
    reason = obstacle(who)
    state = "scheduled" if reason is None else "blocked"
    opened = insert(connection, [(facts, Decision("adopt", state, date, None, reason))], by)
    if not opened:  # somebody else was quicker
        return reading.of_user(connection, user_id, business)
    row = opened[0]
    connection.execute(_SET, {"business": business, "user": user_id, "date": date})
    connection.execute(_NOTE, {"id": row["id"]})
    if reason is None:
        telling.tell_requested(connection, row)
    else:
        telling.tell_blocked(connection, [row])
    logs.info("account_deletion_requested", deletion=row["id"], business=business, by=by)
    return reading.show(connection, row["id"])


def cancel_of_user(
    connection: Connection, user_id: str, business_id: str | None, *, by: str
) -> dict[str, Any]:
    """`cancel`, for the latest deletion of a user, who is named with or without the business. A
    date that the application has set since last night is cancelled too."""
    wanted = {"user": user_id, "business": business_id}
    dated = connection.execute(_DATED, wanted).scalars().all()
    if len(dated) == 1:
        facts = of_users(connection, [(dated[0], user_id)])[dated[0], user_id]
        decision = follow(account(facts), facts["clock"])
        if decision is not None and decision.action == "adopt":
            insert(connection, [(facts, decision)], "application")
    return cancel(connection, reading.of_user(connection, user_id, business_id)["id"], by=by)


def cancel(connection: Connection, deletion: int, *, by: str) -> dict[str, Any]:
    """Cancels a deletion that is not locked yet, and tells its user; one that was cancelled before
    is left as it is. Returns it, as `reading` shows it. Raises `NotFound`, and `Conflict` when it
    is too late."""
    row = connection.execute(_CANCEL, {"id": deletion, "by": by}).mappings().first()
    if row is not None:
        who = {"business": row["business_id"], "user": row["user_id"]}
        connection.execute(_SET, who | {"date": None})
        connection.execute(_NOTE, {"id": deletion})
        telling.tell_cancelled(connection, [dict(row)])
        logs.info("account_deletion_cancelled", deletion=deletion, by=by)
    found = reading.show(connection, deletion)
    if found["state"] != "cancelled":
        raise Conflict(
            "La suppression de ce compte a déjà commencé : elle ne peut plus être annulée."
        )
    return found


def approve(connection: Connection, deletions: Sequence[int], *, by: str) -> dict[str, Any]:
    """Lets go what only an operator lets go (`deletions.APPROVED`), at the next run. Returns
    `{approved, left}`, ids."""
    wanted = {"ids": json.dumps(list(deletions)), "reasons": json.dumps(APPROVED), "by": by}
    approved = sorted(connection.execute(_APPROVE, wanted).scalars())
    logs.info("account_deletions_approved", deletions=approved)
    return {"approved": approved, "left": sorted(set(deletions) - set(approved))}
