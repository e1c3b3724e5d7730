"""Each minute it is asked whether a provider has refused messages of which nobody was told."""

from __future__ import annotations

from alembic import op

revision = "ledger_0010"
down_revision = "ledger_0009"
branch_labels = None
depends_on = None

REFUSED = """
CREATE INDEX IF NOT EXISTS messages_refused ON ponctuel.messages (settled_at)
  WHERE state = 'refused';
"""


def upgrade() -> None:
    op.execute(REFUSED)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
