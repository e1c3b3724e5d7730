"""A lead that answers is left to its closer: the cadence stops, and the closer is told.

Who wrote is known by the number, Meta's id or the e-mail address of the lead, or by the message of
ours that was answered. Two leads with one number are one person: both stop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.leads import answers, notices
from chalicelib.domain.leads.addresses import ADDRESS
from chalicelib.domain.leads.standing import BEGAN, CLOSER
from chalicelib.errors import BadRequest
from chalicelib.outbox.inbound import Inbound, register
from chalicelib.outbox.numbers import read

_FIND = text(rf"""
SELECT l.id, l.name, l.phone, l.email, l.whatsapp_user_id, l.status, {CLOSER} AS closer_id
  FROM ponctuel.leads l
 WHERE l.business_id = :business_id
   AND (l.id = :lead_id
        OR (:channel = 'whatsapp'
            AND (right(regexp_replace(l.phone, '\D', '', 'g'), 9) = right(:digits, 9)
                 OR btrim(l.whatsapp_user_id) IN (:contact, :user_id)))
        OR (:channel = 'email' AND {ADDRESS} = :contact))
 ORDER BY l.status <> 'open', l.last_followup_at DESC NULLS LAST, l.created_at DESC, l.id
""")
# `leads` may be somebody's view. An answer that comes late, after a newer one, changes nothing.
_OF_LEADS = """WHERE business_id = :business_id
   AND id IN (SELECT value FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))"""
_REPLIED = text(f"""
UPDATE ponctuel.leads SET replied_at = :at {_OF_LEADS} AND (replied_at IS NULL OR replied_at < :at)
""")
_OPTED_OUT = text(f"UPDATE ponctuel.leads SET opted_out = true {_OF_LEADS} AND NOT opted_out")
_OPTED_IN = text(f"UPDATE ponctuel.leads SET opted_out = false {_OF_LEADS} AND opted_out")
# What was asked is on the suppression list by now, unless a later word said otherwise.
_STOPPED = text("""
SELECT EXISTS (
  SELECT 1 FROM ponctuel.suppressions s
   WHERE s.business_id = :business_id AND s.channel = 'whatsapp' AND s.lifted_at IS NULL
     AND s.category = '*'
     AND s.contact IN (SELECT value FROM jsonb_array_elements_text(CAST(:contacts AS jsonb))))
""")
# An answer of before the lead came to its stage, that is told late, ends nothing of this stage.
_WITHDRAW = text(f"""
UPDATE ponctuel.lead_followups
   SET state = 'cancelled', settled_at = ponctuel.clock(), settled_by = 'reply', reason = :reason
 WHERE business_id = :business_id AND state IN ('proposed','opened')
   AND lead_id IN (
     SELECT l.id FROM ponctuel.leads l
      WHERE l.business_id = :business_id
        AND l.id IN (SELECT value FROM jsonb_array_elements_text(CAST(:ids AS jsonb)))
        AND (l.opted_out OR (:at < {BEGAN}) IS NOT TRUE))
""")


def stop(connection: Connection, message: Inbound) -> bool:
    """Stops the cadence of whoever wrote, and tells the closer of the first of the leads. A
    reaction stops nothing: there is nothing to read. A START takes the opt-out back, and nothing
    else: the cadence of this stage has had its answer."""
    if not message.business_id or message.kind == "reaction":
        return False
    leads = _leads(connection, message)
    if not leads:
        return False
    values = {"business_id": message.business_id, "ids": json.dumps([row["id"] for row in leads])}
    if message.intent is not None and message.channel == "whatsapp":
        contacts = json.dumps([one for one in (message.contact, message.user_id) if one])
        stopped = connection.execute(_STOPPED, values | {"contacts": contacts}).scalar_one()
    else:
        stopped = message.intent == "opt_out"
    if message.intent == "opt_in":
        return not stopped and connection.execute(_OPTED_IN, values).rowcount > 0
    opted_out = message.intent == "opt_out" and stopped
    connection.execute(_REPLIED, values | {"at": message.at})
    if opted_out:
        connection.execute(_OPTED_OUT, values)
    told = {"at": message.at, "reason": "opted_out" if opted_out else "replied"}
    connection.execute(_WITHDRAW, values | told)
    notices.resolve(connection, message.business_id)
    if leads[0]["status"] == "open":
        answer = answers.Answer(leads[0]["id"], leads[0]["name"], leads[0]["closer_id"], opted_out)
        answers.tell(connection, message, answer)
    return True


def _leads(connection: Connection, message: Inbound) -> Sequence[Mapping[Any, Any]]:
    """Those of the business whose it is, the one that was last followed up first."""
    ours = message.known_by.startswith("leads.")
    values = {
        "business_id": message.business_id,
        "lead_id": message.person if ours and message.person else None,
        "channel": message.channel,
        "contact": message.contact,
        "digits": "".join(filter(str.isdigit, message.contact)) or None,
        "user_id": message.user_id,
    }
    rows = connection.execute(_FIND, values).mappings().all()
    return [row for row in rows if row["id"] == values["lead_id"] or _is(row, message)]


def _is(lead: Mapping[Any, Any], message: Inbound) -> bool:
    """Whether the message comes from the lead's own contact, read exactly."""
    if message.channel == "email":
        return (lead["email"] or "").strip().lower() == message.contact
    if (lead["whatsapp_user_id"] or "").strip() in {message.contact, message.user_id} - {"", None}:
        return True
    try:
        return read(lead["phone"]).number == message.contact
    except BadRequest:
        return False


register("leads", stop)
