"""The messages of leads: the follow-up itself, and what their closers are told by e-mail.

A follow-up is prospecting (CPCE L34-5, which asks a person's consent before any that goes by
electronic message; Meta's category is *marketing* too): it needs a consent on record, honours what
was said against marketing, and leaves the reserve of the quotas to other messages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.leads import digests, queries
from chalicelib.domain.leads.calendar import calendar_at
from chalicelib.domain.leads.facts import FOLLOWUP
from chalicelib.domain.leads.hours import window_of, zone_of
from chalicelib.domain.leads.notices import DIGEST, DIGEST_LATE_AFTER, REPLIED
from chalicelib.domain.leads.texts import FOLDER, content_of
from chalicelib.outbox.kinds import Cancel, Claimed, Hold, Kind, Send, Verdict, register
from chalicelib.outbox.windows import next_allowed


def still_wanted(
    connection: Connection, messages: Sequence[Claimed], now: datetime
) -> Mapping[int, Verdict]:
    """For each follow-up: the text as it must now be written, when it may leave, or why not."""
    wanted = [
        {
            "message_id": message.id,
            "business_id": message.business_id,
            "subject": message.subject,
            "cycle": message.cycle,
            "step": message.step,
        }
        for message in messages
    ]
    calendar = dict(calendar_at(connection, now).parameters)
    values = {"wanted": json.dumps(wanted), "force": False, "now": now} | calendar
    rows = {
        row["message_id"]: row
        for row in connection.execute(text(queries.REREAD), values).mappings()
    }
    return {message.id: _verdict(message, rows.get(message.id), now) for message in messages}


def _verdict(message: Claimed, row: Mapping[Any, Any] | None, now: datetime) -> Verdict:
    if row is None or row["reason"] is not None:
        return Cancel(row["reason"] if row else "deleted")
    zone = zone_of(row["zone"], message.recipient, row["business_zone"])
    window = window_of(row)
    opens_at = next_allowed(now, zone, window) if window else None
    if opens_at is None:
        return Cancel("bad_window")
    if opens_at > now:
        return Hold("window", opens_at)
    is_number = (message.recipient or "").startswith("+")
    return Send(
        content=content_of(row),
        recipients=(message.recipient or "") if is_number else "",
        user_id=(row["whatsapp_user_id"] or "").strip() or None,
        sender_email=row["sender_email"],
        sender_name=row["sender_name"] or row["business_name"],
        reply_to=row["reply_to"],
        variant=row["wanted_variant"] or "relance",
        zone=zone.key,
        business_zone=row["business_zone"],
        subdivision=row["subdivision"],
    )


# So that no absence notice answers it (RFC 3834), Exchange's included.
_AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}

register(
    Kind(
        name=FOLLOWUP,
        title="Relance de lead",
        template="",
        guard=still_wanted,
        late_after=timedelta(days=3),
        category="marketing",
        whatsapp=FOLDER,
    ),
    Kind(
        name=DIGEST,
        title="Leads à relancer",
        template="leads_due",
        guard=digests.still_wanted,
        late_after=DIGEST_LATE_AFTER,
        capped=False,  # to a colleague, about their own work
        headers=_AUTOMATIC,
    ),
    Kind(
        name=REPLIED,
        title="Réponse d'un lead",
        template="lead_replied",
        guard=digests.still_news,
        late_after=DIGEST_LATE_AFTER,
        hours=None,  # about what has just happened
        capped=False,
        headers=_AUTOMATIC,
    ),
)
