"""What erasing leaves: holds, receipts, what still has to be deleted in the store, and the
accounting records kept by law."""

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
CREATE INDEX IF NOT EXISTS legal_holds_in_force ON ponctuel.legal_holds (business_id)
  WHERE lifted_at IS NULL;

-- Which steps of a deletion are done, and what each of them did: counts, nothing about anybody.
CREATE TABLE IF NOT EXISTS ponctuel.erasure_receipts (
  deletion_id  bigint NOT NULL REFERENCES ponctuel.account_deletions ON DELETE CASCADE,
  step         text NOT NULL,
  counts       jsonb NOT NULL,
  done_at      timestamptz NOT NULL,
  PRIMARY KEY (deletion_id, step)
);

-- Documents whose rows are gone and which the store still has; a row goes with its document.
CREATE TABLE IF NOT EXISTS ponctuel.erasure_files (
  deletion_id  bigint NOT NULL REFERENCES ponctuel.account_deletions ON DELETE CASCADE,
  storage_key  text NOT NULL,
  PRIMARY KEY (deletion_id, storage_key)
);

-- Invoices of erased businesses (Code de commerce, L123-22). For nobody's everyday use.
CREATE TABLE IF NOT EXISTS ponctuel.accounting_archive (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  deletion_id  bigint NOT NULL,
  business_id  text NOT NULL,
  document     text NOT NULL CHECK (document = 'invoice'),
  document_id  text NOT NULL,
  number       text NOT NULL,
  issued_on    date NOT NULL,
  content      jsonb NOT NULL,                -- the document, its customer, its issuer
  pdf_key      text,                          -- in the store, kept as long
  keep_until   date NOT NULL,                 -- purged the day after
  archived_at  timestamptz NOT NULL,
  UNIQUE (deletion_id, document, document_id)
);
CREATE INDEX IF NOT EXISTS accounting_archive_by_time
  ON ponctuel.accounting_archive (keep_until);
CREATE INDEX IF NOT EXISTS accounting_archive_by_pdf
  ON ponctuel.accounting_archive (pdf_key) WHERE pdf_key IS NOT NULL;
REVOKE ALL ON ponctuel.accounting_archive FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute(ERASURES)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
