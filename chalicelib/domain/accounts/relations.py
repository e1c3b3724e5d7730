"""The relations of accounts (`db/migrations/domain/0003_users.py`; see `domain/relation.py`)."""

from __future__ import annotations

from chalicelib.domain.relation import Column, Relation

USERS = Relation(
    "users",
    key=("business_id", "id"),
    writes={"UPDATE": ("deletion_scheduled_at",), "DELETE": ()},
    columns=(
        Column("business_id"),
        Column("id"),
        Column("name"),
        Column("email", nullable=True, wanted=True),
        Column("phone", nullable=True),
        Column("role", values=("owner", "admin", "member", "closer"), default="'member'"),
        Column("zone", nullable=True),
        Column("active", "boolean", default="true"),
        Column("deletion_scheduled_at", "timestamptz", nullable=True),
        Column("stripe_customer_id", nullable=True),
        Column("created_at", "timestamptz", default="now()"),
    ),
)

USER_PREFERENCES = Relation(
    "user_preferences",
    key=("business_id", "user_id"),
    writes={"DELETE": ()},
    columns=(
        Column("business_id"),
        Column("user_id"),
        Column("email", "boolean", default="true"),
        Column("digest", "boolean", default="false"),
        Column("digest_at", "time", default="'08:00'"),
        Column("appointment_offsets", default="'1440,60'"),
    ),
)

USER_TOKENS = Relation(
    "user_tokens",
    key=("business_id", "id"),
    writes={"DELETE": ()},
    columns=(
        Column("business_id"),
        Column("id"),
        Column("user_id"),
        Column("token_type", default="'session'"),
        Column("created_at", "timestamptz", default="now()"),
    ),
)

STORED_FILES = Relation(
    "stored_files",
    key=("business_id", "id"),
    writes={"DELETE": ()},
    columns=(
        Column("business_id"),
        Column("id"),
        Column("user_id"),
        Column("storage_key"),
        Column("name", default="''"),
        Column("created_at", "timestamptz", default="now()"),
    ),
)

RELATIONS = (
    USERS,
    USER_PREFERENCES,
    USER_TOKENS,
    STORED_FILES,
)
