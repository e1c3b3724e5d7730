"""The domain: what a business keeps, and who works there.

`retention_rules` tells what is declared of each table. The order is that of erasing.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.accounts.retention_rules import Table

TABLES: Final = (
    Table(
        "user_tokens",
        user="t.user_id = :user",
        phase="access",
        personal="user_id",
        plain="business_id id token_type created_at",
    ),
    Table(
        "stored_files",
        user="t.user_id = :user",
        phase="access",
        personal="user_id storage_key name",
        plain="business_id id created_at",
    ),
    Table(
        "user_preferences",
        user="t.user_id = :user",
        personal="user_id",
        plain="business_id email digest digest_at appointment_offsets",
    ),
    Table(
        "notifications",
        user="t.user_id = :user",
        personal="user_id title body link",
        plain="business_id id kind subject cycle created_at read_at resolved_at",
    ),
    Table(
        "tasks",
        user="t.user_id = :user AND t.customer_id IS NULL",
        detach={
            "user_id": (
                "NULL",
                "t.user_id = :user",
            ),
        },
        personal="user_id",
        kept={
            "title": ("words of the business about its own work"),
        },
        plain=(
            "business_id id customer_id due_on due_at status critical snoozed_until "
            "overdue_told_at created_at updated_at"
        ),
    ),
    Table(
        "appointments",
        user="t.user_id = :user AND t.customer_id IS NULL",
        detach={
            "user_id": (
                (
                    "COALESCE((SELECT min(o.id) FROM ponctuel.users o WHERE o.business_id "
                    "= :business AND o.id <> :user AND o.active AND o.role = 'owner'), "
                    "'')"
                ),
                "t.user_id = :user",
            ),
        },
        personal="user_id",
        kept={
            "title": ("words of the business about its own work"),
            "location": ("the same"),
        },
        plain=("business_id id customer_id starts_at ends_at status offsets created_at updated_at"),
    ),
    Table(
        "leads",
        detach={
            "closer_id": (
                "NULL",
                "t.closer_id = :user",
            ),
        },
        personal="closer_id phone whatsapp_user_id",
        kept={
            "email name": ("a lead of the business, who may be the same person in another part"),
        },
        plain=(
            "business_id id stage stage_since status zone auto_enabled opted_out "
            "replied_at followups last_followup_at created_at updated_at"
        ),
    ),
    Table(
        "lead_settings",
        plain=(
            "business_id followups_enabled mode daily_cap window_start window_end "
            "business_days_only expire_hours"
        ),
    ),
    Table(
        "lead_cadences",
        plain="business_id stage number delay_hours variant",
    ),
    Table(
        "followup_decisions",
        detach={
            "decided_by": (
                "''",
                "t.decided_by IN (:user, :person, :email)",
            ),
        },
        personal="decided_by",
        plain="business_id document document_id cycle level decision decided_at reason",
    ),
    Table(
        "followup_levels",
        plain="business_id policy document level anchor delay_days channel tone attach_pdf",
    ),
    Table(
        "billing_settings",
        plain=(
            "business_id followups_enabled group_by_customer min_interval_days tolerance "
            "courtesy_days window_start window_end business_days_only payments_synced_at "
            "max_payment_age_hours late_penalty_rate"
        ),
    ),
    Table(
        "quotes",
        personal="pdf_key",
        plain=(
            "business_id id number customer_id status issued_on valid_until currency "
            "total auto_enabled policy version updated_at"
        ),
    ),
    Table(
        "invoices",
        personal="pdf_key",
        plain=(
            "business_id id number customer_id status issued_on due_on currency total "
            "balance disputed promised_until auto_enabled policy cycle reopened_on "
            "updated_at"
        ),
    ),
    Table(
        "customer_phones",
        personal="phone whatsapp_user_id",
        plain="business_id customer_id",
    ),
    Table(
        "customers",
        kept={
            "name emails": (
                "a customer of the business, who may be the same person in another part"
            ),
        },
        plain="business_id id customer_type policy auto_enabled paused_until insolvency",
    ),
    Table(
        "users",
        user="t.id = :user",
        phase="parent",
        personal="id name email phone stripe_customer_id",
        plain="business_id role zone active deletion_scheduled_at created_at",
    ),
    Table(
        "businesses",
        of="t.id = :business",
        phase="parent",
        personal="phone address siret iban",
        kept={
            "sender_name sender_email reply_to name": (
                "the business's own identity; an address of its own stays its own"
            ),
        },
        plain="id zone subdivision active",
    ),
)
