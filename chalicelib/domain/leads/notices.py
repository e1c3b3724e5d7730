"""What a closer is told: in the application, one notification for what is due, until it is done; by
e-mail, when new leads have become due.

Each run that proposes something to a closer plans one e-mail, for the next opening of the hours in
which the business follows its leads up, on the closer's clock. What several runs of a night plan
for one opening is one e-mail, and it tells what is due when it leaves. Nobody is written to about
the same proposals twice: without a new one there is no e-mail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from chalicelib.domain.leads.closer_link import page_of
from chalicelib.domain.leads.decisions import Followup, Row
from chalicelib.domain.leads.hours import window_of, zone_of
from chalicelib.domain.leads.standing import BEGAN, IS_FOR, OVER
from chalicelib.domain.people import notifications
from chalicelib.domain.people.notifications import Notification
from chalicelib.domain.people.responsible import BY_EMAIL, tells
from chalicelib.outbox.windows import next_allowed

DUE = "leads.due"
REPLIED = "leads.replied"
DIGEST = "leads.closer_digest"
DIGEST_LATE_AFTER = timedelta(days=2)

# Of a row `f` with `closer_id`, and a user `u` of its business: whether it is for that user.
FOR_READER = tells("f.closer_id")

# A notification is over when nothing of what it tells is left to do. Both relations may be views.
_OVER = f"""CASE notifications.kind
  WHEN '{DUE}' THEN NOT EXISTS (
    SELECT 1 FROM ponctuel.lead_followups f
      JOIN ponctuel.leads l ON l.business_id = f.business_id AND l.id = f.lead_id
      JOIN ponctuel.users u ON u.id = notifications.user_id AND {IS_FOR}
     WHERE f.business_id = notifications.business_id AND f.state IN ('proposed','opened')
       AND f.expires_at > ponctuel.clock() AND {OVER} IS NULL)
  ELSE NOT EXISTS (
    SELECT 1 FROM ponctuel.leads l
     WHERE l.business_id = notifications.business_id AND l.id = notifications.subject
       AND l.status = 'open' AND l.replied_at >= {BEGAN}) END"""
_OURS = f"kind IN ('{DUE}', '{REPLIED}')"
OVER_ITEMS = f"""
SELECT business_id, id AS item FROM ponctuel.notifications
 WHERE resolved_at IS NULL AND {_OURS} AND {_OVER}
"""
RESOLVE = notifications.resolving(
    f"{_OURS} AND (business_id, id) IN (SELECT business_id, item FROM batch)",
    counted_as="notifications_resolved",
)
_OVER_OF = f"business_id = :business_id AND {_OURS} AND {_OVER}"

_READERS = text(f"""
SELECT f.business_id, u.id AS user_id, u.email, u.zone, f.nth,
       {BY_EMAIL} AS by_email,
       (SELECT count(*) FROM ponctuel.lead_followups o
         WHERE o.business_id = f.business_id AND o.state IN ('proposed','opened')
           AND o.expires_at > ponctuel.clock() AND o.run_id <> :run_id
           AND o.closer_id IS NOT DISTINCT FROM f.closer_id) AS before
  FROM jsonb_to_recordset(CAST(:closers AS jsonb))
    AS f(business_id text, closer_id text, nth integer)
  JOIN ponctuel.users u ON u.business_id = f.business_id AND {FOR_READER}
 ORDER BY f.business_id, u.id
""")
# One that is superseded tells no more than the new one.
_SUPERSEDED = f"""kind = '{DUE}'
   AND (business_id, user_id) IN (SELECT t.business_id, t.user_id
          FROM jsonb_to_recordset(CAST(:told AS jsonb)) AS t(business_id text, user_id text))"""
DIGESTS = f"""
SELECT t.business_id, '{DIGEST}' AS kind, t.user_id AS subject, t.cycle, '' AS step,
       'email' AS channel, 'user:' || t.user_id AS person, t.email AS recipient,
       '{{}}'::jsonb AS content,
       t.not_before, t.not_before + interval '{DIGEST_LATE_AFTER.days} days' AS expires_at,
       NULL::jsonb AS lines, NULL::text AS order_key
  FROM jsonb_to_recordset(CAST(:digests AS jsonb))
    AS t(business_id text, user_id text, cycle text, email text, not_before timestamptz)
"""


@dataclass(frozen=True)
class Told:
    """A user who has something to send, `count` proposals in all, or numbers to correct. `email`:
    None for who wants none or has no address; `opens_at`: when it may leave (aware)."""

    business_id: str
    user_id: str
    count: int
    opens_at: datetime
    email: str | None = field(repr=False)


def readers(
    connection: Connection,
    proposed: Sequence[Followup],
    unusable: Sequence[Row],
    run_id: UUID,
    now: datetime,
) -> list[Told]:
    """Who is told of these proposals, and of these leads whose numbers cannot be used: each lead's
    closer, or those who are responsible."""
    groups: dict[tuple[str, str | None], list[tuple[Row, int]]] = {}
    for row, counted in [(f.lead.row, 1) for f in proposed] + [(row, 0) for row in unusable]:
        groups.setdefault((row["business_id"], row["closer_id"]), []).append((row, counted))
    if not groups:
        return []
    asked = [
        {"business_id": business, "closer_id": closer, "nth": nth}
        for nth, (business, closer) in enumerate(groups)
    ]
    values = {"closers": json.dumps(asked), "run_id": run_id}
    ordered = list(groups.values())
    found: dict[tuple[str, str], Told] = {}
    for reader in connection.execute(_READERS, values).mappings():
        group = ordered[reader["nth"]]
        key = reader["business_id"], reader["user_id"]
        new = sum(counted for _, counted in group)
        count = reader["before"] + new if new else 0
        if key in found:
            count += found[key].count
        found[key] = _told(reader, group[0][0], count, now)
    return list(found.values())


def _told(reader: Row, lead: Row, count: int, now: datetime) -> Told:
    window = window_of(lead)
    local = zone_of(reader["zone"], None, lead["business_zone"])
    opens_at = next_allowed(now, local, window) if window else None
    return Told(
        business_id=reader["business_id"],
        user_id=reader["user_id"],
        count=count,
        opens_at=opens_at or now,
        email=email_of(reader),
    )


def digests(told: Sequence[Told]) -> list[dict[str, Any]]:
    """The e-mails, as rows of `DIGESTS`."""
    return [
        {
            "business_id": one.business_id,
            "user_id": one.user_id,
            "cycle": one.opens_at.isoformat(),
            "email": one.email,
            "not_before": one.opens_at.isoformat(),
        }
        for one in told
        if one.email is not None
    ]


def notify(connection: Connection, run_id: UUID, told: Sequence[Told], now: datetime) -> bool:
    """One notification each, in place of an older one. False where they cannot be written."""
    shown = [
        Notification(
            business_id=one.business_id,
            id=f"{DUE}/{run_id}/{one.user_id}",
            user_id=one.user_id,
            kind=DUE,
            subject=one.user_id,
            cycle=str(run_id),
            title="1 lead à relancer" if one.count == 1 else f"{one.count} leads à relancer",
            link=page_of(one.business_id, one.user_id, now),
        )
        for one in told
        if one.count
    ]
    if not shown:
        return True
    whose = [{"business_id": one.business_id, "user_id": one.user_id} for one in shown]
    notifications.resolve(connection, _SUPERSEDED, {"told": json.dumps(whose)})
    return notifications.show(connection, shown)


def resolve(connection: Connection, business_id: str) -> int:
    """Resolves the notifications of those who have nothing to do any more. Returns how many."""
    return notifications.resolve(connection, _OVER_OF, {"business_id": business_id})


def email_of(row: Mapping[Any, Any]) -> str | None:
    """The address of a user (`email`, `by_email`) who wants e-mails and has one."""
    wants = row["by_email"] is not False and "@" in (row["email"] or "")
    return row["email"] if wants else None
