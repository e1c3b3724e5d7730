"""Each minute it is asked whether there is anything of which nobody was told: messages that were
refused, news of a provider's account."""

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
NOTICES = """
CREATE INDEX IF NOT EXISTS webhook_events_to_tell ON ponctuel.webhook_events (received_at)
  WHERE payload ? 'tell';
"""


def upgrade() -> None:
    op.execute(REFUSED)
    op.execute(NOTICES)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
