"""The letters about deletions of accounts: their guard, which reads everything again just before
they leave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.accounts import letters, standing, telling, writing
from chalicelib.domain.accounts.deletions import LAST_OWNER, REMINDED, zone_of
from chalicelib.domain.accounts.letters import (
    BLOCKED,
    CANCELLED,
    FINAL,
    REMINDER,
    REQUESTED,
    cycle_of,
)
from chalicelib.outbox.kinds import Cancel, Claimed, Kind, Send, Verdict, register
from chalicelib.outbox.windows import DAYTIME
from chalicelib.settings import settings

# So that no absence notice answers (RFC 3834), Exchange's included.
_HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}

_DELETIONS = text("""
SELECT d.*, EXISTS (SELECT 1 FROM ponctuel.account_deletions n
                     WHERE n.business_id = d.business_id AND n.user_id = d.user_id
                       AND n.id > d.id) AS again
  FROM ponctuel.account_deletions d
 WHERE d.id IN (SELECT x::bigint FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS x)
""")
_RECIPIENTS = text("""
SELECT u.business_id, u.id, u.name
  FROM jsonb_to_recordset(CAST(:asked AS jsonb)) AS a(business_id text, user_id text)
  JOIN ponctuel.users u ON u.business_id = a.business_id AND u.id = a.user_id
""")

Row = Mapping[str, Any]


def still_wanted(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    """For each letter: what there is to say, or why it is no longer true."""
    ids = json.dumps(sorted({int(message.subject) for message in messages}))
    deletions = {
        str(row["id"]): dict(row) for row in connection.execute(_DELETIONS, {"ids": ids}).mappings()
    }
    users = {(row["business_id"], row["user_id"]) for row in deletions.values()}
    facts = standing.of_users(connection, sorted(users))
    invoices = writing.open_invoices(connection, [business for business, _ in users])
    twice = writing.same_address(connection, sorted(users))
    names = _names(connection, messages)
    verdicts: dict[int, Verdict] = {}
    for message in messages:
        row = deletions.get(message.subject)
        if row is None or row["business_id"] != message.business_id:
            verdicts[message.id] = Cancel("deletion_gone")
            continue
        who = (row["business_id"], row["user_id"])
        reason = _gone(message, row, facts[who], now)
        if reason is not None:
            verdicts[message.id] = Cancel(reason)
            continue
        found = dict(facts[who]) | {name: row[name] for name in ("id", "scheduled_at", "scope")}
        zone = zone_of(found["zone"], found["business_zone"])
        mine = message.kind != BLOCKED or message.step == row["user_id"]
        written = writing.content(
            message.kind,
            found,
            now,
            settings(),
            zone=zone,
            invoices=invoices.get(row["business_id"]),
            twice=who in twice,
            mine=mine,
        )
        if message.kind == BLOCKED:
            written |= {"mine": mine, "reader": names.get((message.business_id, message.step))}
        verdicts[message.id] = Send(
            content=written,
            recipients=message.recipient or "",
            # Not in the business's own name, where there is another: it is the reader's.
            sender_email=None if settings().mail_from else found["sender_email"],
            sender_name="Ponctuel",
            zone=zone,
            business_zone=zone_of(found["business_zone"]),
        )
    return verdicts


def _names(connection: Connection, messages: Sequence[Claimed]) -> dict[tuple[str, str], str]:
    asked = [
        {"business_id": message.business_id, "user_id": message.step}
        for message in messages
        if message.kind == BLOCKED
    ]
    if not asked:
        return {}
    rows = connection.execute(_RECIPIENTS, {"asked": json.dumps(asked)})
    return {(business, user): name for business, user, name in rows}


def _gone(message: Claimed, row: Row, facts: Row, now: datetime) -> str | None:
    """Why a letter is no longer true; None while it is."""
    state, kind = row["state"], message.kind
    if kind == FINAL:
        return None if state in ("locked", "erasing") else "deletion_not_locked"
    if kind == CANCELLED:
        return "deletion_requested_again" if state != "cancelled" or row["again"] else None
    if kind == BLOCKED:
        return (
            None
            if state == "blocked" and row["blocked_reason"] == LAST_OWNER
            else "deletion_not_blocked"
        )
    cleared = row["wanted_at"] is not None and facts["wanted"] is None
    if state not in ("scheduled", "blocked") or cleared or not facts["known"]:
        return "deletion_not_scheduled"
    if cycle_of(row["scheduled_at"]) != message.cycle:
        return "deletion_moved"
    if kind == REMINDER:
        if state == "blocked" or facts["held"]:
            return "deletion_not_scheduled"
        if row["scheduled_at"] <= now:
            return "deletion_too_late"
    return None


def _kind(name: str, title: str, late_after: timedelta, *, at_once: bool = False) -> Kind:
    return Kind(
        name=name,
        title=title,
        template="account_deletion",
        guard=still_wanted,
        late_after=late_after,
        hours=None if at_once else DAYTIME,
        # To the person, about an account of their own; and few.
        capped=False,
        headers=_HEADERS,
    )


register(
    _kind(REQUESTED, "Demande de suppression de compte", telling.CONFIRMED_FOR, at_once=True),
    _kind(REMINDER, "Rappel avant suppression de compte", timedelta(days=REMINDED[0])),
    _kind(CANCELLED, "Suppression de compte annulée", telling.CONFIRMED_FOR, at_once=True),
    _kind(BLOCKED, "Suppression de compte bloquée", telling.BLOCKED_FOR),
    # The address is erased once it has left.
    _kind(FINAL, "Compte en cours de suppression", letters.WAITS, at_once=True),
)
