"""When the user is told of answers: one e-mail per conversation and day, and when there are many,
one per hour.

A notice is planned under what it is about, and its guard reads what that has become when it leaves
(`kinds`): an answer that comes a minute after the first one is in the same e-mail.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.mails import Mailbox
from chalicelib.domain.inbox.readers import person_at
from chalicelib.outbox.plan import allow_list, planning_statement

REPLY = "inbox.reply"
# A notice that could not leave for so long is no news.
LATE_AFTER = timedelta(days=2)

# So many conversations of a business's have an e-mail of their own each day.
MOST_PER_DAY = 5
# In place of a conversation: all that have no notice of their own that day.
DIGEST = "digest"

_TODAY = text(f"""
SELECT m.subject FROM ponctuel.messages m
 WHERE m.business_id = :business_id AND m.kind = '{REPLY}' AND m.cycle = :day AND NOT m.key_free
""")
_SELECT = f"""
SELECT n.business_id, '{REPLY}' AS kind, n.subject, n.cycle, '' AS step, 'email' AS channel,
       {person_at("n.business_id", "n.recipient")} AS person, n.recipient,
       '{{}}'::jsonb AS content, n.not_before,
       n.not_before + interval '{LATE_AFTER.days} days' AS expires_at, NULL::jsonb AS lines,
       NULL::text AS order_key
  FROM jsonb_to_recordset(CAST(:notices AS jsonb))
    AS n(business_id text, subject text, cycle text, recipient text, not_before timestamptz)
"""


def plan(connection: Connection, box: Mailbox, threads: Iterable[int]) -> int:
    """Plans the notices of the conversations in which somebody has just answered. Returns how many
    are new."""
    subjects = {str(thread) for thread in threads}
    if not subjects:
        return 0
    day = box.today.isoformat()
    told = connection.execute(_TODAY, {"business_id": box.business_id, "day": day})
    rows = [
        {
            "business_id": box.business_id,
            "subject": subject,
            "cycle": cycle,
            "recipient": box.notify,
            "not_before": not_before.isoformat(),
        }
        for subject, cycle, not_before in wanted(subjects, {row[0] for row in told}, box.clock, day)
    ]
    if not rows:
        return 0
    statement = text(planning_statement(_SELECT, "SELECT 1"))
    values = {"notices": json.dumps(rows), "allow_list": allow_list(), "run_id": None}
    planned: int = connection.execute(statement, values).scalar_one()
    return planned


def wanted(
    threads: Collection[str], told: Collection[str], clock: datetime, day: str
) -> list[tuple[str, str, datetime]]:
    """(subject, cycle, not before) of each notice. `told`: the conversations that have one today;
    `day`: the business's, as its notices' cycle. Pure."""
    new = sorted(set(threads) - set(told))
    if len(new) + len(told) <= MOST_PER_DAY:
        return [(thread, day, clock) for thread in new]
    if not new:
        return []
    hour = clock.replace(minute=0, second=0, microsecond=0)
    return [(DIGEST, hour.isoformat(), hour + timedelta(hours=1))]


def period(subject: str, cycle: str, local: ZoneInfo) -> tuple[datetime, datetime]:
    """From when to when (excluded) a notice tells of what was read: its day in the zone of its
    business, or its hour."""
    if subject == DIGEST:
        start = datetime.fromisoformat(cycle)
        return start, start + timedelta(hours=1)
    day = date.fromisoformat(cycle)
    return (
        datetime.combine(day, time.min, local),
        datetime.combine(day + timedelta(days=1), time.min, local),
    )
