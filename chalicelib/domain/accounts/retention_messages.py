"""Messages, and whom they go to.

`retention_rules` tells what is declared of each table. The order is that of erasing.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.accounts.retention_rules import Table

TABLES: Final = (
    Table(
        "messages",
        # Those without a person went to an address, as others did before they had one.
        user=(
            "(t.person = :person OR (t.person = '' AND :email IN (lower(btrim(t.recipient)), "
            "t.contact))) AND NOT (t.kind LIKE 'accounts.deletion%' AND t.subject = :deletion)"
        ),
        detach={
            "person": (
                "''",
                "t.person = :person",
            ),
            "recipient": (
                "NULL",
                "t.kind LIKE 'accounts.deletion%' AND t.subject = :deletion",
            ),
            "contact": (
                "NULL",
                "t.kind LIKE 'accounts.deletion%' AND t.subject = :deletion",
            ),
            "content": (
                "'{}'",
                "t.kind LIKE 'accounts.deletion%' AND t.subject = :deletion",
            ),
        },
        busy="t.state IN ('claimed','submitting')",
        personal="person step",
        kept={
            "recipient contact content error order_key": (
                "correspondence with a customer or lead, who may be the same person in "
                "another part; blanked by ledger_retention"
            ),
        },
        plain=(
            "id business_id kind subject cycle key_free channel state hold_reason "
            "planned_at not_before expires_at run_id claim_id claimed_until claims "
            "attempts submitting_at settled_at provider provider_id message_id error_code "
            "counted_at proof_at proofs resends"
        ),
    ),
    Table(
        "message_lines",
        through=("messages m",),
        of="m.id = t.message_id AND m.business_id = :business",
        cascade=True,
        plain="message_id business_id kind subject cycle step",
    ),
    Table(
        "message_bodies",
        through=("messages m",),
        of="m.id = t.message_id AND m.business_id = :business",
        cascade=True,
        user="m.kind LIKE 'accounts.deletion%' AND m.subject = :deletion",
        kept={
            "subject text html attachments whatsapp": (
                "the business's letters as they were sent, under its own address; blanked "
                "by ledger_retention"
            ),
        },
        plain="message_id",
    ),
    Table(
        "message_events",
        through=("messages m",),
        of="m.id = t.message_id AND m.business_id = :business",
        cascade=True,
        detach={
            "actor": (
                "''",
                "t.actor IN (:user, :person, :email)",
            ),
        },
        personal="actor",
        kept={
            "reason": ("words of an operator; pruned by ledger_retention"),
        },
        plain="id message_id at event",
    ),
    Table(
        "suppressions",
        of="t.business_id = :business",
        # With a business go those whom it wrote to, and users who were not active any more.
        user="(t.person = :person OR CAST(:scope AS text) = 'business') AND t.contact = ''",
        detach={
            "person": (
                "''",
                "(t.person = :person OR CAST(:scope AS text) = 'business') AND t.contact <> ''",
            ),
        },
        survives=True,
        personal="person",
        kept={
            "contact note source": (
                "an opt-out that was forgotten would be a message that nobody wanted: it "
                "outlives the account, and the business"
            ),
        },
        plain="id business_id channel category reason at lifted_at lifted_by lift_reason",
    ),
    Table(
        "consents",
        user="t.person = :person",
        personal="person",
        kept={
            "contact": ("the consent of a customer, who may be the same person in another part"),
        },
        plain="id business_id channel granted_at source withdrawn_at withdrawn_by",
    ),
    Table(
        "contacts",
        user="t.contact = :email",
        personal="contact user_id",
        plain="business_id channel last_inbound_at",
    ),
    Table(
        "inbound_offers",
        through=("inbound_messages i",),
        of="i.id = t.inbound_id AND i.business_id = :business",
        cascade=True,
        plain="inbound_id domain outcome attempts at error",
    ),
    Table(
        "inbound_messages",
        user="t.person = :person",
        personal="person user_id",
        kept={
            "contact text": ("what was written to the business"),
        },
        plain=(
            "id business_id channel provider provider_id known_by sender kind media_count "
            "in_reply_to intent at received_at pauses"
        ),
    ),
)
