"""What erasing leaves: receipts, tombstones, holds, and the accounting records kept by law."""

from __future__ import annotations

from alembic import op

revision = "ledger_0006"
down_revision = "ledger_0005"
branch_labels = None
depends_on = None

ERASURES = """
-- Who may not be erased for the time being: one user, or a whole business.
CREATE TABLE IF NOT EXISTS ponctuel.legal_holds (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id  text NOT NULL,
  user_id      text,                          -- null: everybody of the business
  lifted_at    timestamptz                    -- null: in force
);
"""


def upgrade() -> None:
    op.execute(ERASURES)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
