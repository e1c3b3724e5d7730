"""What the agenda writes to users: what has become overdue, an appointment that comes, the day.

Each guard reads what it tells of again: a task that was done in the meantime is not in the e-mail,
and an e-mail with nothing left to say is not sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.agenda.appointments import APPOINTMENT, APPOINTMENTS, REMINDER
from chalicelib.domain.agenda.people import PEOPLE, clocks_at
from chalicelib.domain.agenda.queries import DIGEST, DIGEST_LATE_AFTER
from chalicelib.domain.agenda.subjects import (
    ESCALATIONS_DUE,
    INVOICE,
    INVOICES,
    TASKS,
    Subjects,
    instant,
)
from chalicelib.domain.agenda.telling import LATE_AFTER, NOTICE
from chalicelib.outbox.content import clean
from chalicelib.outbox.kinds import Cancel, Claimed, Kind, Send, Verdict, register
from chalicelib.settings import settings

# Of one e-mail; the rest is counted.
SHOWN = 20
# An appointment's reminder is let go about its start; see `telling` for the rest.
REMINDER_LATE_AFTER = timedelta(hours=12)

_WANTED = """
wanted AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS w(
    message_id bigint, message text, business_id text, user_id text, notice text, kind text,
    subject text, cycle text)
), asked AS MATERIALIZED (
  SELECT w.message_id, w.message, d.business_id, d.kind, d.subject, d.cycle, d.user_id, d.told_at
    FROM wanted w JOIN ponctuel.agenda_told d
      ON d.business_id = w.business_id AND d.user_id = w.user_id
     AND CASE w.message WHEN 'agenda.digest' THEN d.resolved_at IS NULL AND d.kind <> :appointment
              WHEN 'agenda.notice' THEN d.notice = w.notice AND d.kind = w.kind
              ELSE d.kind = :appointment AND d.subject = w.subject AND d.cycle = w.cycle END
)"""


def _still(subjects: Subjects) -> str:
    # What ranks its rows has to be told which; the others are looked up by the join.
    asked = f"AND {subjects.key} IN (SELECT business_id, subject FROM asked)"
    return subjects.still(asked if subjects is APPOINTMENTS else "")


_ITEMS = text(f"""
WITH {PEOPLE}, {_WANTED},
still AS ({" UNION ALL ".join(map(_still, (INVOICES, TASKS, ESCALATIONS_DUE, APPOINTMENTS)))}),
latest AS (
  SELECT DISTINCT ON (message_id, kind = '{INVOICE}', subject) * FROM still
   WHERE message = '{DIGEST}' OR email IS NOT NULL
   ORDER BY message_id, kind = '{INVOICE}', subject, told_at DESC, kind
), told AS (
  SELECT s.*, row_number() OVER (PARTITION BY message_id ORDER BY told_at DESC, title, subject)
              AS nth,
         count(*) OVER (PARTITION BY message_id) AS total
    FROM latest s
)
SELECT message_id, title, body, nth, total FROM told WHERE nth <= {SHOWN}
 ORDER BY message_id, nth
""")
_READERS = text(f"""
WITH {PEOPLE}, {_WANTED}
SELECT w.message_id, b.name AS business, b.sender_email, b.zone AS business_zone, u.name,
       p.email, p.zone, p.by_email, p.digest
  FROM wanted w
  JOIN people p ON p.business_id = w.business_id AND p.user_id = w.user_id
  JOIN ponctuel.users u ON u.business_id = w.business_id AND u.id = w.user_id
  JOIN ponctuel.businesses b ON b.id = w.business_id
""")
_TODAY = text(f"""
WITH {PEOPLE}, {_WANTED}
SELECT w.message_id, a.title, a.location, a.starts_at
  FROM wanted w
  JOIN people p ON p.business_id = w.business_id AND p.user_id = w.user_id
  JOIN ponctuel.appointments a ON a.business_id = w.business_id AND a.user_id = w.user_id
 WHERE w.message = '{DIGEST}' AND a.status = 'scheduled' AND a.starts_at > :now
   AND ({instant("a.starts_at")} AT TIME ZONE p.zone)::date = p.today
 ORDER BY w.message_id, a.starts_at, a.id
""")

Rows = dict[int, list[Mapping[Any, Any]]]


def still_wanted(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    """For each message: what is still so of what it tells; nothing left, nothing sent."""
    values = {
        "wanted": json.dumps([_wanted(message) for message in messages]),
        "now": now,
        "appointment": APPOINTMENT,
        **clocks_at(connection, now).parameters,
    }
    readers = {row["message_id"]: row for row in connection.execute(_READERS, values).mappings()}
    items = _by_message(connection.execute(_ITEMS, values).mappings())
    has_digest = any(message.kind == DIGEST for message in messages)
    today = _by_message(connection.execute(_TODAY, values).mappings()) if has_digest else {}
    return {
        message.id: _verdict(
            message,
            readers.get(message.id),
            items.get(message.id, []),
            today.get(message.id, []),
        )
        for message in messages
    }


def _wanted(message: Claimed) -> dict[str, object]:
    reminder = message.kind == REMINDER
    notice, _, kind = message.cycle.partition("/")
    return {
        "message_id": message.id,
        "message": message.kind,
        "business_id": message.business_id,
        "user_id": message.step if reminder else message.subject,
        "notice": notice,
        "kind": kind,
        "subject": message.subject,
        "cycle": message.cycle,
    }


def _by_message(rows: Any) -> Rows:
    found: Rows = {}
    for row in rows:
        found.setdefault(row["message_id"], []).append(row)
    return found


def _verdict(
    message: Claimed,
    reader: Mapping[Any, Any] | None,
    items: Sequence[Mapping[Any, Any]],
    today: Sequence[Mapping[Any, Any]],
) -> Verdict:
    if reader is None or not reader["email"]:
        return Cancel("deleted")
    if not reader["by_email"] or (message.kind == DIGEST and not reader["digest"]):
        return Cancel("not_wanted")
    if not items:
        return Cancel("resolved")
    content: dict[str, Any] = {
        "business": {"name": clean(reader["business"] or "") or message.business_id},
        "zone": reader["zone"],
        "form": _FORMS[message.kind],
        "items_told": [{"title": clean(row["title"]), "body": clean(row["body"])} for row in items],
        "count": items[0]["total"],
        "unshown": items[0]["total"] - len(items),
    }
    if today:
        content["appointments"] = [_appointment(row) for row in today[:SHOWN]]
    return Send(
        content=content,
        recipients=reader["email"],
        # Not in the business's own name, where there is another: it is the reader.
        sender_email=None if settings().mail_from else reader["sender_email"],
        sender_name="Ponctuel",
        zone=reader["zone"],
        business_zone=reader["business_zone"],
    )


def _appointment(row: Mapping[Any, Any]) -> dict[str, object]:
    found: dict[str, object] = {"title": clean(row["title"]), "at": row["starts_at"].isoformat()}
    if location := clean(row["location"] or ""):
        found["location"] = location
    return found


_FORMS = {NOTICE: "notice", REMINDER: "reminder", DIGEST: "digest"}
_AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}

register(
    Kind(
        name=NOTICE,
        title="Éléments en retard",
        template="agenda",
        guard=still_wanted,
        late_after=LATE_AFTER,
        capped=False,  # to a colleague, who has chosen it
        headers=_AUTOMATIC,
    ),
    Kind(
        name=REMINDER,
        title="Rappel de rendez-vous",
        template="agenda",
        guard=still_wanted,
        late_after=REMINDER_LATE_AFTER,
        hours=None,  # at eight for nine, whenever that is
        capped=False,
        headers=_AUTOMATIC,
    ),
    Kind(
        name=DIGEST,
        title="Récapitulatif du jour",
        template="agenda",
        guard=still_wanted,
        late_after=DIGEST_LATE_AFTER,
        hours=None,  # at the hour that its reader has chosen
        capped=False,
        headers=_AUTOMATIC,
    ),
)
