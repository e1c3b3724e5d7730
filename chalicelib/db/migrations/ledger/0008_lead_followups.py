"""Follow-ups of leads: proposed to a closer, or sent."""

from __future__ import annotations

from alembic import op

revision = "ledger_0008"
down_revision = "ledger_0007"
branch_labels = None
depends_on = None

FOLLOWUPS = """
CREATE TABLE IF NOT EXISTS ponctuel.lead_followups (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  business_id    text NOT NULL,
  lead_id        text NOT NULL,
  cycle          text NOT NULL,               -- the stage, and when the lead came to it
  number         integer NOT NULL,            -- of the cadence
  mode           text NOT NULL CHECK (mode IN ('assisted','api')),
  state          text NOT NULL CHECK (state IN
                   ('planned','proposed','opened','confirmed','skipped','expired','cancelled')),
  closer_id      text,                        -- to whom it was proposed; null: the owners
  phone          text,                        -- E.164, or Meta's id; as typed where it is unusable
  content        text NOT NULL DEFAULT '',    -- the French text of the link
  due_at         timestamptz NOT NULL,        -- since when the cadence asked for it
  proposed_at    timestamptz NOT NULL,
  opened_at      timestamptz,                 -- WhatsApp was opened with it, the last time
  settled_at     timestamptz,                 -- confirmed (sent), skipped, expired or cancelled
  settled_by     text,                        -- closer:id, run, reply
  reason         text,                        -- a code: of skipped and cancelled
  expires_at     timestamptz NOT NULL,
  run_id         uuid                         -- that made it
);
CREATE UNIQUE INDEX IF NOT EXISTS lead_followups_key
  ON ponctuel.lead_followups (business_id, lead_id, cycle, number)
  WHERE state <> 'cancelled';
CREATE UNIQUE INDEX IF NOT EXISTS lead_followups_active
  ON ponctuel.lead_followups (business_id, lead_id)
  WHERE state IN ('planned','proposed','opened');
CREATE INDEX IF NOT EXISTS lead_followups_of_closer
  ON ponctuel.lead_followups (business_id, closer_id) WHERE state IN ('proposed','opened');
CREATE INDEX IF NOT EXISTS lead_followups_of_number
  ON ponctuel.lead_followups (business_id, phone) WHERE state <> 'cancelled';
CREATE INDEX IF NOT EXISTS lead_followups_unusable
  ON ponctuel.lead_followups (business_id, lead_id)
  WHERE state = 'cancelled' AND reason LIKE 'phone_%';
CREATE INDEX IF NOT EXISTS lead_followups_of_day
  ON ponctuel.lead_followups (business_id, proposed_at);
"""
CLOSER_PAGE = """
CREATE INDEX IF NOT EXISTS lead_followups_settled
  ON ponctuel.lead_followups (business_id, settled_at);
CREATE TABLE IF NOT EXISTS ponctuel.closer_link_revocations (
  business_id  text NOT NULL,
  user_id      text NOT NULL,
  revoked_at   timestamptz NOT NULL,          -- links made until then are void
  revoked_by   text NOT NULL,
  PRIMARY KEY (business_id, user_id)
);
"""


def upgrade() -> None:
    op.execute(FOLLOWUPS)
    op.execute(CLOSER_PAGE)


def downgrade() -> None:
    raise NotImplementedError("migrations only add: restore a backup to go back")
