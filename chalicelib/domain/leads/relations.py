"""The relations of leads (`db/migrations/domain/0005_leads.py`; see `domain/relation.py`)."""

from __future__ import annotations

from chalicelib.domain.relation import Column, Relation

LEAD_SETTINGS = Relation(
    "lead_settings",
    key=("business_id",),
    columns=(
        Column("business_id"),
        Column("followups_enabled", "boolean", default="false"),
        Column("mode", values=("assisted", "api"), default="'assisted'"),
        Column("daily_cap", "integer", default="50"),
        Column("window_start", "time", default="'09:00'"),
        Column("window_end", "time", default="'19:00'"),
        Column("business_days_only", "boolean", default="true"),
        Column("expire_hours", "integer", default="72"),
    ),
)

LEAD_CADENCES = Relation(
    "lead_cadences",
    key=("business_id", "stage", "number"),
    columns=(
        Column("business_id"),
        Column("stage"),
        Column("number", "integer"),
        Column("delay_hours", "integer"),
        Column("variant", default="'relance'"),
    ),
)

LEADS = Relation(
    "leads",
    key=("business_id", "id"),
    writes={"UPDATE": ("opted_out", "replied_at", "followups", "last_followup_at")},
    columns=(
        Column("business_id"),
        Column("id"),
        Column("name"),
        Column("phone", nullable=True, wanted=True),
        Column("whatsapp_user_id", nullable=True),
        Column("email", nullable=True),
        Column("stage", default="'nouveau'"),
        Column("stage_since", "timestamptz", nullable=True),
        Column("status", values=("open", "won", "lost"), default="'open'"),
        Column("closer_id", nullable=True),
        Column("zone", nullable=True),
        Column("auto_enabled", "boolean", default="true"),
        Column("opted_out", "boolean", default="false"),
        Column("replied_at", "timestamptz", nullable=True),
        Column("followups", "integer", default="0"),
        Column("last_followup_at", "timestamptz", nullable=True),
        Column("created_at", "timestamptz", default="now()"),
        Column("updated_at", "timestamptz", default="now()"),
    ),
)

RELATIONS = (
    LEAD_SETTINGS,
    LEAD_CADENCES,
    LEADS,
)
