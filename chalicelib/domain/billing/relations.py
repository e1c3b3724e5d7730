"""The relations of billing: what each has to look like, be it our table or somebody's view.

The tables are created by `db/migrations/domain/0001_billing.py`, whose comments say what each
column means; a test compares the two.
"""

from __future__ import annotations

from chalicelib.domain.relation import Column, Relation

BUSINESSES = Relation(
    "businesses",
    key=("id",),
    columns=(
        Column("id"),
        Column("name"),
        Column("zone", default="'Europe/Paris'"),
        Column("subdivision", nullable=True),
        Column("sender_name", nullable=True),
        Column("sender_email", nullable=True),
        Column("reply_to", nullable=True),
        Column("phone", nullable=True),
        Column("address", nullable=True),
        Column("siret", nullable=True),
        Column("iban", nullable=True),
        Column("active", "boolean", default="true"),
    ),
)

BILLING_SETTINGS = Relation(
    "billing_settings",
    key=("business_id",),
    columns=(
        Column("business_id"),
        Column("followups_enabled", "boolean", default="false"),
        Column("group_by_customer", "boolean", default="false"),
        Column("min_interval_days", "integer", default="3"),
        Column("tolerance", "numeric", default="1.00"),
        Column("courtesy_days", "integer", default="2"),
        Column("window_start", "time", default="'09:00'"),
        Column("window_end", "time", default="'18:00'"),
        Column("business_days_only", "boolean", default="true"),
        Column("payments_synced_at", "timestamptz", nullable=True),
        Column("max_payment_age_hours", "integer", nullable=True),
        Column("late_penalty_rate", "numeric", nullable=True),
    ),
)

FOLLOWUP_LEVELS = Relation(
    "followup_levels",
    key=("business_id", "policy", "document", "level"),
    columns=(
        Column("business_id"),
        Column("policy", default="'standard'"),
        Column("document", values=("invoice", "quote")),
        Column("level", "integer"),
        Column("anchor", values=("issue", "due")),
        Column("delay_days", "integer"),
        Column("channel", values=("email", "whatsapp"), default="'email'"),
        Column("tone", values=("rappel", "ferme", "mise_en_demeure")),
        Column("attach_pdf", "boolean", default="false"),
    ),
)

CUSTOMERS = Relation(
    "customers",
    key=("business_id", "id"),
    writes={"UPDATE": ("paused_until",)},
    without="une réponse ne met pas les relances du client en pause",
    columns=(
        Column("business_id"),
        Column("id"),
        Column("name"),
        Column("customer_type", nullable=True, values=("professional", "consumer")),
        Column("emails", nullable=True, wanted=True),
        Column("policy", nullable=True),
        Column("auto_enabled", "boolean", default="true"),
        Column("paused_until", "date", nullable=True),
        Column("insolvency", "boolean", default="false"),
    ),
)

CUSTOMER_PHONES = Relation(
    "customer_phones",
    key=("business_id", "customer_id"),
    columns=(
        Column("business_id"),
        Column("customer_id"),
        Column("phone", nullable=True),
        Column("whatsapp_user_id", nullable=True),
    ),
)

INVOICES = Relation(
    "invoices",
    key=("business_id", "id"),
    unique=("business_id", "number"),
    writes={"UPDATE": ("status",)},
    without="le statut des factures en retard n'est pas tenu à jour",
    columns=(
        Column("business_id"),
        Column("id"),
        Column("number"),
        Column("customer_id"),
        Column(
            "status",
            values=("draft", "sent", "partial", "paid", "credited", "cancelled", "overdue"),
        ),
        Column("issued_on", "date", nullable=True, wanted=True),
        Column("due_on", "date", nullable=True, wanted=True),
        Column("currency", default="'EUR'"),
        Column("total", "numeric"),
        Column("balance", "numeric"),
        Column("disputed", "boolean", default="false"),
        Column("promised_until", "date", nullable=True),
        Column("auto_enabled", "boolean", default="true"),
        Column("policy", nullable=True),
        Column("pdf_key", nullable=True),
        Column("cycle", "integer", default="0"),
        Column("reopened_on", "date", nullable=True),
        Column("updated_at", "timestamptz", default="now()", read=False),
    ),
)

QUOTES = Relation(
    "quotes",
    key=("business_id", "id"),
    unique=("business_id", "number"),
    writes={"UPDATE": ("status",)},
    columns=(
        Column("business_id"),
        Column("id"),
        Column("number"),
        Column("customer_id"),
        Column("status", values=("draft", "sent", "accepted", "refused", "expired", "cancelled")),
        Column("issued_on", "date", nullable=True, wanted=True),
        Column("valid_until", "date", nullable=True, wanted=True),
        Column("currency", default="'EUR'"),
        Column("total", "numeric"),
        Column("auto_enabled", "boolean", default="true"),
        Column("policy", nullable=True),
        Column("pdf_key", nullable=True),
        Column("version", "integer", default="1"),
        Column("updated_at", "timestamptz", default="now()", read=False),
    ),
)

FOLLOWUP_DECISIONS = Relation(
    "followup_decisions",
    key=("business_id", "document", "document_id", "cycle", "level"),
    writes={"INSERT": (), "DELETE": ()},
    columns=(
        Column("business_id"),
        Column("document"),
        Column("document_id"),
        Column("cycle"),
        Column("level", "integer"),
        Column("decision", values=("retry", "skip", "stop")),
        Column("decided_at", "timestamptz"),
        Column("decided_by"),
        Column("reason", default="''"),
    ),
)

RELATIONS = (
    BUSINESSES,
    BILLING_SETTINGS,
    FOLLOWUP_LEVELS,
    CUSTOMERS,
    CUSTOMER_PHONES,
    INVOICES,
    QUOTES,
    FOLLOWUP_DECISIONS,
)
