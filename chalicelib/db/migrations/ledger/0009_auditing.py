"""What an operator and an auditor need around erasing: why a hold is there, who read the archive,
and what has to be erased again in a database that was restored."""

from __future__ import annotations

from alembic import op

revision = "ledger_0009"
down_revision = "ledger_0008"
branch_labels = None
depends_on = None

HOLDS = """
ALTER TABLE ponctuel.legal_holds
  ADD COLUMN IF NOT EXISTS placed_at timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN IF NOT EXISTS placed_by text NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS reason text NOT NULL DEFAULT '',       -- a file's number, nobody's name
  ADD COLUMN IF NOT EXISTS lifted_by text,
  ADD COLUMN IF NOT EXISTS lift_reason text;
"""
ACCESSES = """
-- Who read the accounting records, when and why: rows of the archive, nothing of their content.
CREATE TABLE IF NOT EXISTS ponctuel.archive_accesses (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at           timestamptz NOT NULL,
  accessed_by  text NOT NULL,                 -- at the keyboard
  role         text NOT NULL DEFAULT session_user,
  action       text NOT NULL CHECK (action IN ('list','show','export')),
  business_id  text,                          -- null: every business was listed
  archive_id   bigint,                        -- the one that was shown
  reason       text NOT NULL CHECK (btrim(reason) <> '')
);
CREATE INDEX IF NOT EXISTS archive_accesses_by_time ON ponctuel.archive_accesses (at);
REVOKE ALL ON ponctuel.archive_accesses FROM PUBLIC;
"""
TOMBSTONES = """
-- That an account was erased, told to a database that was saved before. The same is in the store.
CREATE TABLE IF NOT EXISTS ponctuel.erasure_tombstones (
  key                 text PRIMARY KEY,       -- in the store
  business_id         text NOT NULL,
  deletion_id         bigint NOT NULL,        -- of the database in which it was erased
  scope               text NOT NULL CHECK (scope IN ('user','business')),
  account             text NOT NULL,          -- HMAC of the account
  secret              text NOT NULL,          -- fingerprint of the HMAC's secret; empty: none
  account_created_at  timestamptz,            -- null: its row had gone
  locked_at           timestamptz NOT NULL,
  kept_at             timestamptz             -- in the store since; null: not yet
);
CREATE INDEX IF NOT EXISTS erasure_tombstones_by_time ON ponctuel.erasure_tombstones (locked_at);
"""


def upgrade() -> None:
    op.execute(HOLDS)
    op.execute(ACCESSES)
    op.execute(TOMBSTONES)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
