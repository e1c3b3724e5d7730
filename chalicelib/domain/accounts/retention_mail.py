"""Mailboxes, and what was read from them.

`retention_rules` tells what is declared of each table. The order is that of erasing.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.accounts.retention_rules import Table

TABLES: Final = (
    Table(
        "mailboxes",
        user="t.address = :email",
        detach={
            "owner_email": (
                "NULL",
                "lower(btrim(t.owner_email)) = :email",
            ),
        },
        phase="access",
        personal="address owner_email",
        kept={
            "username credentials": ("the account of a mailbox that is the business's"),
        },
        plain=(
            "id business_id host port security auth token_issuer renewing_until folders "
            "since pause_replies created_at state next_sync_at synced_at failures "
            "failing_since refusals refused_since error_code error told_code fence "
            "held_until deaths"
        ),
    ),
    Table(
        "mailbox_folders",
        through=("mailboxes b",),
        of="b.id = t.mailbox_id AND b.business_id = :business",
        cascade=True,
        plain=(
            "id mailbox_id path special state uidvalidity last_uid seen_exists "
            "seen_uidnext highestmodseq checked_at resets reset_at failures parked_until "
            "error_code error"
        ),
    ),
    Table(
        "email_awaits",
        through=("mailboxes b",),
        of="b.id = t.mailbox_id AND b.business_id = :business",
        cascade=True,
        plain="mailbox_id message_id email_id",
    ),
    Table(
        "email_places",
        through=("mailbox_folders f", "mailboxes b"),
        of="f.id = t.folder_id AND b.id = f.mailbox_id AND b.business_id = :business",
        cascade=True,
        plain="folder_id uidvalidity uid email_id flags gone_at",
    ),
    Table(
        "email_troubles",
        through=("mailbox_folders f", "mailboxes b"),
        of="f.id = t.folder_id AND b.id = f.mailbox_id AND b.business_id = :business",
        cascade=True,
        plain="folder_id uidvalidity uid attempts next_at error_code at",
    ),
    Table(
        "emails",
        cascade=True,
        personal="raw_key refs",
        kept={
            "subject from_email from_name recipients bounce": (
                "what the business's other mailboxes received and sent is its correspondence"
            ),
            "correspondent subject_key text html snippet message_id in_reply_to": (
                "what the business's other mailboxes received and sent is its correspondence"
            ),
        },
        plain=(
            "id business_id mailbox_id has_message_id sha256 header_sha256 size "
            "listed_size state attempts faults direction nature internal_date sent_at "
            "parent_id thread_id customer_id candidates lead_id answers inbound_id "
            "settled_at created_at"
        ),
    ),
    Table(
        "email_attachments",
        through=("emails e",),
        of="e.id = t.email_id AND e.business_id = :business",
        cascade=True,
        personal="stored_key",
        kept={
            "name": ("what the business's other mailboxes received and sent is its correspondence"),
        },
        plain="email_id position declared_type type size inline content_id sha256",
    ),
)
