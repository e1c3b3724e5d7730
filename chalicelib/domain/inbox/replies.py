"""Answers, as the domains get them: each once, however many mailboxes and folders show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

from sqlalchemy import Connection, text

from chalicelib.domain.inbox.decisions import Meaning
from chalicelib.domain.inbox.mails import Mail, Mailbox
from chalicelib.outbox import consents
from chalicelib.outbox.suppressions import MARKETING, Suppression, suppress

PROVIDER = "imap"

# In the order of their keys: two mailboxes of a business may have the same answers.
_KEEP = text(f"""
INSERT INTO ponctuel.inbound_messages
       (business_id, channel, provider, provider_id, contact, person, known_by, sender, kind, text,
        media_count, in_reply_to, intent, at, received_at, pauses)
SELECT :business_id, 'email', '{PROVIDER}', n.provider_id, n.contact, n.person, n.known_by,
       :address, 'text', n.text,
       (SELECT count(*) FROM ponctuel.email_attachments a
         WHERE a.email_id = n.email_id AND NOT a.inline),
       n.in_reply_to, n.intent, n.at, :clock, :pauses
  FROM jsonb_to_recordset(CAST(:replies AS jsonb))
    AS n(email_id bigint, provider_id text, contact text, person text, known_by text, text text,
         in_reply_to bigint, intent text, at timestamptz)
 ORDER BY n.provider_id
    ON CONFLICT (provider, provider_id) DO NOTHING
RETURNING id, provider_id
""")


def keep(
    connection: Connection, box: Mailbox, told: Sequence[tuple[Mail, Meaning]]
) -> dict[int, int]:
    """E-mail's id → the number of the inbound message that it became, for those that are answers
    and that no mailbox of the business has shown before."""
    replies: dict[str, tuple[Mail, Meaning]] = {}
    for mail, meaning in told:
        if meaning.reply:
            replies.setdefault(key(box, mail), (mail, meaning))
    if not replies:
        return {}
    rows = [
        {
            "email_id": mail.id,
            "provider_id": provider_id,
            "contact": mail.from_email,
            "person": meaning.person,
            "known_by": meaning.known_by,
            "text": mail.snippet,
            # What somebody else refers to is not what they answer.
            "in_reply_to": meaning.answers.id if meaning.answers and meaning.genuine else None,
            "intent": "opt_out" if meaning.opts_out else None,
            "at": mail.received_at.isoformat(),
        }
        for provider_id, (mail, meaning) in replies.items()
    ]
    values = {
        "business_id": box.business_id,
        "address": box.address,
        "clock": box.clock,
        "pauses": box.pause_replies,
        "replies": json.dumps(rows),
    }
    kept = connection.execute(_KEEP, values).all()
    return {replies[row.provider_id][0].id: row.id for row in kept}


def key(box: Mailbox, mail: Mail) -> str:
    """The same for every copy of an e-mail in a business, and for what is read again after a reset.
    A Message-ID alone may be that of all a sender's mails."""
    named = mail.has_message_id
    day = "" if named or mail.sent_at is None else mail.sent_at.date().isoformat()
    parts = [
        box.business_id,
        mail.message_id if named else "",
        day,
        mail.from_email,
        mail.subject_key,
        mail.snippet,
    ]
    return sha256(json.dumps(parts).encode()).hexdigest()


def opt_out(connection: Connection, box: Mailbox, told: Sequence[tuple[Mail, Meaning]]) -> int:
    """No more marketing by e-mail, from this business, to who wrote nothing but STOP. Returns how
    many are new."""
    leaving: Mapping[str, tuple[Mail, Meaning]] = {
        mail.from_email: (mail, meaning) for mail, meaning in told if meaning.opts_out
    }
    made = suppress(
        connection,
        [
            Suppression(
                box.business_id,
                "email",
                address,
                "unsubscribe",
                category=MARKETING,
                person=meaning.person,
                source=f"inbox:{mail.id}",
            )
            for address, (mail, meaning) in leaving.items()
        ],
    )
    for address, (mail, _) in leaving.items():
        consents.withdraw_all(
            connection,
            business_id=box.business_id,
            person="",  # they said it of their e-mails
            contacts=[("email", address)],
            by=f"inbox:{mail.id}",
        )
    return made
