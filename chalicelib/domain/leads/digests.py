"""The e-mails to closers, as they stand when they leave: what is due, and who has answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.excerpts import excerpt
from chalicelib.domain.leads import proposals
from chalicelib.domain.leads.closer_link import page_of
from chalicelib.domain.leads.hours import zone_of
from chalicelib.domain.leads.notices import FOR_READER
from chalicelib.domain.leads.reasons import LEFT_OUT
from chalicelib.outbox.content import clean
from chalicelib.outbox.kinds import Cancel, Claimed, Send, Verdict
from chalicelib.settings import settings

# Of one e-mail; the rest is counted.
SHOWN = 20

_READERS = text(f"""
SELECT w.message_id, u.name, u.email, u.zone, b.name AS business_name, b.sender_email,
       b.zone AS business_zone, l.name AS lead_name, l.id AS lead_id, l.opted_out,
       i.text, i.channel, i.at, i.intent,
       (SELECT jsonb_agg(jsonb_build_object('name', x.name, 'reason', x.reason) ORDER BY x.name)
          FROM (SELECT n.name, f.reason FROM ponctuel.lead_followups f
                  JOIN ponctuel.leads n ON n.business_id = f.business_id AND n.id = f.lead_id
                 WHERE f.business_id = w.business_id AND f.state = 'cancelled'
                   AND f.reason LIKE 'phone_%' AND n.status = 'open'
                   AND f.phone IS NOT DISTINCT FROM n.phone
                   AND {FOR_READER}
                 ORDER BY n.name LIMIT {SHOWN}) x) AS unusable
  FROM jsonb_to_recordset(CAST(:wanted AS jsonb))
    AS w(message_id bigint, business_id text, user_id text, lead_id text, inbound_id bigint)
  JOIN ponctuel.users u ON u.business_id = w.business_id AND u.id = w.user_id AND u.active
  JOIN ponctuel.businesses b ON b.id = w.business_id
  LEFT JOIN ponctuel.leads l ON l.business_id = w.business_id AND l.id = w.lead_id
  LEFT JOIN ponctuel.inbound_messages i ON i.id = w.inbound_id AND i.business_id = w.business_id
""")


def still_wanted(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    """For each digest: what its closer is to send now, and the numbers that cannot be used.
    Cancelled when there is neither, or the user is gone."""
    asked = [
        {"message_id": m.id, "business_id": m.business_id, "user_id": m.subject} for m in messages
    ]
    rows = _rows(connection, asked)
    verdicts: dict[int, Verdict] = {}
    for message in messages:
        row = rows.get(message.id)
        if row is None:
            verdicts[message.id] = Cancel("reader_gone")
            continue
        whose = (message.business_id, message.subject)
        due = proposals.due_of(connection, *whose, now, per_page=SHOWN)
        unusable = row["unusable"] or []
        if not due.total and not unusable:
            verdicts[message.id] = Cancel("nothing_due")
            continue
        content = _common(row, message) | {
            "closer_url": page_of(message.business_id, message.subject, now),
            "count": due.total,
            "leads": [
                {"name": clean(p.name), "stage": clean(p.stage), "since": p.due_at.isoformat()}
                for p in due.proposals
            ],
            "unshown": due.total - len(due.proposals),
            "unusable": [
                {"name": clean(one["name"]), "why": LEFT_OUT.get(one["reason"], one["reason"])}
                for one in unusable
            ],
        }
        verdicts[message.id] = _send(row, content)
    return verdicts


def still_news(
    connection: Connection, messages: Sequence[Claimed], _now: datetime
) -> Mapping[int, Verdict]:
    """For each answer of a lead: what was written, to whom the lead is."""
    asked = [
        {
            "message_id": m.id,
            "business_id": m.business_id,
            "user_id": m.step,
            "lead_id": m.subject,
            "inbound_id": m.content["inbound_id"],
        }
        for m in messages
    ]
    rows = _rows(connection, asked)
    verdicts: dict[int, Verdict] = {}
    for message in messages:
        row = rows.get(message.id)
        if row is None or row["lead_id"] is None or row["at"] is None:
            verdicts[message.id] = Cancel("deleted")
            continue
        content = _common(row, message) | {
            "lead": {"name": clean(row["lead_name"]) or row["lead_id"]},
            "by_email": row["channel"] == "email",
            "at": row["at"].isoformat(),
            "opted_out": row["intent"] == "opt_out",
            "excerpt": excerpt(row["text"] or ""),
        }
        verdicts[message.id] = _send(row, content)
    return verdicts


def _rows(
    connection: Connection, asked: Sequence[Mapping[str, Any]]
) -> dict[int, Mapping[Any, Any]]:
    found = connection.execute(_READERS, {"wanted": json.dumps(list(asked))}).mappings()
    return {row["message_id"]: row for row in found}


def _common(row: Mapping[Any, Any], message: Claimed) -> dict[str, Any]:
    return {
        "business": {"name": clean(row["business_name"] or "") or message.business_id},
        "reader": {"name": clean(row["name"] or "")},
        "zone": zone_of(row["zone"], None, row["business_zone"]).key,
    }


def _send(row: Mapping[Any, Any], content: Mapping[str, Any]) -> Send:
    zone: str = content["zone"]
    return Send(
        content=content,
        recipients=row["email"] or "",
        # Not in the business's own name, where there is another: it is the reader's.
        sender_email=None if settings().mail_from else row["sender_email"],
        sender_name="Ponctuel",
        zone=zone,
        business_zone=zone,
    )
