"""Messages of ours that e-mails refer to, by the ids that they left with.

Over SMTP a message keeps the Message-ID that we gave it, which begins with its number and holds a
digest of its key; SES puts its own id in its place, and tells it when it accepts the message.
Whoever was once written to knows the id, and may have passed it on: an e-mail that holds it answers
the message, but speaks for its person only when it comes from an address of theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.mails import Mail, Mailbox
from chalicelib.outbox.contacts import addresses

_OURS = re.compile(r"([0-9]{1,18})\.[0-9a-f]{8,32}@.+")
# docs.aws.amazon.com/ses: <id@email.amazonses.com>, or the region in place of `email`.
_OF_SES = re.compile(r"([0-9a-z-]{16,100})@(?:[a-z0-9-]+\.)+amazonses\.com")

_SELECT = """
SELECT m.id, m.business_id, m.kind, m.person, m.recipient, m.contact, m.message_id, m.provider,
       m.provider_id
  FROM ponctuel.messages m
 WHERE m.business_id IN (:business_id, '') AND m.channel = 'email'
   AND m.submitting_at IS NOT NULL
"""
_FIND = text(f"""
{_SELECT} AND m.id = ANY (ARRAY(
    SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:numbers AS jsonb))))
UNION ALL
{_SELECT} AND m.provider = 'ses' AND m.provider_id = ANY (ARRAY(
    SELECT value FROM jsonb_array_elements_text(CAST(:of_ses AS jsonb))))
""")


@dataclass(frozen=True)
class Ours:
    """A message that was sent. `business_id`: empty for one to the operator. `contacts`: the
    addresses that it went to, the first is the one it is for; in lower case."""

    id: int
    business_id: str
    kind: str
    person: str
    contacts: tuple[str, ...] = field(repr=False)
    provider: str
    provider_id: str

    @property
    def to_the_business(self) -> bool:
        """A notice to our own user, not a message to somebody else."""
        return self.business_id == "" or self.kind.startswith(("inbox.", "leads."))

    @property
    def to_a_customer(self) -> bool:
        """Its person is a customer's id."""
        return self.kind.startswith("billing.")


def find(connection: Connection, box: Mailbox, ids: Iterable[str]) -> dict[str, Ours]:
    """Message-ID (without brackets) → the message of ours that has it. No statement when none of
    the ids looks like one of ours."""
    numbers: dict[int, set[str]] = {}
    of_ses: dict[str, set[str]] = {}
    for id in ids:
        lower = id.lower()
        if ours := _OURS.fullmatch(lower):
            numbers.setdefault(int(ours[1]), set()).add(id)
        elif theirs := _OF_SES.fullmatch(lower):
            of_ses.setdefault(theirs[1], set()).add(id)
    if not numbers and not of_ses:
        return {}
    values = {
        "business_id": box.business_id,
        "numbers": json.dumps(sorted(numbers)),
        "of_ses": json.dumps(sorted(of_ses)),
    }
    found: dict[str, Ours] = {}
    for row in connection.execute(_FIND, values).mappings():
        ours_id = (row["message_id"] or "").strip("<>")
        message = _read(row, ours_id)
        own = [id for id in numbers.get(row["id"], ()) if id.lower() == ours_id.lower()]
        for id in (*own, *of_ses.get(row["provider_id"] or "", ())):
            found[id] = message
    return found


def _read(row: Mapping[Any, Any], ours_id: str) -> Ours:
    contacts = addresses(row["recipient"])
    first = row["contact"]
    ordered = dict.fromkeys([first, *contacts] if first else contacts)
    return Ours(
        id=row["id"],
        business_id=row["business_id"],
        kind=row["kind"],
        person=row["person"],
        contacts=tuple(ordered),
        provider=row["provider"] or "smtp",
        # One whose answer was lost has none yet; that it comes back is proof that it left.
        provider_id=row["provider_id"] or ours_id or str(row["id"]),
    )


def answered(mail: Mail, ours: Mapping[str, Ours]) -> Ours | None:
    """The message that the e-mail answers: the first of those it cites."""
    return next((ours[id] for id in mail.cited if id in ours), None)


def speaks_for(mail: Mail, message: Ours, known: Mapping[str, frozenset[str]]) -> bool:
    """Whether the sender is whom the message was for. `known`: person → the addresses of the
    customer's file."""
    if mail.from_email in message.contacts:
        return True
    return message.to_a_customer and mail.from_email in known.get(message.person, frozenset())


def people(messages: Iterable[Ours]) -> Sequence[str]:
    """The customers whom these messages are for."""
    return sorted({message.person for message in messages if message.to_a_customer})
