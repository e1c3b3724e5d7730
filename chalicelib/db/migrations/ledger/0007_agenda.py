"""What the agenda has told, besides its notifications."""

from __future__ import annotations

from alembic import op

revision = "ledger_0007"
down_revision = "ledger_0006"
branch_labels = None
depends_on = None

AGENDA = """
-- What each user was told of, in the application and by e-mail: once for each cycle; and, of no
-- user (kind agenda.invoice_marked), which invoices the job has marked overdue.
CREATE TABLE IF NOT EXISTS ponctuel.agenda_told (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id  text NOT NULL,
  kind         text NOT NULL,                 -- agenda.invoice_overdue, agenda.task_overdue…
  subject      text NOT NULL,                 -- the invoice's, task's or appointment's id
  cycle        text NOT NULL,                 -- its date, and which time
  user_id      text NOT NULL,
  notice       text,                          -- the run whose e-mail tells of it; null: none does
  at           timestamptz NOT NULL,          -- when it is to be seen
  told_at      timestamptz NOT NULL,
  resolved_at  timestamptz,                   -- done, paid, moved or cancelled since
  UNIQUE (business_id, kind, subject, cycle, user_id)
);
CREATE INDEX IF NOT EXISTS agenda_told_unresolved
  ON ponctuel.agenda_told (business_id, user_id) WHERE resolved_at IS NULL;
"""


def upgrade() -> None:
    op.execute(AGENDA)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
