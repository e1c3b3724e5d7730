"""What erasing leaves: receipts, tombstones, holds, and the accounting records kept by law."""

from __future__ import annotations

from alembic import op

revision = "ledger_0006"
down_revision = "ledger_0005"
branch_labels = None
depends_on = None

ERASURES = """
-- written with the erasing steps
"""


def upgrade() -> None:
    op.execute(ERASURES)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
