"""What the agenda has told, besides its notifications."""

from __future__ import annotations

from alembic import op

revision = "ledger_0007"
down_revision = "ledger_0006"
branch_labels = None
depends_on = None

AGENDA = """
-- written with the agenda
"""


def upgrade() -> None:
    op.execute(AGENDA)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
