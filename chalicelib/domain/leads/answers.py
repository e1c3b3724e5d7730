"""What a closer is told when a lead has written: a notification and an e-mail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from chalicelib.domain.leads.hours import zone_of
from chalicelib.domain.leads.notices import DIGEST_LATE_AFTER, FOR_READER, REPLIED, email_of
from chalicelib.domain.people import notifications
from chalicelib.domain.people.notifications import Notification
from chalicelib.domain.people.responsible import BY_EMAIL
from chalicelib.outbox.content import clean, shorten
from chalicelib.outbox.inbound import Inbound
from chalicelib.outbox.plan import allow_list, planning_statement

# Characters of a name in a notification's title.
NAME = 60


@dataclass(frozen=True)
class Answer:
    """A lead that has written. `closer_id`: None for the owners'."""

    lead_id: str
    name: str = field(repr=False)
    closer_id: str | None
    opted_out: bool


_READERS = text(f"""
SELECT u.id, u.email, b.zone, ponctuel.clock() AS clock,
       {BY_EMAIL} AS by_email
  FROM (SELECT CAST(:business_id AS text) AS business_id, CAST(:closer_id AS text) AS closer_id) f
  JOIN ponctuel.users u ON u.business_id = f.business_id AND {FOR_READER}
  JOIN ponctuel.businesses b ON b.id = f.business_id
 ORDER BY u.id
""")
_PLAN = f"""
SELECT t.business_id, '{REPLIED}' AS kind, t.lead_id AS subject, t.cycle, t.user_id AS step,
       'email' AS channel, 'user:' || t.user_id AS person, t.email AS recipient,
       jsonb_build_object('inbound_id', t.inbound_id) AS content, ponctuel.clock() AS not_before,
       ponctuel.clock() + interval '{DIGEST_LATE_AFTER.days} days' AS expires_at,
       NULL::jsonb AS lines, NULL::text AS order_key
  FROM jsonb_to_recordset(CAST(:told AS jsonb))
    AS t(business_id text, lead_id text, cycle text, user_id text, email text, inbound_id bigint)
 WHERE t.email IS NOT NULL
"""


def tell(connection: Connection, message: Inbound, answer: Answer) -> None:
    """Tells the lead's closer, or those who are responsible, in the application and by e-mail: once
    a day and lead, and of an opt-out in any case."""
    whom = {"business_id": message.business_id, "closer_id": answer.closer_id}
    what = "ne veut plus être contacté" if answer.opted_out else "a répondu"
    shown, told = [], []
    title = f"{shorten(clean(answer.name), NAME)} {what}"
    for row in connection.execute(_READERS, whom).mappings():
        day = row["clock"].astimezone(zone_of(None, None, row["zone"])).date().isoformat()
        cycle = f"{day}/stop" if answer.opted_out else day
        shown.append(
            Notification(
                business_id=message.business_id,
                id=f"{REPLIED}/{answer.lead_id}/{cycle}/{row['id']}",
                user_id=row["id"],
                kind=REPLIED,
                subject=answer.lead_id,
                cycle=cycle,
                title=title,
            )
        )
        told.append(
            {
                "business_id": message.business_id,
                "user_id": row["id"],
                "lead_id": answer.lead_id,
                "cycle": cycle,
                "email": email_of(row),
                "inbound_id": message.id,
            }
        )
    if not told:
        return
    notifications.show(connection, shown)
    planned = {"told": json.dumps(told), "allow_list": allow_list(), "run_id": None}
    connection.execute(text(planning_statement(_PLAN, "SELECT 1")), planned)
