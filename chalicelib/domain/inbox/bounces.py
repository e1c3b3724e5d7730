"""Delivery reports: the message of ours that came back has failed, and its address may be dead.

Nobody signs a report. One that quotes the Message-ID of a message of ours, and names an address
that this message went to, is believed about that message and, in that business, about the address.
One that quotes none is believed about the last message to that address, and not about the address:
anybody could have written it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.answers import Ours, find
from chalicelib.domain.inbox.mails import Mail, Mailbox
from chalicelib.message_reference import reference
from chalicelib.outbox import events
from chalicelib.webhooks.events import BounceEvent, Event, State, StatusEvent
from chalicelib.webhooks.ses import BOUNCED_FOR_GOOD

MOST_RECIPIENTS = 50
# Servers give up after five days at most (RFC 5321, 4.5.4.1); a report that quotes nothing is
# believed for a shorter time.
UNQUOTED = timedelta(days=2)

# The mailbox or domain does not exist, has moved, or takes no mail at all (IANA's registry of
# enhanced status codes). Not 5.2.x (full, disabled for now) nor 5.7.x (policy, reputation).
DEAD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})

_LAST_SENT = text("""
SELECT c.value AS contact, m.message_id
  FROM jsonb_array_elements_text(CAST(:contacts AS jsonb)) AS c
 CROSS JOIN LATERAL (
   SELECT m.message_id FROM ponctuel.messages m
    WHERE m.contact = c.value AND m.business_id = :business_id AND m.channel = 'email'
      AND m.counted_at IS NOT NULL AND m.submitting_at > CAST(:since AS timestamptz)
      AND m.state = 'accepted' AND m.message_id IS NOT NULL
    ORDER BY m.submitting_at DESC, m.id DESC LIMIT 1) m
""")


@dataclass(frozen=True)
class Failure:
    """One recipient that a report names. `gave_up`: the server tries no more."""

    email: str = field(repr=False)
    status: str
    permanent: bool
    gave_up: bool

    @property
    def dead(self) -> bool:
        return self.permanent and self.status in DEAD


@dataclass(frozen=True)
class Report:
    failures: Sequence[Failure]
    message_ids: Sequence[str]


def read(bounce: Mapping[str, Any] | None) -> Report:
    """`emails.bounce`; what is not as it should be is left out."""
    bounce = bounce or {}
    rows = bounce.get("recipients")
    ids = bounce.get("message_ids")
    failures = [
        Failure(
            str(row["email"]).lower(),
            str(row.get("status") or ""),
            row.get("permanent") is True,
            row.get("permanent") is True or row.get("gave_up") is True,
        )
        for row in (rows if isinstance(rows, list) else [])[:MOST_RECIPIENTS]
        if isinstance(row, dict) and row.get("email")
    ]
    quoted = [
        id.strip("<>") for id in (ids if isinstance(ids, list) else []) if isinstance(id, str)
    ]
    return Report(failures, quoted[:MOST_RECIPIENTS])


def apply(connection: Connection, box: Mailbox, batch: Sequence[Mail]) -> dict[int, int]:
    """Tells the outbox what these reports say of our messages. Returns e-mail's id → the message
    that it is about, for those about one of ours. Those that are history only say which."""
    reports = {
        mail.id: read(mail.bounce)
        for mail in batch
        if mail.nature == "bounce" and not mail.outgoing
    }
    if not reports:
        return {}
    ours = find(connection, box, {id for report in reports.values() for id in report.message_ids})
    ours = {id: message for id, message in ours.items() if message.business_id == box.business_id}
    unquoted = {
        failure.email
        for mail in batch
        if mail.recent and mail.id in reports
        if not any(id in ours for id in reports[mail.id].message_ids)
        for failure in reports[mail.id].failures
    }
    last = _last_sent(connection, box, unquoted)
    about: dict[int, int] = {}
    told: list[Event] = []
    for mail in batch:
        if mail.id not in reports:
            continue
        for message, failures, quoted in _messages(reports[mail.id], ours, last):
            about[mail.id] = message.id
            if mail.recent and failures:
                told += _events(mail, box, message, failures, quoted=quoted)
    if told:
        events.apply(connection, told, received_at=box.clock)
    return about


def _last_sent(connection: Connection, box: Mailbox, contacts: set[str]) -> dict[str, Ours]:
    """Address → the last message that was sent to it."""
    if not contacts:
        return {}
    values = {
        "contacts": json.dumps(sorted(contacts)),
        "business_id": box.business_id,
        "since": box.clock - UNQUOTED,
    }
    rows = connection.execute(_LAST_SENT, values).all()
    named = {row.contact: row.message_id.strip("<>") for row in rows}
    messages = find(connection, box, named.values())
    return {contact: messages[id] for contact, id in named.items() if id in messages}


def _messages(
    report: Report, ours: Mapping[str, Ours], last: Mapping[str, Ours]
) -> list[tuple[Ours, Sequence[Failure], bool]]:
    """The messages that a report is about, with those of its failures that are about an address of
    that message; and whether it quotes the message."""
    quoted = {ours[id].id: ours[id] for id in report.message_ids if id in ours}
    if quoted:
        return [
            (message, [f for f in report.failures if f.email in message.contacts], True)
            for message in quoted.values()
        ]
    return [(last[f.email], [f], False) for f in report.failures if f.email in last]


def _events(
    mail: Mail, box: Mailbox, message: Ours, failures: Sequence[Failure], *, quoted: bool
) -> list[Event]:
    """What the outbox is told, in the terms in which SES would tell it. The keys are those of the
    facts: two mailboxes may have a report each."""
    gave_up = [failure for failure in failures if failure.gave_up]
    # A copy's recipient is not whom the message is for.
    whole = any(failure.email == message.contacts[0] for failure in gave_up)
    for_good = any(f.permanent for f in gave_up if f.email == message.contacts[0])
    if not whole and not quoted:
        return []
    state: State = "failed" if whole else "sent"
    code = BOUNCED_FOR_GOOD if for_good else "bounce_transient"
    own = reference(box.deployment, message.id)
    about: dict[str, Any] = {
        "provider": message.provider,
        "provider_id": message.provider_id,
        "reference": own,
        "at": min(mail.received_at, box.clock),
    }
    key = f"inbox:{own}:{state}:{code}"
    found: list[Event] = [StatusEvent(state=state, code=code, event_key=key, **about)]
    for failure in failures if quoted else ():
        digest = sha256(failure.email.encode()).hexdigest()[:16]
        found.append(
            BounceEvent(
                permanent=failure.dead,
                reason="NoEmail" if failure.dead else failure.status,
                recipients=(failure.email,),
                feedback_id="",
                event_key=f"inbox:{own}:bounce:{digest}:{failure.status}",
                business_id=box.business_id,
                **about,
            )
        )
    return found
