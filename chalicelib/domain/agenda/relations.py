"""The relations of the agenda (`db/migrations/domain/0004_agenda.py`; see `domain/relation.py`)."""

from __future__ import annotations

from chalicelib.domain.relation import Column, Relation

TASKS = Relation(
    "tasks",
    key=("business_id", "id"),
    columns=(
        Column("business_id"),
        Column("id"),
        Column("title"),
        Column("user_id", nullable=True, wanted=True),
        Column("customer_id", nullable=True),
        Column("due_on", "date", nullable=True),
        Column("due_at", "timestamptz", nullable=True),
        Column("status", values=("open", "done", "cancelled"), default="'open'"),
        Column("critical", "boolean", default="false"),
        Column("snoozed_until", "timestamptz", nullable=True),
        Column("overdue_told_at", "timestamptz", nullable=True),
        Column("created_at", "timestamptz", default="now()"),
        Column("updated_at", "timestamptz", default="now()"),
    ),
)

APPOINTMENTS = Relation(
    "appointments",
    key=("business_id", "id"),
    columns=(
        Column("business_id"),
        Column("id"),
        Column("title"),
        Column("user_id"),
        Column("customer_id", nullable=True),
        Column("location", nullable=True),
        Column("starts_at", "timestamptz", nullable=True, wanted=True),
        Column("ends_at", "timestamptz", nullable=True),
        Column("status", values=("scheduled", "cancelled", "done"), default="'scheduled'"),
        Column("offsets", nullable=True),
        Column("created_at", "timestamptz", default="now()"),
        Column("updated_at", "timestamptz", default="now()"),
    ),
)

NOTIFICATIONS = Relation(
    "notifications",
    key=("business_id", "id"),
    writes={"INSERT": (), "UPDATE": ("resolved_at",)},
    without="rien n'est montré dans l'application ; les e-mails partent",
    columns=(
        Column("business_id"),
        Column("id"),
        Column("user_id"),
        Column("kind"),
        Column("subject"),
        Column("cycle", default="''"),
        Column("title"),
        Column("body", default="''"),
        Column("link", nullable=True),
        Column("created_at", "timestamptz"),
        Column("read_at", "timestamptz", nullable=True),
        Column("resolved_at", "timestamptz", nullable=True),
    ),
)

RELATIONS = (
    TASKS,
    APPOINTMENTS,
    NOTIFICATIONS,
)
