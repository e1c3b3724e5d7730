"""Telling the owner of a mailbox that it can no longer be read: once for each trouble, in words
that they can act on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.readers import person_at
from chalicelib.mailboxes.standing import DISABLED_AFTER, Standing, still_to_tell
from chalicelib.outbox.kinds import Cancel, Claimed, Send, Verdict

MAILBOX_TROUBLE = "inbox.mailbox_trouble"
LATE_AFTER = timedelta(days=7)

_CYCLE = """to_char(m.failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""

_READER = "coalesce(m.owner_email, m.address)"

# The key holds the beginning of the trouble and what it is: told once, whoever asks for it.
NOTICES = f"""
SELECT m.business_id, '{MAILBOX_TROUBLE}' AS kind, m.id::text AS subject, {_CYCLE} AS cycle,
       m.told_code AS step, 'email' AS channel, {person_at("m.business_id", _READER)} AS person,
       {_READER} AS recipient, CAST('{{}}' AS jsonb) AS content,
       ponctuel.clock() AS not_before,
       ponctuel.clock() + interval '{LATE_AFTER.days} days' AS expires_at,
       CAST(NULL AS jsonb) AS lines, CAST(NULL AS text) AS order_key
  FROM ponctuel.mailboxes m
 WHERE m.id IN (SELECT value::bigint
                  FROM jsonb_array_elements_text(CAST(:mailboxes AS jsonb)))
"""
_NOW = text(f"""
SELECT w.message_id, m.*, {_CYCLE} AS cycle
  FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS w(
         message_id bigint, business_id text, mailbox text)
  JOIN ponctuel.mailboxes m ON m.id::text = w.mailbox AND m.business_id = w.business_id
""")


def still_in_trouble(
    connection: Connection, messages: Sequence[Claimed], _now: datetime
) -> Mapping[int, Verdict]:
    """For each notice: what it says of the mailbox as it is now, or that it is well again."""
    wanted = [
        {"message_id": m.id, "business_id": m.business_id, "mailbox": m.subject} for m in messages
    ]
    rows = connection.execute(_NOW, {"wanted": json.dumps(wanted)}).mappings()
    mailboxes = {row["message_id"]: dict(row) for row in rows}
    return {message.id: _verdict(message, mailboxes.get(message.id)) for message in messages}


def _verdict(message: Claimed, mailbox: Mapping[str, Any] | None) -> Verdict:
    if mailbox is None:
        return Cancel("mailbox_removed")
    standing = Standing(**{name: mailbox[name] for name in Standing.__dataclass_fields__})
    code = still_to_tell(standing, message.step)
    if code is None or mailbox["cycle"] != message.cycle:
        return Cancel("mailbox_recovered")
    return Send(
        content=content(mailbox, code),
        recipients=message.recipient or mailbox["owner_email"] or mailbox["address"],
        sender_name="Ponctuel",
    )


def content(mailbox: Mapping[str, Any], code: str) -> dict[str, Any]:
    """What the template needs of a row of `mailboxes`."""
    found: dict[str, Any] = {
        "code": code,
        "mailbox": mailbox["id"],
        "address": mailbox["address"],
        "host": mailbox["host"],
        "since": _told_since(mailbox, code).isoformat(),
        "switched_off": mailbox["state"] == "disabled",
    }
    if mailbox["token_issuer"]:
        found["issuer"] = {"google": "Google", "microsoft": "Microsoft"}[mailbox["token_issuer"]]
    if mailbox["synced_at"]:
        found["synced_at"] = mailbox["synced_at"].isoformat()
    if code == "credentials" and mailbox["state"] == "active":
        found["off_after"] = (mailbox["refused_since"] + DISABLED_AFTER).isoformat()
    return found


def _told_since(mailbox: Mapping[str, Any], code: str) -> datetime:
    since: datetime | None = mailbox["refused_since"] if code == "credentials" else None
    return since or cast("datetime", mailbox["failing_since"])
