"""A mailbox as the sync leaves it, and what was sent from here, for the tests of settling."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.settle import settle
from tests.database import Database
from tests.harness import NOW

CUSTOMER = "compta@boulangerie-martin.example"
ADDRESS = "contact@menuiserie-perrin.example"
SENT_FROM = "factures@menuiserie-perrin.example"

_MAILBOX = text("""
INSERT INTO ponctuel.mailboxes (business_id, address, owner_email, host, port, security, auth,
       username, credentials, created_at, next_sync_at, pause_replies)
VALUES (:business_id, :address, :owner_email, :host, 993, 'tls', 'password', :address, '-',
        :created_at, :created_at, :pause_replies)
RETURNING id
""")
_FOLDERS = text("""
INSERT INTO ponctuel.mailbox_folders (mailbox_id, path, special, uidvalidity)
VALUES (:id, 'INBOX', 'inbox', 7), (:id, 'Messages envoyés', 'sent', 7)
RETURNING id
""")
_MAILS = text("""
WITH stored AS (
  INSERT INTO ponctuel.emails (business_id, mailbox_id, message_id, has_message_id, sha256,
         header_sha256, size, state, nature, internal_date, sent_at, subject, from_email, from_name,
         recipients, in_reply_to, refs, text, snippet, bounce, created_at)
  SELECT b.business_id, b.id, n.message_id, n.has_message_id, sha256(n.bytes::bytea),
         sha256(n.bytes::bytea), length(n.bytes), n.state, n.nature, n.internal_date, n.sent_at,
         n.subject, n.from_email, n.from_name, n.recipients, n.in_reply_to, n.refs, n.snippet,
         n.snippet, n.bounce, COALESCE(n.created_at, ponctuel.clock())
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
      AS n(nth bigint, bytes text, message_id text, has_message_id boolean, state text,
           nature text, internal_date timestamptz, sent_at timestamptz, subject text,
           from_email text, from_name text, recipients jsonb, in_reply_to text, refs text[],
           snippet text, bounce jsonb, created_at timestamptz)
    JOIN ponctuel.mailboxes b ON b.id = :mailbox_id
   ORDER BY n.nth
  RETURNING id
), counted AS (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM stored),
shown AS (
  INSERT INTO ponctuel.email_places (folder_id, uidvalidity, uid, email_id)
  SELECT w.folder_id, 7, c.id, c.id
    FROM counted c JOIN jsonb_to_recordset(CAST(:rows AS jsonb))
         AS w(nth bigint, folder_id bigint) USING (nth)
)
SELECT id FROM counted ORDER BY nth
""")
_SENT = text("""
INSERT INTO ponctuel.messages (business_id, kind, subject, cycle, step, channel, person, recipient,
       contact, content, state, planned_at, not_before, expires_at, submitting_at, counted_at,
       provider, provider_id, message_id)
VALUES (:business_id, :kind, :subject, '0', '1', 'email', :person, :recipient, :contact,
        CAST(:content AS jsonb), :state, :at, :at, CAST(:at AS timestamptz) + interval '7 days',
        :at, :at, :provider, :provider_id, :message_id)
RETURNING id
""")


def mail(**changes: Any) -> dict[str, Any]:
    """An e-mail of the customer's, received a minute ago, which answers nothing."""
    row: dict[str, Any] = {
        "message_id": f"CAF{next(_numbers):08}@mail.boulangerie-martin.example",
        "has_message_id": True,
        "state": "parsed",
        "nature": "mail",
        "internal_date": NOW - timedelta(minutes=1),
        "sent_at": NOW - timedelta(minutes=2),
        "subject": "Re: Facture F1",
        "from_email": CUSTOMER,
        "from_name": "Claire Martin",
        "recipients": [{"role": "to", "email": ADDRESS, "name": "Menuiserie Perrin"}],
        "in_reply_to": None,
        "refs": [],
        "snippet": "Bonjour, le virement est parti ce matin. Cordialement, Claire Martin",
        "bounce": None,
        "created_at": None,
        "sent": False,
    } | changes
    row["internal_date"] = _iso(row["internal_date"])
    row["sent_at"] = _iso(row["sent_at"])
    row["created_at"] = _iso(row["created_at"])
    content = {key: value for key, value in row.items() if key != "created_at"}
    row["bytes"] = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return row


def _iso(instant: datetime | str | None) -> str | None:
    return instant.isoformat() if isinstance(instant, datetime) else instant


# Of as many digits each time: replies of one second are kept in the order of their Message-IDs.
_numbers = iter(range(1, 10_000_000))


@dataclass
class Mailroom:
    """One mailbox of a business."""

    database: Database
    business_id: str = "B1"
    address: str = ADDRESS
    owner_email: str | None = None
    pause_replies: bool = True
    created_at: datetime = NOW - timedelta(days=400)
    host: str = "imap.example"
    id: int = field(init=False)
    inbox: int = field(init=False)
    sent: int = field(init=False)

    def __post_init__(self) -> None:
        values = {
            name: getattr(self, name)
            for name in (
                "business_id",
                "address",
                "owner_email",
                "pause_replies",
                "created_at",
                "host",
            )
        }
        with self.database.begin() as connection:
            self.id = connection.execute(_MAILBOX, values).scalar_one()
            folders = connection.execute(_FOLDERS, {"id": self.id}).scalars().all()
        self.inbox, self.sent = folders

    def receive(self, *mails: dict[str, Any]) -> list[int]:
        """Stores and parses them, as the sync does. Returns their ids."""
        with self.database.begin() as connection:
            return self.store(connection, mails)

    def store(self, connection: Connection, mails: Sequence[dict[str, Any]]) -> list[int]:
        rows = [
            row | {"nth": nth, "folder_id": self.sent if row["sent"] else self.inbox}
            for nth, row in enumerate(mails, start=1)
        ]
        values = {"mailbox_id": self.id, "rows": json.dumps(rows)}
        return list(connection.execute(_MAILS, values).scalars())

    def settle(self, limit: int = 500) -> Counter[str]:
        """All that is to be settled, one transaction per batch."""
        counts: Counter[str] = Counter()
        while True:
            with self.database.begin() as connection:
                found = settle(connection, self.id, limit)
            if not found:
                return counts
            counts += found

    def get(self, *mails: dict[str, Any]) -> Counter[str]:
        """Receives and settles."""
        self.receive(*mails)
        return self.settle()

    def emails(self) -> list[dict[str, Any]]:
        return rows(
            self.database, "SELECT * FROM ponctuel.emails WHERE mailbox_id = :id ORDER BY id",
            id=self.id,
        )  # fmt: skip

    def threads(self) -> set[frozenset[str]]:
        """The conversations, each as the set of its Message-IDs."""
        found: dict[int, set[str]] = {}
        for row in self.emails():
            found.setdefault(row["thread_id"], set()).add(row["message_id"])
        return {frozenset(thread) for thread in found.values()}


def rows(database: Database, query: str, **values: Any) -> list[dict[str, Any]]:
    with database.begin() as connection:
        return [dict(row) for row in connection.execute(text(query), values).mappings()]


def relance(database: Database, **changes: Any) -> tuple[int, str]:
    """A relance that left by e-mail an hour ago. Returns its id, and its Message-ID without
    brackets."""
    number = next(_numbers)
    row: dict[str, Any] = {
        "business_id": "B1",
        "kind": "billing.invoice_followup",
        "subject": f"F{number}",
        "person": "C1",
        "recipient": CUSTOMER,
        "content": json.dumps({"number": "F1"}),
        "state": "accepted",
        "at": NOW - timedelta(hours=1),
        "provider": "smtp",
        "provider_id": f"Q{number}",
        "message_id": None,
    } | changes
    row.setdefault("contact", (row["recipient"] or "").split(",")[0].strip() or None)
    with database.begin() as connection:
        id: int = connection.execute(_SENT, row).scalar_one()
        message_id = f"{id}.{sha256(str(number).encode()).hexdigest()[:16]}@{SENT_FROM[9:]}"
        connection.execute(
            text("UPDATE ponctuel.messages SET message_id = :m WHERE id = :id"),
            {"m": f"<{message_id}>", "id": id},
        )
    return id, message_id


def report(
    *message_ids: str,
    email: str = CUSTOMER,
    status: str = "5.1.1",
    permanent: bool = True,
    gave_up: bool = True,
    **changes: Any,
) -> dict[str, Any]:
    """A delivery status report about messages with these ids."""
    failure = {"email": email, "status": status, "permanent": permanent, "gave_up": gave_up}
    return mail(
        nature="bounce",
        from_email="mailer-daemon@mx.example",
        from_name="Mail Delivery System",
        subject="Undelivered Mail Returned to Sender",
        snippet="This is the mail system at host mx.example.",
        bounce={"recipients": [failure], "message_ids": list(message_ids)},
        **changes,
    )


def column(mails: Iterable[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in mails]
