"""Invoices that are owed, by their due date: those that have become overdue are looked for each
hour, among all that were ever paid."""

from __future__ import annotations

from alembic import op

from chalicelib.db.migrations.views import stands_in

revision = "domain_0006"
down_revision = "domain_0005"
branch_labels = None
depends_on = None

# As in domain_0004, it does not begin with the business.
INVOICES_OWED = """
CREATE INDEX invoices_owed ON ponctuel.invoices (due_on)
  WHERE status IN ('sent','partial','overdue') AND balance > 0
"""


def upgrade() -> None:
    if not stands_in("invoices"):
        op.execute(INVOICES_OWED)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
