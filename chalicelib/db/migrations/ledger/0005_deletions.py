"""Accounts that are to be erased, and how far that has come."""

from __future__ import annotations

from alembic import op

revision = "ledger_0005"
down_revision = "ledger_0004"
branch_labels = None
depends_on = None

DELETIONS = """
CREATE TABLE IF NOT EXISTS ponctuel.account_deletions (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id      text NOT NULL,
  user_id          text NOT NULL,
  -- the user alone; or, of the last user of a business, all that is kept of it. Told at the lock.
  scope            text CHECK (scope IN ('user','business')),
  state            text NOT NULL CHECK (state IN
                     ('scheduled','cancelled','blocked','locked','erasing','erased')),
  requested_at     timestamptz NOT NULL,
  requested_by     text NOT NULL,             -- user, application, operator
  scheduled_at     timestamptz NOT NULL,      -- not before
  zone             text NOT NULL,             -- whose days are counted: a valid IANA name
  -- users.deletion_scheduled_at as it was last read; null: the application does not hold it
  wanted_at        timestamptz,
  postponed        integer NOT NULL DEFAULT 0,  -- times that no letter could leave before the date
  cancelled_at     timestamptz,
  cancelled_by     text,
  blocked_at       timestamptz,
  blocked_reason   text,                      -- legal_hold, last_owner, no_user, surge, not_told
  approved_at      timestamptz,               -- an operator let it go in spite of the last three
  approved_by      text,
  locked_at        timestamptz,               -- from then on it cannot be cancelled
  erased_at        timestamptz,
  step             text,                      -- the one that comes next, or failed
  attempts         integer NOT NULL DEFAULT 0,
  next_attempt_at  timestamptz,
  error_code       text,
  leased_until     timestamptz,               -- the process that erases it
  lease            bigint NOT NULL DEFAULT 0, -- its fencing token
  pseudonym        text                       -- HMAC of the account, once its ids are gone
);
CREATE UNIQUE INDEX IF NOT EXISTS account_deletions_open
  ON ponctuel.account_deletions (business_id, user_id)
  WHERE state IN ('scheduled','blocked','locked','erasing');
CREATE INDEX IF NOT EXISTS account_deletions_of_user
  ON ponctuel.account_deletions (user_id, business_id, id DESC);
CREATE INDEX IF NOT EXISTS account_deletions_locks ON ponctuel.account_deletions (locked_at)
  WHERE locked_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS account_deletions_due
  ON ponctuel.account_deletions (state, scheduled_at)
  WHERE state IN ('scheduled','blocked','locked','erasing');
"""


def upgrade() -> None:
    op.execute(DELETIONS)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
