"""The e-mails that are to be settled, and the mailbox that they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.subjects import is_answer, subject_key
from chalicelib.outbox.contacts import addresses
from chalicelib.outbox.windows import zone

# What was older than that when it was read is history: it is filed, and nobody is told.
RECENT = timedelta(days=7)
# Of References the last ones count: the e-mail that is answered comes last (RFC 5322, 3.6.4).
MOST_REFERENCES = 50
# Of what was newly written: enough for a STOP, a notice and the domains.
SNIPPET = 4_000
MAX_ADDRESS = 320

_PARIS = ZoneInfo("Europe/Paris")

# One process at a time settles a mailbox; its e-mails can still be stored meanwhile.
_MAILBOX = text("""
SELECT m.id, m.business_id, m.address, m.owner_email, m.pause_replies, m.created_at,
       b.zone, b.reply_to, b.sender_email, ponctuel.clock() AS clock,
       (SELECT d.id FROM ponctuel.deployment d) AS deployment,
       (SELECT jsonb_agg(DISTINCT a.address) FROM (
          SELECT o.address FROM ponctuel.mailboxes o WHERE o.business_id = m.business_id
          UNION ALL SELECT o.owner_email FROM ponctuel.mailboxes o
                     WHERE o.business_id = m.business_id AND o.owner_email IS NOT NULL) a) AS own
  FROM ponctuel.mailboxes m LEFT JOIN ponctuel.businesses b ON b.id = m.business_id
 WHERE m.id = :mailbox_id FOR NO KEY UPDATE OF m
""")
_BATCH = text(f"""
SELECT e.id, e.message_id, e.has_message_id,
       e.refs[greatest(1, cardinality(e.refs) - {MOST_REFERENCES - 1}):] AS refs, e.in_reply_to,
       e.from_email, e.from_name, e.recipients, e.subject, left(e.snippet, {SNIPPET}) AS snippet,
       e.nature, e.bounce, e.internal_date, e.sent_at, e.created_at, e.inbound_id,
       EXISTS (SELECT 1 FROM ponctuel.email_places p
                 JOIN ponctuel.mailbox_folders f ON f.id = p.folder_id
                WHERE p.email_id = e.id AND f.special IN ('sent','drafts')) AS filed_as_sent
  FROM ponctuel.emails e
 WHERE e.mailbox_id = :mailbox_id AND e.settled_at IS NULL
   AND e.state IN ('parsed','partial','stub')
 ORDER BY e.id LIMIT :limit
""")


@dataclass(frozen=True)
class Mailbox:
    """`own`: the addresses at which the business itself writes and reads, in lower case; `clock`:
    the database's now (aware); `notify`: where the user is told of answers."""

    id: int
    business_id: str
    address: str = field(repr=False)
    own: frozenset[str] = field(repr=False)
    notify: str = field(repr=False)
    pause_replies: bool
    created_at: datetime
    clock: datetime
    zone: ZoneInfo
    deployment: UUID

    @property
    def today(self) -> date:
        """In the business's zone."""
        return self.clock.astimezone(self.zone).date()


@dataclass(frozen=True)
class Mail:
    """An e-mail to settle. `cited`: the ids that it refers to, the likeliest to be what it answers
    first: References from right to left, then In-Reply-To. `correspondent`: who is at the other
    end, in lower case, `""` if nobody can be made out. Times are aware, None if nobody knows."""

    id: int
    message_id: str
    has_message_id: bool
    cited: Sequence[str]
    outgoing: bool
    correspondent: str = field(repr=False)
    from_email: str = field(repr=False)
    subject: str = field(repr=False)
    subject_key: str = field(repr=False)
    is_answer: bool
    snippet: str = field(repr=False)
    nature: str
    bounce: Mapping[str, Any] | None = field(repr=False)
    sent_at: datetime | None
    received_at: datetime
    recent: bool


def mailbox(connection: Connection, mailbox_id: int) -> Mailbox | None:
    """The mailbox, kept from others who would settle it until the transaction ends; None when there
    is no such mailbox."""
    row = connection.execute(_MAILBOX, {"mailbox_id": mailbox_id}).one_or_none()
    if row is None:
        return None
    return Mailbox(
        id=row.id,
        business_id=row.business_id,
        address=row.address.lower(),
        own=frozenset(
            address
            for written in (*(row.own or ()), row.reply_to, row.sender_email)
            for address in addresses(written)
        )
        | {row.address.lower()},
        notify=next((a for a in (row.reply_to, row.owner_email) if addresses(a)), row.address),
        pause_replies=row.pause_replies,
        created_at=row.created_at,
        clock=row.clock,
        zone=zone(row.zone or "") or _PARIS,
        deployment=row.deployment,
    )


def unsettled(connection: Connection, box: Mailbox, limit: int) -> list[Mail]:
    """At most `limit` of its e-mails that were read and not settled, in the order of their ids."""
    rows = connection.execute(_BATCH, {"mailbox_id": box.id, "limit": limit}).mappings()
    return [read(row, box) for row in rows]


def read(row: Mapping[Any, Any], box: Mailbox) -> Mail:
    """`row`: the columns of an e-mail as stored, and `filed_as_sent`: a folder of sent mail or of
    drafts shows it."""
    sender = row["from_email"].lower()[:MAX_ADDRESS]
    outgoing = row["filed_as_sent"] or sender == box.address
    received = row["internal_date"] or row["sent_at"] or row["created_at"]
    written = row["sent_at"] or received
    return Mail(
        id=row["id"],
        message_id=row["message_id"],
        has_message_id=row["has_message_id"],
        cited=cited(row["refs"] or (), row["in_reply_to"], row["message_id"]),
        outgoing=outgoing,
        correspondent=_addressee(row["recipients"], box) if outgoing else sender,
        from_email=sender,
        subject=row["subject"],
        subject_key=subject_key(row["subject"]),
        is_answer=is_answer(row["subject"]),
        snippet=row["snippet"],
        nature=row["nature"],
        bounce=row["bounce"],
        sent_at=row["sent_at"] or row["internal_date"],
        received_at=received,
        # Both: an archive that is moved into a mailbox may have been "received" just now.
        recent=received >= box.created_at and min(received, written) >= row["created_at"] - RECENT,
    )


def cited(refs: Sequence[str], in_reply_to: str | None, own: str) -> tuple[str, ...]:
    """The ids, each once, without the e-mail's own."""
    last = [*reversed(refs[-MOST_REFERENCES:]), in_reply_to]
    return tuple(dict.fromkeys(id for id in last if id and id != own))


def _addressee(recipients: object, box: Mailbox) -> str:
    """The first who is not the mailbox itself, To before Cc."""
    parties = [p for p in recipients if isinstance(p, dict)] if isinstance(recipients, list) else []
    for role in ("to", "cc"):
        for party in parties:
            email = party.get("email")
            if party.get("role") == role and isinstance(email, str) and email:
                address = email.lower()[:MAX_ADDRESS]
                if address != box.address:
                    return address
    return ""
