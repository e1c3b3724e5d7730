"""Who is told of what becomes of a deletion. All rows here are of `account_deletions`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import letters
from chalicelib.domain.accounts.deletions import LAST_OWNER
from chalicelib.domain.accounts.letters import Letter, letter

Row = Mapping[str, Any]

# Of no use later: a confirmation of what was done, and what has to be seen to.
CONFIRMED_FOR: Final = timedelta(days=3)
BLOCKED_FOR: Final = timedelta(days=14)

_RULERS = text("""
SELECT business_id, id FROM ponctuel.users
 WHERE active AND role IN ('owner', 'admin')
   AND business_id IN (SELECT jsonb_array_elements_text(CAST(:businesses AS jsonb)))
""")
_TOLD = text(f"""
SELECT d.id FROM ponctuel.account_deletions d
 WHERE d.id IN (SELECT x::bigint FROM jsonb_array_elements_text(CAST(:deletions AS jsonb)) AS x)
   AND EXISTS (SELECT 1 FROM ponctuel.messages m
                WHERE m.business_id = d.business_id AND m.subject = d.id::text
                  AND m.kind IN ('{letters.REQUESTED}', '{letters.REMINDER}')
                  AND m.state IN ('submitting','accepted','delivered','uncertain'))
""")


def tell_requested(connection: Connection, row: Row) -> int:
    """The confirmation of a request: the date, and how to cancel."""
    ends = row["requested_at"] + CONFIRMED_FOR
    one = letter(letters.REQUESTED, row["id"], row["user_id"], row["scheduled_at"], ends)
    return letters.plan(connection, [one])


def tell_blocked(connection: Connection, rows: Sequence[Row], run_id: UUID | None = None) -> int:
    """The last owner of a business, and those who could see to another one: once for each time that
    this is found. Other causes are told to nobody."""
    stuck = [row for row in rows if row["blocked_reason"] == LAST_OWNER]
    if not stuck:
        return 0
    businesses = json.dumps(sorted({row["business_id"] for row in stuck}))
    rulers: dict[str, set[str]] = {}
    for business, user in connection.execute(_RULERS, {"businesses": businesses}):
        rulers.setdefault(business, set()).add(user)
    found: list[Letter] = []
    for row in stuck:
        since = row["blocked_at"]
        for user in sorted(rulers.get(row["business_id"], set()) | {row["user_id"]}):
            ends = since + BLOCKED_FOR
            found.append(letter(letters.BLOCKED, row["id"], user, since, ends, step=user))
    return letters.plan(connection, found, run_id)


def tell_cancelled(connection: Connection, rows: Sequence[Row], run_id: UUID | None = None) -> int:
    """The confirmation that an account stays, to whom we had told, or been told, that it would
    not. Rows in another state than *cancelled* are left out."""
    off = [row for row in rows if row["state"] == "cancelled"]
    if not off:
        return 0
    numbers = json.dumps([row["id"] for row in off])
    told = set(connection.execute(_TOLD, {"deletions": numbers}).scalars())
    found = [
        letter(
            letters.CANCELLED,
            row["id"],
            row["user_id"],
            row["cancelled_at"],
            row["cancelled_at"] + CONFIRMED_FOR,
        )
        for row in off
        if row["id"] in told or row["requested_by"] != "application"
    ]
    return letters.plan(connection, found, run_id)


def tell_final(connection: Connection, rows: Sequence[Row], run_id: UUID | None = None) -> int:
    """The last letter: the account is being erased, and this address with it."""
    found = [
        letter(
            letters.FINAL,
            row["id"],
            row["user_id"],
            row["locked_at"],
            row["locked_at"] + letters.WAITS,
        )
        for row in rows
    ]
    return letters.plan(connection, found, run_id)
